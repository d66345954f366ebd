//! What edges report of their phones, as the hub hands it over.

use ar_supervisor::devices::Report;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{HERE, check_places, edge, locate, number, put, session, set_device};
use crate::support::{TestServer, eventually, position};

async fn now(t: &TestServer) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT now()").fetch_one(&t.sql).await.expect("a time")
}

fn report(device_id: &str, (lat, lng): (f64, f64), at: DateTime<Utc>) -> Report {
    Report::seen(device_id.to_owned(), Some(position(lat, lng)), Some(at))
}

/// Waits until so many reports were ignored: by then, all before them are written.
async fn ignored(t: &TestServer, count: u64) {
    eventually("the reports are ignored", async || (t.state.devices.ignored_reports() == count).then_some(())).await;
}

#[tokio::test]
async fn a_report_is_a_sign_of_life_and_moves_the_device() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    session(&t, edge_id, 5).await;
    put(&t, &user, "p", json!({"lat": 52.52, "lng": 13.405, "accuracy_meters": 5})).await.ok();
    let read = async || user.get(&t, "/api/v1/devices/p").await.ok().json();
    let moved_to =
        async |lat: f64| eventually("the device has moved", async || Some(read().await).filter(|device| device["lat"] == lat)).await;
    set_device(&t, "p", "last_ping = now() - interval '50 s'").await;
    let at = now(&t).await;
    t.state.devices.reported_locations(edge_id, 5, vec![report("p", (52.521, 13.405), at)]).await;
    let device = moved_to(52.521).await;
    assert_eq!((&device["accuracy_meters"], &device["edge_server_id"]), (&Value::Null, &json!(edge_id)));
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE last_ping > now() - interval '20 s'").await, 1);
    // An older one changes nothing but that.
    set_device(&t, "p", "last_ping = now() - interval '50 s'").await;
    t.state.devices.reported_locations(edge_id, 5, vec![report("p", (0.0, 0.0), at - TimeDelta::seconds(1))]).await;
    let heard = "SELECT count(*) FROM ar.device_connections WHERE last_ping > now() - interval '20 s'";
    eventually("it was heard", async || (number(&t, heard).await == 1).then_some(())).await;
    assert_eq!(read().await["lat"], 52.521);
    // One of the future counts as of now: what comes after it is newer.
    t.state.devices.reported_locations(edge_id, 5, vec![report("p", (52.522, 13.405), at + TimeDelta::days(1))]).await;
    moved_to(52.522).await;
    t.state.devices.reported_connected(edge_id, 5, "p".to_owned(), Some(position(52.523, 13.405))).await;
    moved_to(52.523).await;
    set_device(&t, "p", "last_ping = now() - interval '50 s'").await;
    t.state.devices.reported_connected(edge_id, 5, "p".to_owned(), None).await;
    eventually("it was heard", async || (number(&t, heard).await == 1).then_some(())).await;
    assert_eq!(read().await["lat"], 52.523);
    assert_eq!(t.state.devices.ignored_reports(), 0);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_device_that_left_its_edge_is_disconnected() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 1).await;
    session(&t, edge_id, 5).await;
    locate(&t, &user, "p", HERE).await;
    let at = now(&t).await;
    // It left after it was seen once more, in one frame; what is said of it afterwards is void.
    t.state.devices.reported_locations(edge_id, 5, vec![report("p", (52.521, 13.405), at)]).await;
    t.state.devices.reported_disconnected(edge_id, 5, "p".to_owned()).await;
    t.state.devices.reported_locations(edge_id, 5, vec![report("p", (52.522, 13.405), at + TimeDelta::seconds(1))]).await;
    ignored(&t, 1).await;
    let device = user.get(&t, "/api/v1/devices/p").await.ok().json();
    assert_eq!(
        (&device["connection_status"], &device["edge_server_id"], &device["lat"]),
        (&json!("disconnected"), &Value::Null, &json!(52.521))
    );
    check_places(&t.sql).await;
    assert_eq!(locate(&t, &user, "q", HERE).await["edge_server"]["id"], json!(edge_id), "its place is free");
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices WHERE device_id = 'p' AND NOT assigned").await, 1);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn only_the_newest_session_of_its_own_edge_speaks_for_a_device() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let (own, other) = (edge(&t, HERE, 10).await, edge(&t, (0.0, 0.0), 10).await);
    session(&t, own, 6).await;
    session(&t, other, 7).await;
    locate(&t, &user, "p", HERE).await;
    set_device(&t, "p", "last_ping = now() - interval '50 s'").await;
    let before = user.get(&t, "/api/v1/devices/p").await.ok().text();
    let at = now(&t).await + TimeDelta::seconds(1);
    let devices = &t.state.devices;
    for (edge_id, generation) in [(own, 5), (own, 7), (other, 7), (other, 6), (uuid::Uuid::nil(), 6)] {
        devices.reported_locations(edge_id, generation, vec![report("p", (1.0, 1.0), at)]).await;
        devices.reported_connected(edge_id, generation, "p".to_owned(), None).await;
        devices.reported_disconnected(edge_id, generation, "p".to_owned()).await;
    }
    // One nobody knows.
    devices.reported_locations(own, 6, vec![report("stranger", (1.0, 1.0), at)]).await;
    // Those of one device in one batch are one; each that left is one more.
    eventually("all of them are looked at", async || (devices.ignored_reports() >= 11).then_some(())).await;
    devices.reported_locations(own, 6, vec![report("nobody", (1.0, 1.0), at)]).await;
    let so_far = devices.ignored_reports();
    eventually("the last one, too", async || (devices.ignored_reports() > so_far || so_far > 11).then_some(())).await;
    assert_eq!(user.get(&t, "/api/v1/devices/p").await.ok().text(), before);
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections").await, 1);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn what_is_reported_at_once_is_written_together_and_waits_when_there_is_too_much() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 1000).await;
    session(&t, edge_id, 1).await;
    sqlx::query(
        "INSERT INTO ar.device_connections (device_id, user_id, edge_server_id, position) SELECT 'd' || n, $1, $2, ST_MakePoint(13.4, 52.5)::geography FROM generate_series(1, 600) AS n",
    )
    .bind(user.id)
    .bind(edge_id)
    .execute(&t.sql)
    .await
    .expect("puts them in");
    super::run(&t.sql, "UPDATE ar.edge_load SET current_connections = 600").await;
    let at = now(&t).await;
    // Far more frames than the queue holds: whoever reports waits.
    for round in 0..30_i64 {
        for piece in 0..6 {
            let reports = (1..=100).map(|n| {
                report(
                    &format!("d{}", piece * 100 + n),
                    (52.5 + f64::from(i32::try_from(round).expect("small")) / 1e4, 13.4),
                    at + TimeDelta::milliseconds(round),
                )
            });
            t.state.devices.reported_locations(edge_id, 1, reports.collect()).await;
        }
    }
    let there = "SELECT count(*) FROM ar.device_connections WHERE ST_DWithin(position, ST_MakePoint(13.4, 52.5029)::geography, 0.1)";
    eventually("all are where they were last", async || (number(&t, there).await == 600).then_some(())).await;
    assert_eq!(t.state.devices.ignored_reports(), 0);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn who_was_where_is_noted_once_a_quarter_hour() {
    let t = TestServer::start().await;
    let (ann, bob) = (t.user().await, t.user().await);
    let edge_id = edge(&t, HERE, 10).await;
    session(&t, edge_id, 1).await;
    for (account, device_id) in [(&ann, "a"), (&ann, "a2"), (&bob, "b")] {
        for _ in 0..3 {
            locate(&t, account, device_id, HERE).await;
        }
    }
    let count = "SELECT count(*) FROM ar.device_presence WHERE bucket_start = date_bin('15 minutes', bucket_start, 'epoch')";
    t.state.devices.write_presence(&t.state.db).await.expect("writes");
    let first = number(&t, count).await;
    // One row a user, unless the quarter-hour ended just now.
    assert!((2..=4).contains(&first), "{first}");
    assert_eq!(number(&t, "SELECT count(DISTINCT (h3_r7, user_id)) FROM ar.device_presence").await, 2);
    // In another r7 cell, by what its edge says.
    t.state.devices.reported_locations(edge_id, 1, vec![report("b", (52.56, 13.405), now(&t).await)]).await;
    eventually("it is noted", async || {
        t.state.devices.write_presence(&t.state.db).await.expect("writes");
        (number(&t, "SELECT count(DISTINCT (h3_r7, user_id)) FROM ar.device_presence").await == 3).then_some(())
    })
    .await;
}
