//! Two instances on one database act as one: notices only wake, and what they do not tell of is found.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::delivering::{at, create, import, live, put, settled};
use crate::editing::{content_with, path_of};
use crate::support::{Config, Held, HoldingEdge, Proof, RegisteredEdge, Talk, TestServer, edge_body, eventually, rounds};

/// Ends every connection that listens for notices, as a database or a network does; how many there were.
async fn kill_listeners(t: &TestServer) -> i64 {
    let killed = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    sqlx::query_scalar(killed).fetch_one(&t.sql).await.expect("kills")
}

/// P4: what is written on one instance is at the edges of another within 6 s, listeners or not.
#[tokio::test]
async fn what_is_written_on_one_instance_comes_to_the_edges_of_another_without_notices() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    come_to_edges_without_notices(&t, &other, rounds(4, 50)).await;
}

/// Writes on one instance, has the edges at the other, and kills all that listen, so many times.
pub(crate) async fn come_to_edges_without_notices(t: &TestServer, other: &TestServer, rounds: usize) {
    let admin = t.admin().await;
    let mut edges = Vec::new();
    for name in ["a", "b", "c"] {
        edges.push(live(other, &admin, name, 10.0, 20.0).await);
    }
    let decoration = create(t, &admin, "0", 10.0, 20.0).await;
    for edge in &edges {
        settled(&t.sql, edge).await;
    }
    let (mut longest, mut killed) = (Duration::ZERO, 0);
    let mut proof = Proof::of("P4", "rounds of killed listeners, edges on another instance");
    for round in 1..=rounds {
        killed += kill_listeners(t).await;
        // Before, while and after they listen again.
        tokio::time::sleep(Duration::from_millis(u64::try_from(round * 61 % 400).expect("small"))).await;
        let name = format!("{round}");
        let written = Instant::now();
        let gone = if round % 3 == 0 {
            let gone = create(t, &admin, "short-lived", 10.0, 20.0).await;
            assert_eq!(admin.ask(t, reqwest::Method::DELETE, &path_of(&gone)).await.status, 204);
            Some(gone)
        } else {
            None
        };
        put(t, &admin, &decoration, content_with(&name, json!({"lat": 10.0, "lng": 20.0}))).await;
        let id = |decoration: &Value| -> Uuid { decoration["id"].as_str().expect("an id").parse().expect("a UUID") };
        for edge in &edges {
            eventually("the edge has it", async || {
                let held = edge.held();
                let is_there = held.items[&id(&decoration)].1["name"] == name;
                (is_there && gone.as_ref().is_none_or(|gone| !held.items.contains_key(&id(gone)))).then_some(())
            })
            .await;
        }
        longest = longest.max(written.elapsed());
        proof.tried(1);
        proof.measured(format!("{killed} listeners killed, longest {longest:.2?}"));
    }
    println!("{rounds} rounds, {killed} listeners killed, the longest took {longest:?}");
    assert!(killed >= i64::try_from(rounds).expect("few"), "there were listeners to kill: {killed}");
    assert!(longest <= Duration::from_secs(6), "{longest:?}");
    for edge in &edges {
        settled(&t.sql, edge).await;
        let held = edge.held();
        assert_eq!((held.falls, held.repeats, held.modes.len(), held.snapshots), (0, 0, 1, 1));
    }
}

#[tokio::test]
async fn a_session_that_another_instance_takes_over_is_gone_on_with_there() {
    let t = TestServer::start().await;
    let other = TestServer::on(t.db().options(), Config::default()).await;
    let admin = t.admin().await;
    let registered = RegisteredEdge::create(&t, &admin, edge_body("a", 10.0, 20.0)).await;
    import(&t, &admin, 1_000, "place", "a place").await;
    // In the middle of its first delivery: a batch is acknowledged, another one only taken.
    let mut talk = Talk::begin(&t, &registered, Held::default()).await;
    let (first, second) = (talk.until("sync_decorations").await, talk.until("sync_decorations").await);
    talk.answer(&first).await;
    let late = talk.held.answer(&second);
    let edge = HoldingEdge::live(registered, at(other.address), talk.held.clone());
    // What the old socket says after that is of no matter.
    for answer in late {
        talk.socket.try_send(&answer).await;
    }
    let closed = talk.socket.closed().await;
    assert!(closed == (1008, "superseded".to_owned()) || closed.0 == 1006, "{closed:?}");
    settled(&t.sql, &edge).await;
    assert_eq!((edge.held().items.len(), edge.held().falls, edge.held().modes.len()), (1_000, 0, 2));

    // Back and forth while content changes.
    for round in 0..rounds(4, 20) {
        let address = if round % 2 == 0 { t.address } else { other.address };
        let held = edge.held();
        let (before, registered) = (held.modes.len(), edge.edge.clone());
        let taking_over = HoldingEdge::live(registered, at(address), held);
        import(&t, &admin, 250, &format!("round {round}"), "a place").await;
        eventually("it took over", async || (taking_over.held().modes.len() > before).then_some(())).await;
        drop(taking_over);
    }
    settled(&t.sql, &edge).await;
}
