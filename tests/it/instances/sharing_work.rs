//! What is to be done once is done once, however many instances there are, and goes on without the one that did it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::Two;
use crate::support::{RegisteredEdge, edge_body, eventually};

type Probes = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

/// A server that notes when it is probed for whom.
async fn probed() -> (String, Probes) {
    let probes = Probes::default();
    let note = async |State(probes): State<Probes>, Path(name): Path<String>| {
        probes.lock().expect("not poisoned").entry(name).or_default().push(Instant::now());
    };
    let router = Router::new().route("/{name}", get(note)).with_state(Arc::clone(&probes));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    (format!("http://{address}"), probes)
}

/// Rounds of some work that are begun from now on, until there are so many: when, and by whom.
async fn rounds_begun(two: &Two, work: &str, count: usize) -> Vec<(DateTime<Utc>, Uuid)> {
    let mut seen = BTreeSet::new();
    eventually("the work goes on", async || {
        let now: (DateTime<Utc>, Uuid) = sqlx::query_as("SELECT begun_at, begun_by FROM ar.rounds WHERE work = $1")
            .bind(work)
            .fetch_one(&two.a.sql)
            .await
            .expect("reads");
        seen.insert(now);
        (seen.len() >= count).then_some(())
    })
    .await;
    seen.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_are_probed_and_judged_by_one_instance_and_by_the_other_when_that_is_killed() {
    let (base, probes) = probed().await;
    let mut two = Two::start(&[("EDGE_HEALTH_CHECK_INTERVAL", "1s"), ("HEALTH_CHECK_ALLOW", "127.0.0.1")]).await;
    let admin = two.a.admin().await;
    let (a, b) = (two.a.id().await, two.b.id().await);
    for name in ["p", "q", "r"] {
        let mut body = edge_body(name, 1.0, 2.0);
        body["health_check_url"] = json!(format!("{base}/{name}"));
        RegisteredEdge::create(&two.a, &admin, body).await;
    }
    let times = |name: &str| probes.lock().expect("not poisoned").get(name).cloned().unwrap_or_default();
    let each_probed = async |least: usize| {
        eventually("all are probed", async || ["p", "q", "r"].iter().all(|name| times(name).len() >= least).then_some(())).await;
    };
    // A tenth of the interval, two of them at once; less than that apart, both would have done the same.
    let begun = rounds_begun(&two, "judge_edges", 10).await;
    let apart = |rounds: &[(DateTime<Utc>, Uuid)]| rounds.windows(2).map(|two| (two[1].0 - two[0].0).num_milliseconds()).min();
    assert!(apart(&begun).is_some_and(|ms| ms >= 178), "{begun:?}");
    assert!(begun.iter().all(|(_, by)| [a, b].contains(by)));
    each_probed(3).await;

    two.b.kill();
    let killed = Instant::now();
    let after = rounds_begun(&two, "judge_edges", 5).await;
    assert_eq!(after.last().map(|(_, by)| *by), Some(a), "{after:?}");
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    each_probed(6).await;
    for name in ["p", "q", "r"] {
        let times = times(name);
        let least = times.windows(2).map(|two| two[1] - two[0]).min().expect("some");
        assert!(least > Duration::from_millis(900), "{name}: probed twice within {least:?}");
        let longest = times.windows(2).map(|two| two[1] - two[0]).max().expect("some");
        assert!(longest < Duration::from_secs(6), "{name}: not probed for {longest:?}");
    }
}
