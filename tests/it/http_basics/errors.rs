//! Wrong addresses and methods.

use reqwest::Method;

use crate::support::{Answer, TestServer};

#[tokio::test]
async fn an_unknown_address_is_404_whatever_the_method() {
    let t = TestServer::start().await;
    for path in [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v2/regions",
        "/api/v1/regions/",
        "/api//v1/regions",
        "/API/v1/regions",
        "/health",
        "/..%2fetc%2fpasswd",
        "/%00",
        "/%FF",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"PROPFIND").expect("a method")] {
            Answer::of(t.request(method, path)).await.problem(404, "unknown_route");
        }
    }
}

#[tokio::test]
async fn every_route_names_the_methods_it_takes() {
    let t = TestServer::start().await;
    let document = t.get("/openapi.json").await.ok().json();
    let mut tried = 0;
    for (template, item) in document["paths"].as_object().expect("paths") {
        let path = template.replace(['{', '}'], "");
        let has = |method: &str| item.get(method.to_ascii_lowercase()).is_some();
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if has(method) {
                continue;
            }
            let answer = Answer::of(t.request(method.parse().expect("a method"), &path)).await;
            answer.problem(405, "method_not_allowed");
            let allowed: Vec<&str> = answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
            for published in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                assert_eq!(allowed.contains(&published), has(published), "{published} {path}: {allowed:?}");
            }
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
}

/// A wrong method is answered before a wrong query.
#[tokio::test]
async fn a_wrong_method_comes_before_a_wrong_query() {
    let t = TestServer::start().await;
    Answer::of(t.request(Method::POST, "/api/v1/decorations/nearby?lat=x&nonsense=1")).await.problem(405, "method_not_allowed");
    Answer::of(t.request(Method::POST, "/nowhere?nonsense=1")).await.problem(404, "unknown_route");
}

#[tokio::test]
async fn problems_are_not_cached() {
    let t = TestServer::start().await;
    for path in ["/nowhere", "/api/v1/decorations/nearby", "/api/v1/regions/none"] {
        assert_eq!(t.get(path).await.header("cache-control"), Some("no-store"), "{path}");
    }
}

/// No SQL, constraint name or stack in what is told to a client.
#[tokio::test]
async fn problems_tell_nothing_of_the_inside() {
    let t = TestServer::start().await;
    for path in [
        "/api/v1/decorations/region?region='",
        "/api/v1/decorations/region?region=%25",
        "/api/v1/decorations/nearby?lat=';--&lng=0",
        "/api/v1/regions/'",
    ] {
        let text = t.get(path).await.text().to_ascii_lowercase();
        for inside in ["select", "postgres", "sqlx", "panicked", "src/", "constraint", " ar."] {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
    }
}
