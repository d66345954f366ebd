//! Discovery from a streaming replica: what is read there, what is not, and what happens when it lags or goes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use crate::commands::{run, text, url_of};
use crate::editing::{content_with, path_of};
use crate::support::{Account, Answer, OwnCluster, Process, SECRET, eventually};
use crate::sync::delivering::{create, put};

/// The most that the replica may be behind in these tests.
const MAX_LAG: &str = "4s";

async fn names_near(t: &Process, lat: f64, lng: f64) -> Vec<String> {
    Answer::of(t.client.get(t.url(&format!("/api/v1/decorations/nearby?lat={lat}&lng={lng}&radius=100")))).await.ok().names()
}

/// How a process sees the replica.
async fn standing(t: &Process, admin: &Account) -> Value {
    admin.get(t, "/api/v1/metrics/system").await.ok().json()["process"]["replica"]["state"].clone()
}

async fn stands(t: &Process, admin: &Account, state: &str) {
    eventually(state, async || (standing(t, admin).await == state).then_some(())).await;
}

/// Connections for reads that a process holds to a server.
async fn reads_at(server: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('ar-supervisor hot', 'ar-supervisor shaped')";
    sqlx::query_scalar(count).fetch_one(server).await.expect("counts")
}

async fn ask(server: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(server).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Moves a decoration behind the service's back: nobody wrote it as far as instances know.
async fn rename(primary: &mut PgConnection, name: &str) {
    sqlx::query("UPDATE ar.decorations SET name = $1").bind(name).execute(primary).await.expect("renames");
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    options.connect().await.expect("connects")
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_reads_a_replica_that_is_fit_and_its_callers_see_what_they_wrote() {
    let primary = OwnCluster::start().await;
    let replica = primary.replica().await;
    let url = url_of(&replica.options());
    let variables = [("DATABASE_READ_URL", url.as_str()), ("DATABASE_READ_MAX_LAG", MAX_LAG)];
    let options = primary.options();
    let (a, b) = tokio::join!(Process::start(&options, &variables), Process::start(&options, &variables));
    let (mut at_primary, mut at_replica) = (connect(&options).await, connect(&replica.options()).await);
    let admin = a.admin().await;
    for process in [&a, &b] {
        stands(process, &admin, "in_use").await;
    }

    // Reads go there, and only there.
    let decoration = create(&a, &admin, "one", 10.0, 20.0).await;
    assert_eq!(names_near(&a, 10.0, 20.0).await, ["one"], "who wrote it sees it");
    eventually("reads are at the replica", async || {
        assert_eq!(names_near(&a, 10.0, 20.0).await, ["one"]);
        (reads_at(&mut at_replica).await > 0).then_some(())
    })
    .await;

    // What has been replayed before it stands still is what others see then.
    eventually("the replica has it", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations").fetch_one(&mut at_replica).await.expect("counts");
        (count == 1).then_some(())
    })
    .await;
    // Replay stands still. What somebody else wrote is not seen yet, so it is the replica that is read; what a caller
    // wrote himself is, by lists, on a map, and on the other instance.
    ask(&mut at_replica, "SELECT pg_wal_replay_pause()").await;
    let paused = Instant::now();
    own_writes_are_seen(&a, &b, &admin, &decoration).await;
    assert_eq!(standing(&a, &admin).await, "in_use", "after {:?}", paused.elapsed());

    // Once it is further behind than it may be, the primary is read, which is said once.
    for process in [&a, &b] {
        stands(process, &admin, "lagging").await;
    }
    assert!(paused.elapsed() < Duration::from_secs(8), "{:?}", paused.elapsed());
    rename(&mut at_primary, "as the primary has it").await;
    assert_eq!(names_near(&b, 10.0, 20.0).await, ["as the primary has it"]);
    assert_eq!((a.logged("discovery reads the primary"), b.logged("discovery reads the primary")), (1, 1));
    ask(&mut at_replica, "SELECT pg_wal_replay_resume()").await;
    for process in [&a, &b] {
        stands(process, &admin, "in_use").await;
    }
    assert_eq!(names_near(&b, 10.0, 20.0).await, ["as the primary has it"]);

    // It crashes under load: nobody notices. It comes back, and is read again.
    let asking = tokio::spawn(ask_on(a.client.clone(), a.url("/api/v1/decorations/nearby?lat=10&lng=20&radius=100")));
    replica.stop("immediate").await;
    stands(&a, &admin, "unreachable").await;
    rename(&mut at_primary, "after the crash").await;
    assert_eq!(names_near(&a, 10.0, 20.0).await, ["after the crash"]);
    replica.start_again().await;
    stands(&a, &admin, "in_use").await;
    let mut at_replica = connect(&replica.options()).await;
    eventually("reads are at the replica", async || (reads_at(&mut at_replica).await > 0).then_some(())).await;
    asking.abort();
    let asked = asking.await;
    assert!(asked.is_err_and(|error| error.is_cancelled()), "every request was answered with 200");

    // Promoted, it is no replica: what is written to one of both is not on the other.
    ask(&mut at_replica, "SELECT pg_promote()").await;
    stands(&a, &admin, "no_replica").await;
    rename(&mut at_primary, "on the primary alone").await;
    assert_eq!(names_near(&a, 10.0, 20.0).await, ["on the primary alone"]);
}

/// Asks again and again; ends, by a panic, when it is not answered.
async fn ask_on(client: reqwest::Client, url: String) {
    loop {
        Answer::of(client.get(&url)).await.ok();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn own_writes_are_seen(a: &Process, b: &Process, admin: &Account, decoration: &Value) {
    let tile = "/tiles/decorations/14/9102/7734.mvt";
    let drawn = async |server: &Process| Answer::of(server.client.get(server.url(tile))).await.ok().body;
    // One caller is told from another by his network; a test has the whole of 127.0.0.0/8.
    let elsewhere = reqwest::Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 0, 77])).build().expect("a client");
    let seen_elsewhere = async || {
        let path = "/api/v1/decorations/nearby?lat=10&lng=20&radius=100";
        Answer::of(elsewhere.get(b.url(path))).await.ok().names()
    };
    assert_eq!(seen_elsewhere().await, ["one"]);
    let before = drawn(a).await;
    assert!(!before.is_empty(), "the tile has something in it");
    put(a, admin, decoration, content_with("two", json!({"lat": 10.0, "lng": 20.0}))).await;
    assert_eq!(names_near(a, 10.0, 20.0).await, ["two"]);
    eventually("the tile shows it", async || (drawn(a).await != before).then_some(())).await;
    eventually("the other instance has heard of it", async || (names_near(b, 10.0, 20.0).await == ["two"]).then_some(())).await;
    assert_eq!(seen_elsewhere().await, ["one"], "others read the replica");
    assert_eq!(admin.ask(a, Method::DELETE, &path_of(decoration)).await.status, 204);
    assert!(names_near(a, 10.0, 20.0).await.is_empty());
    let restored = admin.ask(a, Method::POST, &format!("{}/restore", path_of(decoration))).await;
    assert_eq!(restored.status, 200, "{}", restored.text());
}

/// Doctor tells a standby from what is none.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_at_the_replica() {
    let primary = OwnCluster::start().await;
    let replica = primary.replica().await;
    let doctor = async |read_url: String| {
        let url = url_of(&primary.options());
        let asking = tokio::task::spawn_blocking(move || {
            let variables = [("DATABASE_URL", url.as_str()), ("DATABASE_READ_URL", read_url.as_str()), ("JWT_SECRET", SECRET)];
            text(&run(&["doctor"], &variables).stdout)
        });
        asking.await.expect("doctor ends")
    };
    // What it was told since it was copied may still be on its way.
    eventually("the standby is found", async || {
        doctor(url_of(&replica.options())).await.contains("ok    replica: it is a standby of this database").then_some(())
    })
    .await;
    assert!(doctor(url_of(&primary.options())).await.contains("FAULT replica: it is no standby"));
    replica.stop("fast").await;
    assert!(doctor(url_of(&replica.options())).await.contains("FAULT replica: it cannot be asked"));
    assert!(doctor(url_of(&primary.options())).await.contains("ok    instances: 0 running"));
}
