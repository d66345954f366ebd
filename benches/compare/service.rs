//! The service under load: the program itself, `ar-supervisor serve`, on the bench's database, with its
//! defaults but for the number of connections.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::Outcome;
use crate::support::database::BenchCluster;

/// The running service; ends with the bench, however that ends.
pub(crate) struct Service {
    /// A shell around it, which stops it when its input ends.
    watcher: Child,
    url: String,
}

impl Service {
    /// Starts it with as many connections for `nearby` as asked for.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(cluster: &BenchCluster, database: &str, connections: u64) -> Outcome<Self> {
        Self::start_on(cluster, database, connections, None)
    }

    /// The same, on one core.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start_on(cluster: &BenchCluster, database: &str, connections: u64, core: Option<&str>) -> Outcome<Self> {
        let mut watcher = Command::new("/bin/sh");
        watcher.args(["-c", r#"trap '' INT; "$@" </dev/null & cat >/dev/null; kill $!; wait $!"#, "sh"]);
        if let Some(core) = core {
            watcher.args(["taskset", "-c", core]);
        }
        watcher.args([env!("CARGO_BIN_EXE_ar-supervisor"), "serve", "--no-migrate"]);
        watcher.env_remove("DATABASE_URL").env_remove("DATABASE_READ_URL").env("DB_USER", "ar_supervisor");
        watcher.env("DB_HOST", cluster.socket_dir()).env("DB_NAME", database);
        // Five are for background work, a third of the rest each goes to boxes and to writes, what is left is for hot reads.
        watcher.env("DATABASE_MAX_CONNECTIONS", (3 * connections + 3).to_string());
        watcher.env("SERVER_HOST", "127.0.0.1").env("SERVER_PORT", "0").env("METRICS_PORT", "0").env("RATE_LIMIT", "off");
        // Phones that wait for their turn are not silent.
        watcher.env("DEVICE_PING_TIMEOUT", "1h");
        watcher.env("JWT_SECRET", "Only-for-Measuring-on-Loopback-0123456789").env("LOG_FORMAT", "json").env("LOG_LEVEL", "info");
        let mut watcher = watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut log = BufReader::new(watcher.stderr.take().ok_or("the service has no log")?).lines();
        let mut seen = String::new();
        let address = loop {
            let Some(line) = log.next() else { return Err(format!("the service did not start: {seen}").into()) };
            let line = line?;
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.split('"').next().unwrap_or_default().to_owned();
            }
            seen.push_str(&line);
        };
        // What it warns of is for whoever watches.
        std::thread::spawn(move || {
            let warnings = log.map_while(Result::ok).filter(|line| !line.contains(r#""level":"INFO""#));
            warnings.for_each(|line| eprintln!("service: {line}"));
        });
        Ok(Self { watcher, url: format!("http://{address}") })
    }

    /// Address of its root.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Process of the program itself, inside the shell.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn pid(&self) -> Outcome<u32> {
        let shell = self.watcher.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let is_ours = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ar-supervisor");
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_ours).ok_or_else(|| "the service has no process".into())
    }

    /// Sends it SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn stop(mut self) -> Outcome<ExitStatus> {
        drop(self.watcher.stdin.take());
        Ok(self.watcher.wait()?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        if let Err(error) = self.watcher.wait() {
            eprintln!("waiting for the service: {error}");
        }
    }
}
