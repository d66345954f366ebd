//! One refresh token never has two live descendants; a replay ends the family; a lost reply can be retried (P16).

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::support::{Account, Answer, Config, Proof, TestServer, eventually, rounds};

async fn refresh(t: &TestServer, token: &str) -> Answer {
    t.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await
}

fn token_of(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().expect("a refresh token").to_owned()
}

#[tokio::test]
async fn a_fresh_token_takes_the_place_of_the_old_one() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let second = refresh(&t, &ada.refresh_token).await.ok();
    assert_ne!(token_of(&second), ada.refresh_token);
    assert_eq!(second.header("cache-control"), Some("no-store"));
    let access_token = second.json()["access_token"].as_str().expect("a token").to_owned();
    let fresh = Account { access_token, ..ada.clone() };
    fresh.get(&t, "/api/v1/auth/profile").await.ok();
    ada.get(&t, "/api/v1/auth/profile").await.ok(); // the old access token lives out its life
}

#[tokio::test]
async fn a_lost_reply_can_be_asked_for_again() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let first = token_of(&refresh(&t, &ada.refresh_token).await.ok());
    assert_eq!(token_of(&refresh(&t, &ada.refresh_token).await.ok()), first);
    assert_eq!(token_of(&refresh(&t, &ada.refresh_token).await.ok()), first);
    refresh(&t, &first).await.ok();
}

#[tokio::test]
async fn a_replay_after_the_successor_was_used_ends_the_family() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let second = token_of(&refresh(&t, &ada.refresh_token).await.ok());
    let third = token_of(&refresh(&t, &second).await.ok());
    ada.get(&t, "/api/v1/auth/profile").await.ok();
    refresh(&t, &ada.refresh_token).await.problem(401, "invalid_refresh_token");
    refresh(&t, &third).await.problem(401, "invalid_refresh_token");
    ada.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_replay_after_half_a_minute_ends_the_family() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let second = token_of(&refresh(&t, &ada.refresh_token).await.ok());
    let past = sqlx::query("UPDATE ar.user_sessions SET rotated_at = rotated_at - interval '31 s'");
    past.execute(&t.sql).await.expect("time moves on");
    refresh(&t, &ada.refresh_token).await.problem(401, "invalid_refresh_token");
    refresh(&t, &second).await.problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn what_is_no_token_of_ours_does_no_harm() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let eve = t.user().await;
    let mut forged = ada.refresh_token.clone();
    forged.pop();
    for bad in [
        "",
        "x",
        "rt_",
        "rt_AAAA",
        &forged,
        &format!("{}A", ada.refresh_token),
        &ada.refresh_token.to_uppercase(),
        &ada.access_token[..500.min(ada.access_token.len())],
    ] {
        let answer = refresh(&t, bad).await;
        assert!([401, 422].contains(&answer.status), "{bad}: {}", answer.text());
    }
    refresh(&t, &ada.refresh_token).await.ok();
    refresh(&t, &eve.refresh_token).await.ok();
}

#[tokio::test]
async fn an_expired_session_is_over() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    sqlx::query("UPDATE ar.user_sessions SET expires_at = now()").execute(&t.sql).await.expect("time moves on");
    refresh(&t, &ada.refresh_token).await.problem(401, "invalid_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_on_two_instances_agree_on_one_successor() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    agree_on_one_successor(&a, &b, rounds(5, 100)).await;
}

/// Sixty-four ask at once with the live token, on both instances, again and again.
pub(crate) async fn agree_on_one_successor(a: &TestServer, b: &TestServer, count: usize) {
    let ada = a.user().await;
    let mut live = ada.refresh_token.clone();
    let mut proof = Proof::of("P16", "rounds of 64 refreshes at once");
    for round in 0..count {
        proof.tried(1);
        let asking = (0..64).map(|i| refresh(if i % 2 == 0 { a } else { b }, &live));
        let answers = futures_util::future::join_all(asking).await;
        // Some may have to come back later; none may be refused.
        let statuses: BTreeSet<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(statuses.is_subset(&BTreeSet::from([200, 503])), "{round}: {statuses:?}");
        let successors: BTreeSet<String> = answers.iter().filter(|answer| answer.status == 200).map(token_of).collect();
        assert_eq!(successors.len(), 1, "{round}: one live branch");
        live = successors.into_iter().next().expect("one");
    }
    println!("{count} rounds of 64, 0 with two branches");
    refresh(a, &live).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_among_refreshes_leaves_nothing_alive() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    leave_nothing_alive(&a, &b, 16, rounds(5, 100)).await;
}

/// So many refresh at once, on both instances, while one signs out.
pub(crate) async fn leave_nothing_alive(a: &TestServer, b: &TestServer, at_once: usize, count: usize) {
    let user = a.user().await;
    let mut proof = Proof::of("P16", "logouts among refreshes");
    for round in 0..count {
        proof.tried(1);
        let ada = Account::sign_in(a, &user.email, crate::support::PASSWORD).await;
        let refreshing = (0..at_once).map(|i| refresh(if i % 2 == 0 { a } else { b }, &ada.refresh_token));
        let (answers, logout) = tokio::join!(futures_util::future::join_all(refreshing), ada.ask(b, Method::POST, "/api/v1/auth/logout"));
        assert_eq!(logout.status, 204, "{round}");
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            refresh(a, &token_of(answer)).await.problem(401, "invalid_refresh_token");
            let access_token = answer.json()["access_token"].as_str().expect("a token").to_owned();
            let left = Account { access_token, ..ada.clone() };
            left.get(b, "/api/v1/auth/profile").await.problem(401, "invalid_token");
            eventually("the other instance knows", async || (left.get(a, "/api/v1/auth/profile").await.status == 401).then_some(())).await;
        }
    }
    println!("{count} rounds of {at_once} and a logout, 0 left alive");
}

#[tokio::test]
async fn a_change_of_secret_signs_nobody_out() {
    let old = TestServer::start().await;
    let ada = old.user().await;
    let second = token_of(&refresh(&old, &ada.refresh_token).await.ok());
    let config =
        Config::of("JWT_SECRET", "another0secret9of8more7than6thirty5two4bytes").and("JWT_SECRET_PREVIOUS", crate::support::SECRET);
    let new = TestServer::on(old.db().options(), config).await;
    ada.get(&new, "/api/v1/auth/profile").await.ok();
    // A retry across the change gets the same successor, and goes on under the new secret.
    assert_eq!(token_of(&refresh(&new, &ada.refresh_token).await.ok()), second);
    let third = token_of(&refresh(&new, &second).await.ok());
    refresh(&new, &third).await.ok();
    let forgotten = Config::of("JWT_SECRET", "another0secret9of8more7than6thirty5two4bytes");
    let later = TestServer::on(old.db().options(), forgotten).await;
    ada.get(&later, "/api/v1/auth/profile").await.problem(401, "invalid_token");
}
