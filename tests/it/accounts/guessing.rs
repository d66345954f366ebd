//! Guessing is throttled and owners get in (P21).

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use crate::support::{Answer, Config, PASSWORD, Proof, TestServer, rounds};

/// A client whose connections come from another address of the loopback network.
fn client_from(address: [u8; 4]) -> reqwest::Client {
    let address = IpAddr::V4(Ipv4Addr::from(address));
    reqwest::Client::builder().local_address(address).no_proxy().build().expect("a client")
}

async fn guess(t: &TestServer, client: &reqwest::Client, email: &str, password: &str, forwarded: &str) -> Answer {
    let login = json!({"email": email, "password": password});
    Answer::of(client.post(t.url("/api/v1/auth/login")).header("x-forwarded-for", forwarded).json(&login)).await
}

/// An address that changes with every try.
fn rotating(number: usize) -> String {
    let n = u32::try_from(number).expect("small");
    format!("{}, 198.51.100.{}", Ipv4Addr::from(0x0b00_0000 + n * 257), n % 250)
}

/// The account's owner, who signed in from his own network before limits were on.
async fn with_owner(config: Config) -> (TestServer, String) {
    let quiet = TestServer::start().await;
    let owner = quiet.user().await;
    sqlx::query("UPDATE ar.user_sessions SET ip_address = '127.0.0.2'").execute(&quiet.sql).await.expect("from his network");
    let t = TestServer::on(quiet.db().options(), config.and("RATE_LIMIT", "auth=10/m")).await;
    // The database goes with its owner.
    std::mem::forget(quiet);
    (t, owner.email)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_who_rotates_forwarded_addresses_is_one_guesser() {
    let (t, email) = with_owner(Config::default()).await;
    let (eve, ada) = (client_from([127, 0, 7, 7]), client_from([127, 0, 0, 2]));
    let started = std::time::Instant::now();
    let count = rounds(1_000, 10_000);
    let mut proof = Proof::of("P21", "guesses with forged addresses");
    let mut refused = 0;
    for number in 0..count {
        let answer = guess(&t, &eve, &email, &format!("wrong guess {number}"), &rotating(number)).await;
        if answer.status == 401 {
            answer.problem(401, "invalid_credentials");
            continue;
        }
        answer.problem(429, "rate_limited");
        let wait_s: u64 = answer.header("retry-after").expect("when to come back").parse().expect("seconds");
        assert!((1..=60).contains(&wait_s), "{wait_s}");
        refused += 1;
    }
    let minutes = started.elapsed().as_secs() / 60 + 1;
    let hashes = t.state.accounts.hashes_done();
    proof.tried(count);
    proof.measured(format!("{hashes} hashes in {minutes} min; the owner got in"));
    println!("{count} guesses, {refused} refused, {hashes} hashes in {:?}", started.elapsed());
    assert!(hashes <= 30 * minutes, "{hashes} hashes in {minutes} min");
    guess(&t, &ada, &email, PASSWORD, "203.0.113.9").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_from_everywhere_do_not_lock_the_owner_out() {
    // Behind a proxy that is trusted, what it appends counts: each guess comes from another address.
    let (t, email) = with_owner(Config::of("TRUSTED_PROXIES", "127.0.0.0/8")).await;
    let proxy = client_from([127, 0, 0, 1]);
    let mut proof = Proof::of("P21", "guesses from as many addresses");
    let count = rounds(1_000, 10_000);
    let started = std::time::Instant::now();
    for number in 0..count {
        let n = u32::try_from(number).expect("small");
        let forwarded = format!("10.9.8.7, {}", Ipv4Addr::from(0x0b00_0000 + n));
        let answer = guess(&t, &proxy, &email, &format!("wrong guess {number}"), &forwarded).await;
        assert!([401, 429].contains(&answer.status), "{}", answer.text());
    }
    let minutes = started.elapsed().as_secs() / 60 + 1;
    let hashes = t.state.accounts.hashes_done();
    proof.tried(count);
    proof.measured(format!("{hashes} hashes in {minutes} min; the owner got in"));
    println!("{count} guesses from as many addresses, {hashes} hashes in {:?}", started.elapsed());
    assert!(hashes <= 30 * minutes, "{hashes} hashes in {minutes} min");
    sqlx::query("UPDATE ar.user_sessions SET ip_address = '192.0.2.10'").execute(&t.sql).await.expect("his network");
    // From a network that he was never seen at, even the right password has to wait; from his own it has not.
    guess(&t, &proxy, &email, PASSWORD, "11.99.99.99").await.problem(429, "rate_limited");
    guess(&t, &proxy, &email, PASSWORD, "6.6.6.6, 192.0.2.77").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_there_is_throttled_like_one_that_is() {
    let (t, email) = with_owner(Config::default()).await;
    let mut patterns = Vec::new();
    for (last, name) in [(21, email.as_str()), (22, "nobody@example.org")] {
        let client = client_from([127, 0, 9, last]);
        let mut statuses = Vec::new();
        for number in 0..15 {
            statuses.push(guess(&t, &client, name, &format!("wrong guess {number}"), "1.2.3.4").await.status);
        }
        patterns.push(statuses);
    }
    assert_eq!(patterns[0], patterns[1]);
    assert_eq!(patterns[0].iter().filter(|status| **status == 401).count(), 10, "{patterns:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_found_a_signed_in_phone_does_not_guess_its_owners_password() {
    let quiet = TestServer::start().await;
    let owner = quiet.user().await;
    let t = TestServer::on(quiet.db().options(), Config::of("RATE_LIMIT", "auth=10/m,user=1000/s")).await;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for number in 0..40 {
        let body = json!({"current_password": format!("wrong guess {number}"), "email": "mine@example.org"});
        let request = client_from([127, 0, 8, number]).put(t.url("/api/v1/auth/profile")).bearer_auth(&owner.access_token).json(&body);
        *statuses.entry(Answer::of(request).await.status).or_default() += 1;
    }
    assert_eq!(statuses, std::collections::BTreeMap::from([(422, 10), (429, 30)]));
    assert_eq!(t.state.accounts.hashes_done(), 10);
}

#[tokio::test]
async fn guessing_refresh_and_reset_tokens_costs_no_hash() {
    let t = TestServer::start().await;
    for number in 0..50 {
        let refresh = json!({"refresh_token": format!("rt_{number:0>86}")});
        t.post("/api/v1/auth/refresh", refresh).await.problem(401, "invalid_refresh_token");
        let reset = json!({"reset_token": format!("pr_{number:0>43}"), "new_password": PASSWORD});
        t.post("/api/v1/auth/password-reset", reset).await.problem(401, "invalid_reset_token");
    }
    assert_eq!(t.state.accounts.hashes_done(), 0);
}
