//! What is drawn where.

use sqlx::Row as _;

use super::{EXTENT, features, in_tile, names, path, spot_of, tile};
use crate::support::{Random, TestServer, position};

/// Some places of the Earth, odd ones among them.
fn places() -> Vec<(f64, f64)> {
    let mut random = Random::seeded("places on a map");
    let odd = [(0.0, 0.0), (52.5163, 13.3777), (-33.8568, 151.2153), (85.0, -179.999), (-84.9, 179.99), (64.1, -21.9), (0.0, -90.0)];
    let mut places = odd.to_vec();
    places.extend((0..60).map(|_| (random.between(-85.0, 85.0), random.between(-180.0, 180.0))));
    places
}

#[tokio::test]
async fn a_decoration_is_drawn_where_it_is() {
    let t = TestServer::start().await;
    let places = places();
    let ids = t.decoration("").insert_at_each(&places.iter().map(|(lat, lng)| position(*lat, *lng)).collect::<Vec<_>>()).await;
    for z in [12, 15, 18, 22] {
        for ((lat, lng), id) in places.iter().zip(&ids) {
            let spot = spot_of(z, *lat, *lng);
            let found = tile(&t, "decorations", z, spot).await;
            let feature = found.iter().find(|feature| feature.text("id") == id.to_string());
            let feature = feature.unwrap_or_else(|| panic!("{lat} {lng} is not in {z} {spot:?}: {found:?}"));
            let (x, y) = in_tile(z, spot, *lat, *lng);
            let (drawn_x, drawn_y) = feature.point();
            // To the nearest unit; a place has 8 decimals.
            let off = (f64::from(drawn_x) - x).abs().max((f64::from(drawn_y) - y).abs());
            assert!(
                off <= 0.51 + 1e-8 / 360.0 * f64::from(1_u32 << z) * EXTENT * 12.0,
                "{lat} {lng} at {z}: {drawn_x} {drawn_y} and not {x} {y}"
            );
        }
    }
}

#[tokio::test]
async fn a_feature_says_what_it_is() {
    let t = TestServer::start().await;
    let id = t.decoration("Quadriga").at(52.5163, 13.3777).category("history").asset_type("image").radius_meters(40).insert().await;
    t.decoration("hidden").at(52.5163, 13.3777).inactive().insert().await;
    t.decoration("gone").at(52.5163, 13.3777).deleted().insert().await;
    let edge = t.edge("eu-central").at(52.5163, 13.3777).insert().await;
    t.edge("old").at(52.5163, 13.3777).inactive().insert().await;
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    t.new_region("DE-BE", "Berlin")
        .kind(ar_supervisor::regions::Kind::Admin1)
        .within("DE")
        .boxes(&[[52.3, 13.0, 52.7, 13.8]])
        .insert()
        .await;
    let number = async |table: &str| -> i64 {
        let sql = format!("SELECT gid FROM gis.{table} ORDER BY gid LIMIT 1");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&t.sql).await.expect("a number")
    };
    let spot = spot_of(14, 52.5163, 13.3777);
    let found = tile(&t, "decorations", 14, spot).await;
    assert_eq!(names(&found), ["Quadriga"]);
    assert_eq!(i64::try_from(found[0].id).expect("small"), number("decorations").await);
    assert_eq!(found[0].properties.keys().collect::<Vec<_>>(), ["asset_type", "category", "id", "name", "radius_meters"]);
    assert_eq!((found[0].text("id"), found[0].text("category")), (id.to_string().as_str(), "history"));
    assert_eq!((found[0].text("asset_type"), found[0].number("radius_meters")), ("image", 40));
    for layer in ["edges", "coverage"] {
        let found = tile(&t, layer, 14, spot).await;
        assert_eq!(names(&found), ["edge"], "{layer}");
        assert_eq!(i64::try_from(found[0].id).expect("small"), number("edges").await, "{layer}");
        assert_eq!(found[0].properties.keys().collect::<Vec<_>>(), ["draining", "health_status", "id", "name", "region"], "{layer}");
        assert_eq!((found[0].text("id"), found[0].text("health_status")), (edge.to_string().as_str(), "unknown"), "{layer}");
    }
    let found = tile(&t, "regions", 14, spot).await;
    assert_eq!(names(&found), ["Berlin", "Germany"]);
    let berlin = found.iter().find(|feature| feature.text("name") == "Berlin").expect("Berlin");
    assert_eq!((berlin.text("code"), berlin.text("kind"), berlin.text("parent_code")), ("DE-BE", "admin1", "DE"));
    // Divisions are for larger zooms.
    assert_eq!(names(&tile(&t, "regions", 3, spot_of(3, 52.5, 13.4)).await), ["Germany"]);
    assert_eq!(names(&tile(&t, "regions", 4, spot_of(4, 52.5, 13.4)).await), ["Berlin", "Germany"]);
}

#[tokio::test]
async fn a_cluster_is_a_cell_with_a_count_in_the_middle_of_what_is_in_it() {
    let t = TestServer::start().await;
    let places = [(10.001, 20.001), (10.003, 20.001), (10.002, 20.004)];
    t.decoration("").insert_at_each(&places.map(|(lat, lng)| position(lat, lng))).await;
    t.fold_counts().await;
    for (z, resolution) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (7, 4), (8, 5), (9, 6)] {
        let spot = spot_of(z, 10.002, 20.0025);
        let found = tile(&t, "decorations", z, spot).await;
        assert_eq!(found.len(), 1, "{z}: {found:?}");
        assert_eq!(found[0].number("count"), 3, "{z}");
        let cell: h3o::CellIndex = found[0].text("cell").parse().expect("a cell");
        let fine = h3o::LatLng::new(10.001, 20.001).expect("a place").to_cell(h3o::Resolution::Nine);
        assert_eq!(Some(cell), fine.parent(h3o::Resolution::try_from(resolution).expect("a resolution")), "{z}");
        assert_eq!(found[0].id, (u64::from(cell) >> 24) & 0xffff_ffff, "{z}");
        let (x, y) = in_tile(z, spot, 10.002, 20.0025);
        let (drawn_x, drawn_y) = found[0].point();
        assert!((f64::from(drawn_x) - x).abs() < 0.6 && (f64::from(drawn_y) - y).abs() < 0.6, "{z}: {drawn_x} {drawn_y} and not {x} {y}");
    }
}

/// 180 is −180: the tiles on both sides have what lies there, as MapLibre draws a point only in the tile that it is in,
/// and a tile's eastern edge is no part of it.
#[tokio::test]
async fn what_lies_on_the_antimeridian_is_at_both_ends_of_the_map() {
    let t = TestServer::start().await;
    t.decoration("buoy").at(12.0, 180.0).insert().await;
    t.decoration("east of it").at(12.0, -179.9999).insert().await;
    t.edge("r").at(12.0, 180.0).insert().await;
    t.fold_counts().await;
    for z in [12, 16] {
        let (last, row) = ((1 << z) - 1, spot_of(z, 12.0, 0.0).1);
        let west = tile(&t, "decorations", z, (0, row)).await;
        let x_of = |name: &str| west.iter().find(|feature| feature.text("name") == name).map(|feature| feature.point().0);
        assert_eq!(x_of("buoy"), Some(0));
        let beside = x_of("east of it").expect("drawn");
        assert!((1..=76).contains(&beside), "{beside}");
        let east = tile(&t, "decorations", z, (last, row)).await;
        let x_of = |name: &str| east.iter().find(|feature| feature.text("name") == name).map(|feature| feature.point().0);
        assert_eq!(x_of("buoy"), Some(4096));
        // Within the margin, so that a symbol is not cut.
        assert_eq!(x_of("east of it").is_some(), beside <= 64);
    }
    assert_eq!(tile(&t, "edges", 5, (0, spot_of(5, 12.0, 0.0).1)).await[0].point().0, 0);
    assert_eq!(tile(&t, "edges", 0, (0, 0)).await[0].point().0, 0);
}

#[tokio::test]
async fn beyond_the_maps_edge_it_is_drawn_on_the_edge() {
    let t = TestServer::start().await;
    for (name, lat) in [("north pole", 90.0), ("far north", 88.0), ("south pole", -90.0), ("far south", -86.5)] {
        t.decoration(name).at(lat, 40.0).insert().await;
    }
    for z in [12, 17] {
        let column = |lat: f64| spot_of(z, 0.0, if lat.abs() < 90.0 { 40.0 } else { 0.0 }).0;
        for (name, lat, row, y) in [
            ("north pole", 90.0, 0, 0),
            ("far north", 88.0, 0, 0),
            ("south pole", -90.0, (1 << z) - 1, 4095),
            ("far south", -86.5, (1 << z) - 1, 4095),
        ] {
            let found = tile(&t, "decorations", z, (column(lat), row)).await;
            let feature = found.iter().find(|feature| feature.text("name") == name).unwrap_or_else(|| panic!("{name} at {z}: {found:?}"));
            assert_eq!(feature.point().1, y, "{name} at {z}");
        }
    }
}

/// A side of a region is straight on a map of latitudes and longitudes: on this one it is a curve.
#[tokio::test]
async fn an_area_covers_in_its_tiles_what_it_covers_on_earth() {
    let t = TestServer::start().await;
    // Its long side runs from 10 S 0 E to 75 N 60 E.
    t.new_region("W", "Wedge").polygon(&[(0.0, -10.0), (60.0, 75.0), (0.0, 75.0), (0.0, -10.0)]).insert().await;
    for (z, apart_deg) in [(0, 1.5), (1, 0.8), (2, 0.4), (4, 0.1), (6, 0.03), (9, 0.004)] {
        for step in 1..20 {
            let lng = f64::from(step) * 3.0;
            let lat = -10.0 + 85.0 * lng / 60.0;
            for (shift, inside) in [(-apart_deg, true), (apart_deg, false)] {
                let lng = lng + shift;
                let spot = spot_of(z, lat, lng);
                let (x, y) = in_tile(z, spot, lat, lng);
                let covered = tile(&t, "regions", z, spot).await.iter().any(|feature| feature.covers(x, y));
                assert_eq!(covered, inside, "{lat} {lng} at {z}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_area_is_drawn_across_the_antimeridian_and_around_a_pole() {
    let t = TestServer::start().await;
    t.edge("fiji").at(-17.0, 179.9).radius_km(100.0).insert().await;
    t.edge("far north").at(84.0, 30.0).radius_km(900.0).insert().await;
    t.edge("small").at(40.0, 30.0).insert().await;
    let covered = async |z: u32, lat: f64, lng: f64| {
        let spot = spot_of(z, lat, lng);
        let (x, y) = in_tile(z, spot, lat, lng);
        let found = tile(&t, "coverage", z, spot).await;
        found.iter().find(|feature| feature.covers(x, y)).map(|feature| feature.text("region").to_owned())
    };
    for z in [2, 5, 9] {
        for (lat, lng, region) in [
            (-17.0, 179.5, Some("fiji")),
            (-17.0, -179.5, Some("fiji")),
            (-17.0, 178.7, None),
            (-17.0, -178.9, None),
            (84.0, 30.0, Some("far north")),
            // 712 km away, past the pole's side.
            (84.9, 100.0, Some("far north")),
            (77.0, 30.0, Some("far north")),
            (75.5, 30.0, None),
        ] {
            assert_eq!(covered(z, lat, lng).await.as_deref(), region, "{lat} {lng} at {z}");
        }
    }
    // Ten kilometres are less than a pixel here, and more there.
    assert_eq!(covered(1, 40.0, 30.0).await, None);
    assert_eq!(covered(9, 40.0, 30.0).await.as_deref(), Some("small"));
}

#[tokio::test]
async fn analysts_get_the_same_tiles_from_sql() {
    let db = crate::support::migrated_apart().await;
    let t = TestServer::on(db.options(), crate::support::Config::default()).await;
    t.decoration("here").at(52.5163, 13.3777).insert().await;
    t.edge("r").at(52.5163, 13.3777).insert().await;
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    t.fold_counts().await;
    let mut analyst = sqlx::ConnectOptions::connect(&db.options().username("ar_analyst")).await.expect("connects");
    for layer in ["decorations", "edges", "coverage", "regions"] {
        for z in [0, 5, 10, 13] {
            let (x, y) = spot_of(z, 52.5163, 13.3777);
            let sql = format!("SELECT mvt FROM gis.{layer}_tile({z}, {x}, {y})");
            let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut analyst).await.expect("a tile");
            let bytes: Vec<u8> = row.get(0);
            let is_too_small = layer == "coverage" && z < 5;
            assert_eq!(features(layer, &bytes).len(), usize::from(!is_too_small), "{layer} at {z}");
            assert_eq!(t.get(&path(layer, z, (x, y))).await.ok().body, bytes, "{layer} at {z}");
        }
    }
}
