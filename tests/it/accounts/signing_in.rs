//! Registering, signing in and out, one's own account and sessions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, PASSWORD, TestServer, eventually};

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"})
}

#[tokio::test]
async fn a_registered_person_signs_in_and_is_who_he_is() {
    let t = TestServer::start().await;
    let made = t.post("/api/v1/auth/register", registration("Ada@Example.org")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let user = made.json();
    assert_eq!((&user["email"], &user["role"], &user["is_active"]), (&json!("Ada@Example.org"), &json!("user"), &json!(true)));
    assert_eq!(user["last_login"], Value::Null);
    let members: Vec<&String> = user.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["created_at", "email", "full_name", "id", "is_active", "last_login", "role", "updated_at"]);

    let login = json!({"email": "ada@EXAMPLE.org", "password": PASSWORD, "device_info": "Pixel 9"});
    let signed_in = t.post("/api/v1/auth/login", login).await.ok();
    assert_eq!(signed_in.header("cache-control"), Some("no-store"));
    let tokens = signed_in.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert!(tokens["user"]["last_login"].is_string());

    let ada = Account::sign_in(&t, "ada@example.org", PASSWORD).await;
    assert_eq!(ada.get(&t, "/api/v1/auth/profile").await.ok().json()["id"], user["id"]);
    let sessions = ada.get(&t, "/api/v1/auth/sessions").await.ok().items();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).expect("the first sign-in");
    assert_eq!((&other["device_info"], &other["ip_address"]), (&json!("Pixel 9"), &json!("127.0.0.1")));
}

#[tokio::test]
async fn an_e_mail_is_one_persons_whatever_its_case() {
    let t = TestServer::start().await;
    assert_eq!(t.post("/api/v1/auth/register", registration("ada@example.org")).await.status, 201);
    t.post("/api/v1/auth/register", registration("ADA@example.ORG")).await.problem(409, "email_taken");
    // Only ASCII letters have a case here: what merely looks alike is somebody else.
    for other in ["ada@example.org.", "İda@example.org", "аda@example.org"] {
        assert_eq!(t.post("/api/v1/auth/register", registration(other)).await.status, 201, "{other}");
    }
    for bad in ["ada", "@example.org", "ada@", "a@b@c", "ada @example.org", " ada@example.org", "ada@example.org "] {
        assert_eq!(t.post("/api/v1/auth/register", registration(bad)).await.faulty_fields(422), ["email"], "{bad}");
    }
}

#[tokio::test]
async fn a_role_cannot_be_registered() {
    let t = TestServer::start().await;
    let mut body = registration("eve@example.org");
    body["role"] = json!("admin");
    assert_eq!(t.post("/api/v1/auth/register", body).await.faulty_fields(400), ["role"]);
}

#[tokio::test]
async fn a_password_that_is_easy_to_guess_is_refused_with_the_rule() {
    let t = TestServer::start().await;
    for (password, rule) in [
        ("tiny pw", "too_short"),
        ("passwordpassword", "too_common"),
        ("ar-supervisor-2026", "too_common"),
        ("aaaaaaaaaaaaaaaa", "too_guessable"),
        ("grace@example.org", "too_common"),
        (&"long enough ".repeat(11), "too_long"),
    ] {
        let body = json!({"email": "grace@example.org", "password": password, "full_name": "Grace"});
        let answer = t.post("/api/v1/auth/register", body).await;
        assert_eq!(answer.status, 422, "{password}: {}", answer.text());
        assert!(answer.text().contains(&format!("\"code\":\"{rule}\"")), "{password}: {}", answer.text());
        assert!(answer.text().contains("weak_password"), "{password}: {}", answer.text());
        assert!(!answer.text().contains(password), "{}", answer.text());
    }
    assert_eq!(t.state.accounts.hashes_done(), 0, "a bad password costs no hash");
    // Other faults are named with it, and another text that is too long is no weak password.
    let many = json!({"email": "grace", "password": "tiny pw", "full_name": ""});
    assert_eq!(t.post("/api/v1/auth/register", many).await.faulty_fields(422), ["email", "full_name", "password"]);
    let long_name = json!({"email": "grace@example.org", "password": PASSWORD, "full_name": "x".repeat(256)});
    assert_eq!(t.post("/api/v1/auth/register", long_name).await.faulty_fields(422), ["full_name"]);
    let ada = t.user().await;
    let answer = ada.send(&t, Method::PUT, "/api/v1/auth/profile", json!({"full_name": "", "email": "x", "new_password": "short"})).await;
    assert_eq!(answer.faulty_fields(422), ["current_password", "email", "full_name", "new_password"]);
}

#[tokio::test]
async fn who_signed_out_is_out_and_his_other_sessions_stay() {
    let t = TestServer::start().await;
    let first = t.user().await;
    let second = Account::sign_in(&t, &first.email, PASSWORD).await;
    assert_eq!(first.ask(&t, Method::POST, "/api/v1/auth/logout").await.status, 204);
    first.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    first.ask(&t, Method::POST, "/api/v1/auth/logout").await.problem(401, "invalid_token");
    let refresh = json!({"refresh_token": first.refresh_token});
    t.post("/api/v1/auth/refresh", refresh).await.problem(401, "invalid_refresh_token");
    second.get(&t, "/api/v1/auth/profile").await.ok();
}

#[tokio::test]
async fn a_session_can_be_ended_by_its_owner_only() {
    let t = TestServer::start().await;
    let (ada, eve) = (t.user().await, t.user().await);
    let phone = Account::sign_in(&t, &ada.email, PASSWORD).await;
    let sessions = ada.get(&t, "/api/v1/auth/sessions").await.ok().items();
    let other = sessions.iter().find(|session| session["current"] == false).expect("the phone's")["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/auth/sessions/{other}");
    eve.ask(&t, Method::DELETE, &path).await.problem(404, "unknown_session");
    phone.get(&t, "/api/v1/auth/profile").await.ok();
    assert_eq!(ada.ask(&t, Method::DELETE, &path).await.status, 204);
    phone.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    ada.ask(&t, Method::DELETE, &path).await.problem(404, "unknown_session");
    ada.ask(&t, Method::DELETE, "/api/v1/auth/sessions/nonsense").await.problem(404, "unknown_session");
}

#[tokio::test]
async fn the_eleventh_session_takes_the_place_of_the_one_used_least_lately() {
    let t = TestServer::start().await;
    let first = t.user().await;
    let mut later = Vec::new();
    for _ in 0..9 {
        later.push(Account::sign_in(&t, &first.email, PASSWORD).await);
    }
    first.get(&t, "/api/v1/auth/profile").await.ok();
    // Uses are written in batches; then the second one is the oldest.
    eventually("the first session's use is noted", async || {
        let oldest: uuid::Uuid = sqlx::query_scalar("SELECT id FROM ar.user_sessions WHERE user_id = $1 ORDER BY last_used LIMIT 1")
            .bind(first.id)
            .fetch_one(&t.sql)
            .await
            .expect("reads");
        let own = first.get(&t, "/api/v1/auth/sessions").await.ok().items();
        let current = own.iter().find(|session| session["current"] == true).expect("its own").clone();
        (current["id"] != oldest.to_string()).then_some(())
    })
    .await;
    let eleventh = Account::sign_in(&t, &first.email, PASSWORD).await;
    later[0].get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    for live in later[1..].iter().chain([&first, &eleventh]) {
        live.get(&t, "/api/v1/auth/profile").await.ok();
    }
}

#[tokio::test]
async fn a_profile_is_changed_with_the_password_where_that_matters() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let put = async |body: Value| ada.send(&t, Method::PUT, "/api/v1/auth/profile", body).await;
    assert_eq!(put(json!({"full_name": "Ada King"})).await.ok().json()["full_name"], "Ada King");
    let new_email = format!("new-{}", ada.email);
    assert_eq!(put(json!({"email": new_email})).await.faulty_fields(422), ["current_password"]);
    assert_eq!(put(json!({"email": new_email, "current_password": "not the right one"})).await.faulty_fields(422), ["current_password"]);
    assert_eq!(put(json!({"email": new_email, "current_password": PASSWORD})).await.ok().json()["email"], new_email);
    // Get, edit, put.
    let mut profile = ada.get(&t, "/api/v1/auth/profile").await.ok().json();
    profile["full_name"] = json!("Ada Lovelace");
    profile["role"] = json!("admin");
    assert_eq!(put(profile).await.ok().json()["role"], "user", "a role is not one's own to change");
    // What is written out as nothing is nothing.
    put(json!({"full_name": "Ada", "new_password": null, "current_password": null, "email": null})).await.ok();
    // Faults of all fields are named together, the password's strength with them.
    let faulty = json!({"full_name": "", "current_password": PASSWORD, "new_password": "aaaaaaaaaaaaaaaa"});
    assert_eq!(put(faulty).await.faulty_fields(422), ["full_name", "new_password"]);
    let eve = t.user().await;
    put(json!({"email": eve.email, "current_password": PASSWORD})).await.problem(409, "email_taken");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let phone = Account::sign_in(&t, &ada.email, PASSWORD).await;
    phone.get(&t, "/api/v1/auth/profile").await.ok();
    let body = json!({"current_password": PASSWORD, "new_password": "nine copper wheels spin"});
    ada.send(&t, Method::PUT, "/api/v1/auth/profile", body).await.ok();
    ada.get(&t, "/api/v1/auth/profile").await.ok();
    phone.get(&t, "/api/v1/auth/profile").await.problem(401, "invalid_token");
    let old = json!({"email": ada.email, "password": PASSWORD});
    t.post("/api/v1/auth/login", old).await.problem(401, "invalid_credentials");
    Account::sign_in(&t, &ada.email, "nine copper wheels spin").await;
}

#[tokio::test]
async fn a_ticket_is_for_a_websocket_and_kept_as_a_hash() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let answer = ada.send(&t, Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/ws/admin"})).await;
    assert_eq!((answer.status, &answer.json()["expires_in"]), (201, &json!(30)));
    let ticket = answer.json()["ticket"].as_str().expect("a text").to_owned();
    assert!(ticket.len() >= 43, "256 bits: {ticket}");
    let kept: Vec<(Vec<u8>, String)> =
        sqlx::query_as("SELECT ticket_hash, path FROM ar.ws_tickets").fetch_all(&t.sql).await.expect("reads");
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].0.len(), kept[0].1.as_str()), (32, "/ws/admin"));
    let elsewhere = ada.send(&t, Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/api/v1/users"})).await;
    assert_eq!(elsewhere.faulty_fields(422), ["path"]);
}

#[tokio::test]
async fn the_public_key_checks_our_tokens() {
    let t = TestServer::start().await;
    let ada = t.user().await;
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(t.get("/.well-known/jwks.json").await.ok().json()).expect("a JWK set");
    let header = jsonwebtoken::decode_header(&ada.access_token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = jwks.find(header.kid.as_deref().expect("a key id")).expect("our key is published");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["ar-supervisor"]);
    validation.set_issuer(&["ar-supervisor"]);
    let claims = jsonwebtoken::decode::<Value>(&ada.access_token, &key, &validation).expect("checks").claims;
    let members: Vec<&String> = claims.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["aud", "exp", "iat", "iss", "jti", "nbf", "role", "sid", "sub"]);
    assert_eq!(claims["sub"], ada.id.to_string());
}

#[tokio::test]
async fn too_many_sign_ins_at_once_are_told_to_come_back() {
    let t = TestServer::start().await;
    let login = json!({"email": "nobody@example.org", "password": "whatever it may be"});
    let asking: Vec<_> = (0..120).map(|_| t.post("/api/v1/auth/login", login.clone())).collect();
    let answers = futures_util::future::join_all(asking).await;
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for answer in answers {
        *seen.entry(answer.status).or_default() += 1;
        if answer.status == 503 {
            answer.problem(503, "hashing_busy");
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert!(seen.get(&401).is_some_and(|refused| *refused >= 32), "those in the queue are answered: {seen:?}");
    assert!(seen.get(&503).is_some_and(|shed| *shed > 0), "the rest is shed: {seen:?}");
}
