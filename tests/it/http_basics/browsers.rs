//! What browsers are told: which origins may ask, and what no answer of ours may be used for.

use reqwest::Method;

use crate::support::{Answer, Config, TestServer};

async fn from(t: &TestServer, method: Method, path: &str, origin: &str) -> Answer {
    let request = t.request(method, path).header("origin", origin).header("access-control-request-method", "PUT");
    Answer::of(request.header("access-control-request-headers", "authorization,if-match,content-type")).await
}

#[tokio::test]
async fn only_allowed_origins_may_ask() {
    let t = TestServer::start_with(Config::of("ALLOWED_ORIGINS", "https://admin.example.com,https://app.example.com:8443")).await;
    let path = "/api/v1/decorations/01890000-0000-7000-8000-000000000000";
    for origin in ["https://admin.example.com", "https://app.example.com:8443"] {
        let preflight = from(&t, Method::OPTIONS, path, origin).await.ok();
        assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
        let allowed = preflight.header("access-control-allow-headers").expect("headers").to_ascii_lowercase();
        assert!(["authorization", "if-match", "content-type", "idempotency-key"].iter().all(|name| allowed.contains(name)), "{allowed}");
        assert!(
            preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PUT") && methods.contains("DELETE"))
        );
        let answer = from(&t, Method::GET, "/api/v1/regions", origin).await.ok();
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("etag")));
        // An error can be read there, too.
        let refused = from(&t, Method::GET, path, origin).await;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(origin)));
    }
    for origin in
        ["https://evil.example.com", "http://admin.example.com", "https://admin.example.com.evil.com", "null", "https://app.example.com"]
    {
        let preflight = from(&t, Method::OPTIONS, path, origin).await;
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(from(&t, Method::GET, "/api/v1/regions", origin).await.ok().header("access-control-allow-origin"), None, "{origin}");
    }
    let answer = from(&t, Method::GET, "/api/v1/regions", "https://admin.example.com").await;
    assert_eq!(answer.header("access-control-allow-credentials"), None, "no cookies here");
    assert!(answer.headers.get_all("vary").iter().any(|vary| vary.to_str().is_ok_and(|vary| vary.to_ascii_lowercase().contains("origin"))));
}

#[tokio::test]
async fn without_origins_no_page_may_ask() {
    let t = TestServer::start().await;
    let answer = from(&t, Method::GET, "/api/v1/regions", "https://admin.example.com").await.ok();
    assert_eq!(answer.header("access-control-allow-origin"), None);
    from(&t, Method::OPTIONS, "/api/v1/regions", "https://admin.example.com").await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn every_answer_says_what_it_may_not_be_used_for() {
    let t = TestServer::start().await;
    for path in ["/api/v1/regions", "/health/live", "/docs/", "/openapi.json", "/nowhere", "/api/v1/users", "/"] {
        let answer = t.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(answer.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}: not over plain HTTP");
    }
    let admin = t.admin().await;
    for path in ["/api/v1/users", "/api/v1/auth/profile", "/api/v1/decorations"] {
        assert_eq!(admin.get(&t, path).await.ok().header("cache-control"), Some("no-store"), "{path}");
    }
}
