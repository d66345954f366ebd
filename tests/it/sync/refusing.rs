//! A decoration that an edge refuses: set aside there, with what the edge said of it, in nobody's way, and healed.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::delivering::{create, live, put, settled};
use super::routes::run;
use crate::editing::{content_with, path_of};
use crate::support::{Account, HoldingEdge, TestServer, eventually};

fn id_of(decoration: &Value) -> Uuid {
    decoration["id"].as_str().expect("an id").parse().expect("a UUID")
}

/// What the status tells of one decoration at an edge.
async fn item(t: &TestServer, admin: &Account, edge: &HoldingEdge, decoration: &Value) -> Option<Value> {
    let items = admin.get(t, &format!("/api/v1/sync/status/{}?limit=1000", edge.edge.id)).await.ok().items();
    items.into_iter().find(|item| item["decoration_id"] == decoration["id"])
}

/// Waits until a decoration failed at an edge, without the pauses in between: time is moved on.
async fn failed(t: &TestServer, admin: &Account, edge: &HoldingEdge, decoration: &Value) -> Value {
    let mut attempts = 0;
    eventually("it failed", async || {
        let item = item(t, admin, edge, decoration).await?;
        let now = item["attempts"].as_i64().expect("a number");
        assert!(now >= attempts, "attempts only rise: {item}");
        attempts = now;
        let push = format!(
            "UPDATE ar.decoration_sync SET next_attempt_at = now() - interval '1 s' WHERE next_attempt_at > now();
             SELECT pg_notify('ar', 'sync:{}')",
            edge.edge.id
        );
        run(t, &push).await;
        (item["sync_status"] == "failed").then_some(item)
    })
    .await
}

/// A decoration out of everybody's reach, so that edges can be told to refuse it before they get it.
async fn out_of_reach(t: &TestServer, admin: &Account) -> Value {
    create(t, admin, "poison", -50.0, 20.0).await
}

fn inside(name: &str) -> Value {
    content_with(name, json!({"lat": 10.0, "lng": 20.0}))
}

fn refuse(edge: &HoldingEdge, decoration: &Value, error: &str) {
    edge.change(|held| {
        held.refused.insert(id_of(decoration), error.to_owned());
    });
}

fn accept(edge: &HoldingEdge, decoration: &Value) {
    edge.change(|held| {
        held.refused.remove(&id_of(decoration));
    });
}

#[tokio::test]
async fn what_one_edge_refuses_is_set_aside_there_and_holds_up_nothing() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (picky, other) = (live(&t, &admin, "picky", 10.0, 20.0).await, live(&t, &admin, "other", 10.0, 20.0).await);
    let poison = out_of_reach(&t, &admin).await;
    refuse(&picky, &poison, "no \u{1b}[31mroom\u{7}");
    put(&t, &admin, &poison, inside("poison")).await;
    let mut rest = Vec::new();
    for n in 0..20 {
        rest.push(create(&t, &admin, &format!("good {n}"), 10.0, 20.0).await);
    }
    let failure = failed(&t, &admin, &picky, &poison).await;
    assert_eq!((&failure["attempts"], &failure["error_message"]), (&json!(5), &json!("no  [31mroom ")));
    assert_eq!((&failure["synced_version"], &failure["next_attempt_at"]), (&Value::Null, &Value::Null));
    assert_eq!(picky.held().refusals[&id_of(&poison)], 5, "so often it was tried");
    settled(&t.sql, &other).await;
    assert_eq!((other.held().items.len(), picky.held().items.len()), (21, 20));
    let status = admin.get(&t, &format!("/api/v1/sync/status/{}", picky.edge.id)).await.ok().json();
    assert_eq!(status["counts"], json!({"pending": 0, "synced": 20, "failed": 1, "outdated": 0}));
    let (count, digest) = picky.held().sum();
    assert_eq!(status["held"], json!({"count": count, "digest": digest}));

    // It comes and goes, and still it is not tried again.
    put(&t, &admin, &rest[0], inside("better")).await;
    eventually("the others go on", async || {
        let held = picky.held();
        (held.items[&id_of(&rest[0])].1["name"] == "better" && held.matching_checkpoints > 0).then_some(())
    })
    .await;
    assert_eq!(picky.held().refusals[&id_of(&poison)], 5);

    // An edit has it tried again, from the start.
    put(&t, &admin, &poison, inside("poison, edited")).await;
    let again = failed(&t, &admin, &picky, &poison).await;
    assert_eq!((&again["attempts"], picky.held().refusals[&id_of(&poison)]), (&json!(5), 10));
    accept(&picky, &poison);
    put(&t, &admin, &poison, inside("poison, mended")).await;
    settled(&t.sql, &picky).await;
    let healed = item(&t, &admin, &picky, &poison).await.expect("a row");
    assert_eq!((&healed["sync_status"], &healed["attempts"], &healed["error_message"]), (&json!("synced"), &json!(0), &Value::Null));
    assert_eq!(picky.held().items[&id_of(&poison)].1["name"], "poison, mended");
    assert_eq!((other.held().snapshots, picky.held().snapshots), (1, 1));
}

#[tokio::test]
async fn a_trigger_heals_what_failed_and_an_edge_keeps_the_older_one_meanwhile() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "picky", 10.0, 20.0).await;
    let decoration = create(&t, &admin, "first", 10.0, 20.0).await;
    settled(&t.sql, &edge).await;
    // Ten thousand characters, some of them of four bytes.
    let long = "\u{1f5ff}\n".repeat(5_000);
    refuse(&edge, &decoration, &long);
    put(&t, &admin, &decoration, inside("second")).await;
    let failure = failed(&t, &admin, &edge, &decoration).await;
    assert_eq!(failure["error_message"], "\u{1f5ff} ".repeat(250), "500 characters of it are kept");
    assert!(failure["synced_version"].as_i64() < failure["sync_version"].as_i64(), "{failure}");
    assert_eq!(edge.held().items[&id_of(&decoration)].1["name"], "first");
    // What it holds by the books is what it holds.
    let before = edge.held().matching_checkpoints;
    create(&t, &admin, "another", 10.0, 20.0).await;
    eventually("a checkpoint agrees", async || (edge.held().matching_checkpoints > before).then_some(())).await;
    assert_eq!(edge.held().inventories, 0, "nothing had to be compared");

    accept(&edge, &decoration);
    let trigger = format!("/api/v1/sync/trigger/{}", edge.edge.id);
    let answer = admin.ask(&t, Method::POST, &trigger).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"pending": 1})));
    settled(&t.sql, &edge).await;
    assert_eq!(edge.held().items[&id_of(&decoration)].1["name"], "second");

    // A removal can be refused, too.
    refuse(&edge, &decoration, "it is on show");
    assert_eq!(admin.ask(&t, Method::DELETE, &path_of(&decoration)).await.status, 204);
    let failure = failed(&t, &admin, &edge, &decoration).await;
    assert_eq!((&failure["wanted"], &failure["error_message"]), (&json!("remove"), &json!("it is on show")));
    accept(&edge, &decoration);
    assert_eq!(admin.ask(&t, Method::POST, &trigger).await.json(), json!({"pending": 1}));
    eventually("it is removed", async || (!edge.held().items.contains_key(&id_of(&decoration))).then_some(())).await;
    settled(&t.sql, &edge).await;
}

#[tokio::test]
async fn a_refusal_is_tried_again_by_itself_and_not_at_once() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "picky", 10.0, 20.0).await;
    let poison = out_of_reach(&t, &admin).await;
    refuse(&edge, &poison, "busy");
    put(&t, &admin, &poison, inside("poison")).await;
    let pause = async |attempts: i64| {
        let pause: Option<f64> =
            sqlx::query_scalar("SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM ar.decoration_sync WHERE attempts = $1")
                .bind(i32::try_from(attempts).expect("few"))
                .fetch_optional(&t.sql)
                .await
                .expect("reads");
        pause
    };
    for (attempts, longest_s) in [(1, 1.0), (2, 3.0)] {
        let pause_s = eventually("it was refused", async || pause(attempts).await).await;
        assert!(pause_s <= longest_s && pause_s > longest_s - 3.0, "{attempts}: {pause_s}");
    }
    accept(&edge, &poison);
    settled(&t.sql, &edge).await;
    assert_eq!(edge.held().refusals[&id_of(&poison)], 2);
}
