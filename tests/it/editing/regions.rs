//! Regions that admins draw.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, TestServer};

fn feature(name: &str, coordinates: Value) -> Value {
    json!({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": coordinates}, "properties": {"name": name}})
}

fn square(south: f64, west: f64, side: f64) -> Value {
    json!([[[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]])
}

async fn put(t: &TestServer, admin: &Account, code: &str, body: &Value) -> Answer {
    let request = admin.request(t, Method::PUT, &format!("/api/v1/regions/{code}")).header("content-type", "application/geo+json");
    Answer::of(request.body(body.to_string())).await
}

#[tokio::test]
async fn a_region_is_drawn_searched_replaced_and_deleted() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.decoration("inside").at(10.5, 20.5).insert().await;
    t.decoration("outside").at(12.5, 20.5).insert().await;
    let drawn = put(&t, &admin, "Campus-1", &feature("Our campus", square(10.0, 20.0, 1.0))).await;
    assert_eq!((drawn.status, drawn.header("location")), (201, Some("/api/v1/regions/Campus-1")), "{}", drawn.text());
    assert_eq!(drawn.header("content-type"), Some("application/geo+json"));
    assert_eq!((&drawn.json()["id"], &drawn.json()["properties"]["kind"]), (&json!("Campus-1"), &json!("custom")));
    assert_eq!(drawn.json()["geometry"]["type"], "MultiPolygon");
    assert_eq!(t.region("campus-1").await.ok().names(), ["inside"]);

    // Get, edit, put; in another case it is the same region.
    let mut edited = t.get("/api/v1/regions/campus-1").await.ok().json();
    edited["geometry"] = json!({"type": "Polygon", "coordinates": square(12.0, 20.0, 1.0)});
    edited["properties"]["name"] = json!("Moved campus");
    let replaced = put(&t, &admin, "CAMPUS-1", &edited).await.ok();
    assert_eq!((&replaced.json()["id"], &replaced.json()["properties"]["name"]), (&json!("Campus-1"), &json!("Moved campus")));
    assert_eq!(t.region("Moved Campus").await.ok().names(), ["outside"]);

    assert_eq!(admin.ask(&t, Method::DELETE, "/api/v1/regions/campus-1").await.status, 204);
    t.get("/api/v1/regions/Campus-1").await.problem(404, "unknown_region");
    admin.ask(&t, Method::DELETE, "/api/v1/regions/campus-1").await.problem(404, "unknown_region");
}

#[tokio::test]
async fn a_border_that_is_no_clean_area_is_refused_with_the_reason() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let bow_tie = json!([[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]);
    for (coordinates, reason) in [
        (bow_tie, "Self-intersection"),
        (json!([[[0, 0], [1, 0], [2, 0], [0, 0]]]), "invalid_polygon"),
        (json!([[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[5, 5], [6, 5], [6, 6], [5, 5]]]), "Hole lies outside shell"),
    ] {
        let answer = put(&t, &admin, "x", &feature("x", coordinates)).await;
        assert_eq!(answer.faulty_fields(422), ["geometry"], "{reason}");
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
    let all_at_once = json!({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [1, 1], [0, 0]]]},
        "properties": {"kind": "moon", "colour": "red"}});
    assert_eq!(
        put(&t, &admin, "x", &all_at_once).await.faulty_fields(400),
        ["geometry.coordinates", "properties.colour", "properties.kind", "properties.name"]
    );
    for code in ["a%20b", "..%2F", "%C3%A4", &"x".repeat(21)] {
        assert_eq!(put(&t, &admin, code, &feature("x", square(0.0, 0.0, 1.0))).await.faulty_fields(422), ["code"], "{code}");
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.regions").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn ten_thousand_vertices_are_a_region_and_one_more_is_not() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let circle = |vertices: u32| {
        let at = |i: u32| {
            let angle = std::f64::consts::TAU * f64::from(i % (vertices - 1)) / f64::from(vertices - 1);
            json!([40.123_456_78 * angle.cos(), 40.123_456_78 * angle.sin()])
        };
        json!([(0..vertices).map(at).collect::<Vec<_>>()])
    };
    let large = feature("round", circle(10_000));
    assert!(large.to_string().len() > 300_000, "far beyond other bodies");
    assert_eq!(put(&t, &admin, "round", &large).await.status, 201);
    let answer = put(&t, &admin, "rounder", &feature("rounder", circle(10_001))).await;
    assert_eq!(answer.faulty_fields(422), ["geometry.coordinates"]);
}

#[tokio::test]
async fn a_region_is_within_one_that_is_there_and_never_within_itself() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let within = |parent: &str| {
        let mut region = feature("r", square(0.0, 0.0, 1.0));
        region["properties"]["parent_code"] = json!(parent);
        region
    };
    assert_eq!(put(&t, &admin, "a", &within("nowhere")).await.faulty_fields(422), ["properties.parent_code"]);
    assert_eq!(put(&t, &admin, "a", &within("A")).await.faulty_fields(422), ["properties.parent_code"]);
    assert_eq!(put(&t, &admin, "a", &feature("a", square(0.0, 0.0, 9.0))).await.status, 201);
    let child = put(&t, &admin, "b", &within("A")).await;
    assert_eq!(child.json()["properties"]["parent_code"], "a");
    assert_eq!(put(&t, &admin, "c", &within("b")).await.status, 201);
    let cycle = put(&t, &admin, "a", &within("c")).await;
    assert!(cycle.faulty_fields(422) == ["properties.parent_code"] && cycle.text().contains("cycle"), "{}", cycle.text());
    // What was part of a deleted one is part of none.
    assert_eq!(admin.ask(&t, Method::DELETE, "/api/v1/regions/b").await.status, 204);
    assert_eq!(t.get("/api/v1/regions/c").await.ok().json()["properties"]["parent_code"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_drawn_at_once_leave_no_cycle_and_no_double() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for code in ["a", "b"] {
        put(&t, &admin, code, &feature(code, square(0.0, 0.0, 1.0))).await;
    }
    let within = |parent: &str| {
        let mut region = feature("r", square(0.0, 0.0, 1.0));
        region["properties"]["parent_code"] = json!(parent);
        region
    };
    let (into_b, into_a) = (within("b"), within("a"));
    let (one, other) = tokio::join!(put(&t, &admin, "a", &into_b), put(&t, &admin, "b", &into_a));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422]);
    let new = feature("new", square(0.0, 0.0, 1.0));
    let drawing = (0..8).map(|i| put(&t, &admin, if i % 2 == 0 { "New" } else { "NEW" }, &new));
    let answers = futures_util::future::join_all(drawing).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)));
}
