//! Role `ar_analyst`: reads all of schema `gis` and nothing else.

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::support::{TestDb, migrated_apart};

/// A database with one row in most tables, and a connection of an analyst to it.
async fn analyst() -> (TestDb, PgConnection) {
    let db = migrated_apart().await;
    let mut owner = db.connect().await;
    sqlx::raw_sql(
        "INSERT INTO ar.edge_servers (name, region, api_url, websocket_url, location, service_area)
         VALUES ('e', 'r', 'https://e', 'wss://e', ST_MakePoint(1, 1), gis.circle_area(ST_MakePoint(1, 1)::geography, 5000));
         INSERT INTO ar.regions (code, name, kind, border) VALUES ('X', 'Xland', 'custom', ST_Multi(ST_MakeEnvelope(0, 0, 2, 2, 4326)));",
    )
    .execute(&mut owner)
    .await
    .expect("seeds");
    let connection = db.options().username("ar_analyst").connect().await.expect("the analyst connects");
    (db, connection)
}

async fn attempt(connection: &mut PgConnection, statement: &str) -> Result<(), String> {
    let outcome = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await;
    outcome
        .map(|_| ())
        .map_err(|error| error.as_database_error().map_or_else(|| error.to_string(), |error| error.code().unwrap_or_default().into_owned()))
}

#[tokio::test]
async fn an_analyst_reads_every_view_and_table_of_gis() {
    let (_db, mut connection) = analyst().await;
    let relations: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads the catalog");
    assert!(relations.len() >= 12, "{relations:?}");
    for relation in relations {
        // By name without schema, too: it is on the analyst's search path.
        assert_eq!(attempt(&mut connection, &format!("SELECT * FROM {relation}")).await, Ok(()), "{relation}");
    }
}

#[tokio::test]
async fn an_analyst_calls_every_function_of_gis() {
    let (_db, mut connection) = analyst().await;
    let functions: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT 'gis.' || quote_ident(p.proname), ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n)
         FROM pg_proc p WHERE p.pronamespace = 'gis'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads the catalog");
    assert!(functions.len() >= 14, "{functions:?}");
    for (function, arguments) in functions {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|kind| match kind.as_str() {
                "double precision" => "1::float8",
                "integer" => "5",
                "boolean" => "true",
                "uuid" => "NULL::uuid",
                "uuid[]" => "'{}'::uuid[]",
                "bigint" => "599405990164561919",
                "bigint[]" => "ARRAY[599405990164561919]",
                "timestamp with time zone" => "now()",
                "interval" => "interval '1 hour'",
                "text" => "'8928308280fffff'",
                "geography" => "'SRID=4326;POINT(1 1)'::geography",
                "geometry" => "'SRID=4326;POINT(1 1)'::geometry",
                other => panic!("{function} takes a {other}: give this test a value for it"),
            })
            .collect();
        let call = format!("SELECT * FROM {function}({})", arguments.join(", "));
        assert_eq!(attempt(&mut connection, &call).await, Ok(()), "{call}");
    }
}

#[tokio::test]
async fn an_analyst_cannot_read_ar() {
    let (_db, mut connection) = analyst().await;
    let tables: Vec<String> = sqlx::query_scalar("SELECT 'ar.' || relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'ar') AND relkind IN ('r', 'p')")
        .fetch_all(&mut connection)
        .await
        .expect("reads the catalog");
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables {
        assert_eq!(attempt(&mut connection, &format!("SELECT FROM {table}")).await, Err("42501".to_owned()), "{table}");
    }
    assert_eq!(attempt(&mut connection, "SELECT ar.fold_decoration_counts()").await, Err("42501".to_owned()));
}

#[tokio::test]
async fn an_analyst_cannot_write_even_without_the_read_only_default() {
    let (_db, mut connection) = analyst().await;
    assert_eq!(attempt(&mut connection, "CREATE TABLE gis.mine (a int)").await, Err("25006".to_owned()), "read-only by default");
    attempt(&mut connection, "SET default_transaction_read_only = off").await.expect("anybody may set it");
    for write in [
        "CREATE TABLE gis.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE FUNCTION pg_temp.leak() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE SCHEMA mine",
        "UPDATE gis.decorations SET name = 'x'",
        "DELETE FROM gis.device_density",
        "INSERT INTO gis.device_density VALUES (now(), 608819013513904127, 10)",
        "DELETE FROM gis.regions",
        "TRUNCATE gis.device_density",
        "DROP VIEW gis.decorations",
        "ALTER ROLE ar_analyst SUPERUSER",
        "COPY gis.decorations TO PROGRAM 'cat'",
        "SELECT pg_read_file('postgresql.conf')",
    ] {
        assert!(attempt(&mut connection, write).await.is_err(), "{write}");
    }
}

#[tokio::test]
async fn an_analysts_query_cannot_run_for_ever() {
    let (_db, mut connection) = analyst().await;
    let timeout: String = sqlx::query_scalar("SHOW statement_timeout").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(timeout, "30s");
}
