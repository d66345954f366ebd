//! H3 in SQL is bit arithmetic; h3o decides whether it is right.

use ar_supervisor::geo::{Cells, Geom};
use geo_types::MultiPolygon;
use h3o::{CellIndex, Resolution};
use sqlx::Row;

use crate::support::{Random, TestDb, TestServer, position};

fn number(cell: CellIndex) -> i64 {
    u64::from(cell).cast_signed()
}

/// Random cells of all resolutions, pentagons and their neighbourhoods among them.
fn cells(random: &mut Random, count: usize) -> Vec<CellIndex> {
    let mut cells: Vec<CellIndex> = (0..count)
        .map(|_| {
            let lat = random.between(-1.0, 1.0).asin().to_degrees();
            let resolution = Resolution::try_from(u8::try_from(random.below(16)).expect("small")).expect("a resolution");
            h3o::LatLng::new(lat, random.between(-180.0, 180.0)).expect("finite").to_cell(resolution)
        })
        .collect();
    let pentagons: Vec<CellIndex> = CellIndex::base_cells().filter(|cell| cell.is_pentagon()).collect();
    for pentagon in pentagons {
        for resolution in 0..=15 {
            cells.extend(pentagon.center_child(Resolution::try_from(resolution).expect("a resolution")));
        }
    }
    cells
}

#[tokio::test]
async fn parent_resolution_and_hexadecimal_form_agree_with_h3o() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let cells = cells(&mut Random::seeded("cells"), 1_500);
    let rows = sqlx::query(
        "SELECT c.cell, gis.h3_resolution(c.cell) AS resolution, gis.h3_hex(c.cell) AS hex, gis.h3_cell(gis.h3_hex(c.cell)) AS again,
                ARRAY(SELECT gis.h3_parent(c.cell, r) FROM generate_series(0, gis.h3_resolution(c.cell)) AS r ORDER BY r) AS parents,
                ARRAY(SELECT ar.h3_parent(c.cell, r) FROM generate_series(0, gis.h3_resolution(c.cell)) AS r ORDER BY r) AS ours
         FROM unnest($1::bigint[]) WITH ORDINALITY AS c (cell, n) ORDER BY c.n",
    )
    .bind(cells.iter().copied().map(number).collect::<Vec<_>>())
    .fetch_all(&mut connection)
    .await
    .expect("answers");
    assert_eq!(rows.len(), cells.len());
    for (row, cell) in rows.iter().zip(cells) {
        assert_eq!(row.get::<i32, _>("resolution"), i32::from(u8::from(cell.resolution())), "{cell}");
        assert_eq!(row.get::<String, _>("hex"), cell.to_string());
        assert_eq!(row.get::<i64, _>("again"), number(cell));
        let parents: Vec<i64> =
            Resolution::range(Resolution::Zero, cell.resolution()).map(|r| number(cell.parent(r).expect("coarser"))).collect();
        assert_eq!(row.get::<Vec<i64>, _>("parents"), parents, "{cell}");
        assert_eq!(row.get::<Vec<i64>, _>("ours"), parents, "{cell}");
    }
}

#[tokio::test]
async fn the_r9_descendants_of_a_cell_are_the_valid_cells_of_one_range() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let mut random = Random::seeded("ranges");
    let mut cells = cells(&mut random, 1_000);
    cells.retain(|cell| cell.resolution() <= Resolution::Nine);
    let rows = sqlx::query(
        "SELECT gis.h3_first_r9(c) AS first, gis.h3_last_r9(c) AS last FROM unnest($1::bigint[]) WITH ORDINALITY AS t (c, n) ORDER BY n",
    )
    .bind(cells.iter().copied().map(number).collect::<Vec<_>>())
    .fetch_all(&mut connection)
    .await
    .expect("answers");
    for (row, cell) in rows.iter().zip(&cells) {
        let (first, last): (i64, i64) = (row.get("first"), row.get("last"));
        let child = cell.center_child(Resolution::Nine).expect("finer");
        assert!((first..=last).contains(&number(child)), "{cell}");
        if cell.resolution() >= Resolution::Six {
            assert!(cell.children(Resolution::Nine).all(|child| (first..=last).contains(&number(child))), "{cell}");
        }
        // Of another cell of its resolution, no descendant is in the range.
        for other in cell.grid_disk_safe(1).filter(|other| other != cell) {
            assert!(!(first..=last).contains(&number(other.center_child(Resolution::Nine).expect("finer"))), "{other} in {cell}");
        }
    }
}

#[tokio::test]
async fn stored_cells_equal_h3os_and_others_are_refused_by_their_resolution() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("stored cells");
    let places: Vec<_> = (0..500).map(|_| position(random.between(-90.0, 90.0), random.between(-180.0, 180.0))).collect();
    t.decoration("").insert_at_each(&places).await;
    let rows = sqlx::query("SELECT ST_Y(geom) AS lat, ST_X(geom) AS lng, h3_r5, h3_r7, h3_r9 FROM gis.decorations")
        .fetch_all(&t.sql)
        .await
        .expect("reads");
    assert_eq!(rows.len(), places.len());
    for row in rows {
        let cells = Cells::of(position(row.get("lat"), row.get("lng")));
        assert_eq!(
            ["h3_r5", "h3_r7", "h3_r9"].map(|column| row.get::<i64, _>(column)),
            [cells.r5, cells.r7, cells.r9].map(ar_supervisor::geo::Cell::to_db)
        );
    }
    let swapped = sqlx::query("UPDATE ar.decorations SET h3_r7 = h3_r9").execute(&t.sql).await.expect_err("refused");
    assert_eq!(swapped.as_database_error().and_then(|error| error.constraint()), Some("decorations_h3_r7_is_r7"));
}

#[tokio::test]
async fn outlines_of_cells_are_valid_polygons_for_postgis_and_cover_their_centres() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let mut cells: Vec<CellIndex> = Vec::new();
    for resolution in [Resolution::Zero, Resolution::One, Resolution::Two] {
        cells.extend(CellIndex::base_cells().flat_map(|base| base.children(resolution)));
    }
    assert_eq!(cells.len(), 122 + 842 + 5_882);
    let outline = |cell: &CellIndex| ar_supervisor::geo::Cell::from_db(number(*cell)).expect("a cell").outline();
    let outlines: Vec<Geom<MultiPolygon<f64>>> = cells.iter().map(outline).map(Geom).collect();
    sqlx::query(
        "INSERT INTO ar.h3_cells (cell, resolution, boundary)
         SELECT n.cell, gis.h3_resolution(n.cell), n.boundary FROM unnest($1::bigint[], $2::geometry[]) AS n (cell, boundary)",
    )
    .bind(cells.iter().copied().map(number).collect::<Vec<_>>())
    .bind(&outlines)
    .execute(&mut connection)
    .await
    .expect("writes the outlines");
    let invalid: Vec<String> = sqlx::query_scalar(
        "SELECT hex || ': ' || ST_IsValidReason(boundary) FROM gis.h3_cells
         WHERE NOT ST_IsValid(boundary) OR ST_IsEmpty(boundary)
            OR ST_XMin(boundary) < -180 OR ST_XMax(boundary) > 180 OR ST_YMin(boundary) < -90 OR ST_YMax(boundary) > 90",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads");
    assert!(invalid.is_empty(), "{invalid:#?}");
    let centres: Vec<h3o::LatLng> = cells.iter().copied().map(h3o::LatLng::from).collect();
    let off: Vec<String> = sqlx::query_scalar(
        "SELECT c.hex FROM unnest($1::bigint[], $2::float8[], $3::float8[]) AS n (cell, lng, lat) JOIN gis.h3_cells c USING (cell)
         WHERE NOT ST_Intersects(c.boundary, ST_SetSRID(ST_MakePoint(n.lng, n.lat), 4326))",
    )
    .bind(cells.iter().copied().map(number).collect::<Vec<_>>())
    .bind(centres.iter().map(|centre| centre.lng()).collect::<Vec<_>>())
    .bind(centres.iter().map(|centre| centre.lat()).collect::<Vec<_>>())
    .fetch_all(&mut connection)
    .await
    .expect("reads");
    assert!(off.is_empty(), "{off:#?}");
    let areas: Vec<f64> = sqlx::query_scalar("SELECT sum(ST_Area(boundary)) FROM gis.h3_cells GROUP BY resolution")
        .fetch_all(&mut connection)
        .await
        .expect("reads");
    assert!(areas.iter().all(|area| (area - 360.0 * 180.0).abs() < 1.0), "each resolution tiles the map once: {areas:?}");
}
