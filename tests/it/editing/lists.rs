//! The list that admins work with.

use reqwest::Method;
use serde_json::json;

use super::content_with;
use crate::support::TestServer;

#[tokio::test]
async fn decorations_are_listed_newest_first_and_narrowed() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (name, members) in [
        ("Old gate", json!({"category": "history"})),
        ("100 % art", json!({"asset_type": "image"})),
        ("under_score", json!({"is_active": false})),
        ("Plain", json!({"description": "near the GATE of the town"})),
    ] {
        assert_eq!(admin.send(&t, Method::POST, "/api/v1/decorations", content_with(name, members)).await.status, 201);
    }
    let listed = async |query: &str| admin.get(&t, &format!("/api/v1/decorations?{query}")).await.ok().names();
    assert_eq!(listed("").await, ["Plain", "under_score", "100 % art", "Old gate"]);
    assert_eq!(listed("category=history").await, ["Old gate"]);
    assert_eq!(listed("asset_type=image").await, ["100 % art"]);
    assert_eq!(listed("is_active=false").await, ["under_score"]);
    assert_eq!(listed("q=gate").await, ["Plain", "Old gate"]);
    assert_eq!(listed("q=gate&category=art").await, ["Plain"]);
    // What SQL takes for wildcards are letters here.
    assert_eq!(listed("q=%25").await, ["100 % art"]);
    assert_eq!(listed("q=_").await, ["under_score"]);
    assert_eq!(listed("q=%5C").await, Vec::<String>::new());
    let mut names = Vec::new();
    let mut path = "/api/v1/decorations?limit=1&is_active=true".to_owned();
    loop {
        let page = admin.get(&t, &path).await.ok();
        names.extend(page.names());
        let Some(cursor) = page.next_cursor() else { break };
        path = format!("/api/v1/decorations?limit=1&is_active=true&cursor={cursor}");
    }
    assert_eq!(names, ["Plain", "100 % art", "Old gate"]);
}
