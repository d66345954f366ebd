//! Limits by class of route and by caller, and what an answer says of them.

use reqwest::Method;

use crate::support::{Answer, Config, TestServer};

#[tokio::test]
async fn a_caller_has_a_limit_is_told_of_it_and_comes_back() {
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=3/m")).await;
    for left in ["2", "1", "0"] {
        let answer = t.get("/api/v1/regions").await.ok();
        assert_eq!((answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), (Some("3"), Some(left)));
        assert_eq!(answer.header("ratelimit-policy"), Some("3;w=60"));
    }
    let refused = t.get("/api/v1/regions").await;
    refused.problem(429, "rate_limited");
    let seconds: u64 = refused.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("ratelimit-reset")), (Some("0"), refused.header("retry-after")));
    // Other routes of the class are the same bucket; orchestrators are not counted; what is not there costs nothing.
    t.get("/api/v1/decorations/nearby?lat=1&lng=1").await.problem(429, "rate_limited");
    for page in ["/docs/", "/docs/sockets", "/asyncapi.json"] {
        t.get(page).await.problem(429, "rate_limited");
    }
    for _ in 0..10 {
        t.get("/health/live").await.ok();
    }
}

#[tokio::test]
async fn classes_and_accounts_have_buckets_of_their_own() {
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=100/m,auth=100/m,user=2/m,admin=4/m")).await;
    let (one, two, admin) = (t.user().await, t.user().await, t.admin().await);
    for account in [&one, &two] {
        for _ in 0..2 {
            account.get(&t, "/api/v1/auth/profile").await.ok();
        }
        account.get(&t, "/api/v1/auth/profile").await.problem(429, "rate_limited");
    }
    for _ in 0..4 {
        admin.get(&t, "/api/v1/users").await.ok();
    }
    admin.get(&t, "/api/v1/users").await.problem(429, "rate_limited");
    t.get("/api/v1/regions").await.ok();
}

#[tokio::test]
async fn who_tries_tokens_is_a_stranger_with_few_tries() {
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=5/m")).await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        let request = t.request(Method::GET, "/api/v1/users").bearer_auth(format!("guess-{number}"));
        statuses.push(Answer::of(request).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
}

#[tokio::test]
async fn only_a_trusted_proxys_word_counts() {
    let ask = async |t: &TestServer, forwarded: &str| {
        Answer::of(t.request(Method::GET, "/api/v1/regions").header("x-forwarded-for", forwarded)).await.status
    };
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=1/m")).await;
    assert_eq!((ask(&t, "203.0.113.1").await, ask(&t, "203.0.113.2").await), (200, 429), "nobody is trusted");
    let behind = Config::of("RATE_LIMIT", "public=1/m").and("TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8");
    let t = TestServer::start_with(behind).await;
    assert_eq!((ask(&t, "203.0.113.1").await, ask(&t, "203.0.113.2").await, ask(&t, "203.0.113.1").await), (200, 200, 429));
    // What the client wrote itself stands on the left, and another proxy of ours on the right.
    assert_eq!((ask(&t, "198.51.100.9, 203.0.113.2").await, ask(&t, "203.0.113.2, 10.1.2.3").await), (429, 429));
    assert_eq!((ask(&t, "2001:db8::1").await, ask(&t, "2001:db8::2").await, ask(&t, "2001:db8:0:1::2").await), (200, 429, 200));
}

/// Neighbours behind one address do not pay for each other; and a session that has ended does not ask on and on.
#[tokio::test]
async fn a_good_token_that_is_new_counts_against_its_session() {
    let quiet = TestServer::start().await;
    let (one, two) = (quiet.user().await, quiet.user().await);
    assert_eq!(one.ask(&quiet, Method::POST, "/api/v1/auth/logout").await.status, 204);
    let t = TestServer::on(quiet.db().options(), Config::of("RATE_LIMIT", "public=3/m")).await;
    for _ in 0..3 {
        t.get("/api/v1/regions").await.ok();
    }
    t.get("/api/v1/regions").await.problem(429, "rate_limited");
    two.get(&t, "/api/v1/auth/profile").await.ok();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(one.get(&t, "/api/v1/auth/profile").await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
}
