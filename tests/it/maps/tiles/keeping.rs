//! Tiles are kept in memory, and no change is missed by it: on no instance, at no zoom.

use reqwest::Method;
use serde_json::{Value, json};

use super::{counted, drawn, names, path, spot_of, tile};
use crate::editing::{content_with, path_of};
use crate::support::{Account, Answer, Config, TestServer, edge_body, eventually};

const BERLIN: (f64, f64) = (52.5163, 13.3777);
const TOKYO: (f64, f64) = (35.6586, 139.7454);

/// Two instances on one database, and an admin.
async fn two() -> (TestServer, TestServer, Account) {
    let one = TestServer::start().await;
    let other = TestServer::on(one.db().options(), Config::default()).await;
    let admin = one.admin().await;
    (one, other, admin)
}

/// Asks both instances until a tile is as it should be.
async fn on_both(
    instances: [&TestServer; 2],
    what: &str,
    layer: &str,
    z: u32,
    place: (f64, f64),
    is_right: impl Fn(&[super::Feature]) -> bool,
) {
    for t in instances {
        eventually(&format!("{what}: {layer} at {z}"), async || {
            is_right(&tile(t, layer, z, spot_of(z, place.0, place.1)).await).then_some(())
        })
        .await;
    }
}

/// What a place shows: names where decorations are single, counts where they are not.
async fn shows(instances: [&TestServer; 2], what: &str, place: (f64, f64), expected: &[&str]) {
    for z in [12, 16] {
        on_both(instances, what, "decorations", z, place, |found| names(found) == expected).await;
    }
    for z in [11, 10, 9, 8, 5, 2] {
        on_both(instances, what, "decorations", z, place, |found| usize::try_from(counted(found)) == Ok(expected.len())).await;
    }
}

/// Changes something as nobody tells: no trigger runs, so no notice is sent.
async fn silently(t: &TestServer, sql: &str) {
    let mut transaction = t.sql.begin().await.expect("begins");
    sqlx::raw_sql("SET LOCAL session_replication_role = replica").execute(&mut *transaction).await.expect("a superuser");
    let changed = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("changes");
    assert!(changed.rows_affected() > 0, "{sql}");
    transaction.commit().await.expect("commits");
}

#[tokio::test]
async fn every_change_of_a_decoration_is_seen_on_every_instance_at_every_zoom() {
    let (one, other, admin) = two().await;
    let both = [&one, &other];
    let elsewhere = (-33.8568, 151.2153);
    let at =
        |name: &str, (lat, lng): (f64, f64), is_active: bool| content_with(name, json!({"lat": lat, "lng": lng, "is_active": is_active}));
    shows(both, "nothing yet", BERLIN, &[]).await;
    shows(both, "nothing yet", elsewhere, &[]).await;
    let made = admin.send(&one, Method::POST, "/api/v1/decorations", at("gate", BERLIN, true)).await.json();
    shows(both, "created", BERLIN, &["gate"]).await;
    let put = async |content: Value| {
        let request = admin.request(&other, Method::PUT, &path_of(&made)).header("if-match", "*").json(&content);
        Answer::of(request).await.ok();
    };
    put(at("arch", BERLIN, true)).await;
    shows(both, "renamed", BERLIN, &["arch"]).await;
    put(at("arch", elsewhere, true)).await;
    shows(both, "moved from there", BERLIN, &[]).await;
    shows(both, "moved here", elsewhere, &["arch"]).await;
    put(at("arch", elsewhere, false)).await;
    shows(both, "deactivated", elsewhere, &[]).await;
    put(at("arch", elsewhere, true)).await;
    shows(both, "activated", elsewhere, &["arch"]).await;
    assert_eq!(admin.ask(&one, Method::DELETE, &path_of(&made)).await.status, 204);
    shows(both, "deleted", elsewhere, &[]).await;
    assert_eq!(admin.ask(&other, Method::POST, &format!("{}/restore", path_of(&made))).await.status, 200);
    shows(both, "restored", elsewhere, &["arch"]).await;
}

/// Thousands come with few notices.
#[tokio::test]
async fn an_import_all_over_the_earth_is_seen_on_every_instance() {
    let (one, other, admin) = two().await;
    let both = [&one, &other];
    shows(both, "nothing yet", TOKYO, &[]).await;
    let mut body = content_with("tower", json!({"lat": TOKYO.0, "lng": TOKYO.1})).to_string();
    for number in 0..1_500 {
        let (lat, lng) = (f64::from(number % 60), -f64::from(number / 60) * 4.0);
        body.push('\n');
        body.push_str(&content_with("other", json!({"lat": lat, "lng": lng})).to_string());
    }
    let request = admin.request(&one, Method::POST, "/api/v1/decorations/import").header("content-type", "application/x-ndjson").body(body);
    let report = Answer::of(request).await.ok().json();
    assert_eq!(report["created"], 1_501, "{report}");
    shows(both, "imported", TOKYO, &["tower"]).await;
    on_both(both, "counted", "decorations", 0, TOKYO, |found| counted(found) == 1_501).await;
}

#[tokio::test]
async fn a_tile_is_read_once_until_something_changes_in_it() {
    let (one, _other, admin) = two().await;
    let (lat, lng) = TOKYO;
    one.decoration("tower").at(lat, lng).insert().await;
    one.fold_counts().await;
    let spots: Vec<_> = [3, 8, 10, 13].into_iter().map(|z| (z, spot_of(z, lat, lng))).collect();
    let seen = async || {
        let mut bodies = Vec::new();
        for (z, spot) in &spots {
            bodies.push(one.get(&path("decorations", *z, *spot)).await.ok().body);
        }
        bodies
    };
    // Notices of what was just put in may be on their way.
    let ready = spot_of(13, BERLIN.0, BERLIN.1);
    let made = admin.send(&one, Method::POST, "/api/v1/decorations", content_with("first", json!({}))).await.json();
    eventually("notices have come", async || (names(&tile(&one, "decorations", 13, ready).await) == ["first"]).then_some(())).await;
    eventually("counts have come", async || {
        (counted(&tile(&one, "decorations", 5, spot_of(5, BERLIN.0, BERLIN.1)).await) == 1).then_some(())
    })
    .await;
    let before = seen().await;
    silently(
        &one,
        "UPDATE ar.decorations SET name = 'silent', location = ST_Translate(location::geometry, 0, 0.0005)::geography WHERE name = 'tower'",
    )
    .await;
    silently(&one, "UPDATE ar.decoration_counts SET n = n + 7 WHERE category = '' AND max_lng_deg > 100").await;
    assert_eq!(seen().await, before, "kept");
    // A change elsewhere leaves them alone.
    let request = admin.request(&one, Method::PUT, &path_of(&made)).header("if-match", "*").json(&content_with("second", json!({})));
    Answer::of(request).await.ok();
    eventually("it is seen there", async || (names(&tile(&one, "decorations", 13, ready).await) == ["second"]).then_some(())).await;
    assert_eq!(seen().await, before, "still kept");
    // A change here has them read anew: those of single decorations at once, those of counts after they were folded.
    one.decoration("beside").at(lat, lng + 0.0001).insert().await;
    one.fold_counts().await;
    eventually("all are read", async || seen().await.iter().zip(&before).all(|(now, before)| now != before).then_some(())).await;
    assert_eq!(names(&tile(&one, "decorations", 13, spot_of(13, lat, lng)).await), ["beside", "silent"]);
}

#[tokio::test]
async fn changes_of_edge_servers_are_seen_on_every_instance() {
    let (one, other, admin) = two().await;
    let both = [&one, &other];
    let there = (52.5163, 13.3777);
    let shown = async |what: &str, expected: &[&str], draining: bool| {
        for layer in ["edges", "coverage"] {
            on_both(both, what, layer, 10, there, |found| {
                let is_right = |feature: &super::Feature| feature.properties["draining"] == mvt_reader::feature::Value::Bool(draining);
                names(found) == expected && found.iter().all(is_right)
            })
            .await;
        }
    };
    shown("nothing yet", &[], false).await;
    let mut body = edge_body("mitte", there.0, there.1);
    let made = admin.send(&one, Method::POST, "/api/v1/edge-servers", body.clone()).await.json();
    let path = format!("/api/v1/edge-servers/{}", made["id"].as_str().expect("an id"));
    shown("created", &["mitte"], false).await;
    assert_eq!(admin.ask(&other, Method::POST, &format!("{path}/drain")).await.status, 202);
    shown("draining", &["mitte"], true).await;
    assert_eq!(admin.ask(&one, Method::DELETE, &format!("{path}/drain")).await.status, 204);
    shown("no more", &["mitte"], false).await;
    body["name"] = json!("mitte 2");
    Answer::of(admin.request(&one, Method::PUT, &path).header("if-match", "*").json(&body)).await.ok();
    shown("renamed", &["mitte 2"], false).await;
    assert_eq!(admin.ask(&other, Method::DELETE, &path).await.status, 204);
    shown("deleted", &[], false).await;
}

#[tokio::test]
async fn changes_of_regions_are_seen_on_every_instance() {
    let (one, other, admin) = two().await;
    let both = [&one, &other];
    let shown = async |what: &str, expected: &[&str]| {
        for z in [0, 6, 12] {
            on_both(both, what, "regions", z, (5.0, 5.0), |found| names(found) == expected).await;
        }
    };
    let drawn = |name: &str| {
        let ring = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [0.0, 0.0]];
        json!({"type": "Feature", "properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    };
    shown("nothing yet", &[]).await;
    assert_eq!(admin.send(&one, Method::PUT, "/api/v1/regions/square", drawn("Square")).await.status, 201);
    shown("drawn", &["Square"]).await;
    admin.send(&other, Method::PUT, "/api/v1/regions/square", drawn("Big square")).await.ok();
    shown("renamed", &["Big square"]).await;
    assert_eq!(admin.ask(&one, Method::DELETE, "/api/v1/regions/square").await.status, 204);
    shown("deleted", &[]).await;
}

#[tokio::test]
async fn device_density_is_seen_by_admins_as_soon_as_it_is_published() {
    let (one, other, admin) = two().await;
    let cell = h3o::LatLng::new(52.5163, 13.3777).expect("a place").to_cell(h3o::Resolution::Seven);
    let number = i64::try_from(u64::from(cell)).expect("63 bits");
    one.decoration("for the outlines").at(52.5163, 13.3777).insert().await;
    let outline = "INSERT INTO ar.h3_cells SELECT c, gis.h3_resolution(c), ST_Multi(ST_MakeEnvelope(13.36, 52.5, 13.4, 52.53, 4326))
        FROM unnest(ARRAY[$1, gis.h3_parent($1, 5)]) AS c";
    sqlx::query(outline).bind(number).execute(&one.sql).await.expect("outlines");
    let users = async |t: &TestServer, z: u32, at: &str| {
        let answer = admin.get(t, &format!("{}{at}", path("device_density", z, spot_of(z, 52.5163, 13.3777)))).await;
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        let found = drawn("device_density", &answer);
        found
            .iter()
            .map(|feature| (feature.text("cell").to_owned(), feature.number("users"), feature.text("bucket_start").to_owned()))
            .collect::<Vec<_>>()
    };
    let (early, late) = ("2026-11-27T10:00:00Z", "2026-11-27T10:15:00Z");
    let coarse = cell.parent(h3o::Resolution::Five).expect("a parent");
    for (start, count) in [(early, 12), (late, 34)] {
        for t in [&one, &other] {
            users(t, 10, "").await;
        }
        let publish = "INSERT INTO gis.device_density VALUES ($1::timestamptz, $2, $3)";
        sqlx::query(publish).bind(start).bind(number).bind(count).execute(&one.sql).await.expect("publishes");
        for t in [&one, &other] {
            let expected = [(cell.to_string(), i64::from(count), start.to_owned())];
            eventually("the newest is shown", async || (users(t, 10, "").await == expected).then_some(())).await;
            assert_eq!(users(t, 7, "").await, [(coarse.to_string(), i64::from(count), start.to_owned())]);
        }
    }
    assert_eq!(users(&one, 10, "?at=2026-11-27T10:14:59Z").await, [(cell.to_string(), 12, early.to_owned())]);
    assert_eq!(users(&one, 10, "?at=2026-11-27T12:20:00%2B02:00").await, [(cell.to_string(), 34, late.to_owned())]);
    assert_eq!(users(&one, 10, "?at=2026-11-27T10:30:00Z").await, []);
}

/// Whoever asks for a tile that is being made waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_one_tile_ask_the_database_once() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    let mut holding = t.sql.begin().await.expect("begins");
    sqlx::raw_sql("LOCK TABLE ar.regions IN ACCESS EXCLUSIVE MODE").execute(&mut *holding).await.expect("locks");
    let asking: Vec<_> = (0..30)
        .map(|_| {
            let (client, url) = (t.client.clone(), t.url("/tiles/regions/5/16/10.mvt"));
            tokio::spawn(async move { Answer::of(client.get(url)).await })
        })
        .collect();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%regions_tile%'";
    // Counted once they have come as far as the handlers; this question is one of them.
    let under_way = async || admin.get(&t, "/api/v1/metrics/system").await.ok().json()["process"]["requests_in_flight"].as_u64();
    eventually("all have asked", async || (under_way().await > Some(30)).then_some(())).await;
    eventually("one reads", async || {
        let readers: i64 = sqlx::query_scalar(waiting).fetch_one(&t.sql).await.expect("counts");
        (readers > 0).then_some(())
    })
    .await;
    let readers: i64 = sqlx::query_scalar(waiting).fetch_one(&t.sql).await.expect("counts");
    assert_eq!(readers, 1);
    holding.rollback().await.expect("unlocks");
    for answer in asking {
        assert_eq!(names(&drawn("regions", &answer.await.expect("answers"))), ["Germany"]);
    }
}

/// Whatever was told while nobody listened is asked anew.
#[tokio::test]
async fn when_notices_may_have_been_lost_nothing_kept_is_trusted() {
    let t = TestServer::start().await;
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    let spot = spot_of(6, 50.0, 10.0);
    eventually("it is kept", async || {
        let before = tile(&t, "regions", 6, spot).await;
        silently(&t, "UPDATE ar.regions SET name = name || '!'").await;
        (names(&tile(&t, "regions", 6, spot).await) == names(&before)).then_some(())
    })
    .await;
    let killed = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let killed: i64 = sqlx::query_scalar(killed).fetch_one(&t.sql).await.expect("kills");
    assert_eq!(killed, 1);
    eventually("it is read anew", async || names(&tile(&t, "regions", 6, spot).await)[0].ends_with('!').then_some(())).await;
}
