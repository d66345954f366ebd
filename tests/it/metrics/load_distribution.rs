//! `GET /metrics/load-distribution`.

use serde_json::json;

use super::run;
use crate::support::TestServer;

#[tokio::test]
async fn the_fullest_come_first_by_what_is_assigned_or_reported() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut ids = Vec::new();
    // Of 100 each: 75 assigned; 10 assigned but 25 reported.
    for (assigned, reported) in [(10, 25), (75, 0)] {
        let id = t.edge("eu").insert().await;
        run(
            &t.sql,
            &format!(
                "UPDATE ar.edge_load SET current_connections = {assigned}, reported_connections = {reported} WHERE edge_server_id = '{id}'"
            ),
        )
        .await;
        ids.push(id);
    }
    t.edge("eu").inactive().insert().await;
    let answer = admin.get(&t, "/api/v1/metrics/load-distribution").await.ok().json();
    let item = |id: &uuid::Uuid, connections: i32, load: f64| json!({"edge_server_id": id.to_string(), "name": "edge", "current_connections": connections, "max_connections": 100, "load": load, "health_status": "unknown"});
    assert_eq!(answer, json!({"items": [item(&ids[1], 75, 0.75), item(&ids[0], 10, 0.25)], "mean_load": 0.5, "imbalance": 0.5}));
}

#[tokio::test]
async fn where_nothing_is_loaded_nothing_is_out_of_balance() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let answer = admin.get(&t, "/api/v1/metrics/load-distribution").await.ok().json();
    assert_eq!(answer, json!({"items": [], "mean_load": 0.0, "imbalance": 0.0}));
}
