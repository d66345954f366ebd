//! The service as a process of its own, for what only a process shows: being killed, its limits, its memory and its exit
//! status.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use super::{SECRET, eventually};
use crate::commands::{Running, program};

/// Below those that Linux gives out by itself, from 32,768 on.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
/// Core of the service while `make soak` pins it and its load to a core each.
const SERVER_CORE: &str = "0";

/// A process that runs `serve`, or did.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    url: String,
    /// What it prints.
    log: PathBuf,
    /// Words before the program, such as `prlimit --nofile=256`.
    before: Vec<String>,
    variables: Vec<(&'static str, String)>,
    process: Running,
}

/// An address that is free, for whoever has to name it before it is listened at. Of ports that the kernel gives to
/// nobody by itself, and each once: no test that runs beside can take it meanwhile.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Whether service and load are to have a core each.
pub(crate) fn is_pinned() -> bool {
    std::env::var("AR_TEST_PIN").is_ok_and(|text| text == "1")
}

/// Puts a database on the core of the service, where service and load have one each: for a load that would take all of
/// the other.
pub(crate) async fn pin_database(sql: &sqlx::PgPool) {
    if !is_pinned() {
        return;
    }
    let pids: Vec<i32> = sqlx::query_scalar("SELECT pid FROM pg_stat_activity").fetch_all(sql).await.expect("its processes");
    let status = std::fs::read_to_string(format!("/proc/{}/status", pids[0])).expect("one of them");
    let postmaster = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("what started it").trim();
    // First the one from which all later ones have it. Of the others, some may have ended.
    for pid in std::iter::once(postmaster.to_owned()).chain(pids.iter().map(i32::to_string)) {
        let told = std::process::Command::new("taskset").args(["-cp", SERVER_CORE, &pid]).output().expect("taskset runs");
        assert!(told.status.success() || pid != postmaster, "{told:?}");
    }
}

impl Service {
    /// Starts it on a database that need not be there; it logs into a file. `before` are words before the program.
    pub(crate) fn start(database_url: &str, log: &Path, before: &[&str], variables: &[(&'static str, &str)]) -> Self {
        let pinned = if is_pinned() { vec!["taskset", "-c", SERVER_CORE] } else { Vec::new() };
        let before: Vec<String> = pinned.into_iter().chain(before.iter().copied()).map(str::to_owned).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (address, url) = (free_address(), database_url.to_owned());
        let process = spawn(&url, address, log, &before, &variables);
        Self { address, url, log: log.to_owned(), before, variables, process }
    }

    /// Starts it anew where it was, after it ended.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.url, self.address, &self.log, &self.before, &self.variables);
    }

    /// Waits until it can serve.
    pub(crate) async fn ready(&self) {
        eventually("it is ready", async || {
            let answer = reqwest::get(self.at("/health/ready")).await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Kills it, as the kernel does when memory is short.
    pub(crate) fn kill(&mut self) {
        self.process.signal("-9");
        self.process.end();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.process.0.try_wait().expect("its parent may ask") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Lines of its log that tell of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }

    /// Files and sockets that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.0.id())).expect("it runs").count()
    }

    /// Memory that it has in use (KiB).
    pub(crate) fn memory_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

fn spawn(url: &str, address: SocketAddr, log: &Path, before: &[String], variables: &[(&'static str, String)]) -> Running {
    let output = std::fs::File::options().create(true).append(true).open(log).expect("a file for its log");
    let mut serve = program();
    if let Some((first, others)) = before.split_first() {
        let mut wrapped = std::process::Command::new(first);
        wrapped.args(others).arg(serve.get_program()).env_clear().stdin(Stdio::null());
        wrapped.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        serve = wrapped;
    }
    serve.arg("serve").stdout(output.try_clone().expect("shared")).stderr(output);
    serve.envs([("DATABASE_URL", url), ("JWT_SECRET", SECRET), ("RATE_LIMIT", "off"), ("METRICS_PORT", "0")]);
    serve.envs([("SERVER_HOST", "127.0.0.1".to_owned()), ("SERVER_PORT", address.port().to_string())]);
    serve.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    Running(serve.spawn().expect("the program runs"))
}
