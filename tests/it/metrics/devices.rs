//! `GET /metrics/devices/active`.

use serde_json::json;

use super::{devices, r7, users};
use crate::support::TestServer;

#[tokio::test]
async fn a_cell_with_nine_users_is_left_out_however_many_devices_they_have() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = t.edge("eu").insert().await;
    let people = users(&t.sql, 10).await;
    let (full, small) = (r7(48.1, 11.5), r7(52.5, 13.4));
    devices(&t.sql, &people, Some(edge), Some(full), "connected").await;
    devices(&t.sql, &people[..9], None, Some(small), "connected").await;
    devices(&t.sql, &people[..9], None, Some(small), "connected").await;
    // Who is silent does not count, nor make a cell full.
    devices(&t.sql, &people[9..], None, Some(small), "disconnected").await;
    devices(&t.sql, &people[..2], Some(edge), None, "connected").await;
    let answer = admin.get(&t, "/api/v1/metrics/devices/active").await.ok().json();
    let hex = format!("{full:x}");
    assert_eq!(
        answer,
        json!({
            "total": 30,
            "by_edge": [{"edge_server_id": null, "name": null, "count": 18}, {"edge_server_id": edge.to_string(), "name": "edge", "count": 12}],
            "by_cell": [{"cell": hex, "count": 10}],
            "suppressed": 18,
            "unplaced": 2,
        })
    );
}

#[tokio::test]
async fn a_tenth_user_makes_a_cell_known() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let people = users(&t.sql, 10).await;
    let cell = r7(-33.9, 151.2);
    devices(&t.sql, &people, None, Some(cell), "connected").await;
    devices(&t.sql, &people[..1], None, Some(cell), "connected").await;
    let answer = admin.get(&t, "/api/v1/metrics/devices/active").await.ok().json();
    assert_eq!(answer["by_cell"], json!([{"cell": format!("{cell:x}"), "count": 11}]));
    assert_eq!((&answer["total"], &answer["suppressed"]), (&json!(11), &json!(0)));
}

#[tokio::test]
async fn without_devices_there_is_nothing() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let answer = admin.get(&t, "/api/v1/metrics/devices/active").await.ok().json();
    assert_eq!(answer, json!({"total": 0, "by_edge": [], "by_cell": [], "suppressed": 0, "unplaced": 0}));
}
