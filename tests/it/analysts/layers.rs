//! Views as layers: typed geometry, a key that GIS tools take, words for every column, and rows.

use sqlx::AssertSqlSafe;

use super::{analyst, populated, texts};

/// Every view and table of `gis` with the columns that tell of a place.
const DRAWN: &str = "SELECT f_table_name || '.' || f_geometry_column FROM geometry_columns WHERE f_table_schema = 'gis'";

#[tokio::test]
async fn every_spatial_column_has_a_type_and_a_reference_system() {
    let mut connection = analyst(populated().await).await;
    let untyped = "SELECT f_table_name || '.' || f_geometry_column FROM geometry_columns
                   WHERE f_table_schema = 'gis' AND (type = 'GEOMETRY' OR srid <> 4326 OR coord_dimension <> 2)
                   UNION ALL SELECT f_table_name || '.' || f_geography_column FROM geography_columns
                   WHERE f_table_schema = 'gis' AND (type = 'Geometry' OR srid <> 4326 OR coord_dimension <> 2)";
    assert_eq!(texts(&mut connection, untyped).await, [""; 0]);
    let spatial = "SELECT count(*)::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                   WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND a.atttypid IN ('geometry'::regtype, 'geography'::regtype)";
    let listed = "SELECT ((SELECT count(*) FROM geometry_columns WHERE f_table_schema = 'gis') + (SELECT count(*) FROM geography_columns WHERE f_table_schema = 'gis'))::text";
    assert_eq!(texts(&mut connection, spatial).await, texts(&mut connection, listed).await, "all of them are listed");
    assert!(texts(&mut connection, DRAWN).await.len() >= 20);
}

/// QGIS takes a whole number that is never null and never twice; JavaScript one below 2^53.
#[tokio::test]
async fn what_can_be_drawn_has_a_key_and_rows() {
    let mut connection = analyst(populated().await).await;
    for layer in texts(&mut connection, DRAWN).await {
        let (view, column) = layer.split_once('.').expect("two parts");
        let kind = format!(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'gis.{view}'::regclass AND attname = 'gid'"
        );
        assert_eq!(texts(&mut connection, &kind).await, ["bigint"], "{view}.gid");
        let question =
            format!("SELECT count(*), count(DISTINCT gid), count({column}), coalesce(max(gid), 0), coalesce(min(gid), 1) FROM gis.{view}");
        let (rows, keys, drawn, greatest, least): (i64, i64, i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(question)).fetch_one(&mut connection).await.unwrap_or_else(|error| panic!("{view}: {error}"));
        assert_eq!(rows, keys, "{view}: a key is null or there twice");
        assert!(rows > 0 && drawn > 0, "{view} is empty");
        assert!(least > 0 && greatest < 1 << 53, "{view}: {least} to {greatest}");
    }
}

#[tokio::test]
async fn every_column_has_a_comment() {
    let mut connection = analyst(populated().await).await;
    let without = "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                   WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind IN ('r', 'v') AND coalesce(col_description(c.oid, a.attnum), '') = ''";
    assert_eq!(texts(&mut connection, without).await, [""; 0]);
}

#[tokio::test]
async fn where_a_cell_is_shown_so_is_its_usual_text() {
    let mut connection = analyst(populated().await).await;
    let shown = "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'cell'
                 WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind = 'v' ORDER BY 1";
    let views = texts(&mut connection, shown).await;
    assert!(views.len() >= 10, "{views:?}");
    for view in views {
        let wrong = format!("SELECT h3_hex || ' is not ' || cell FROM gis.{view} WHERE to_hex(cell) IS DISTINCT FROM h3_hex LIMIT 1");
        assert_eq!(texts(&mut connection, &wrong).await, [""; 0], "{view}");
    }
}

/// Two cells, or one cell at two times, never share a number, and numbers stay below 2^53 until 2079.
#[tokio::test]
async fn numbers_of_cells_tell_cells_and_quarter_hours_apart() {
    let mut connection = analyst(populated().await).await;
    let (cells, numbers): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(DISTINCT (gis.h3_gid(c.cell, t.at), r)) FROM gis.h3_cells c
         CROSS JOIN (VALUES ('2020-01-01T00:00Z'::timestamptz), ('2020-01-01T00:15Z'), ('2079-10-01T00:00Z')) AS t (at) CROSS JOIN generate_series(1, 1) AS r",
    )
    .fetch_one(&mut connection)
    .await
    .expect("counts");
    assert!(cells > 3_000 && cells == numbers, "{cells} {numbers}");
    let greatest = "SELECT (max(gis.h3_gid(cell, '2079-10-01T00:00Z')) < 1::bigint << 53)::text FROM gis.h3_cells";
    assert_eq!(texts(&mut connection, greatest).await, ["true"]);
}

#[tokio::test]
async fn coverage_by_cell_agrees_with_a_test_of_every_decoration_against_every_edge() {
    let mut connection = analyst(populated().await).await;
    let (decorations, uncovered, cells, most): (i64, i64, i64, i64) =
        sqlx::query_as("SELECT sum(decorations)::bigint, sum(uncovered)::bigint, count(*), max(edges_most) FROM gis.coverage_by_cell")
            .fetch_one(&mut connection)
            .await
            .expect("answers");
    // Without an index and without cells: by the words alone.
    let (all, open, by_hand): (i64, i64, i64) = sqlx::query_as(
        "WITH counted AS (
             SELECT d.id, gis.h3_parent(d.h3_r9, 5) AS cell, count(e.id) FILTER (WHERE CASE WHEN e.service_area_given THEN ST_Covers(e.service_area, d.location)
                 ELSE ST_Distance(e.location, d.location) <= e.service_radius_km * 1000 END) AS edges
             FROM gis.decorations d CROSS JOIN gis.edges e GROUP BY d.id, d.h3_r9)
         SELECT count(*), count(*) FILTER (WHERE edges = 0), max(edges) FROM counted",
    )
    .fetch_one(&mut connection)
    .await
    .expect("answers");
    assert_eq!((decorations, uncovered, most), (all, open, by_hand));
    assert!(cells > 100 && uncovered > 0 && uncovered < decorations, "{cells} cells, {uncovered} of {decorations}");
    let parts = "SELECT ((SELECT count(*) FROM gis.coverage_by_cell WHERE uncovered > 0) = (SELECT count(*) FROM gis.coverage_gaps)
                     AND (SELECT count(*) FROM gis.coverage_by_cell WHERE edges_most > 1) = (SELECT count(*) FROM gis.coverage_overlaps))::text";
    assert_eq!(texts(&mut connection, parts).await, ["true"]);
}

#[tokio::test]
async fn counts_of_regions_are_what_the_regions_hold() {
    let mut connection = analyst(populated().await).await;
    let wrong = "SELECT c.code || ': ' || c.decorations FROM gis.region_counts c
                 WHERE c.code IN ('DE', 'FJ', 'RU', 'AQ', 'VA', 'FESTIVAL') AND c.decorations <> (SELECT count(*) FROM gis.decorations_in_region(c.code))";
    assert_eq!(texts(&mut connection, wrong).await, [""; 0]);
    let germany = "SELECT (decorations > 10 AND area_km2 BETWEEN 330000 AND 380000)::text FROM gis.region_counts WHERE code = 'DE'";
    assert_eq!(texts(&mut connection, germany).await, ["true"]);
}

#[tokio::test]
async fn shares_of_load_add_up_to_the_whole() {
    let mut connection = analyst(populated().await).await;
    for view in ["load_by_edge", "load_by_region"] {
        let whole =
            format!("SELECT (abs(sum(share_of_capacity) - 1) < 1e-9 AND abs(sum(share_of_devices) - 1) < 1e-9)::text FROM gis.{view}");
        assert_eq!(texts(&mut connection, &whole).await, ["true"], "{view}");
    }
    let sums = "SELECT (sum(current_connections) = (SELECT sum(current_connections) FROM gis.edges))::text FROM gis.load_by_region";
    assert_eq!(texts(&mut connection, sums).await, ["true"]);
}
