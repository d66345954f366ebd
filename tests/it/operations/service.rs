//! The service as a process at an address of its own, as an operator starts and stops it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::commands::{Running, program};
use crate::support::{SECRET, eventually};

/// An instance.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) process: Running,
    url: String,
    log: PathBuf,
}

impl Service {
    /// Starts one on a database, and waits until it is ready. It logs into a file of that name.
    pub(super) async fn start(url: &str, log: PathBuf) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
        let service = Self { address, process: spawn(url, address, &log), url: url.to_owned(), log };
        service.is_ready().await;
        service
    }

    async fn is_ready(&self) {
        eventually("it is ready", async || {
            let answer = reqwest::get(format!("http://{}/health/ready", self.address)).await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Stops it as systemd does, and starts it again; it must have ended well.
    pub(super) async fn restart(&mut self) {
        self.process.signal("-TERM");
        let ended = eventually("it ends", async || self.process.0.try_wait().expect("can be asked")).await;
        assert_eq!(ended.code(), Some(0), "{}", self.last_lines());
        self.process = spawn(&self.url, self.address, &self.log);
        self.is_ready().await;
    }

    /// The end of its log, for whoever reads a failure.
    pub(super) fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn spawn(url: &str, address: SocketAddr, log: &std::path::Path) -> Running {
    let output = std::fs::File::options().create(true).append(true).open(log).expect("a file for its log");
    let mut program = program();
    program.arg("serve").stdout(output.try_clone().expect("shared")).stderr(output);
    program.envs([("DATABASE_URL", url), ("JWT_SECRET", SECRET), ("RATE_LIMIT", "off"), ("DATABASE_MAX_CONNECTIONS", "16")]);
    program.envs([("SERVER_HOST", "127.0.0.1".to_owned()), ("SERVER_PORT", address.port().to_string())]);
    // Longer than a proxy takes to see that it is not ready.
    program.env("STOP_DELAY", "1s").env("METRICS_PORT", "0").env("HEALTH_CHECK_ALLOW", "127.0.0.0/8");
    Running(program.spawn().expect("the program runs"))
}
