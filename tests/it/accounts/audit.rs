//! Every act of an admin leaves a row, with who, what, from where and by which request.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer};

#[tokio::test]
async fn every_act_of_an_admin_is_written_down() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let users = format!("/api/v1/users/{}", user.id);
    admin.send(&t, Method::PATCH, &users, json!({"role": "admin"})).await.ok();
    assert_eq!(admin.ask(&t, Method::POST, &format!("{users}/password-reset")).await.status, 201);
    let content = json!({"name": "a", "category": "art", "lat": 1, "lng": 2, "radius_meters": 5, "asset_type": "image"});
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", content.clone()).await.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/decorations/{id}");
    let mut renamed = content.clone();
    renamed["name"] = json!("b");
    let request = admin.request(&t, Method::PUT, &path).header("if-match", "*").header("x-request-id", "the-put").json(&renamed);
    Answer::of(request).await.ok();
    assert_eq!(admin.ask(&t, Method::DELETE, &path).await.status, 204);
    admin.ask(&t, Method::POST, &format!("{path}/restore")).await.ok();
    assert_eq!(admin.ask(&t, Method::POST, &format!("{path}/sync")).await.status, 202);
    let rows = format!("{content}\n");
    let import = admin.request(&t, Method::POST, "/api/v1/decorations/import").header("content-type", "application/x-ndjson").body(rows);
    Answer::of(import).await.ok();
    let region = json!({"type": "Feature", "properties": {"name": "Campus"},
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}});
    assert_eq!(admin.send(&t, Method::PUT, "/api/v1/regions/campus", region.clone()).await.status, 201);
    admin.send(&t, Method::PUT, "/api/v1/regions/campus", region).await.ok();
    assert_eq!(admin.ask(&t, Method::DELETE, "/api/v1/regions/campus").await.status, 204);

    let acts = admin.get(&t, "/api/v1/audit").await.ok().items();
    let actions: Vec<&str> = acts.iter().rev().map(|act| act["action"].as_str().expect("an action")).collect();
    assert_eq!(
        actions,
        [
            "user.change",
            "user.password_reset",
            "decoration.create",
            "decoration.replace",
            "decoration.delete",
            "decoration.restore",
            "decoration.sync",
            "decoration.import",
            "region.create",
            "region.replace",
            "region.delete",
        ]
    );
    for act in &acts {
        assert_eq!((&act["actor_id"], &act["ip_address"]), (&json!(admin.id), &json!("127.0.0.1")), "{act}");
    }
    let put = acts.iter().find(|act| act["action"] == "decoration.replace").expect("there");
    assert_eq!((&put["object_id"], &put["request_id"]), (&json!(id), &json!("the-put")));
    assert_eq!(put["detail"], json!({"version": 2, "changed": ["name"]}));
    assert_eq!(acts.iter().find(|act| act["action"] == "user.change").expect("there")["detail"]["role"], json!(["user", "admin"]));

    // Narrowed, and paged.
    let only = async |query: &str| admin.get(&t, &format!("/api/v1/audit?{query}")).await.ok().items().len();
    assert_eq!((only("action=region").await, only("action=region.delete").await), (3, 1));
    assert_eq!((only(&format!("actor={}", admin.id)).await, only(&format!("actor={}", user.id)).await), (11, 0));
    assert_eq!((only("from=2000-01-01T00:00:00Z").await, only("to=2000-01-01T00:00:00Z").await), (11, 0));
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = admin.get(&t, &format!("/api/v1/audit?limit=4{query}")).await.ok();
        seen.extend(page.items());
        cursor = page.next_cursor();
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, acts);
}

#[tokio::test]
async fn what_failed_is_not_written_down_and_analysts_see_no_addresses() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    admin.send(&t, Method::PATCH, &format!("/api/v1/users/{}", admin.id), json!({"role": "user"})).await.problem(409, "last_admin");
    let acts: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.audit_log").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(acts, 0);
    let columns: Vec<String> = sqlx::query_scalar("SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'gis' AND table_name = 'audit' ORDER BY ordinal_position")
        .fetch_all(&t.sql)
        .await
        .expect("reads");
    assert_eq!(columns, ["id", "at", "actor_id", "action", "object_kind", "object_id", "detail"]);
}

#[tokio::test]
async fn what_is_written_down_names_nobody() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    admin.send(&t, Method::PATCH, &format!("/api/v1/users/{}", user.id), json!({"is_active": false})).await.ok();
    let details: Vec<Value> = sqlx::query_scalar("SELECT detail FROM gis.audit").fetch_all(&t.sql).await.expect("reads");
    assert!(details.iter().all(|detail| !detail.to_string().contains('@')), "{details:?}");
}
