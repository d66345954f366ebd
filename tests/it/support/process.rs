//! The service as a process of its own, which can be killed, stopped and given another clock.

use std::fs::File;
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Command;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::{Answer, SECRET, TestServer, eventually};
use crate::commands::{Running, program, url_of};

/// A running process, seen as any server of the tests; killed when dropped.
pub(crate) struct Process {
    pub(crate) running: Running,
    server: TestServer,
    /// Its log, and whatever else it leaves.
    folder: TempDir,
}

impl Deref for Process {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.server
    }
}

impl Process {
    /// Starts on a database, with some variables of its environment; it may not serve yet.
    pub(crate) async fn begin(database: &PgConnectOptions, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a file");
        let mut command = program();
        command.arg("serve").envs([
            ("DATABASE_URL", url_of(database).as_str()),
            ("DATABASE_MAX_CONNECTIONS", "12"),
            ("JWT_SECRET", SECRET),
            ("SERVER_HOST", "127.0.0.1"),
            ("SERVER_PORT", "0"),
            ("METRICS_HOST", "127.0.0.1"),
            ("METRICS_PORT", "0"),
            ("RATE_LIMIT", "off"),
            ("LOG_FORMAT", "json"),
        ]);
        command.envs(variables.iter().copied()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let running = Running(command.spawn().expect("the program runs"));
        let read = || std::fs::read_to_string(folder.path().join("log")).expect("its log");
        let address = eventually("it listens", async || {
            let line = read().lines().find(|line| line.contains("\"listening on "))?.to_owned();
            let event: Value = serde_json::from_str(&line).ok()?;
            event["address"].as_str()?.parse().ok()
        })
        .await;
        Self { running, server: TestServer::elsewhere(address, database.clone()), folder }
    }

    /// Starts, and waits until it serves.
    pub(crate) async fn start(database: &PgConnectOptions, variables: &[(&str, &str)]) -> Self {
        let process = Self::begin(database, variables).await;
        process.serves().await;
        process
    }

    /// Waits until it serves.
    pub(crate) async fn serves(&self) {
        eventually("it serves", async || (Answer::of(self.client.get(self.url("/health/ready"))).await.status == 200).then_some(())).await;
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("its log")
    }

    /// Where its metrics are.
    pub(crate) fn metrics(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("metrics are at")).expect("it says so");
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Lines of its log with some words in them.
    pub(crate) fn logged(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }

    /// Its identity, as it is registered.
    pub(crate) async fn id(&self) -> uuid::Uuid {
        eventually("it is registered", async || {
            let found = sqlx::query_scalar("SELECT id FROM ar.instances WHERE address = $1").bind(self.address.to_string());
            found.fetch_optional(&self.sql).await.expect("reads")
        })
        .await
    }

    /// The lines of its log so far, which is JSON unless it was asked for another form.
    pub(crate) fn events(&self) -> Vec<Value> {
        let log = self.log();
        // The last one may not be whole yet.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Stops it in order; what it logged.
    pub(crate) fn stop(mut self) -> String {
        self.running.signal("-TERM");
        assert_eq!(self.running.end(), Some(0));
        self.log()
    }

    /// Ends at once, as by a crash.
    pub(crate) fn kill(&mut self) {
        self.running.signal("-KILL");
        self.running.end();
    }

    /// Stops in its tracks until it is continued, as a virtual machine that is moved.
    pub(crate) fn pause(&self) {
        self.running.signal("-STOP");
    }

    /// Goes on after a pause.
    pub(crate) fn go_on(&self) {
        self.running.signal("-CONT");
    }
}

/// Variables that set the clock of a process ahead, or back. Timers are let be.
pub(crate) fn with_clock(ahead_s: i64) -> Vec<(&'static str, String)> {
    let told = Command::new("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]).output();
    let told = told.expect("the tests need faketime; on Debian: sudo apt-get install faketime");
    let library = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    assert!(told.status.success() && !library.is_empty(), "faketime names its library: {told:?}");
    vec![
        ("LD_PRELOAD", library),
        ("FAKETIME", format!("{ahead_s:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}
