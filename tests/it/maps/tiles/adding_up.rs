//! No decoration is lost between tiles, and none is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use h3o::{CellIndex, LatLng as H3LatLng, Resolution};
use sqlx::Row as _;

use super::{Spot, counted, features, spot_of, tile};
use crate::support::{Random, TestServer, position};

/// Where the map ends.
const EDGE_DEG: f64 = 85.051_128_7;

/// All over the Earth, beside each other, around the corners of tiles, the antimeridian and the poles.
fn places() -> Vec<(f64, f64)> {
    let mut random = Random::seeded("counting on a map");
    let mut places: Vec<(f64, f64)> = (0..60).map(|_| (random.between(-90.0, 90.0), random.between(-180.0, 180.0))).collect();
    let mut around = |lat: f64, lng: f64, spread: f64, count: usize| {
        for _ in 0..count {
            let east = lng + random.between(-spread, spread);
            let lng = if east > 180.0 { east - 360.0 } else { east };
            places.push(((lat + random.between(-spread, spread)).clamp(-90.0, 90.0), lng));
        }
    };
    around(48.2, 16.37, 0.3, 25);
    around(0.0, 0.0, 0.02, 10);
    around(-16.8, 180.0, 0.2, 20);
    around(66.5, 180.0, 1.0, 10);
    around(84.9, 10.0, 0.5, 10);
    around(-88.0, 100.0, 2.0, 10);
    around(89.9, 0.0, 0.2, 8);
    // The last is rounded to the antimeridian on the tile of zoom 0.
    places.extend([(90.0, 0.0), (-90.0, 0.0), (10.0, 180.0), (0.0, 0.0), (0.0, 90.0), (45.0, 45.0), (40.0, 179.97)]);
    places
}

/// The tiles that places lie in, and those around them.
fn around(z: u32, places: &[(f64, f64)]) -> BTreeSet<Spot> {
    let size = 1_u32 << z;
    let mut spots = BTreeSet::new();
    for (lat, lng) in places {
        let (x, y) = spot_of(z, lat.clamp(-EDGE_DEG, EDGE_DEG), *lng);
        for dx in 0..3 {
            for dy in 0..3 {
                spots.insert(((x + size + dx - 1) % size, (y + dy).saturating_sub(1).min(size - 1)));
            }
        }
    }
    // Beyond the edge, the middle of a cell may have any longitude.
    if z < 12 {
        let columns: Vec<u32> = (0..size).step_by(1.max(size as usize / 512)).collect();
        if columns.len() == size as usize {
            spots.extend(columns.iter().flat_map(|x| [(*x, 0), (*x, size - 1)]));
        }
    }
    spots
}

#[tokio::test]
async fn the_clusters_of_a_zoom_add_up_to_all_decorations_and_each_is_at_home_in_one_tile() {
    let t = TestServer::start().await;
    // Cells around the poles are wide on the map: there the whole edge is looked at, up to zoom 9.
    let near_poles = |lat: f64| lat.abs() > 84.0;
    let places = places();
    t.decoration("").insert_at_each(&places.iter().map(|(lat, lng)| position(*lat, *lng)).collect::<Vec<_>>()).await;
    t.fold_counts().await;
    for z in 0..12_u32 {
        let looked_at: Vec<(f64, f64)> = places.iter().copied().filter(|(lat, _)| z < 10 || !near_poles(*lat)).collect();
        let (columns, rows): (Vec<i32>, Vec<i32>) =
            around(z, &looked_at).into_iter().map(|(x, y)| (x.cast_signed(), y.cast_signed())).unzip();
        let tiles = sqlx::query(
            "SELECT s.x, s.y, m.mvt FROM unnest($2::int[], $3::int[]) AS s(x, y), LATERAL gis.decorations_tile($1, s.x, s.y) AS m WHERE length(m.mvt) > 0",
        );
        let tiles = tiles.bind(z.cast_signed()).bind(&columns).bind(&rows).fetch_all(&t.sql).await.expect("tiles");
        let mut homes: BTreeMap<String, (i64, Vec<(i32, i32)>)> = BTreeMap::new();
        for row in tiles {
            let spot: (i32, i32) = (row.get(0), row.get(1));
            for feature in features("decorations", row.get(2)) {
                let count = feature.number("count");
                let home = homes.entry(feature.text("cell").to_owned()).or_insert((count, Vec::new()));
                assert_eq!(home.0, count, "neighbours agree at {z} about {}", feature.text("cell"));
                if feature.is_at_home() {
                    home.1.push(spot);
                }
            }
        }
        let wrong: Vec<_> = homes.iter().filter(|(_, (_, spots))| spots.len() != 1).collect();
        assert!(z >= 10 || wrong.is_empty(), "at {z}: {wrong:?}");
        // What is expected, by h3o.
        let resolution = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 7][z as usize];
        let resolution = Resolution::try_from(resolution).expect("a resolution");
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        for (lat, lng) in &looked_at {
            let fine = H3LatLng::new(*lat, *lng).expect("a place").to_cell(Resolution::Nine);
            *expected.entry(fine.parent(resolution).expect("an ancestor").to_string()).or_default() += 1;
        }
        let found: BTreeMap<String, i64> = homes
            .into_iter()
            .filter(|(cell, (_, spots))| spots.len() == 1 && expected.contains_key(cell))
            .map(|(cell, (count, _))| (cell, count))
            .collect();
        assert_eq!(found, expected, "at {z}");
    }
}

/// Over HTTP, whole zooms.
#[tokio::test]
async fn all_tiles_of_a_small_zoom_add_up() {
    let t = TestServer::start().await;
    let places = places();
    t.decoration("").insert_at_each(&places.iter().map(|(lat, lng)| position(*lat, *lng)).collect::<Vec<_>>()).await;
    t.fold_counts().await;
    for z in 0..4 {
        let mut sum = 0;
        for x in 0..1 << z {
            for y in 0..1 << z {
                sum += counted(&tile(&t, "decorations", z, (x, y)).await);
            }
        }
        assert_eq!(usize::try_from(sum).expect("a count"), places.len(), "{z}");
    }
}

#[tokio::test]
async fn each_single_decoration_is_at_home_in_one_tile() {
    let t = TestServer::start().await;
    let places = places();
    t.decoration("").insert_at_each(&places.iter().map(|(lat, lng)| position(*lat, *lng)).collect::<Vec<_>>()).await;
    for z in [12, 15, 20] {
        let mut homes: BTreeMap<u64, usize> = BTreeMap::new();
        let mut spots = around(z, &places);
        // A pole's longitude is 0, and 180 is the first column, too.
        spots.extend([spot_of(z, EDGE_DEG, 0.0), spot_of(z, -EDGE_DEG, 0.0), (0, spot_of(z, 10.0, 180.0).1)]);
        let (columns, rows): (Vec<i32>, Vec<i32>) = spots.into_iter().map(|(x, y)| (x.cast_signed(), y.cast_signed())).unzip();
        let tiles =
            sqlx::query("SELECT m.mvt FROM unnest($2::int[], $3::int[]) AS s(x, y), LATERAL gis.decorations_tile($1, s.x, s.y) AS m");
        for row in tiles.bind(z.cast_signed()).bind(&columns).bind(&rows).fetch_all(&t.sql).await.expect("tiles") {
            for feature in features("decorations", row.get(0)) {
                *homes.entry(feature.id).or_default() += usize::from(feature.is_at_home());
            }
        }
        assert_eq!(homes.len(), places.len(), "{z}");
        assert!(homes.values().all(|count| *count == 1), "{z}: {homes:?}");
    }
}

/// `gis.tile_fine_counts` looks so far around a tile that cells whose middle is in it are whole.
#[test]
fn no_cell_reaches_farther_than_is_looked_for() {
    let mut random = Random::seeded("widths of cells");
    for (resolution, reach_m) in [(Resolution::Six, 12_000.0), (Resolution::Seven, 4_800.0)] {
        let mut widest_m = 0.0_f64;
        let pentagons = h3o::CellIndex::base_cells().filter(|cell| cell.is_pentagon()).filter_map(|cell| cell.center_child(resolution));
        let others = (0..40)
            .map(|_| H3LatLng::new(random.between(-90.0, 90.0), random.between(-180.0, 180.0)).expect("a place").to_cell(resolution));
        for cell in pentagons.flat_map(|cell| cell.grid_disk::<Vec<_>>(1)).chain(others) {
            let corners: Vec<H3LatLng> =
                cell.children(Resolution::Nine).flat_map(|child: CellIndex| child.boundary().iter().copied().collect::<Vec<_>>()).collect();
            let centre = H3LatLng::from(cell);
            // Twice the radius is more than any two corners are apart.
            let radius_m = corners.iter().map(|corner| centre.distance_m(*corner)).fold(0.0, f64::max);
            widest_m = widest_m.max(2.0 * radius_m);
        }
        println!("resolution {resolution}: {widest_m:.0} m");
        assert!(widest_m * 1.01 < reach_m, "resolution {resolution}: {widest_m} m");
    }
}
