//! What the analysts' page offers to paste runs as it stands.

use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::migrated_apart;

#[tokio::test]
async fn every_statement_of_the_analysts_page_runs_as_an_analyst() {
    let db = migrated_apart().await;
    let mut analyst = db.options().username("ar_analyst").connect().await.expect("the analyst connects");
    let statements: Vec<&str> =
        include_str!("../../../sql/README.md").split("```sql\n").skip(1).map(|rest| rest.split("```").next().expect("it ends")).collect();
    assert!(statements.len() >= 6, "{} statements", statements.len());
    for statement in statements {
        let outcome = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(&mut analyst).await;
        assert!(outcome.is_ok(), "{statement}: {outcome:?}");
    }
}

#[tokio::test]
async fn every_name_on_the_analysts_page_is_there_and_every_view_is_on_it() {
    let db = migrated_apart().await;
    let page = include_str!("../../../sql/README.md");
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'gis'::regnamespace AND relkind IN ('r', 'v')
         UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'gis'::regnamespace",
    )
    .fetch_all(&mut db.connect().await)
    .await
    .expect("reads the catalog");
    for name in &names {
        assert!(page.contains(&format!("gis.{name}")), "gis.{name} is not on the page");
    }
    for mentioned in page.split("`gis.").skip(1) {
        let name: String = mentioned.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(names.contains(&name), "gis.{name} is on the page and nowhere else");
    }
}
