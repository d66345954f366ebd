//! P5: the service starts without its database and outlives its restarts. Meanwhile it says that it lives, and nothing
//! worse than 503; soon after the database takes connections again, it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinHandle;

use super::client;
use crate::commands::url_of;
use crate::support::{OwnCluster, Proof, Random, Service, eventually, rounds};

/// The promise.
const READY_WITHIN: Duration = Duration::from_secs(5);
const READS: [&str; 4] = [
    "/api/v1/decorations/nearby?lat=0&lng=0",
    "/api/v1/decorations/bounds?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
    "/api/v1/regions",
    "/health/ready",
];

/// Those who ask all the time, and what they were answered that they should not have been.
struct Asking {
    ended: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Asking {
    fn begin(service: &Service) -> Self {
        let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let ask = |path: &'static str| {
            let (url, ended, asked, client) = (service.at(path), Arc::clone(&ended), Arc::clone(&asked), client(Duration::from_secs(15)));
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let began = Instant::now();
                    match client.get(&url).send().await {
                        Ok(answer) if answer.status() == 200 => {}
                        Ok(answer) if answer.status() == 503 && path != "/health/live" && answer.headers().contains_key("retry-after") => {}
                        Ok(answer) => wrong.push(format!("{path}: {}", answer.status())),
                        Err(error) => wrong.push(format!("{path}: {error:?}")),
                    }
                    if path == "/health/live" && began.elapsed() > Duration::from_secs(1) {
                        wrong.push(format!("{path} took {:?}", began.elapsed()));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                wrong
            })
        };
        let tasks = READS.into_iter().chain(["/health/live"]).map(ask).collect();
        Self { ended, asked, tasks }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        let mut wrong = Vec::new();
        for task in self.tasks {
            wrong.extend(task.await.expect("it asks"));
        }
        (self.asked.load(Ordering::Relaxed), wrong)
    }
}

/// Starts the database; how long after it took the first connection the service was ready.
async fn ready_after(cluster: &OwnCluster, service: &Service) -> Duration {
    let accepts = async {
        loop {
            if let Ok(connection) = cluster.options().connect().await {
                drop(connection);
                return Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ((), accepted) = tokio::join!(cluster.start_again(), accepts);
    let client = client(Duration::from_secs(5));
    eventually("it is ready", async || {
        let answer = client.get(service.at("/health/ready")).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    accepted.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_without_its_database_and_outlives_its_restarts() {
    let mut random = Random::seeded("restarts");
    let mut proof = Proof::of("P5", "starts and restarts of the database").seeded(random.seed());
    let cluster = OwnCluster::start().await;
    cluster.stop("fast").await;
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start(&url_of(&cluster.options()), &folder.path().join("log"), &[], &[]);
    let patient = client(Duration::from_secs(5));
    eventually("it lives", async || patient.get(service.at("/health/live")).send().await.is_ok().then_some(())).await;
    let asking = Asking::begin(&service);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut longest = ready_after(&cluster, &service).await;
    proof.tried(1);
    for round in 0..rounds(3, 20) {
        match round % 3 {
            0 => cluster.stop("fast").await,
            1 => cluster.stop("immediate").await,
            _ => cluster.kill().await,
        }
        tokio::time::sleep(Duration::from_millis(u64::try_from(random.below(1_000)).expect("small"))).await;
        longest = longest.max(ready_after(&cluster, &service).await);
        proof.tried(1);
    }
    let (asked, wrong) = asking.end().await;
    proof.failed(wrong.len());
    proof.measured(format!("{asked} requests meanwhile; ready {longest:.2?} after it accepts, at most"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(longest <= READY_WITHIN, "{longest:?}");
    assert_eq!(service.panics(), [""; 0]);
}

/// A database that goes away while its schema is being made is waited for like one that was never there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_of_a_migration_is_waited_out() {
    let mut proof = Proof::of("P5", "crashes in the middle of a migration");
    let cluster = OwnCluster::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..rounds(1, 10) {
        let name = format!("fresh_{round}");
        let mut connection = cluster.options().connect().await.expect("connects");
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.expect("makes one");
        let service = Service::start(&url_of(&cluster.options().database(&name)), &folder.path().join(&name), &[], &[]);
        let migrating =
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'ar-supervisor migrate' AND backend_xid IS NOT NULL)";
        eventually("it migrates", async || {
            sqlx::query_scalar::<_, bool>(migrating).fetch_one(&mut connection).await.expect("asks").then_some(())
        })
        .await;
        let _goes_with_the_database = connection.close().await;
        cluster.stop("immediate").await;
        let took = ready_after(&cluster, &service).await;
        assert!(service.log().contains("trying again"), "it was in the middle: {}", service.log());
        assert_eq!(service.panics(), [""; 0]);
        proof.tried(1);
        proof.measured(format!("ready {took:.2?} after it accepts"));
    }
}
