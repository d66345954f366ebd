//! The box of a map, as QGIS and GDAL ask for it, is answered by the index, to an analyst too.

use ar_supervisor::geo::Cell;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::OnceCell;

use super::{analyst, pool, run};
use crate::support::{Random, TestDb, TestServer, position};

/// 20,000 decorations with the outlines of their cells, 4,000 edges and 400 regions.
async fn crowded() -> &'static TestDb {
    static CROWDED: OnceCell<TestDb> = OnceCell::const_new();
    CROWDED
        .get_or_init(|| async {
            let db = TestDb::create().await;
            let sql = pool(&db);
            let t = TestServer::on(db.options(), crate::support::Config { started: false, ..Default::default() }).await;
            let mut random = Random::seeded("boxes");
            let places: Vec<_> = (0..20_000).map(|_| position(random.between(-70.0, 70.0), random.between(-180.0, 180.0))).collect();
            t.decoration("").insert_at_each(&places).await;
            t.fold_counts().await;
            let cells: Vec<i64> = sqlx::query_scalar("SELECT cell FROM gis.decoration_totals UNION SELECT h3_r7 FROM gis.decorations")
                .fetch_all(&sql)
                .await
                .expect("cells");
            let outlines: Vec<_> = cells.iter().map(|&cell| ar_supervisor::geo::Geom(Cell::from_db(cell).expect("a cell").outline())).collect();
            sqlx::query("INSERT INTO ar.h3_cells SELECT c, gis.h3_resolution(c), b FROM unnest($1::bigint[], $2::geometry[]) AS n (c, b)")
                .bind(&cells)
                .bind(&outlines)
                .execute(&sql)
                .await
                .expect("outlines");
            run(
                &sql,
                "INSERT INTO ar.edge_servers (name, region, api_url, websocket_url, location, service_area)
                 SELECT 'e', 'label-' || n % 40, 'https://e', 'wss://e', p.place, gis.circle_area(p.place, 5000)
                 FROM generate_series(1, 4000) AS n, LATERAL (SELECT ST_MakePoint(n * 0.085 - 170, n % 120 - 60)::geography AS place) AS p;
                 INSERT INTO ar.regions (code, name, kind, border)
                 SELECT 'R' || n, 'Region ' || n, 'custom', ST_Multi(ST_Buffer(ST_SetSRID(ST_MakePoint(n % 30 * 10 - 150, n / 30 * 9 - 60), 4326), 4, 64))
                 FROM generate_series(0, 399) AS n;
                 INSERT INTO gis.device_density SELECT date_bin('15 minutes', now(), 'epoch') - b * interval '15 minutes', c.h3_r7, 12
                 FROM (SELECT DISTINCT h3_r7 FROM ar.decorations LIMIT 3000) AS c, generate_series(1, 8) AS b",
            )
            .await;
            run(&sql, "VACUUM ANALYZE").await;
            db
        })
        .await
}

fn walk(node: &Value, seen: &mut Vec<(String, String, String)>) {
    let text = |member: &str| node[member].as_str().unwrap_or_default().to_owned();
    seen.push((text("Node Type"), text("Relation Name"), text("Index Name")));
    for child in node["Plans"].as_array().into_iter().flatten() {
        walk(child, seen);
    }
}

async fn uses(connection: &mut PgConnection, question: &str, index: &str, but_whole: &[&str]) {
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) {question}")))
        .fetch_one(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("{question}: {error}"));
    let mut nodes = Vec::new();
    walk(&plan[0]["Plan"], &mut nodes);
    assert!(nodes.iter().any(|(_, _, used)| used == index), "{index} is not used by {question}: {plan:#}");
    for (kind, table, _) in nodes {
        assert!(kind != "Seq Scan" || but_whole.contains(&table.as_str()), "{table} is read whole by {question}: {plan:#}");
    }
}

#[tokio::test]
async fn boxes_of_qgis_and_gdal_use_the_index() {
    let mut connection = analyst(crowded().await).await;
    let qgis = "st_makeenvelope(5, 45, 7, 46.5, 4326)";
    let gdal = "ST_SetSRID('BOX3D(5 45, 7 46.5)'::box3d, 4326)";
    // Counters are small, and seams are few: all of them may be read at once.
    for (view, column, index, but_whole) in [
        ("decorations", "geom", "decorations_geometry_gist", [].as_slice()),
        ("edges", "geom", "edge_servers_geometry_gist", &["edge_load"]),
        ("coverage", "geom", "edge_servers_drawn_area_gist", &[]),
        ("regions", "border", "regions_border_gist", &[]),
        ("region_counts", "border", "regions_border_gist", &["region_seams"]),
        ("region_parts", "part", "region_parts_part_gist", &[]),
        ("h3_cells", "boundary", "h3_cells_boundary_gist", &[]),
        ("decoration_cells", "boundary", "h3_cells_boundary_gist", &[]),
        ("coverage_gaps", "boundary", "h3_cells_boundary_gist", &[]),
        ("device_density_cells", "boundary", "h3_cells_boundary_gist", &["device_density"]),
        ("sync_state", "geom", "edge_servers_geometry_gist", &["decoration_sync"]),
    ] {
        for envelope in [qgis, gdal] {
            let question = format!(r#"SELECT "gid", ST_AsBinary("{column}", 'NDR') FROM "gis"."{view}" WHERE "{column}" && {envelope}"#);
            uses(&mut connection, &question, index, but_whole).await;
        }
        let exact = format!(r#"SELECT "gid" FROM "gis"."{view}" WHERE "{column}" && {qgis} AND st_intersects("{column}", {qgis})"#);
        uses(&mut connection, &exact, index, but_whole).await;
    }
}

#[tokio::test]
async fn one_feature_is_found_by_its_number() {
    let mut connection = analyst(crowded().await).await;
    for (view, index) in [
        ("decorations", "decorations_gid_key"),
        ("edges", "edge_servers_gid_key"),
        ("coverage", "edge_servers_gid_key"),
        ("regions", "regions_gid_key"),
    ] {
        uses(&mut connection, &format!(r#"SELECT * FROM "gis"."{view}" WHERE "gid" = 7"#), index, &[]).await;
    }
}
