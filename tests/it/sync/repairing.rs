//! Edges that hold something else than was acknowledged: what differs comes again, and no more than that; and when that
//! does not help, everything.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use uuid::Uuid;

use super::delivering::{at, create, import, live, put, settled};
use crate::editing::content_with;
use crate::support::{Account, Held, HoldingEdge, RegisteredEdge, Talk, TestServer, edge_body, eventually};

/// So many that buckets, and several batches, matter.
const MANY: usize = 640;

async fn delete(t: &TestServer, admin: &Account, id: Uuid) {
    assert_eq!(admin.ask(t, Method::DELETE, &format!("/api/v1/decorations/{id}")).await.status, 204);
}

async fn edit(t: &TestServer, admin: &Account, id: Uuid, name: &str) {
    put(t, admin, &json!({"id": id}), content_with(name, json!({"lat": 10.0, "lng": 20.0}))).await;
}

/// Lets an edge go, changes what it holds, and has it come back; what came to it until it held what it should: entries,
/// effects, snapshots.
async fn comes_back(t: &TestServer, edge: HoldingEdge, change: impl FnOnce(&mut Held)) -> (HoldingEdge, [u64; 3]) {
    let registered = edge.edge.clone();
    let mut held = edge.kill().await;
    change(&mut held);
    let (before, sessions) = ([held.entries, held.effects, held.snapshots], held.modes.len());
    let edge = HoldingEdge::live(registered, at(t.address), held);
    eventually("it is back", async || (edge.held().modes.len() > sessions).then_some(())).await;
    settled(&t.sql, &edge).await;
    let after = edge.held();
    assert_eq!(after.modes.last().map(String::as_str), Some("delta"));
    let [entries, effects, snapshots] = before;
    (edge, [after.entries - entries, after.effects - effects, after.snapshots - snapshots])
}

#[tokio::test]
async fn what_an_edge_holds_is_compared_and_only_what_differs_comes_again() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "a", 10.0, 20.0).await;
    let ids = import(&t, &admin, MANY, "place", "a place").await;
    settled(&t.sql, &edge).await;
    assert_eq!((edge.held().items.len(), edge.held().inventories), (MANY, 0));

    // An old copy: of a time before edits, removals and news.
    let copy = edge.held();
    for id in &ids[..30] {
        edit(&t, &admin, *id, "edited").await;
    }
    for id in &ids[30..40] {
        delete(&t, &admin, *id).await;
    }
    for n in 0..5 {
        create(&t, &admin, &format!("new {n}"), 10.0, 20.0).await;
    }
    settled(&t.sql, &edge).await;
    let (edge, sent) = comes_back(&t, edge, |held| *held = copy).await;
    assert_eq!(sent, [45, 45, 0]);
    assert!((1..=2).contains(&edge.held().inventories), "16 buckets are asked for at once: {}", edge.held().inventories);
    let kept = MANY - 5;
    assert_eq!(edge.held().items.len(), kept);

    // Items that were lost.
    let (edge, sent) = comes_back(&t, edge, |held| {
        for id in &ids[100..140] {
            held.lose(*id);
        }
    })
    .await;
    assert_eq!(sent, [40, 40, 0]);

    // Items that are nobody's, some of them with the id of what was deleted.
    let strays: Vec<Uuid> = ids[30..35].iter().copied().chain((0..20).map(|_| Uuid::now_v7())).collect();
    let (edge, sent) = comes_back(&t, edge, |held| {
        held.items.extend(strays.iter().map(|id| (*id, (3, json!({"name": "stray"})))));
    })
    .await;
    assert_eq!((sent, edge.held().items.len()), ([25, 25, 0], kept));

    // Numbers of a time to come, and one of a removal.
    let (edge, sent) = comes_back(&t, edge, |held| {
        for id in &ids[200..210] {
            held.items.get_mut(id).expect("held").0 += 5_000;
        }
        held.items.insert(ids[36], (7_000, json!({"name": "stray"})));
    })
    .await;
    assert_eq!((sent, edge.held().items.len()), ([11, 11, 0], kept));

    // All of that together, and it was deleted meanwhile what it lost.
    delete(&t, &admin, ids[300]).await;
    settled(&t.sql, &edge).await;
    let registered = edge.edge.clone();
    let mut held = edge.kill().await;
    delete(&t, &admin, ids[301]).await;
    edit(&t, &admin, ids[302], "edited").await;
    for id in &ids[301..304] {
        held.lose(*id);
    }
    held.items.insert(ids[300], (9, json!({"name": "stray"})));
    let before = held.entries;
    let edge = HoldingEdge::live(registered, at(t.address), held);
    settled(&t.sql, &edge).await;
    let held = edge.held();
    assert_eq!((held.entries - before, held.items.len(), held.snapshots), (3, kept - 2, 1));
    assert_eq!((held.falls, held.repeats), (0, 0));
}

/// An edge that has gone, with what it holds of [`MANY`] decorations.
async fn one_with_many(t: &TestServer, admin: &Account) -> (RegisteredEdge, Held) {
    let edge = live(t, admin, "a", 10.0, 20.0).await;
    import(t, admin, MANY, "place", "a place").await;
    settled(&t.sql, &edge).await;
    (edge.edge.clone(), edge.kill().await)
}

/// Answers with digests in parts of three buckets.
async fn answer_in_parts(talk: &mut Talk, request: &Value) {
    let whole = talk.held.answer(request).remove(0)["data"].clone();
    let buckets = whole["buckets"].as_array().expect("buckets");
    let parts: Vec<&[Value]> = buckets.chunks(3).collect();
    for (n, part) in parts.iter().enumerate() {
        let data = json!({"bits": whole["bits"], "buckets": part, "last": n + 1 == parts.len()});
        talk.socket.send("digests", data).await;
    }
}

#[tokio::test]
async fn a_wrong_digest_in_hello_has_digests_compared_and_nothing_sent() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (edge, held) = one_with_many(&t, &admin).await;
    let entries = held.entries;
    let mut hello = held.hello();
    hello["held"]["digest"] = json!("0123456789abcdef");
    let mut talk = Talk::begin_with(&t, &edge, held, hello).await;
    let request = talk.until("digest_request").await;
    assert_eq!(request["data"], json!({"bits": 4}), "64 a bucket at most");
    answer_in_parts(&mut talk, &request).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.entries, talk.held.inventories), (entries, 0));
}

#[tokio::test]
async fn a_complaint_brings_what_differs_a_second_one_brings_everything_and_so_does_any_other() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (edge, held) = one_with_many(&t, &admin).await;
    let snapshots = held.snapshots;
    let mut talk = Talk::begin(&t, &edge, held).await;
    talk.until_agreed().await;
    let lost: Vec<Uuid> = talk.held.items.keys().copied().take(3).collect();
    for id in lost {
        talk.held.lose(id);
    }
    let before = talk.held.entries;
    talk.socket.send("sync_request", json!({"reason": "checkpoint_differs"})).await;
    let request = talk.until("digest_request").await;
    answer_in_parts(&mut talk, &request).await;
    let request = talk.until("inventory_request").await;
    assert!((1..=3).contains(&request["data"]["prefixes"].as_array().expect("prefixes").len()), "{request}");
    talk.answer(&request).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.entries - before, talk.held.snapshots - snapshots), (3, 0));

    for (complaint, snapshots) in [("checkpoint_differs", 1), ("the disk was replaced", 2)] {
        let (before, begun) = (talk.held.entries, talk.held.effects);
        talk.socket.send("sync_request", json!({"reason": complaint})).await;
        talk.until_agreed().await;
        let many = u64::try_from(MANY).expect("few");
        assert_eq!((talk.held.entries - before, talk.held.effects - begun), (many, many), "{complaint}: all has new numbers");
        assert_eq!(talk.held.snapshots, snapshots + 1, "{complaint}");
    }
    assert_eq!((talk.held.falls, talk.held.items.len()), (0, MANY));
}

#[tokio::test]
async fn an_edge_that_never_answers_about_digests_gets_everything() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (edge, held) = one_with_many(&t, &admin).await;
    let mut hello = held.hello();
    hello["held"]["count"] = json!(1);
    let mut talk = Talk::begin_with(&t, &edge, held, hello).await;
    assert_eq!(talk.until("digest_request").await, talk.until("digest_request").await, "it is asked once more");
    let batch = talk.until("sync_decorations").await;
    assert_eq!(batch["data"]["snapshot"], json!({"first": true, "last": false}));
    talk.answer(&batch).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.items.len(), talk.held.inventories), (MANY, 0));
}

#[tokio::test]
async fn a_snapshot_that_is_cut_off_is_begun_again_at_the_next_session() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let registered = RegisteredEdge::create(&t, &admin, edge_body("a", 10.0, 20.0)).await;
    let ids = import(&t, &admin, MANY, "place", "a place").await;
    // The first one of all, cut off after a batch.
    let mut talk = Talk::begin(&t, &registered, Held::default()).await;
    let batch = talk.until("sync_decorations").await;
    talk.answer(&batch).await;
    talk.until("sync_decorations").await;
    let Talk { held, socket } = talk;
    drop(socket);
    assert_eq!((held.items.len(), held.epoch.as_ref()), (200, None));
    let mut talk = Talk::begin(&t, &registered, held).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.items.len(), talk.held.modes.as_slice()), (MANY, ["snapshot", "snapshot"].map(str::to_owned).as_slice()));

    // One in the middle of a session, cut off before its end; meanwhile something is deleted.
    talk.socket.send("sync_request", json!({"reason": "by hand"})).await;
    for _ in 0..2 {
        let batch = talk.until("sync_decorations").await;
        talk.answer(&batch).await;
    }
    let Talk { held, socket } = talk;
    drop(socket);
    for id in &ids[..3] {
        delete(&t, &admin, *id).await;
    }
    let edge = HoldingEdge::live(registered, at(t.address), held);
    settled(&t.sql, &edge).await;
    let held = edge.held();
    assert_eq!((held.items.len(), held.modes.last().map(String::as_str)), (MANY - 3, Some("snapshot")));
    // That one was completed: the next session needs none.
    eventually("its end is noted", async || {
        let due: bool = sqlx::query_scalar("SELECT snapshot_due FROM ar.edge_servers").fetch_one(&t.sql).await.expect("reads");
        (!due).then_some(())
    })
    .await;
    let (edge, sent) = comes_back(&t, edge, |_| ()).await;
    assert_eq!(sent, [0, 0, 0]);
    drop(edge);
}

/// The texts of what comes until a checkpoint: every batch is within the bounds, and no more than four wait for an answer.
#[tokio::test]
async fn batches_are_bounded_and_at_most_four_wait_for_an_answer() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let registered = RegisteredEdge::create(&t, &admin, edge_body("a", 10.0, 20.0)).await;
    // 60 of some 16 KB, and small ones.
    import(&t, &admin, 60, "large", &"\u{1f5ff}".repeat(4_000)).await;
    for n in 0..3 {
        create(&t, &admin, &format!("small {n}"), 10.0, 20.0).await;
    }
    let (mut talk, mut waiting, mut most, mut seen) =
        (Talk::begin(&t, &registered, Held::default()).await, std::collections::VecDeque::new(), 0, 0);
    // Nothing is answered as long as something comes.
    loop {
        let pause = std::time::Duration::from_millis(700);
        match tokio::time::timeout(pause, talk.socket.try_next()).await {
            Ok(message) => {
                let message = message.expect("the socket is open");
                if message["type"] == "checkpoint" {
                    break;
                }
                let entries = ["decorations", "removed"].map(|member| message["data"][member].as_array().expect("entries").len());
                assert!(message.to_string().len() <= 256 * 1024 && entries.iter().sum::<usize>() <= 200);
                seen += entries[0];
                waiting.push_back(message);
                most = most.max(waiting.len());
            }
            Err(_elapsed) => {
                let oldest = waiting.pop_front().expect("something waits for an answer");
                talk.answer(&oldest).await;
            }
        }
    }
    assert_eq!((most, seen, talk.held.items.len()), (4, 63, 63));
}

#[tokio::test]
async fn what_is_never_acknowledged_comes_again_but_no_faster() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let registered = RegisteredEdge::create(&t, &admin, edge_body("a", 10.0, 20.0)).await;
    import(&t, &admin, 1_000, "place", "a place").await;
    let mut talk = Talk::begin(&t, &registered, Held::default()).await;
    let ids = |batch: &Value| -> HashSet<String> {
        let entries = batch["data"]["decorations"].as_array().expect("entries").iter();
        entries.map(|entry| format!("{} {}", entry["id"], entry["sync_version"])).collect()
    };
    let (first, second, again) =
        (talk.until("sync_decorations").await, talk.until("sync_decorations").await, talk.until("sync_decorations").await);
    assert!(ids(&first).is_disjoint(&ids(&second)));
    assert_eq!(again["data"]["batch_id"], 3);
    assert!(ids(&again).is_subset(&ids(&first)) && ids(&again).len() == 100, "the same under another number, and less of it");
    // A late answer counts still.
    talk.answer(&first).await;
    talk.answer(&second).await;
    talk.answer(&again).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.items.len(), talk.held.falls, talk.held.repeats), (1_000, 0, 0));
}

/// As after an outage of the database that was longer than the lease.
#[tokio::test]
async fn a_snapshot_waits_for_a_session_whose_lease_ran_out() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (edge, held) = one_with_many(&t, &admin).await;
    let mut talk = Talk::begin(&t, &edge, held).await;
    talk.until_agreed().await;
    sqlx::query("DELETE FROM ar.edge_sessions").execute(&t.sql).await.expect("deletes");
    talk.socket.send("sync_request", json!({"reason": "by hand"})).await;
    talk.until("sync_decorations").await;
}

/// Neither what is settled nor what failed is told of again and again.
#[tokio::test]
async fn an_edge_at_which_nothing_changes_hears_nothing() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (edge, held) = one_with_many(&t, &admin).await;
    sqlx::query(
        "UPDATE ar.decoration_sync SET sync_status = CASE WHEN n < 3 THEN 'failed' ELSE 'outdated' END, synced_version = sync_version,
             sync_version = nextval('ar.sync_version_seq'), next_attempt_at = CASE WHEN n < 3 THEN NULL ELSE now() + interval '1 h' END
         FROM (SELECT decoration_id AS few_id, row_number() OVER () AS n FROM ar.decoration_sync LIMIT 5) AS few WHERE decoration_id = few_id",
    )
    .execute(&t.sql)
    .await
    .expect("updates");
    let mut talk = Talk::begin(&t, &edge, held).await;
    talk.until_agreed().await;
    // Longer than everything that is looked for now and then is looked for.
    let pause = std::time::Duration::from_secs(4);
    let heard = tokio::time::timeout(pause, talk.socket.try_next()).await;
    assert!(heard.is_err(), "{heard:?}");
}

/// Somebody is about to change what is acknowledged: that does not count, and a checkpoint now would differ.
#[tokio::test]
async fn an_acknowledgement_that_meets_a_locked_row_leads_to_no_checkpoint() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let registered = RegisteredEdge::create(&t, &admin, edge_body("a", 10.0, 20.0)).await;
    let mut talk = Talk::begin(&t, &registered, Held::default()).await;
    talk.until_agreed().await;
    create(&t, &admin, "first", 10.0, 20.0).await;
    let batch = talk.until("sync_decorations").await;
    let mut connection = t.db().connect().await;
    let mut editing = connection.begin().await.expect("begins");
    sqlx::raw_sql("SELECT FROM ar.decoration_sync FOR UPDATE").execute(&mut *editing).await.expect("locks");
    talk.answer(&batch).await;
    let again = talk.socket.next().await.expect("a message");
    assert_eq!(again["data"]["decorations"], batch["data"]["decorations"], "it comes again, and no checkpoint");
    editing.rollback().await.expect("unlocks");
    talk.answer(&again).await;
    talk.until_agreed().await;
    assert_eq!((talk.held.effects, talk.held.snapshots, talk.held.inventories), (1, 1, 0));
}
