//! Concurrent edits and retries neither vanish nor double (P25).

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{content, content_with, path_of};
use crate::support::{Account, Answer, Config, Proof, TestServer, rounds};

async fn keyed(t: &TestServer, account: &Account, key: &str, content: &Value) -> Answer {
    Answer::of(account.request(t, Method::POST, "/api/v1/decorations").header("idempotency-key", key).json(content)).await
}

/// Edits with the newest version it has seen, until it succeeds; the versions it made.
async fn edit_repeatedly(t: &TestServer, admin: &Account, path: &str, writer: usize, edits: usize) -> Vec<(i64, String)> {
    let mut made = Vec::new();
    let mut version = 1;
    while made.len() < edits {
        let name = format!("writer {writer} edit {}", made.len());
        let request = admin.request(t, Method::PUT, path).header("if-match", format!("\"{version}\"")).json(&content(&name));
        let answer = Answer::of(request).await;
        match answer.status {
            200 => {
                version = answer.json()["version"].as_i64().expect("a version");
                made.push((version, name));
            }
            412 => version = answer.json()["current"]["version"].as_i64().expect("a version"),
            // Many wait for one row: some are told to come back.
            503 => assert!(answer.header("retry-after").is_some()),
            _ => panic!("{}", answer.text()),
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn every_success_among_many_writers_is_a_version_of_its_own() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    let admin = a.admin().await;
    let made = admin.send(&a, Method::POST, "/api/v1/decorations", content("gate")).await.json();
    let path = path_of(&made);
    let (writers, edits) = (32, rounds(5, 200));
    let mut proof = Proof::of("P25", "edits of one decoration by 32 writers");
    let editing = (0..writers).map(|writer| edit_repeatedly(if writer % 2 == 0 { &a } else { &b }, &admin, &path, writer, edits));
    let versions: Vec<(i64, String)> = futures_util::future::join_all(editing).await.into_iter().flatten().collect();
    let distinct: BTreeSet<i64> = versions.iter().map(|(version, _)| *version).collect();
    let successes = i64::try_from(versions.len()).expect("fits");
    proof.tried(versions.len());
    proof.failed(versions.len() - distinct.len());
    println!("{writers} writers, {successes} successes, {} versions", distinct.len());
    assert_eq!(distinct, (2..=successes + 1).collect::<BTreeSet<_>>(), "each success is one version, none is lost");
    let last = admin.get(&a, &path).await.ok().json();
    let (_, name) = versions.into_iter().max().expect("some");
    assert_eq!((&last["version"], &last["name"]), (&json!(successes + 1), &json!(name)));
    let acts: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.audit_log WHERE action = 'decoration.replace'")
        .fetch_one(&a.sql)
        .await
        .expect("counts");
    assert_eq!(acts, successes);
}

#[tokio::test]
async fn a_retry_has_one_effect_and_the_first_answer() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let first = keyed(&t, &admin, "k-1", &content("gate")).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    for _ in 0..3 {
        let again = keyed(&t, &admin, "k-1", &content("gate")).await;
        assert_eq!((again.status, again.text()), (201, first.text()), "to the letter");
        assert_eq!((again.header("location"), again.header("etag")), (first.header("location"), first.header("etag")));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    keyed(&t, &admin, "k-1", &content("arch")).await.problem(422, "idempotency_key_reused");
    // Even after the thing was changed, the first answer is the first answer.
    let path = path_of(&first.json());
    assert_eq!(admin.ask(&t, Method::DELETE, &path).await.status, 204);
    assert_eq!(keyed(&t, &admin, "k-1", &content("gate")).await.text(), first.text());
    // Another key, or another person's same key, is another request.
    let other = t.admin().await;
    let ids: BTreeSet<String> = [keyed(&t, &admin, "k-2", &content("gate")).await, keyed(&t, &other, "k-1", &content("gate")).await, first]
        .iter()
        .map(|answer| answer.json()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 3);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(count, 3);
    for bad in ["", "a\u{e9}", &"k".repeat(256)] {
        assert_eq!(keyed(&t, &admin, bad, &content("gate")).await.faulty_fields(400), ["Idempotency-Key"], "{bad}");
    }
}

#[tokio::test]
async fn what_failed_under_a_key_may_be_tried_again() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let body = content_with("b", json!({"external_id": "m-1"}));
    let in_the_way = keyed(&t, &admin, "k-0", &body).await.json();
    keyed(&t, &admin, "k-1", &body).await.problem(409, "external_id_taken");
    sqlx::query("DELETE FROM ar.decoration_sync").execute(&t.sql).await.expect("deletes");
    sqlx::query("DELETE FROM ar.decorations").execute(&t.sql).await.expect("out of the way");
    let made = keyed(&t, &admin, "k-1", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_ne!(made.json()["id"], in_the_way["id"]);
    // After a day the key is as good as new.
    sqlx::query("UPDATE ar.idempotency_keys SET expires_at = now()").execute(&t.sql).await.expect("time moves on");
    let later = keyed(&t, &admin, "k-1", &content("another day")).await;
    assert_eq!((later.status, later.header("idempotency-replayed")), (201, None), "{}", later.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_many_times_at_once_has_one_effect() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    let admin = a.admin().await;
    let mut proof = Proof::of("P25", "creations with one key, 16 at once");
    for round in 0..rounds(5, 100) {
        proof.tried(1);
        let key = format!("k-{round}");
        let body = content(&key);
        let asking = (0..16).map(|i| keyed(if i % 2 == 0 { &a } else { &b }, &admin, &key, &body));
        let answers = futures_util::future::join_all(asking).await;
        assert!(
            answers.iter().all(|answer| [201, 503].contains(&answer.status)),
            "{:?}",
            answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
        );
        let ids: BTreeSet<String> =
            answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.json()["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "{round}");
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ar.decorations WHERE name = $1").bind(&key).fetch_one(&a.sql).await.expect("counts");
        assert_eq!(count, 1, "{round}");
    }
}
