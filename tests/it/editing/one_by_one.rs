//! Creating, reading, replacing, deleting and restoring one decoration.

use reqwest::Method;
use serde_json::{Value, json};

use super::{content, content_with, path_of};
use crate::support::{Account, Answer, Config, TestServer};

async fn create(t: &TestServer, admin: &Account, content: Value) -> Answer {
    admin.send(t, Method::POST, "/api/v1/decorations", content).await
}

async fn put(t: &TestServer, admin: &Account, path: &str, if_match: &str, content: Value) -> Answer {
    Answer::of(admin.request(t, Method::PUT, path).header("if-match", if_match).json(&content)).await
}

#[tokio::test]
async fn a_new_decoration_has_defaults_an_address_and_a_tag_and_is_found() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let answer = create(&t, &admin, content("gate")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    assert_eq!(answer.header("location"), Some(path_of(&made).as_str()));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(
        (&made["version"], &made["scale_y"], &made["rotation_z"], &made["is_active"]),
        (&json!(1), &json!(1.0), &json!(0.0), &json!(true))
    );
    assert_eq!((&made["created_by"], &made["external_id"], &made["deleted_at"]), (&json!(admin.id), &Value::Null, &Value::Null));
    let cell = h3o::LatLng::new(52.5163, 13.3777).expect("a place").to_cell(h3o::Resolution::Nine).to_string();
    assert_eq!(made["h3"]["r9"], cell);
    let near = t.nearby(52.5163, 13.3777, 1.0).await;
    assert_eq!(near.names(), ["gate"]);
    assert!(near.items()[0].get("created_by").is_none() && near.items()[0].get("external_id").is_none(), "{}", near.text());
    t.fold_counts().await;
    let drawn: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.h3_cells").fetch_one(&t.sql).await.expect("counts");
    assert!(drawn >= 7, "its cells can be drawn: {drawn}");
}

#[tokio::test]
async fn what_is_ours_to_decide_is_refused_in_a_new_one_and_ignored_in_an_edited_one() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (name, value) in [("id", json!("01890000-0000-7000-8000-000000000000")), ("version", json!(7)), ("created_by", json!(admin.id))] {
        assert_eq!(create(&t, &admin, content_with("x", json!({name: value}))).await.faulty_fields(400), [name]);
    }
    let made = create(&t, &admin, content("gate")).await.json();
    // Get, edit, put.
    let mut edited = admin.get(&t, &path_of(&made)).await.ok().json();
    edited["name"] = json!("arch");
    edited["version"] = json!(99);
    edited["id"] = json!("01890000-0000-7000-8000-000000000000");
    let replaced = put(&t, &admin, &path_of(&made), "\"1\"", edited).await.ok();
    assert_eq!(replaced.header("etag"), Some("\"2\""));
    let replaced = replaced.json();
    assert_eq!((&replaced["id"], &replaced["version"], &replaced["name"]), (&made["id"], &json!(2), &json!("arch")));
    assert_eq!((&replaced["created_at"], &replaced["created_by"]), (&made["created_at"], &made["created_by"]));
}

#[tokio::test]
async fn a_replacement_is_whole_and_moves_everything_with_it() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let full = json!({"description": "two\nlines", "external_id": "m-1", "scale_x": 2.5, "height_offset": -1.25, "file_size_bytes": 9_007_199_254_740_993_i64,
        "high_res_url": "https://cdn.example.com/a.glb", "is_active": true});
    let made = create(&t, &admin, content_with("gate", full)).await.json();
    assert_eq!(made["file_size_bytes"], json!(9_007_199_254_740_993_i64));
    let moved = content_with("gate", json!({"lat": -33.9, "lng": -180}));
    let replaced = put(&t, &admin, &path_of(&made), "*", moved).await.ok().json();
    for left_out in ["description", "external_id", "high_res_url", "file_size_bytes"] {
        assert_eq!(replaced[left_out], Value::Null, "{left_out}");
    }
    assert_eq!((&replaced["scale_x"], &replaced["height_offset"], &replaced["lng"]), (&json!(1.0), &json!(0.0), &json!(180.0)));
    assert_eq!(t.nearby(52.5163, 13.3777, 100.0).await.names(), Vec::<String>::new());
    assert_eq!(t.nearby(-33.9, 180.0, 1.0).await.names(), ["gate"]);
    let cells: (i64, i64) =
        sqlx::query_as("SELECT h3_r9, gis.h3_parent(h3_r9, 5) - h3_r5 FROM ar.decorations").fetch_one(&t.sql).await.expect("reads");
    let expected = h3o::LatLng::new(-33.9, 180.0).expect("a place").to_cell(h3o::Resolution::Nine);
    assert_eq!(u64::try_from(cells.0).expect("positive"), u64::from(expected));
}

#[tokio::test]
async fn a_stale_edit_is_refused_with_what_is_there() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = create(&t, &admin, content("gate")).await.json();
    let path = path_of(&made);
    put(&t, &admin, &path, "\"1\"", content("arch")).await.ok();
    let stale = put(&t, &admin, &path, "\"1\"", content("door")).await;
    let problem = stale.problem(412, "version_mismatch");
    assert_eq!((&problem["current"]["name"], &problem["current"]["version"]), (&json!("arch"), &json!(2)));
    let without = admin.send(&t, Method::PUT, &path, content("door")).await;
    without.problem(428, "precondition_required");
    for unreadable in ["7", "\"7", "*, \"1\""] {
        assert_eq!(put(&t, &admin, &path, unreadable, content("door")).await.faulty_fields(400), ["If-Match"], "{unreadable}");
    }
    put(&t, &admin, &path, "W/\"2\"", content("door")).await.problem(412, "version_mismatch");
    put(&t, &admin, &path, "\"9\", \"2\"", content("door")).await.ok();
}

#[tokio::test]
async fn a_reader_who_has_the_version_is_spared_it() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let path = path_of(&create(&t, &admin, content("gate")).await.json());
    let read = admin.get(&t, &path).await.ok();
    assert_eq!((read.header("etag"), read.header("cache-control")), (Some("\"1\""), Some("no-store")));
    let asked = async |tag: &str| Answer::of(admin.request(&t, Method::GET, &path).header("if-none-match", tag)).await;
    for tag in ["\"1\"", "W/\"1\"", "*", "\"0\", \"1\""] {
        let answer = asked(tag).await;
        assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, Some("\"1\"")), "{tag}");
    }
    for tag in ["\"2\"", "1", ""] {
        asked(tag).await.ok();
    }
}

#[tokio::test]
async fn a_deleted_one_is_gone_from_every_read_and_comes_back_one_version_higher() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = create(&t, &admin, content_with("gate", json!({"external_id": "m-1"}))).await.json();
    let path = path_of(&made);
    let delete = async |tag: Option<&str>| {
        let request = admin.request(&t, Method::DELETE, &path);
        Answer::of(tag.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
    };
    admin.ask(&t, Method::POST, &format!("{path}/restore")).await.problem(409, "not_deleted");
    delete(Some("\"7\"")).await.problem(412, "version_mismatch");
    assert_eq!(delete(Some("\"1\"")).await.status, 204);
    delete(None).await.problem(404, "unknown_decoration");
    admin.get(&t, &path).await.problem(404, "unknown_decoration");
    put(&t, &admin, &path, "*", content("gate")).await.problem(404, "unknown_decoration");
    admin.ask(&t, Method::POST, &format!("{path}/sync")).await.problem(404, "unknown_decoration");
    assert_eq!(t.nearby(52.5163, 13.3777, 100.0).await.names(), Vec::<String>::new());
    assert_eq!(t.bounds([50.0, 10.0, 55.0, 15.0]).await.names(), Vec::<String>::new());
    assert_eq!(admin.get(&t, "/api/v1/decorations").await.ok().names(), Vec::<String>::new());
    let deleted = admin.get(&t, "/api/v1/decorations?deleted=true").await.ok();
    assert_eq!(deleted.names(), ["gate"]);
    assert!(deleted.items()[0]["deleted_at"].is_string() && deleted.items()[0]["version"] == 2);
    // Its name is not free while it can come back.
    create(&t, &admin, content_with("new", json!({"external_id": "m-1"}))).await.problem(409, "external_id_taken");
    let restored = admin.ask(&t, Method::POST, &format!("{path}/restore")).await.ok();
    assert_eq!(
        (restored.header("etag"), &restored.json()["version"], &restored.json()["deleted_at"]),
        (Some("\"3\""), &json!(3), &Value::Null)
    );
    assert_eq!(t.nearby(52.5163, 13.3777, 100.0).await.names(), ["gate"]);
}

#[tokio::test]
async fn an_external_id_is_one_decorations() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    create(&t, &admin, content_with("a", json!({"external_id": "m-1"}))).await;
    let other = create(&t, &admin, content_with("b", json!({"external_id": "m-2"}))).await.json();
    create(&t, &admin, content_with("c", json!({"external_id": "m-1"}))).await.problem(409, "external_id_taken");
    let taken = put(&t, &admin, &path_of(&other), "*", content_with("b", json!({"external_id": "m-1"}))).await;
    taken.problem(409, "external_id_taken");
    assert_eq!(admin.get(&t, &path_of(&other)).await.ok().json()["version"], 1, "nothing of it was done");
    put(&t, &admin, &path_of(&other), "*", content_with("b", json!({"external_id": "m-2"}))).await.ok();
}

#[tokio::test]
async fn assets_lie_on_the_cdn_when_there_is_one() {
    let t = TestServer::start_with(Config::of("CDN_BASE_URL", "https://cdn.example.com/ar/")).await;
    let admin = t.admin().await;
    for (url, status) in [
        ("https://cdn.example.com/ar/a.glb", 201),
        ("https://cdn.example.com/other/a.glb", 422),
        ("https://evil.example.com/ar/a.glb", 422),
    ] {
        assert_eq!(create(&t, &admin, content_with("a", json!({"high_res_url": url}))).await.status, status, "{url}");
    }
}

#[tokio::test]
async fn an_inactive_one_is_kept_and_shown_to_nobody() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = create(&t, &admin, content_with("gate", json!({"is_active": false}))).await.json();
    assert_eq!(t.nearby(52.5163, 13.3777, 100.0).await.names(), Vec::<String>::new());
    assert_eq!(admin.get(&t, &path_of(&made)).await.ok().json()["is_active"], false);
    put(&t, &admin, &path_of(&made), "*", content("gate")).await.ok();
    assert_eq!(t.nearby(52.5163, 13.3777, 100.0).await.names(), ["gate"]);
}
