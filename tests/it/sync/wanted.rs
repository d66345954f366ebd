//! What edges should hold follows their areas, the margin, and the decorations, whoever changes what meanwhile.

use std::collections::BTreeMap;

use ar_supervisor::geo::LatLng;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::books::{books, every_pair_is_right, put_count};
use crate::support::{Account, Answer, Config, Random, RegisteredEdge, TestServer, edge_body, eventually, position, rounds};

/// Degrees of latitude in a metre, near enough to place things.
const DEGREE_M: f64 = 111_200.0;

fn edge_path(id: Uuid) -> String {
    format!("/api/v1/edge-servers/{id}")
}

async fn put_edge(t: &TestServer, admin: &Account, id: Uuid, body: Value) -> Answer {
    Answer::of(admin.request(t, Method::PUT, &edge_path(id)).header("if-match", "*").json(&body)).await
}

fn with(mut body: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

/// Places around one, up to so far away.
fn around(random: &mut Random, lat: f64, lng: f64, metres: f64, count: usize) -> Vec<LatLng> {
    let place = |_| {
        let lat = (lat + random.between(-1.0, 1.0) * metres / DEGREE_M).clamp(-90.0, 90.0);
        let wide = (metres / DEGREE_M / lat.to_radians().cos().max(1e-6)).min(180.0);
        position(lat, (lng + random.between(-1.0, 1.0) * wide + 540.0).rem_euclid(360.0) - 180.0)
    };
    (0..count).map(place).collect()
}

/// A star of so many corners, as GeoJSON. Across the antimeridian it is cut there.
fn star(lat: f64, lng: f64, metres: f64, corners: u32) -> Value {
    let corner = |i: u32| {
        let angle = std::f64::consts::TAU * f64::from(i) / f64::from(corners);
        let reach_deg = metres / DEGREE_M * if i.is_multiple_of(2) { 1.0 } else { 0.8 };
        json!([lng + reach_deg * angle.sin() / lat.to_radians().cos(), lat + reach_deg * angle.cos()])
    };
    json!({"type": "Polygon", "coordinates": [(0..=corners).map(|i| corner(i % corners)).collect::<Vec<_>>()]})
}

/// Numbers of the pairs that are put in both.
fn renumbered(before: &BTreeMap<(Uuid, Uuid), (String, i64)>, after: &BTreeMap<(Uuid, Uuid), (String, i64)>) -> usize {
    let kept = before.iter().filter_map(|(pair, then)| Some((then, after.get(pair)?)));
    kept.filter(|(then, now)| then.0 == now.0 && then.1 != now.1).count()
}

#[tokio::test]
async fn what_an_edge_should_hold_follows_its_area_and_its_life() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut random = Random::seeded("an edge's life");
    let mut places = around(&mut random, 52.5, 13.4, 12_000.0, 300);
    places.extend(around(&mut random, 48.1, 11.5, 6_000.0, 50));
    t.decoration("").insert_at_each(&places).await;
    t.decoration("hidden").at(52.5, 13.4).inactive().insert().await;
    t.decoration("gone").at(52.5, 13.4).deleted().insert().await;
    let berlin = edge_body("Berlin", 52.5, 13.4);
    let edge = RegisteredEdge::create(&t, &admin, berlin.clone()).await.id;
    let other = RegisteredEdge::create(&t, &admin, with(berlin.clone(), json!({"service_radius_km": 3}))).await.id;
    every_pair_is_right(&t.sql).await;
    let (first, at_first) = (books(&t.sql).await, put_count(&t.sql, edge).await);
    assert!(at_first > put_count(&t.sql, other).await, "the larger one holds more");

    // What does not move it marks nothing.
    put_edge(&t, &admin, edge, with(berlin.clone(), json!({"name": "Berlin Mitte", "max_connections": 7}))).await.ok();
    assert_eq!(books(&t.sql).await, first);
    put_edge(&t, &admin, edge, with(berlin.clone(), json!({"service_radius_km": 8}))).await.ok();
    every_pair_is_right(&t.sql).await;
    let grown = books(&t.sql).await;
    assert!(put_count(&t.sql, edge).await > at_first);
    assert_eq!(renumbered(&first, &grown), 0, "what it holds already is not sent again");

    put_edge(&t, &admin, edge, with(berlin.clone(), json!({"service_radius_km": 1.25}))).await.ok();
    every_pair_is_right(&t.sql).await;
    let shrunk = books(&t.sql).await;
    assert!(put_count(&t.sql, edge).await < at_first);
    assert_eq!(renumbered(&grown, &shrunk), 0);
    assert_eq!(shrunk.len(), grown.len(), "removals are marked, not forgotten");

    let area = star(52.5, 13.4, 9_000.0, 60);
    put_edge(&t, &admin, edge, with(berlin.clone(), json!({"service_area": area}))).await.ok();
    every_pair_is_right(&t.sql).await;
    let drawn = books(&t.sql).await;
    put_edge(&t, &admin, edge, with(berlin.clone(), json!({"service_area": area, "lat": 10, "name": "elsewhere"}))).await.ok();
    assert_eq!(books(&t.sql).await, drawn);

    put_edge(&t, &admin, edge, edge_body("München", 48.1, 11.5)).await.ok();
    every_pair_is_right(&t.sql).await;
    assert!(put_count(&t.sql, edge).await > 0);
    put_edge(&t, &admin, edge, with(edge_body("München", 48.1, 11.5), json!({"is_active": false}))).await.ok();
    every_pair_is_right(&t.sql).await;
    assert_eq!(put_count(&t.sql, edge).await, 0);
    put_edge(&t, &admin, edge, edge_body("München", 48.1, 11.5)).await.ok();
    every_pair_is_right(&t.sql).await;
    assert!(put_count(&t.sql, edge).await > 0);

    assert_eq!(admin.ask(&t, Method::DELETE, &edge_path(edge)).await.status, 204);
    every_pair_is_right(&t.sql).await;
    let after = books(&t.sql).await;
    assert!(after.keys().all(|(of, _)| *of == other), "nothing is kept for an edge that is gone");
    assert_eq!(renumbered(&first, &after), 0, "the other one saw nothing of it");
}

#[tokio::test]
async fn areas_over_a_pole_and_the_antimeridian_hold_what_is_in_them() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut random = Random::seeded("poles and the antimeridian");
    for (lat, lng) in [(90.0, 0.0), (-90.0, 0.0), (-17.0, 180.0), (65.0, -179.99)] {
        for (metres, count) in [(60_000.0, 100), (8_000.0, 60)] {
            t.decoration("").insert_at_each(&around(&mut random, lat, lng, metres, count)).await;
        }
    }
    for (place, lat, lng) in [("north", 90.0, 0.0), ("south", -89.9, 120.0), ("Fiji", -17.0, 179.9), ("Chukotka", 65.0, -179.9)] {
        for radius_km in [30.0, 55.25] {
            RegisteredEdge::create(&t, &admin, with(edge_body(place, lat, lng), json!({"service_radius_km": radius_km}))).await;
        }
    }
    let pieces = [[179.93, 180.0], [-180.0, -179.97]];
    let piece = |[west, east]: [f64; 2]| json!([[[west, -17.04], [east, -17.04], [east, -16.95], [west, -16.95], [west, -17.04]]]);
    let seam = json!({"type": "MultiPolygon", "coordinates": pieces.map(piece)});
    let cap = json!({"type": "Polygon", "coordinates": [[[-180, 89.95], [180, 89.95], [180, 90], [-180, 90], [-180, 89.95]]]});
    for area in [seam, cap] {
        let edge = RegisteredEdge::create(&t, &admin, with(edge_body("drawn", 0.0, 0.0), json!({"service_area": area}))).await;
        assert!(put_count(&t.sql, edge.id).await > 20, "{area}");
    }
    every_pair_is_right(&t.sql).await;
}

/// The pairs as the decorations find them, and as the edges do.
async fn two_ways(sql: &PgPool, margin_m: f64) -> i64 {
    let differing = "WITH a AS (
            SELECT h.edge_server_id AS edge, h.decoration_id AS decoration FROM (SELECT array_agg(id) AS ids FROM ar.decorations) AS p, gis.edges_holding(p.ids, $1) AS h
        ), b AS (SELECT e.id AS edge, h.decoration_id AS decoration FROM ar.edge_servers e, gis.decorations_held(e.id, $1) AS h)
        SELECT (SELECT count(*) FROM (TABLE a EXCEPT TABLE b) AS x) + (SELECT count(*) FROM (TABLE b EXCEPT TABLE a) AS y) + (SELECT count(*) - count(DISTINCT b) FROM b)";
    sqlx::query_scalar(differing).bind(margin_m).fetch_one(sql).await.expect("compares")
}

#[tokio::test]
async fn edges_and_decorations_find_the_same_pairs() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut random = Random::seeded("two ways");
    for (lat, lng, metres, corners) in [(52.5, 13.4, 6_000.0, 60), (-70.0, 20.0, 60_000.0, 16), (1.0, 100.0, 3_000.0, 12)] {
        // Two areas that overlap: one after the other is asked about.
        for corners in [corners, 6] {
            let area = star(lat, lng, metres, corners);
            RegisteredEdge::create(&t, &admin, with(edge_body("drawn", lat, lng), json!({"service_area": area}))).await;
        }
        RegisteredEdge::create(&t, &admin, with(edge_body("circle", lat, lng), json!({"service_radius_km": metres / 1000.0}))).await;
        let mut places = around(&mut random, lat, lng, metres * 1.1 + 600.0, 500);
        // Corners of the area itself.
        let corners = star(lat, lng, metres, corners)["coordinates"][0].as_array().expect("a ring").clone();
        let degrees = |corner: &Value, at: usize| corner[at].as_f64().expect("degrees");
        places.extend(corners.iter().map(|corner| position(degrees(corner, 1), degrees(corner, 0))));
        t.decoration("").insert_at_each(&places).await;
    }
    for margin_m in [0.0, 0.5, 1.0, 500.0] {
        assert_eq!(two_ways(&t.sql, margin_m).await, 0, "{margin_m} m");
    }
}

fn decoration(name: &str, [lat, lng]: [f64; 2], external_id: Option<String>) -> Value {
    json!({"name": name, "category": "art", "lat": lat, "lng": lng, "radius_meters": 40, "asset_type": "image", "external_id": external_id})
}

/// Closes all connections of these servers, so that what they counted is written; deadlocks among them.
async fn deadlocks(servers: &[&TestServer]) -> i64 {
    for server in servers {
        server.state.db.close().await;
    }
    let sql = &servers[0].sql;
    sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetch_one(sql).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn decorations_move_while_an_area_changes_and_nothing_is_missed() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    let admin = a.admin().await;
    let body = edge_body("moving", 52.5, 13.4);
    let edge = RegisteredEdge::create(&a, &admin, body.clone()).await.id;
    RegisteredEdge::create(&a, &admin, with(body.clone(), json!({"service_radius_km": 2}))).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let made = admin.send(&a, Method::POST, "/api/v1/decorations", decoration(&n.to_string(), [52.5, 13.4], None)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        ids.push(made.json()["id"].as_str().expect("an id").to_owned());
    }
    let mut random = Random::seeded("moving");
    let seeds: Vec<u64> = (0..16).map(|_| random.bits()).collect();
    let writers = seeds.iter().enumerate().map(|(number, &seed)| {
        let (t, ids, admin) = (if number % 2 == 0 { &a } else { &b }, &ids, &admin);
        async move {
            let mut random = Random::of(seed);
            let mut written = 0;
            for round in 0..rounds(10, 100) {
                let id = random.one_of(ids).clone();
                let place = [52.5 + random.between(-0.1, 0.1), 13.4 + random.between(-0.15, 0.15)];
                // A new external id locks the row against keys that refer to it.
                let content = decoration("moved", place, Some(format!("{number}-{round}")));
                let request = admin.request(t, Method::PUT, &format!("/api/v1/decorations/{id}")).header("if-match", "*");
                let answer = Answer::of(request.json(&content)).await;
                assert!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
                written += u32::from(answer.status == 200);
            }
            written
        }
    });
    let changing = async {
        let mut changed = 0;
        for round in 0..50_u32 {
            let members = match round % 5 {
                0 => json!({"service_radius_km": 7.5}),
                1 => json!({"service_radius_km": 1.5, "lat": 52.53}),
                2 => json!({"service_area": star(52.48, 13.35, 6_000.0, 24)}),
                3 => json!({"is_active": false}),
                _ => json!({"service_radius_km": 4, "lng": 13.45}),
            };
            let answer = put_edge(if round % 2 == 0 { &a } else { &b }, &admin, edge, with(body.clone(), members)).await;
            assert!([200, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
            changed += u32::from(answer.status == 200);
        }
        changed
    };
    // Meanwhile all is acknowledged as soon as it is there, so that rows go and come.
    let acknowledging = async {
        let acknowledge = "WITH mine AS MATERIALIZED (
                SELECT edge_server_id, decoration_id FROM ar.decoration_sync WHERE sync_status <> 'synced' FOR NO KEY UPDATE SKIP LOCKED
            ), gone AS (
                DELETE FROM ar.decoration_sync s USING mine m
                WHERE s.edge_server_id = m.edge_server_id AND s.decoration_id = m.decoration_id AND s.wanted = 'remove'
            )
            UPDATE ar.decoration_sync s SET sync_status = 'synced', synced_version = s.sync_version FROM mine m
            WHERE s.edge_server_id = m.edge_server_id AND s.decoration_id = m.decoration_id AND s.wanted = 'put'";
        loop {
            sqlx::raw_sql(acknowledge).execute(&a.sql).await.expect("acknowledges");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let working = async { tokio::join!(futures_util::future::join_all(writers), changing) };
    let (written, changed) = tokio::select! {
        done = working => done,
        never = acknowledging => never,
    };
    println!("{} writes, {changed} changes of the area", written.iter().sum::<u32>());
    assert!(written.iter().sum::<u32>() >= 120 && changed >= 40, "{written:?} {changed}");
    every_pair_is_right(&a.sql).await;
    assert_eq!(deadlocks(&[&a, &b]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_made_during_imports_miss_nothing() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    let admin = a.admin().await;
    let mut random = Random::seeded("imports");
    let mut file = |which: usize| -> String {
        let row = |n: usize| {
            let place = [52.5 + random.between(-0.1, 0.1), 13.4 + random.between(-0.15, 0.15)];
            decoration("imported", place, Some(format!("{}", (which * 500 + n) % 1_500))).to_string() + "\n"
        };
        (0..1_500).map(row).collect()
    };
    let files = [file(0), file(1)];
    let imports = files.into_iter().enumerate().map(|(which, rows)| {
        let (t, admin) = (if which == 0 { &a } else { &b }, &admin);
        async move {
            let import = admin.request(t, Method::POST, "/api/v1/decorations/import").header("content-type", "application/x-ndjson");
            let report = Answer::of(import.body(rows)).await.ok().json();
            assert_eq!(report["created"].as_u64().expect("a count") + report["updated"].as_u64().expect("a count"), 1_500, "{report}");
        }
    });
    let making = async {
        for n in 0..8 {
            let t = if n % 2 == 0 { &b } else { &a };
            let lng = 13.3 + 0.025 * f64::from(n);
            let edge = RegisteredEdge::create(t, &admin, edge_body("made meanwhile", 52.5, lng)).await;
            if n % 4 == 3 {
                assert_eq!(admin.ask(t, Method::DELETE, &edge_path(edge.id)).await.status, 204);
            }
        }
    };
    tokio::join!(futures_util::future::join_all(imports), making);
    every_pair_is_right(&a.sql).await;
    assert_eq!(deadlocks(&[&a, &b]).await, 0);
}

/// Waits until a margin is in force, and everything is as it says.
async fn margin_is(t: &TestServer, metres: i64) {
    eventually("the margin is in force", async || {
        let state = "SELECT bool_and(value = $1::text) AND NOT EXISTS (SELECT FROM ar.edge_servers WHERE deleted_at IS NULL AND covered_margin_m <> $1)
            FROM ar.meta WHERE key LIKE 'sync_margin%'";
        let done: bool = sqlx::query_scalar(state).bind(metres).fetch_one(&t.sql).await.expect("reads");
        done.then_some(())
    })
    .await;
    every_pair_is_right(&t.sql).await;
}

#[tokio::test]
async fn another_margin_comes_into_force_at_the_next_start() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut random = Random::seeded("the margin");
    t.decoration("").insert_at_each(&around(&mut random, 52.5, 13.4, 10_000.0, 400)).await;
    let circle = RegisteredEdge::create(&t, &admin, edge_body("circle", 52.5, 13.4)).await.id;
    let area = json!({"service_area": star(52.5, 13.4, 6_000.0, 30)});
    RegisteredEdge::create(&t, &admin, with(edge_body("drawn", 52.5, 13.4), area)).await;
    margin_is(&t, 500).await;
    let first = books(&t.sql).await;

    let wide = TestServer::on(t.db().options(), Config::of("EDGE_SYNC_MARGIN_METERS", "2000")).await;
    margin_is(&wide, 2_000).await;
    let wider = books(&t.sql).await;
    assert!(wider.len() > first.len());
    assert_eq!(renumbered(&first, &wider), 0);
    // What is written from now on goes by it, on an instance that was configured otherwise too: 6.9 km away.
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", decoration("far", [52.5 + 6_900.0 / DEGREE_M, 13.4], None)).await.json();
    let id: Uuid = made["id"].as_str().expect("an id").parse().expect("a UUID");
    assert!(books(&t.sql).await.contains_key(&(circle, id)));
    RegisteredEdge::create(&t, &admin, edge_body("made meanwhile", 52.5, 13.5)).await;
    every_pair_is_right(&t.sql).await;
    drop(wide);

    let narrow = TestServer::on(t.db().options(), Config::of("EDGE_SYNC_MARGIN_METERS", "0")).await;
    margin_is(&narrow, 0).await;
    drop(narrow);
    let again = TestServer::on(t.db().options(), Config::default()).await;
    margin_is(&again, 500).await;
}
