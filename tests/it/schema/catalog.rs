//! Rules that every table, column, index, constraint and function keeps.

use crate::support::TestDb;

/// Schema `ar` and `gis` without daily partitions, which follow their parents, and the migrator's own table.
const OUR_TABLES: &str =
    "c.relnamespace IN ('ar'::regnamespace, 'gis'::regnamespace) AND NOT c.relispartition AND c.relname <> 'schema_migrations'";

async fn texts(query: String) -> Vec<String> {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection).await.expect("reads the catalog")
}

#[tokio::test]
async fn every_spatial_column_has_a_gist_index_but_those_that_no_search_is_for() {
    let without = texts(format!(
        "SELECT c.oid::regclass || '.' || a.attname
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE {OUR_TABLES} AND c.relkind IN ('r', 'p') AND a.atttypid IN ('geography'::regtype, 'geometry'::regtype)
           AND NOT EXISTS (
               SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
               WHERE i.indrelid = c.oid AND m.amname = 'gist' AND a.attnum = ANY(i.indkey))
         ORDER BY 1"
    ))
    .await;
    // The exact position of a device, which moves all the time; and how an area was drawn, which is asked for with its edge.
    assert_eq!(without, ["ar.device_connections.position", "ar.edge_servers.service_area_drawn"]);
}

/// Boxes, tiles and borders are asked of `location::geometry`, distances of `location`: both words need an index.
#[tokio::test]
async fn places_that_are_drawn_are_indexed_as_geometry_too() {
    let indexed = texts(
        "SELECT i.indrelid::regclass::text FROM pg_index i
         WHERE pg_get_indexdef(i.indexrelid) LIKE '%gist (((location)::geometry(Point,4326)))%' ORDER BY 1"
            .to_owned(),
    )
    .await;
    assert_eq!(indexed, ["ar.decorations", "ar.edge_servers"]);
}

#[tokio::test]
async fn everything_has_a_comment() {
    let without = texts(format!(
        "SELECT c.oid::regclass::text FROM pg_class c
         WHERE {OUR_TABLES} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
         UNION ALL
         SELECT c.oid::regclass || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE {OUR_TABLES} AND c.relkind IN ('r', 'p') AND NOT a.attisdropped AND coalesce(col_description(c.oid, a.attnum), '') = ''
         UNION ALL
         SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace IN ('ar'::regnamespace, 'gis'::regnamespace) AND coalesce(obj_description(p.oid, 'pg_proc'), '') = ''
         UNION ALL
         SELECT s.stxname FROM pg_statistic_ext s WHERE coalesce(obj_description(s.oid, 'pg_statistic_ext'), '') = ''
         UNION ALL
         SELECT n.nspname FROM pg_namespace n WHERE n.nspname IN ('ar', 'gis') AND coalesce(obj_description(n.oid, 'pg_namespace'), '') = ''"
    ))
    .await;
    assert!(without.is_empty(), "{without:#?}");
}

/// Errors are matched by the constraint's name, so the name must be ours: PostgreSQL's own for a CHECK changes
/// with the order in which constraints are written.
#[tokio::test]
async fn every_constraint_is_named_by_us() {
    let automatic = texts(format!(
        "SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         WHERE {OUR_TABLES} AND k.contype IN ('c', 'x', 'u', 'p', 'f')
           AND (k.conname ~ '_(check|excl)[0-9]*$' OR k.conname ~ '(_key|_fkey|_pkey)[0-9]+$' OR k.conname NOT LIKE c.relname || '%')"
    ))
    .await;
    assert!(automatic.is_empty(), "{automatic:#?}");
}

#[tokio::test]
async fn every_foreign_key_is_indexed_where_it_points_from() {
    let without = texts(format!(
        "SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         WHERE {OUR_TABLES} AND k.contype = 'f' AND NOT EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL AND i.indkey[0] = k.conkey[1])
         ORDER BY 1"
    ))
    .await;
    // Users are disabled, hardly ever deleted; an index for that would cost every import.
    let accepted = ["decorations_created_by_fkey", "ws_tickets_session_id_fkey"];
    let missing: Vec<_> = without.iter().filter(|name| !accepted.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// `STRICT`, `SET`, `SECURITY DEFINER` or another language would make a function opaque to the planner. One is so on
/// purpose: what it may have to do is not even to be planned by those who do not need it.
#[tokio::test]
async fn every_function_for_analysts_can_be_inlined() {
    let opaque = texts(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
         WHERE p.pronamespace = 'gis'::regnamespace AND p.proname <> 'edge_fallback_if'
           AND (l.lanname <> 'sql' OR p.proisstrict OR p.prosecdef OR p.proconfig IS NOT NULL OR p.provolatile = 'v' OR p.proparallel <> 's')"
            .to_owned(),
    )
    .await;
    assert!(opaque.is_empty(), "{opaque:#?}");
}
