//! `GET /decorations/clusters`: counts by H3 cell, equal to counting the decorations of the box one by one.

use std::collections::BTreeMap;

use ar_supervisor::geo::{Cells, LatLng};
use h3o::{CellIndex, Resolution};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Answer, Random, TestServer, position};

/// South, west, north, east.
type Box4 = [f64; 4];

const WORLD: Box4 = [-90.0, -180.0, 90.0, 180.0];

async fn ask(t: &TestServer, [south, west, north, east]: Box4, resolution: u8) -> Answer {
    t.get(&format!("/api/v1/decorations/clusters?min_lat={south}&min_lng={west}&max_lat={north}&max_lng={east}&resolution={resolution}"))
        .await
}

fn counted(answer: &Answer) -> BTreeMap<String, i64> {
    let items = answer.items();
    let counts: BTreeMap<String, i64> =
        items.iter().map(|item| (item["cell"].as_str().expect("a cell").to_owned(), item["count"].as_i64().expect("a count"))).collect();
    assert_eq!(counts.len(), items.len(), "a cell comes once: {}", answer.text());
    counts
}

/// The ancestor, at a resolution, of a position's r9 cell.
fn ancestor(place: LatLng, resolution: u8) -> String {
    let r9 = CellIndex::try_from(Cells::of(place).r9.to_db().cast_unsigned()).expect("a cell");
    r9.parent(Resolution::try_from(resolution).expect("a resolution")).expect("coarser").to_string()
}

fn holds([south, west, north, east]: Box4, place: LatLng) -> bool {
    let on = |lng: f64| if west <= east { (west..=east).contains(&lng) } else { lng >= west || lng <= east };
    (south..=north).contains(&place.lat_deg())
        && (place.lat_deg().abs() == 90.0 || on(place.lng_deg()) || (place.lng_deg() == 180.0 && on(-180.0)))
}

fn brute_force(places: &[LatLng], bounds: Box4, resolution: u8) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for place in places.iter().filter(|place| holds(bounds, **place)) {
        *counts.entry(ancestor(*place, resolution)).or_default() += 1;
    }
    counts
}

/// Spread over the world, and heaped at the poles and on the antimeridian.
fn nasty_places(random: &mut Random, count: usize) -> Vec<LatLng> {
    (0..count)
        .map(|number| match number % 6 {
            0 => position(random.between(85.0, 90.0), random.between(-180.0, 180.0)),
            1 => position(random.between(-90.0, -85.0), random.between(-180.0, 180.0)),
            2 => position(
                random.between(-80.0, 80.0),
                if random.below(2) == 0 { random.between(-180.0, -177.0) } else { random.between(177.0, 180.0) },
            ),
            3 => *random.one_of(&[position(90.0, 0.0), position(-90.0, 0.0), position(3.0, 180.0), position(0.0, 0.0)]),
            4 => position(random.between(47.0, 48.0), random.between(11.0, 12.0)),
            _ => position(random.between(-90.0, 90.0), random.between(-180.0, 180.0)),
        })
        .collect()
}

#[tokio::test]
async fn counts_equal_brute_force_in_random_boxes_at_every_resolution() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("clusters");
    let places = nasty_places(&mut random, 900);
    t.decoration("").insert_at_each(&places).await;
    t.fold_counts().await;
    let mut boxes =
        vec![WORLD, [0.0, 180.0, 10.0, -180.0], [-10.0, -180.0, 10.0, -180.0], [80.0, 10.0, 90.0, 20.0], [-90.0, 170.0, 90.0, -170.0]];
    for _ in 0..25 {
        let (a, b) = (random.between(-90.0, 90.0), random.between(-90.0, 90.0));
        boxes.push([a.min(b), random.between(-180.0, 180.0), a.max(b), random.between(-180.0, 180.0)]);
        // Small ones, whose edges cut cells of every resolution.
        let corner = *random.one_of(&places);
        let north = (corner.lat_deg() + random.between(0.0, 2.0)).min(90.0);
        let east = (corner.lng_deg() + random.between(0.0, 2.0)).min(180.0);
        boxes.push([corner.lat_deg(), corner.lng_deg(), north, east]);
    }
    for bounds in boxes {
        let bounds = bounds.map(|deg| (deg * 1e8).round() / 1e8);
        for resolution in 0..=9 {
            let answer = ask(&t, bounds, resolution).await.ok();
            assert_eq!(counted(&answer), brute_force(&places, bounds, resolution), "{bounds:?} at resolution {resolution}");
        }
    }
}

#[tokio::test]
async fn a_cell_comes_with_its_centre_and_the_fullest_first() {
    let t = TestServer::start().await;
    let here = position(52.52, 13.405);
    t.decoration("").insert_at_each(&[here, here, here, position(-33.9, 18.4)]).await;
    t.fold_counts().await;
    for resolution in 0..=9 {
        let answer = ask(&t, WORLD, resolution).await.ok();
        assert_eq!(answer.numbers("count"), [3.0, 1.0], "{resolution}");
        assert_eq!(answer.next_cursor(), None);
        assert_eq!(answer.json()["next_cursor"], Value::Null);
        let cell: CellIndex = answer.texts("cell")[0].parse().expect("a cell");
        assert_eq!(u8::from(cell.resolution()), resolution);
        let centre = h3o::LatLng::from(cell);
        assert!((answer.numbers("lat")[0] - centre.lat()).abs() < 1e-7 && (answer.numbers("lng")[0] - centre.lng()).abs() < 1e-7);
    }
}

#[tokio::test]
async fn counts_follow_inserts_moves_hiding_and_deletion() {
    let t = TestServer::start().await;
    let (berlin, perth) = (position(52.52, 13.405), position(-31.95, 115.86));
    let id = t.decoration("wanderer").at(52.52, 13.405).insert().await;
    t.decoration("stays").at(52.52, 13.405).insert().await;
    let expect = async |step: &str, places: &[LatLng]| {
        t.fold_counts().await;
        for resolution in 0..=9 {
            let answer = ask(&t, WORLD, resolution).await.ok();
            assert_eq!(counted(&answer), brute_force(places, WORLD, resolution), "after {step}, at resolution {resolution}");
        }
    };
    let update = async |assignment: &'static str| {
        let statement = format!("UPDATE ar.decorations SET {assignment} WHERE id = $1");
        sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).execute(&t.sql).await.expect("updates");
    };
    expect("inserts", &[berlin, berlin]).await;
    let cells = Cells::of(perth);
    sqlx::query("UPDATE ar.decorations SET location = ST_MakePoint(115.86, -31.95), h3_r5 = $2, h3_r7 = $3, h3_r9 = $4 WHERE id = $1")
        .bind(id)
        .bind(cells.r5.to_db())
        .bind(cells.r7.to_db())
        .bind(cells.r9.to_db())
        .execute(&t.sql)
        .await
        .expect("moves");
    expect("a move", &[berlin, perth]).await;
    update("is_active = false").await;
    expect("hiding", &[berlin]).await;
    update("is_active = true").await;
    expect("showing", &[berlin, perth]).await;
    update("deleted_at = now()").await;
    expect("a soft delete", &[berlin]).await;
    update("deleted_at = NULL").await;
    expect("a restore", &[berlin, perth]).await;
    sqlx::query("DELETE FROM ar.decorations WHERE id = $1").bind(id).execute(&t.sql).await.expect("deletes");
    expect("a delete", &[berlin]).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decoration_counts WHERE n <= 0").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(left, 0, "empty cells are swept");
}

#[tokio::test]
async fn folding_at_once_from_many_places_counts_everything_once() {
    let t = TestServer::start().await;
    let place = position(1.0, 1.0);
    let fold = async || {
        for _ in 0..20 {
            t.fold_counts().await;
        }
    };
    let write = async {
        for _ in 0..10 {
            t.decoration("").insert_at_each(&[place; 7]).await;
        }
    };
    tokio::join!(fold(), fold(), write);
    t.fold_counts().await;
    assert_eq!(ask(&t, WORLD, 3).await.ok().numbers("count"), [70.0]);
}

#[tokio::test]
async fn more_than_5000_cells_are_refused_at_coarse_and_at_fine_resolutions() {
    let t = TestServer::start().await;
    // One place in each of 5,001 r5 cells, then in each of as many r9 cells that share few r5 cells.
    let centre = |cell: CellIndex| position(h3o::LatLng::from(cell).lat(), h3o::LatLng::from(cell).lng());
    let r5 = h3o::LatLng::new(48.0, 11.0).expect("on Earth").to_cell(Resolution::Five);
    let places: Vec<LatLng> = r5.grid_disk_safe(45).take(5_001).map(&centre).collect();
    let ids = t.decoration("").insert_at_each(&places).await;
    let r9 = h3o::LatLng::new(-48.0, 11.0).expect("on Earth").to_cell(Resolution::Nine);
    let fine: Vec<LatLng> = r9.grid_disk_safe(45).take(5_001).map(&centre).collect();
    t.decoration("").insert_at_each(&fine).await;
    t.fold_counts().await;
    let (north, south) = ([0.0, -180.0, 90.0, 180.0], [-90.0, -180.0, 0.0, 180.0]);
    for resolution in [5, 6, 9] {
        ask(&t, north, resolution).await.problem(422, "too_many_cells");
    }
    ask(&t, south, 9).await.problem(422, "too_many_cells");
    assert_eq!(ask(&t, south, 5).await.ok().numbers("count").iter().sum::<f64>(), 5_001.0);
    assert_eq!(ask(&t, north, 4).await.ok().numbers("count").iter().sum::<f64>(), 5_001.0);
    // 5,000 are not too many.
    sqlx::query("DELETE FROM ar.decorations WHERE id = ANY($1)").bind::<&[Uuid]>(&ids[..1]).execute(&t.sql).await.expect("deletes");
    t.fold_counts().await;
    assert_eq!(ask(&t, north, 5).await.ok().items().len(), 5_000);
}
