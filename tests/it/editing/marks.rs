//! Every write marks, in its own transaction, what edges must learn.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{content_with, path_of};
use crate::support::{Account, Answer, TestServer};

/// `(wanted, sync_status)` of every pair of a decoration, by edge; and the numbers.
async fn marks(t: &TestServer, decoration: &Value) -> Vec<(Uuid, String, String, i64)> {
    let id: Uuid = decoration["id"].as_str().expect("an id").parse().expect("a UUID");
    let rows =
        "SELECT edge_server_id, wanted, sync_status, sync_version FROM ar.decoration_sync WHERE decoration_id = $1 ORDER BY edge_server_id";
    sqlx::query_as(rows).bind(id).fetch_all(&t.sql).await.expect("reads")
}

async fn wanted(t: &TestServer, decoration: &Value) -> Vec<(Uuid, String)> {
    marks(t, decoration).await.into_iter().map(|(edge, wanted, ..)| (edge, wanted)).collect()
}

async fn put(t: &TestServer, admin: &Account, decoration: &Value, content: Value) -> Value {
    Answer::of(admin.request(t, Method::PUT, &path_of(decoration)).header("if-match", "*").json(&content)).await.ok().json()
}

fn at(lat: f64, lng: f64) -> Value {
    content_with("a", json!({"lat": lat, "lng": lng}))
}

#[tokio::test]
async fn edges_learn_of_what_enters_stays_and_leaves_their_area() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (berlin, tokyo) =
        (t.edge("eu").at(52.52, 13.40).radius_km(5.0).insert().await, t.edge("jp").at(35.68, 139.76).radius_km(5.0).insert().await);
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", at(52.52, 13.40)).await.json();
    let first = marks(&t, &made).await;
    assert_eq!(
        first.iter().map(|(edge, wanted, status, _)| (*edge, wanted.as_str(), status.as_str())).collect::<Vec<_>>(),
        [(berlin, "put", "pending")]
    );

    // An edit is a new number for those that hold it.
    put(&t, &admin, &made, content_with("b", json!({"lat": 52.52, "lng": 13.40}))).await;
    let second = marks(&t, &made).await;
    assert!(second[0].3 > first[0].3 && second[0].2 == "pending");

    // What was delivered is outdated by the next edit, and moving away is a removal there.
    sqlx::query("UPDATE ar.decoration_sync SET sync_status = 'synced', synced_version = sync_version")
        .execute(&t.sql)
        .await
        .expect("acknowledged");
    put(&t, &admin, &made, at(35.68, 139.76)).await;
    let mut moved: Vec<(Uuid, String, String)> =
        marks(&t, &made).await.into_iter().map(|(edge, wanted, status, _)| (edge, wanted, status)).collect();
    moved.sort();
    let mut expected = [(berlin, "remove".to_owned(), "outdated".to_owned()), (tokyo, "put".to_owned(), "pending".to_owned())];
    expected.sort();
    assert_eq!(moved, expected);

    // Deleting, and coming back.
    assert_eq!(admin.ask(&t, Method::DELETE, &path_of(&made)).await.status, 204);
    assert!(wanted(&t, &made).await.iter().all(|(_, wanted)| wanted == "remove"));
    admin.ask(&t, Method::POST, &format!("{}/restore", path_of(&made))).await.ok();
    assert!(wanted(&t, &made).await.contains(&(tokyo, "put".to_owned())));
    // What is not shown is not held.
    put(&t, &admin, &made, content_with("a", json!({"lat": 35.68, "lng": 139.76, "is_active": false}))).await;
    assert!(wanted(&t, &made).await.iter().all(|(_, wanted)| wanted == "remove"));
}

#[tokio::test]
async fn the_area_grown_by_the_margin_decides() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = t.edge("eu").at(0.0, 0.0).radius_km(5.0).insert().await;
    // On the equator a degree is 111,319.49 m.
    for (metres, holds) in [(0.0, true), (5_000.0, true), (5_499.0, true), (5_501.0, false), (8_000.0, false)] {
        let made = admin.send(&t, Method::POST, "/api/v1/decorations", at(0.0, metres / 111_319.490_793)).await.json();
        let expected = if holds { vec![(edge, "put".to_owned())] } else { Vec::new() };
        assert_eq!(wanted(&t, &made).await, expected, "{metres} m");
    }
}

#[tokio::test]
async fn a_resend_is_a_new_number_for_every_edge_concerned() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = t.edge("eu").at(52.52, 13.40).radius_km(5.0).insert().await;
    let other = t.edge("eu").at(52.53, 13.41).radius_km(5.0).insert().await;
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", at(52.52, 13.40)).await.json();
    sqlx::query("UPDATE ar.decoration_sync SET sync_status = 'failed', attempts = 5, error_message = 'no room' WHERE edge_server_id = $1")
        .bind(edge)
        .execute(&t.sql)
        .await
        .expect("refused");
    let before = marks(&t, &made).await;
    let resent = admin.ask(&t, Method::POST, &format!("{}/sync", path_of(&made))).await;
    assert_eq!(resent.status, 202);
    let mut edges = vec![edge.to_string(), other.to_string()];
    edges.sort();
    assert_eq!(resent.json(), json!({"decoration_id": made["id"], "edge_server_ids": edges}));
    let after = marks(&t, &made).await;
    assert!(after.iter().zip(&before).all(|(after, before)| after.3 > before.3 && after.2 == "pending"), "{after:?}");
}

#[tokio::test]
async fn an_import_marks_what_it_changed_and_nothing_else() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.edge("eu").at(52.52, 13.40).radius_km(5.0).insert().await;
    let row = |name: &str, external_id: &str| {
        let mut row = at(52.52, 13.40);
        row["name"] = json!(name);
        row["external_id"] = json!(external_id);
        format!("{row}\n")
    };
    let import = async |rows: String, query: &str| {
        let request =
            admin.request(&t, Method::POST, &format!("/api/v1/decorations/import{query}")).header("content-type", "application/x-ndjson");
        Answer::of(request.body(rows)).await.ok().json()
    };
    let numbers = async || {
        sqlx::query_as::<_, (String, i64)>(
            "SELECT d.external_id, s.sync_version FROM ar.decoration_sync s JOIN ar.decorations d ON d.id = s.decoration_id ORDER BY 1",
        )
        .fetch_all(&t.sql)
        .await
        .expect("reads")
    };
    import(row("a", "1") + &row("b", "2"), "?dry_run=true").await;
    assert_eq!(numbers().await, []);
    import(row("a", "1") + &row("b", "2"), "").await;
    let first = numbers().await;
    assert_eq!(first.len(), 2);
    import(row("a", "1") + &row("changed", "2"), "").await;
    let second = numbers().await;
    assert_eq!(second[0], first[0], "unchanged");
    assert!(second[1].1 > first[1].1, "changed");
}
