//! What admins do with accounts: lists, roles, help with forgotten passwords, and the last admin.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, PASSWORD, TestServer, rounds};

async fn patch(t: &TestServer, admin: &Account, id: uuid::Uuid, body: Value) -> Answer {
    admin.send(t, Method::PATCH, &format!("/api/v1/users/{id}"), body).await
}

#[tokio::test]
async fn accounts_are_listed_newest_first_page_by_page() {
    let t = TestServer::start().await;
    let mut made = vec![t.admin().await];
    for _ in 0..4 {
        made.push(t.user().await);
    }
    let admin = made[0].clone();
    let mut ids: Vec<String> = Vec::new();
    let mut path = "/api/v1/users?limit=2".to_owned();
    loop {
        let page = admin.get(&t, &path).await.ok();
        ids.extend(page.texts("id"));
        let Some(cursor) = page.next_cursor() else { break };
        path = format!("/api/v1/users?limit=2&cursor={cursor}");
    }
    let expected: Vec<String> = made.iter().rev().map(|account| account.id.to_string()).collect();
    assert_eq!(ids, expected);
    assert_eq!(admin.get(&t, "/api/v1/users?role=admin").await.ok().texts("id"), [admin.id.to_string()]);
    assert_eq!(
        admin.get(&t, &format!("/api/v1/users?email={}", made[2].email.to_uppercase())).await.ok().texts("id"),
        [made[2].id.to_string()]
    );
    patch(&t, &admin, made[3].id, json!({"is_active": false})).await.ok();
    assert_eq!(admin.get(&t, "/api/v1/users?is_active=false").await.ok().texts("id"), [made[3].id.to_string()]);
    // A cursor is of its own list.
    let cursor = admin.get(&t, "/api/v1/users?limit=1").await.ok().next_cursor().expect("more");
    assert_eq!(admin.get(&t, &format!("/api/v1/users?role=user&cursor={cursor}")).await.faulty_fields(400), ["cursor"]);
}

#[tokio::test]
async fn the_last_active_admin_stays_one() {
    let t = TestServer::start().await;
    let (first, second) = (t.admin().await, t.admin().await);
    patch(&t, &first, second.id, json!({"role": "user"})).await.ok();
    patch(&t, &first, first.id, json!({"role": "user"})).await.problem(409, "last_admin");
    patch(&t, &first, first.id, json!({"is_active": false})).await.problem(409, "last_admin");
    assert_eq!(patch(&t, &first, first.id, json!({})).await.ok().json()["role"], "admin");
    patch(&t, &first, uuid::Uuid::now_v7(), json!({"role": "user"})).await.problem(404, "unknown_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_demote_each_other_leave_one() {
    let t = TestServer::start().await;
    for round in 0..rounds(10, 100) {
        let (a, b) = (t.admin().await, t.admin().await);
        sqlx::query("UPDATE ar.users SET role = 'user' WHERE id <> $1 AND id <> $2")
            .bind(a.id)
            .bind(b.id)
            .execute(&t.sql)
            .await
            .expect("only they");
        let (one, other) = tokio::join!(patch(&t, &a, b.id, json!({"role": "user"})), patch(&t, &b, a.id, json!({"is_active": false})));
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ar.users WHERE role = 'admin' AND is_active").fetch_one(&t.sql).await.expect("counts");
        assert_eq!(left, 1, "{round}: {} {}", one.status, other.status);
    }
}

#[tokio::test]
async fn a_forgotten_password_is_set_once_and_ends_all_sessions() {
    let t = TestServer::start().await;
    let (admin, ada) = (t.admin().await, t.user().await);
    let offer = async || admin.ask(&t, Method::POST, &format!("/api/v1/users/{}/password-reset", ada.id)).await;
    let void = offer().await;
    let offered = offer().await;
    assert_eq!((offered.status, &offered.json()["expires_in"]), (201, &json!(3600)));
    let token = offered.json()["reset_token"].clone();
    let reset = async |token: &Value, password: &str| {
        t.post("/api/v1/auth/password-reset", json!({"reset_token": token, "new_password": password})).await
    };
    reset(&void.json()["reset_token"], "nine copper wheels spin").await.problem(401, "invalid_reset_token");
    reset(&token, "short").await.problem(422, "weak_password");
    assert_eq!(reset(&token, "nine copper wheels spin").await.status, 204);
    reset(&token, "nine copper wheels spin").await.problem(401, "invalid_reset_token");
    ada.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    let old = json!({"email": ada.email, "password": PASSWORD});
    t.post("/api/v1/auth/login", old).await.problem(401, "invalid_credentials");
    Account::sign_in(&t, &ada.email, "nine copper wheels spin").await;
    // An hour later it is over.
    let token = offer().await.json()["reset_token"].clone();
    sqlx::query("UPDATE ar.password_resets SET expires_at = now()").execute(&t.sql).await.expect("time moves on");
    reset(&token, "nine copper wheels spin").await.problem(401, "invalid_reset_token");
    admin.ask(&t, Method::POST, "/api/v1/users/nonsense/password-reset").await.problem(404, "unknown_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_token_works_for_one_of_many_at_once() {
    let t = TestServer::start().await;
    let (admin, ada) = (t.admin().await, t.user().await);
    let offered = admin.ask(&t, Method::POST, &format!("/api/v1/users/{}/password-reset", ada.id)).await.json();
    let asking = (0..8).map(|n| {
        let body = json!({"reset_token": offered["reset_token"], "new_password": format!("nine copper wheels {n}")});
        t.post("/api/v1/auth/password-reset", body)
    });
    let answers = futures_util::future::join_all(asking).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
}

#[tokio::test]
async fn a_weaker_hash_is_made_better_at_login() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let hash = async || -> String { sqlx::query_scalar("SELECT password_hash FROM ar.users").fetch_one(&t.sql).await.expect("reads") };
    let strong = hash().await;
    assert!(strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{strong}");
    // The same password under a weaker cost.
    let weak =
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, argon2::Params::new(64, 1, 1, None).expect("allowed"));
    let (salt, mut digest) = ([7; 16], [0; 32]);
    weak.hash_password_into(PASSWORD.as_bytes(), &salt, &mut digest).expect("hashes");
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, bytes);
    let weak = format!("$argon2id$v=19$m=64,t=1,p=1${}${}", base64(&salt), base64(&digest));
    sqlx::query("UPDATE ar.users SET password_hash = $1").bind(&weak).execute(&t.sql).await.expect("weakens");
    Account::sign_in(&t, &ada.email, PASSWORD).await;
    let better = hash().await;
    assert!(better.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && better != strong, "{better}");
    Account::sign_in(&t, &ada.email, PASSWORD).await;
    assert_eq!(hash().await, better);
}
