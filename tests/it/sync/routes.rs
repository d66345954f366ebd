//! Sending anew and pushing: what becomes of the books.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{Account, Answer, Config, TestServer, eventually, position};

/// A row of the books.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Pair {
    pub(super) decoration_id: Uuid,
    pub(super) wanted: String,
    pub(super) sync_status: String,
    pub(super) sync_version: i64,
    pub(super) synced_version: Option<i64>,
    pub(super) attempts: i32,
    pub(super) error_message: Option<String>,
    pub(super) waits: bool,
}

/// The books of an edge.
pub(super) async fn pairs(t: &TestServer, edge: Uuid) -> Vec<Pair> {
    let rows = "SELECT decoration_id, wanted, sync_status, sync_version, synced_version, attempts, error_message, next_attempt_at IS NOT NULL AS waits
        FROM ar.decoration_sync WHERE edge_server_id = $1 ORDER BY decoration_id";
    sqlx::query_as(rows).bind(edge).fetch_all(&t.sql).await.expect("reads")
}

/// Runs a script on one connection.
pub(super) async fn run(t: &TestServer, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(&t.sql).await.unwrap_or_else(|error| panic!("{script}: {error}"));
}

async fn post(t: &TestServer, admin: &Account, path: &str) -> Answer {
    admin.ask(t, Method::POST, &format!("/api/v1/sync/{path}")).await
}

/// An edge with pairs of all decorations: synced, and then as `otherwise` says.
async fn edge_with_all(t: &TestServer, otherwise: &str) -> Uuid {
    let edge = t.edge("eu").insert().await;
    run(
        t,
        &format!(
            "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status) SELECT '{edge}', id, 'pending' FROM ar.decorations;
             UPDATE ar.decoration_sync SET sync_status = 'synced', synced_version = sync_version, wanted_at = now() - interval '1 hour' WHERE edge_server_id = '{edge}'"
        ),
    )
    .await;
    if !otherwise.is_empty() {
        run(t, &format!("UPDATE ar.decoration_sync SET {otherwise} AND edge_server_id = '{edge}'")).await;
    }
    edge
}

/// What the audit says: action, object and detail.
async fn acts(t: &TestServer, admin: &Account) -> Vec<(Value, Value, Value)> {
    let acts = admin.get(t, "/api/v1/audit").await.ok().items();
    let ours = acts.into_iter().filter(|act| act["action"].as_str().is_some_and(|action| action.contains("sync")));
    ours.map(|act| (act["action"].clone(), act["object_id"].clone(), act["detail"].clone())).collect()
}

#[tokio::test]
async fn a_full_sync_gives_every_pair_of_the_edge_a_higher_number_and_leaves_others_alone() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.decoration("").insert_at_each(&vec![position(0.0, 0.0); 40]).await;
    let edge = edge_with_all(&t, "wanted = 'remove', sync_status = 'outdated', sync_version = nextval('ar.sync_version_seq') WHERE decoration_id IN (SELECT id FROM ar.decorations ORDER BY id LIMIT 3)").await;
    let other = edge_with_all(&t, "").await;
    run(&t, &format!("UPDATE ar.decoration_sync SET sync_status = 'failed', attempts = 5, error_message = 'no', synced_version = NULL WHERE edge_server_id = '{edge}' AND decoration_id IN (SELECT id FROM ar.decorations ORDER BY id LIMIT 2 OFFSET 10)")).await;
    let (before, others) = (pairs(&t, edge).await, pairs(&t, other).await);
    let highest = before.iter().chain(&others).map(|pair| pair.sync_version).max();
    let answer = post(&t, &admin, &format!("decorations/edge/{edge}")).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"edge_servers": 1, "decorations": 37, "is_estimate": false})));
    // As many as these are renewed when the answer comes.
    let after = pairs(&t, edge).await;
    for (before, after) in before.iter().zip(&after) {
        let sync_status = if before.synced_version.is_some() { "outdated" } else { "pending" };
        assert!(Some(after.sync_version) > highest, "{before:?} {after:?}");
        let expected = Pair {
            sync_status: sync_status.to_owned(),
            sync_version: after.sync_version,
            attempts: 0,
            error_message: None,
            waits: false,
            ..before.clone()
        };
        assert_eq!(*after, expected);
    }
    assert_eq!(after.len(), before.len());
    assert_eq!(pairs(&t, other).await, others, "the other edge's are as they were");
    let status = admin.get(&t, &format!("/api/v1/edge-servers/{edge}/status")).await.ok().json();
    assert!(status["sync"]["lag_seconds"].as_f64().is_some_and(|lag_s| lag_s < 60.0), "wanted as of now: {status}");
    assert_eq!(acts(&t, &admin).await, [(json!("edge_server.sync"), json!(edge), json!({"decorations": 37}))]);
}

#[tokio::test]
async fn a_large_edge_is_renewed_in_pieces_by_whoever_is_there() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let admin = t.admin().await;
    run(
        &t,
        "INSERT INTO ar.decorations (name, category, location, h3_r5, h3_r7, h3_r9, radius_meters, asset_type)
         SELECT n::text, 'art', ST_MakePoint(0, 0)::geography, 599405990164561919, 608413189419302911, 617420388672339967, 5, 'image' FROM generate_series(1, 12000) AS n",
    )
    .await;
    let edge = edge_with_all(&t, "").await;
    let highest: i64 = sqlx::query_scalar("SELECT max(sync_version) FROM ar.decoration_sync").fetch_one(&t.sql).await.expect("a number");
    let left = async || -> i64 {
        let old = sqlx::query_scalar("SELECT count(*) FROM ar.decoration_sync WHERE sync_version <= $1").bind(highest);
        old.fetch_one(&t.sql).await.expect("counts")
    };
    let answer = post(&t, &admin, &format!("decorations/edge/{edge}")).await;
    assert_eq!((answer.status, &answer.json()["decorations"]), (202, &json!(12_000)));
    assert!(left().await <= 7_000, "the first piece is due with the answer");
    eventually("all have new numbers", async || (left().await == 0).then_some(())).await;
    let resending = async || admin.get(&other, &format!("/api/v1/sync/status/{edge}?limit=1")).await.ok().json()["resending"].clone();
    eventually("it is done", async || (resending().await == false).then_some(())).await;

    // One that an instance noted before it crashed.
    let highest: i64 = sqlx::query_scalar("SELECT max(sync_version) FROM ar.decoration_sync").fetch_one(&t.sql).await.expect("a number");
    run(&t, &format!("INSERT INTO ar.sync_resends (edge_server_id, done_up_to) SELECT '{edge}', decoration_id FROM ar.decoration_sync ORDER BY decoration_id OFFSET 11000 LIMIT 1")).await;
    eventually("a sweep finds it", async || (resending().await == false).then_some(())).await;
    let renewed: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decoration_sync WHERE sync_version > $1")
        .bind(highest)
        .fetch_one(&t.sql)
        .await
        .expect("counts");
    assert_eq!(renewed, 999, "it goes on where it stood");
}

#[tokio::test]
async fn what_failed_is_due_again_after_a_trigger_and_nothing_waits() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.decoration("").insert_at_each(&vec![position(0.0, 0.0); 20]).await;
    let edge = edge_with_all(&t, "").await;
    let other = edge_with_all(&t, "sync_status = 'failed', attempts = 5 WHERE true").await;
    let some = |what: &str, skip: u32, take: u32| {
        format!(
            "UPDATE ar.decoration_sync SET {what} WHERE edge_server_id = '{edge}' AND decoration_id IN (SELECT id FROM ar.decorations ORDER BY id LIMIT {take} OFFSET {skip});"
        )
    };
    run(
        &t,
        &(some("sync_version = nextval('ar.sync_version_seq'), sync_status = 'failed', attempts = 5, error_message = 'no room'", 0, 2)
            + &some("synced_version = NULL, sync_status = 'failed', attempts = 5, error_message = 'no room'", 2, 2)
            + &some("synced_version = NULL, sync_status = 'pending', attempts = 3, next_attempt_at = now() + interval '1 hour'", 4, 3)
            + &some("synced_version = NULL, sync_status = 'pending'", 7, 4)),
    )
    .await;
    let (before, others) = (pairs(&t, edge).await, pairs(&t, other).await);
    let answer = post(&t, &admin, &format!("trigger/{edge}")).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"pending": 11})));
    let after = pairs(&t, edge).await;
    for (n, (before, after)) in before.iter().zip(&after).enumerate() {
        let mut expected = Pair { waits: false, ..before.clone() };
        if before.sync_status == "failed" {
            expected.attempts = 0;
            expected.sync_status = if n < 2 { "outdated" } else { "pending" }.to_owned();
        }
        // The number too: what the edge has, it does not get again.
        assert_eq!(*after, expected, "{n}");
    }
    assert_eq!(pairs(&t, other).await, others);
    assert_eq!(post(&t, &admin, &format!("trigger/{edge}")).await.json(), json!({"pending": 11}), "once more is as good");
    let act = (json!("edge_server.trigger_sync"), json!(edge), json!({}));
    assert_eq!(acts(&t, &admin).await, [act.clone(), act]);
}

#[tokio::test]
async fn everything_is_sent_anew_while_writers_edit_on_two_instances() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let admin = t.admin().await;
    let mut edges = Vec::new();
    for n in 0..6 {
        edges.push(t.edge("eu").at(0.0, 0.001 * f64::from(n)).insert().await);
    }
    let gone = t.edge("eu").at(1.0, 1.0).insert().await;
    admin.ask(&t, Method::DELETE, &format!("/api/v1/edge-servers/{gone}")).await;
    let body = |name: String| json!({"name": name, "category": "art", "lat": 0, "lng": 0, "radius_meters": 5, "asset_type": "image"});
    let mut decorations = Vec::new();
    for n in 0..8 {
        let made = admin.send(&t, Method::POST, "/api/v1/decorations", body(format!("{n}"))).await.json();
        decorations.push(made["id"].as_str().expect("an id").to_owned());
    }
    run(&t, "UPDATE ar.decoration_sync SET sync_status = 'synced', synced_version = sync_version").await;
    let numbers = async || -> BTreeMap<(Uuid, Uuid), i64> {
        let rows: Vec<(Uuid, Uuid, i64)> = sqlx::query_as("SELECT edge_server_id, decoration_id, sync_version FROM ar.decoration_sync")
            .fetch_all(&t.sql)
            .await
            .expect("reads");
        rows.into_iter().map(|(edge, decoration, number)| ((edge, decoration), number)).collect()
    };
    let before = numbers().await;
    let highest = before.values().max().copied();
    assert_eq!(before.len(), 48);
    let edit = async |server: &TestServer, decorations: &[String]| {
        for n in 0..5 {
            for id in decorations {
                let put = admin.request(server, Method::PUT, &format!("/api/v1/decorations/{id}"));
                Answer::of(put.header("if-match", "*").json(&body(format!("{n}")))).await.ok();
            }
        }
    };
    let resend = async |server: &TestServer| {
        for _ in 0..5 {
            let answer = post(server, &admin, "decorations/all").await;
            assert_eq!((answer.status, answer.json()), (202, json!({"edge_servers": 6, "decorations": 48, "is_estimate": false})));
        }
    };
    let backwards: Vec<String> = decorations.iter().rev().cloned().collect();
    tokio::join!(edit(&t, &decorations), edit(&other, &backwards), resend(&t), resend(&other));
    eventually("all is renewed", async || {
        let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.sync_resends").fetch_one(&t.sql).await.expect("counts");
        (notes == 0).then_some(())
    })
    .await;
    let after = numbers().await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after.values().all(|number| Some(*number) > highest), "{after:?}");
    for edge in edges {
        assert!(pairs(&t, edge).await.iter().all(|pair| pair.sync_status == "outdated" && pair.wanted == "put"));
    }
    let act = (json!("edge_server.sync_all"), Value::Null, json!({"edge_servers": 6, "decorations": 48}));
    assert_eq!(acts(&t, &admin).await, vec![act; 10]);
}

#[tokio::test]
async fn who_asks_for_what_is_not_there_is_told_so() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let edge = t.edge("eu").insert().await;
    let gone = t.edge("eu").insert().await;
    admin.ask(&t, Method::DELETE, &format!("/api/v1/edge-servers/{gone}")).await;
    for path in ["decorations/edge", "trigger"] {
        for id in [Uuid::now_v7().to_string(), "nonsense".to_owned(), gone.to_string()] {
            post(&t, &admin, &format!("{path}/{id}")).await.problem(404, "unknown_edge_server");
        }
        post(&t, &user, &format!("{path}/{edge}")).await.problem(403, "forbidden");
        assert_eq!(post(&t, &admin, &format!("{path}/{edge}?force=true")).await.faulty_fields(400), ["force"]);
    }
    post(&t, &user, "decorations/all").await.problem(403, "forbidden");
    assert_eq!(post(&t, &admin, "decorations/all?x").await.faulty_fields(400), ["x"]);
    assert_eq!(acts(&t, &admin).await, []);
    // No edge is an answer, too.
    admin.ask(&t, Method::DELETE, &format!("/api/v1/edge-servers/{edge}")).await;
    assert_eq!(post(&t, &admin, "decorations/all").await.json(), json!({"edge_servers": 0, "decorations": 0, "is_estimate": false}));
}

#[tokio::test]
async fn an_edge_that_is_removed_meanwhile_is_in_nobodys_way() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    t.decoration("").insert_at_each(&vec![position(0.0, 0.0); 300]).await;
    for _ in 0..6 {
        let edge = edge_with_all(&t, "").await;
        let path = format!("decorations/edge/{edge}");
        let gone = format!("/api/v1/edge-servers/{edge}");
        let (sent, all, removed) =
            tokio::join!(post(&t, &admin, &path), post(&t, &admin, "decorations/all"), admin.ask(&t, Method::DELETE, &gone));
        assert!([202, 404].contains(&sent.status), "{}", sent.text());
        assert_eq!((all.status, removed.status), (202, 204), "{} {}", all.text(), removed.text());
        assert_eq!(pairs(&t, edge).await, []);
    }
    eventually("nothing is left to do", async || {
        let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.sync_resends").fetch_one(&t.sql).await.expect("counts");
        (notes == 0).then_some(())
    })
    .await;
}
