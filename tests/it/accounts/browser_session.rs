//! The admin page's session: a cookie that outlives a reload, and that nothing but these routes ever sees.

use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Answer, Config, PASSWORD, TestServer};

const PATH: &str = "/dashboard/session";

/// What a browser would keep: `name=value`, and all that the cookie says about itself.
fn cookie(answer: &Answer) -> (String, Vec<String>) {
    let text = answer.header("set-cookie").expect("a cookie");
    let mut parts = text.split("; ").map(str::to_owned);
    (parts.next().expect("name and value"), parts.collect())
}

async fn send(t: &TestServer, method: Method, cookie: &str) -> Answer {
    Answer::of(t.request(method, PATH).header("cookie", format!("theme=dark; {cookie}; other=1"))).await
}

async fn sign_in(t: &TestServer) -> Answer {
    let email = t.user().await.email;
    t.post(PATH, json!({"email": email, "password": PASSWORD})).await.ok()
}

#[tokio::test]
async fn a_reload_goes_on_with_the_cookie_and_no_body_tells_it() {
    let t = TestServer::start().await;
    let first = sign_in(&t).await;
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let (kept, said) = cookie(&first);
    assert_eq!(said, ["Path=/dashboard/session", "Max-Age=604800", "HttpOnly", "SameSite=Strict"]);
    let members: Vec<String> = first.json().as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["access_token", "expires_in", "token_type", "user"]);
    let second = send(&t, Method::PUT, &kept).await.ok();
    assert_eq!(second.json()["user"], first.json()["user"]);
    assert_ne!(cookie(&second).0, kept, "spent, and given anew");
    let access_token = second.json()["access_token"].as_str().expect("a token").to_owned();
    let ada = Account { access_token, ..t.user().await };
    ada.get(&t, "/api/v1/auth/profile").await.ok();
    // Two tabs that ask at once agree.
    let again = send(&t, Method::PUT, &kept).await.ok();
    assert_eq!(cookie(&again).0, cookie(&second).0);
}

#[tokio::test]
async fn a_sign_in_is_refused_as_it_is_elsewhere() {
    let t = TestServer::start().await;
    let refused = t.post(PATH, json!({"email": "nobody@example.org", "password": PASSWORD})).await;
    refused.problem(401, "invalid_credentials");
    assert_eq!(refused.header("set-cookie"), None);
    assert_eq!(t.post(PATH, json!({"email": 1, "colour": "red"})).await.faulty_fields(400), ["colour", "email", "password"]);
}

#[tokio::test]
async fn who_has_no_cookie_or_a_bad_one_is_nobody() {
    let t = TestServer::start().await;
    for cookie in ["x=y", "ar_dashboard=", "ar_dashboard=rt_forged"] {
        let answer = send(&t, Method::PUT, cookie).await;
        assert_eq!((answer.status, answer.text()), (204, String::new()), "{cookie}");
        assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{cookie}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_the_cookie() {
    let t = TestServer::start().await;
    let first = sign_in(&t).await;
    let (kept, _) = cookie(&first);
    let access_token = first.json()["access_token"].as_str().expect("a token").to_owned();
    let ada = Account { access_token, ..t.user().await };
    ada.get(&t, "/api/v1/auth/profile").await.ok();
    let out = send(&t, Method::DELETE, &kept).await;
    assert_eq!(out.status, 204);
    assert!(cookie(&out).1.contains(&"Max-Age=0".to_owned()));
    ada.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    assert_eq!(send(&t, Method::PUT, &kept).await.status, 204);
    assert_eq!(send(&t, Method::DELETE, &kept).await.status, 204, "once more is no fault");
}

#[tokio::test]
async fn behind_https_the_cookie_travels_by_https_alone() {
    let t = TestServer::start_with(Config::of("TRUSTED_PROXIES", "127.0.0.0/8")).await;
    let email = t.user().await.email;
    let request = t.request(Method::POST, PATH).header("x-forwarded-proto", "https").header("x-forwarded-for", "203.0.113.5");
    let answer = Answer::of(request.json(&json!({"email": email, "password": PASSWORD}))).await.ok();
    assert!(cookie(&answer).1.contains(&"Secure".to_owned()));
}
