//! P12: a full disk, or no descriptors left, is an error and not an end: writes are refused with 503, what was answered
//! stays, nothing panics, and soon after there is room again all is well.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, Connection, PgPool};

use super::{admin_of, client};
use crate::commands::url_of;
use crate::editing::content_with;
use crate::support::{Account, Ledger, OwnCluster, Proof, Random, Scene, Service, TestDb, eventually, half_applied, rounds};

/// The promise.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// Room for a cluster, and some more (MiB).
const SMALL_DISK_MIB: usize = 384;

/// A write that needs room, and reads; their statuses.
async fn tried(service: &Service, client: &reqwest::Client, admin: &Account, random: &mut Random) -> [u16; 3] {
    // Random, so that it takes its room compressed, too.
    let description = (0..240).map(|_| format!("{:016x}", random.bits())).collect::<Vec<_>>().concat();
    let content = content_with("large", json!({"lat": 50.0, "lng": 20.0, "description": description}));
    let write = client.post(service.at("/api/v1/decorations")).bearer_auth(&admin.access_token).json(&content);
    let read = client.get(service.at("/api/v1/decorations/nearby?lat=10&lng=0"));
    let mut statuses = [0; 3];
    for (status, request) in statuses.iter_mut().zip([write, read, client.get(service.at("/health/live"))]) {
        let answer = request.send().await.expect("is answered");
        *status = answer.status().as_u16();
        assert!(*status != 503 || answer.headers().contains_key("retry-after"), "{answer:?}");
    }
    assert!([201, 503].contains(&statuses[0]) && [200, 503].contains(&statuses[1]) && statuses[2] == 200, "{statuses:?}");
    statuses
}

/// Asks until both a write and a read are answered well; how long that took.
async fn well_again(service: &Service, client: &reqwest::Client, admin: &Account, random: &mut Random) -> Duration {
    let began = Instant::now();
    eventually("all is well", async || (tried(service, client, admin, random).await == [201, 200, 200]).then_some(())).await;
    began.elapsed()
}

/// A small file system, to which this very test is moved: mounted where only the test sees it, so that nothing is left
/// of it, whoever ends the test. As root, or as anybody where users may have name spaces of their own.
fn moved_to_small_disk(test: &str, folder: &Path) -> Result<std::process::Command, String> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let small = folder.join("small");
    std::fs::create_dir(&small).expect("a folder");
    let options = format!("size={SMALL_DISK_MIB}m,mode=1777");
    let mount = format!("mount -t tmpfs -o {options} tmpfs '{}'", small.display());
    let unshare = |script: String| {
        let mut command = std::process::Command::new("unshare");
        command.arg("--mount");
        if !uid.is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", &script]);
        command
    };
    let possible = unshare(mount.clone()).output().map_err(|error| format!("unshare: {error}"))?;
    if !possible.status.success() {
        return Err(format!("a small file system needs root or name spaces: {}", String::from_utf8_lossy(&possible.stderr).trim()));
    }
    let back =
        if uid.is_root() { String::new() } else { format!("unshare --user --map-user={} --map-group={} ", uid.as_raw(), gid.as_raw()) };
    let this = std::env::current_exe().expect("this program");
    let mut moved = unshare(format!("{mount} && exec {back}'{}' --exact {test} --nocapture", this.display()));
    moved.env("TMPDIR", &small).env("AR_TEST_SMALL_DISK", &small);
    Ok(moved)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_error_and_not_an_end() {
    if let Ok(disk) = std::env::var("AR_TEST_SMALL_DISK") {
        return fill_and_free(&PathBuf::from(disk)).await;
    }
    let folder = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().expect("a folder");
    match moved_to_small_disk("faults::full::a_full_disk_is_an_error_and_not_an_end", folder.path()) {
        Ok(command) => {
            let status = tokio::process::Command::from(command).status().await.expect("runs");
            assert!(status.success(), "{status}");
        }
        Err(why) => {
            println!("not tried: {why}");
            Proof::of("P12", "rounds of a full disk").measured(format!("not tried: {why}"));
        }
    }
}

/// Takes all the room there is on a disk.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).expect("a file");
    let mut block = vec![0; 1 << 20];
    while !block.is_empty() {
        if file.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
}

/// Has the database begin new files of its log until one does not fit: it ends by that.
async fn exhaust_log(cluster: &OwnCluster) {
    let Ok(mut connection) = cluster.options().connect().await else { return };
    for _ in 0..64 {
        let switch = sqlx::raw_sql("SELECT pg_logical_emit_message(false, 'ar', 'full'); SELECT pg_switch_wal()");
        if switch.execute(&mut connection).await.is_err() {
            return;
        }
    }
    let _may_be_gone = connection.close().await;
}

async fn fill_and_free(disk: &Path) {
    let mut random = Random::seeded("full disk");
    let mut proof = Proof::of("P12", "rounds of a full disk").seeded(random.seed());
    let cluster = OwnCluster::start().await;
    cluster.wait_for_its_log().await;
    let admin = admin_of(cluster.options()).await;
    // Its log is where there is room: what is looked for in it is to be there.
    let service = Service::start(&url_of(&cluster.options()), &disk.with_file_name("log"), &[], &[]);
    service.ready().await;
    let client = client(Duration::from_secs(15));
    let scene = Scene {
        addresses: vec![service.address],
        token: admin.access_token.clone(),
        lng_deg: (-0.05, 0.05),
        pause: Duration::from_millis(20),
    };
    let ledger = Ledger::default();
    let writers = ledger.write(&scene, 4, &mut random);
    let (mut longest, mut refused, mut ends) = (Duration::ZERO, 0, 0);
    let ballast = disk.join("ballast");
    for round in 0..rounds(2, 10) {
        well_again(&service, &client, &admin, &mut random).await;
        fill(&ballast);
        if round % 2 == 1 {
            exhaust_log(&cluster).await;
        }
        eventually("a write is refused", async || (tried(&service, &client, &admin, &mut random).await[0] == 503).then_some(())).await;
        for _ in 0..5 {
            refused += usize::from(tried(&service, &client, &admin, &mut random).await[0] == 503);
        }
        std::fs::remove_file(&ballast).expect("there is room again");
        eventually("the database recovers or has ended", async || {
            (!cluster.is_up() || cluster.options().connect().await.is_ok()).then_some(())
        })
        .await;
        if !cluster.is_up() {
            // Whoever watches over a database starts it again; how long it takes to recover is its own.
            cluster.start_again().await;
            ends += 1;
        }
        longest = longest.max(well_again(&service, &client, &admin, &mut random).await);
        proof.tried(1);
    }
    ledger.end();
    for writer in writers {
        writer.await.expect("a writer's ledger is in order");
    }
    let sql = PgPoolOptions::new().max_connections(1).connect_lazy_with(cluster.options());
    let lost = in_order(&ledger, &sql, &client, &service).await;
    proof.failed(lost.len() + service.panics().len());
    proof.measured(format!("{refused} writes refused, the database ended {ends} times by it; well again after {longest:.2?} at most"));
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(longest <= WELL_WITHIN, "{longest:?}");
    assert_eq!(service.panics(), [""; 0]);
}

/// What is not as the writers were told. The large ones are no writer's.
async fn in_order(ledger: &Ledger, sql: &PgPool, client: &reqwest::Client, service: &Service) -> Vec<String> {
    let (_, wrong) = ledger.compare(sql).await;
    let mut lost: Vec<String> = wrong.into_iter().filter(|what| !what.ends_with("was answered to nobody")).collect();
    lost.extend(half_applied(sql).await);
    let ready = client.get(service.at("/health/ready")).send().await.expect("is answered").status();
    lost.extend((ready != 200).then(|| format!("not ready: {ready}")));
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_descriptors_left_is_an_error_and_not_an_end() {
    let mut random = Random::seeded("descriptors");
    let mut proof = Proof::of("P12", "rounds without descriptors, nofile 256").seeded(random.seed());
    let db = TestDb::create().await;
    let admin = admin_of(db.options()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let limited = ["prlimit", "--nofile=256:256"];
    let service = Service::start(&url_of(&db.options()), &folder.path().join("log"), &limited, &[]);
    service.ready().await;
    let sql = PgPoolOptions::new().max_connections(1).connect_lazy_with(db.options());
    let (client, mut longest, mut most, mut refused) = (client(Duration::from_secs(15)), Duration::ZERO, 0, 0);
    for _ in 0..rounds(2, 10) {
        // On a connection that stays, whatever happens to others.
        well_again(&service, &client, &admin, &mut random).await;
        let mut held = Vec::new();
        eventually("it has no descriptor left", async || {
            let connecting = tokio::net::TcpStream::connect(service.address);
            // Those that it cannot take wait in its queue, until that is full, too.
            held.extend(tokio::time::timeout(Duration::from_millis(100), connecting).await.ok()?.ok());
            (service.descriptors() >= 256).then_some(())
        })
        .await;
        most = most.max(service.descriptors());
        // Now it needs new connections to its database, and cannot have them.
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'ar-supervisor%'";
        let _killed: i64 = sqlx::query_scalar(kill).fetch_one(&sql).await.expect("kills");
        for _ in 0..5 {
            refused += usize::from(tried(&service, &client, &admin, &mut random).await[0] == 503);
        }
        drop(held);
        longest = longest.max(well_again(&service, &client, &admin, &mut random).await);
        proof.tried(1);
    }
    proof.failed(service.panics().len());
    proof.measured(format!("{most} descriptors, {refused} writes refused; well again after {longest:.2?} at most"));
    assert!(refused > 0, "it noticed");
    assert!(longest <= WELL_WITHIN, "{longest:?}");
    assert_eq!(service.panics(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_takes_nothing_is_no_end_either() {
    let mut random = Random::seeded("full log");
    let mut proof = Proof::of("P12", "services whose log has no room").seeded(random.seed());
    let db = TestDb::create().await;
    let admin = admin_of(db.options()).await;
    for format in ["json", "pretty"] {
        let variables = [("LOG_FORMAT", format), ("LOG_LEVEL", "debug")];
        let mut service = Service::start(&url_of(&db.options()), Path::new("/dev/full"), &[], &variables);
        service.ready().await;
        let client = client(Duration::from_secs(15));
        for _ in 0..20 {
            assert_eq!(tried(&service, &client, &admin, &mut random).await, [201, 200, 200]);
        }
        service.signal("-TERM");
        assert_eq!(service.ended().await.code(), Some(0));
        proof.tried(1);
    }
}
