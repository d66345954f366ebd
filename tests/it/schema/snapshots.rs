//! What clients and operators rely on, written down: a change shows up in review as a change of these files.

use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{TestDb, TestServer};

/// Tables, columns, types, constraints, indexes, views and functions, one text a line. Daily partitions
/// depend on the day and the migrator's own table is not ours.
const CATALOG: &str = r#"
SELECT format('%s.%s %s', n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' END) AS object,
       ARRAY(SELECT format('%s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                           CASE WHEN a.attnotnull THEN ' not null' END, ' default ' || pg_get_expr(d.adbin, d.adrelid))
             FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S' ORDER BY a.attnum) AS columns,
       ARRAY(SELECT format('%s %s', k.conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n' ORDER BY k.conname) AS constraints,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid ORDER BY x.relname) AS indexes,
       ARRAY(SELECT pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s WHERE s.stxrelid = c.oid ORDER BY s.stxname) AS statistics,
       ARRAY(SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY t.tgname) AS triggers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('ar', 'gis') AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition AND c.relname <> 'schema_migrations'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C""#;

const FUNCTIONS: &str = "
SELECT format('%s(%s) returns %s', p.oid::regproc, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
FROM pg_proc p WHERE p.pronamespace IN ('ar'::regnamespace, 'gis'::regnamespace) ORDER BY p.oid::regprocedure::text COLLATE \"C\"";

#[tokio::test]
async fn openapi_is_as_agreed() {
    let t = TestServer::start().await;
    let served = t.get("/openapi.json").await.ok().json();
    let printed = serde_json::to_value(ar_supervisor::http::openapi()).expect("JSON");
    assert_eq!(served, printed, "what is served is what the command prints");
    assert_eq!(served["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
    insta::assert_json_snapshot!("openapi", served);
}

#[tokio::test]
async fn asyncapi_is_as_agreed() {
    let t = TestServer::start().await;
    let served = t.get("/asyncapi.json").await.ok().json();
    assert_eq!(served, ar_supervisor::hub::asyncapi(), "what is served is what the command prints");
    insta::assert_json_snapshot!("asyncapi", served);
}

#[tokio::test]
async fn the_schema_is_as_agreed() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let rows = sqlx::query(CATALOG).fetch_all(&mut connection).await.expect("reads the catalog");
    let mut objects = serde_json::Map::new();
    for row in rows {
        let mut parts = serde_json::Map::new();
        for part in ["columns", "constraints", "indexes", "statistics", "triggers"] {
            let lines: Vec<String> = row.get(part);
            if !lines.is_empty() {
                parts.insert(part.to_owned(), json!(lines));
            }
        }
        objects.insert(row.get("object"), Value::Object(parts));
    }
    let functions: Vec<String> = sqlx::query_scalar(FUNCTIONS).fetch_all(&mut connection).await.expect("reads the catalog");
    objects.insert("functions".to_owned(), json!(functions));
    insta::assert_json_snapshot!("schema", objects);
}
