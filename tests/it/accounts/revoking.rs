//! The end of a session, a demotion, a disabled account and a new password are known on every instance (P18).

use std::time::{Duration, Instant};

use ar_supervisor::accounts::Role;
use ar_supervisor::db::Db;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{Account, Config, PASSWORD, Proof, TestServer, config_of, eventually, rounds};

/// What is promised.
const LATEST: Duration = Duration::from_secs(5);

/// Two instances on one database.
async fn two() -> (TestServer, TestServer) {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    (a, b)
}

/// Waits until an instance answers with a status; how long that took.
async fn until(account: &Account, server: &TestServer, path: &str, status: u16) -> Duration {
    let started = Instant::now();
    eventually("the other instance knows", async || (account.get(server, path).await.status == status).then_some(())).await;
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_is_known_on_the_other_instance() {
    let (a, b) = two().await;
    let admin = a.admin().await;
    let change = async |id: uuid::Uuid, body: Value| admin.send(&a, Method::PATCH, &format!("/api/v1/users/{id}"), body).await;
    let mut slowest = Duration::ZERO;
    let trials = rounds(3, 25);
    let mut proof = Proof::of("P18", "logouts, new passwords, demotions and disablings");
    for trial in 0..trials {
        proof.tried(4);
        let user = a.user().await;
        let other = a.admin().await;
        let phone = Account::sign_in(&a, &user.email, PASSWORD).await;
        let gone = Account::sign_in(&a, &user.email, PASSWORD).await;
        for account in [&user, &phone, &gone] {
            account.get(&b, "/api/v1/auth/profile").await.ok(); // known there
        }
        other.get(&b, "/api/v1/users?limit=1").await.ok();

        assert_eq!(gone.ask(&a, Method::POST, "/api/v1/auth/logout").await.status, 204);
        gone.get(&a, "/api/v1/auth/profile").await.problem(401, "invalid_token");
        let logout = until(&gone, &b, "/api/v1/auth/profile", 401).await;

        let body = json!({"current_password": PASSWORD, "new_password": format!("nine copper wheels spin {trial}")});
        user.send(&a, Method::PUT, "/api/v1/auth/profile", body).await.ok();
        let password = until(&phone, &b, "/api/v1/auth/profile", 401).await;
        user.get(&b, "/api/v1/auth/profile").await.ok();

        change(other.id, json!({"role": "user"})).await.ok();
        other.get(&a, "/api/v1/users?limit=1").await.problem(403, "forbidden");
        let demotion = until(&other, &b, "/api/v1/users?limit=1", 403).await;
        other.get(&b, "/api/v1/auth/profile").await.ok();

        change(user.id, json!({"is_active": false})).await.ok();
        user.get(&a, "/api/v1/auth/profile").await.problem(401, "invalid_token");
        let disabling = until(&user, &b, "/api/v1/auth/profile", 401).await;
        slowest = [slowest, logout, password, demotion, disabling].into_iter().max().expect("some");
    }
    println!("{} trials, slowest {slowest:?}", 4 * trials);
    proof.measured(format!("slowest {slowest:.2?}"));
    assert!(slowest < LATEST, "{slowest:?}");
}

/// A session has several access tokens in its life, and all of them end with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_token_of_the_session_ends_with_it() {
    let (a, b) = two().await;
    let first = a.user().await;
    first.get(&b, "/api/v1/auth/profile").await.ok();
    let refreshed = a.post("/api/v1/auth/refresh", json!({"refresh_token": first.refresh_token})).await.ok().json();
    let second = Account { access_token: refreshed["access_token"].as_str().expect("a token").to_owned(), ..first.clone() };
    for server in [&a, &b] {
        first.get(server, "/api/v1/auth/profile").await.ok();
        second.get(server, "/api/v1/auth/profile").await.ok();
    }
    assert_eq!(second.ask(&a, Method::POST, "/api/v1/auth/logout").await.status, 204);
    for token in [&first, &second] {
        token.get(&a, "/api/v1/auth/profile").await.problem(401, "invalid_token");
        assert!(until(token, &b, "/api/v1/auth/profile", 401).await < LATEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_notice_is_made_up_for_by_the_sweep() {
    let (a, b) = two().await;
    let user = a.user().await;
    user.get(&b, "/api/v1/auth/profile").await.ok();
    // As if the notice were lost: nobody is told.
    let started = Instant::now();
    let revoke = sqlx::query("UPDATE ar.user_sessions SET revoked_at = now(), access_changed_at = now() WHERE user_id = $1");
    revoke.bind(user.id).execute(&a.sql).await.expect("revokes");
    let took = [until(&user, &a, "/api/v1/auth/profile", 401).await, until(&user, &b, "/api/v1/auth/profile", 401).await];
    assert!(started.elapsed() < LATEST, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_listeners_listen_again() {
    let (a, b) = two().await;
    let mut killer = PgConnection::connect_with(&a.db().options()).await.expect("connects");
    for _ in 0..rounds(3, 50) {
        let user = a.user().await;
        user.get(&b, "/api/v1/auth/profile").await.ok();
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ar-supervisor background'";
        let _killed: i64 = sqlx::query_scalar(kill).fetch_one(&mut killer).await.expect("kills");
        assert_eq!(user.ask(&a, Method::POST, "/api/v1/auth/logout").await.status, 204);
        let took = until(&user, &b, "/api/v1/auth/profile", 401).await;
        assert!(took < LATEST, "{took:?}");
    }
}

#[tokio::test]
async fn a_promoted_user_may_at_once() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    user.get(&t, "/api/v1/users").await.problem(403, "forbidden");
    admin.send(&t, Method::PATCH, &format!("/api/v1/users/{}", user.id), json!({"role": "admin"})).await.ok();
    user.get(&t, "/api/v1/users").await.ok();
}

#[tokio::test]
async fn a_known_token_is_known_without_the_database() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let accounts = &t.state.accounts;
    let nowhere = Db::new(&config_of(sqlx::postgres::PgConnectOptions::new().host("127.0.0.1").port(1)));
    assert!(
        accounts.seen(&user.access_token).is_none() && accounts.verify(&nowhere, &user.access_token).await.is_err(),
        "a new one is asked for"
    );
    let known = eventually("the first sweep has been", async || {
        user.get(&t, "/api/v1/auth/profile").await.ok();
        accounts.seen(&user.access_token)
    })
    .await;
    assert_eq!((known.user_id, known.role), (user.id, Role::User));
}
