//! NaN passes every comparison that is written the wrong way round. No column lets it in.

use sqlx::Row;

use crate::support::TestDb;

#[tokio::test]
async fn no_fractional_column_takes_nan_or_infinity() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let columns = sqlx::query(
        "SELECT c.oid::regclass || '.' || a.attname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
                ARRAY(SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k
                      WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]) AS checks
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace IN ('ar'::regnamespace, 'gis'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND a.atttypid IN ('float8'::regtype, 'float4'::regtype, 'numeric'::regtype) AND NOT a.attisdropped
         ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads the catalog");
    assert!(columns.len() > 10, "{}", columns.len());
    let mut open = Vec::new();
    for row in columns {
        let (name, column, kind, checks): (String, String, String, Vec<String>) =
            (row.get("name"), row.get("column"), row.get("type"), row.get("checks"));
        for bad in ["NaN", "Infinity", "-Infinity"] {
            let mut refused = false;
            for check in &checks {
                let question = format!("SELECT ({check}) IS FALSE FROM (SELECT '{bad}'::{kind} AS {column}) AS one");
                // An error refuses the row as well: round(infinity::numeric, 2) is one.
                refused |= sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_one(&mut connection).await.unwrap_or(true);
            }
            if !refused {
                open.push(format!("{name} takes {bad}"));
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
}

#[tokio::test]
async fn positions_have_one_spelling_and_are_no_nan() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    for (table, check) in [("decorations", "decorations_location_canonical"), ("edge_servers", "edge_servers_location_canonical")] {
        let expression: String = sqlx::query_scalar("SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = $1")
            .bind(check)
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{table}: {error}"));
        for (place, allowed) in [
            ("ST_MakePoint(180, 5)", true),
            ("ST_MakePoint(0, 90)", true),
            ("ST_MakePoint(0, -90)", true),
            ("ST_MakePoint(-179.99999999, 5)", true),
            ("ST_MakePoint(-180, 5)", false),
            ("ST_MakePoint(7, 90)", false),
            ("ST_MakePoint(180, -90)", false),
            ("ST_MakePoint('NaN', 5)", false),
            ("ST_MakePoint(5, 'NaN')", false),
        ] {
            let question =
                format!("SELECT ({expression}) IS TRUE FROM (SELECT ST_SetSRID({place}, 4326)::geography(Point, 4326) AS location) AS one");
            let holds: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_one(&mut connection).await.expect("evaluates");
            assert_eq!(holds, allowed, "{place} in {table}");
        }
    }
}
