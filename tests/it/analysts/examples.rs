//! The files of `sql/examples/` run as they stand, and each statement answers something.

use sqlx::AssertSqlSafe;

use super::{analyst, populated};

#[tokio::test]
async fn every_statement_of_every_example_answers_rows() {
    let mut connection = analyst(populated().await).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/examples");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    let readme = include_str!("../../../sql/README.md");
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(readme.contains(&format!("(examples/{name})")), "{name} is not on the page");
        let text = std::fs::read_to_string(&file).expect("a text");
        // As psql does: a statement ends with a semicolon at the end of a line.
        let statements: Vec<&str> = text.split(";\n").filter(|statement| !statement.trim().is_empty()).collect();
        assert!(statements.len() >= 3, "{name}: {} statements", statements.len());
        for statement in statements {
            assert!(statement.trim_start().starts_with("--"), "{name}: a statement without a word about it: {statement}");
            let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{name}: {error}: {statement}"));
            assert!(!rows.is_empty(), "{name}: no row: {statement}");
        }
    }
}
