//! The service as a process of its own: this program again, told to serve. The same router, pools, accept
//! loop, allocator and log level as `ar-supervisor serve`, on the bench's database.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use ar_supervisor::config::{DatabaseConfig, LogConfig, LogFormat};
use ar_supervisor::db::Db;
use ar_supervisor::http::{ConnectionLimits, CursorKey, router, serve};
use ar_supervisor::lifecycle::Lifecycle;
use ar_supervisor::state::AppState;
use ar_supervisor::telemetry;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use crate::support::Outcome;
use crate::support::database::BenchCluster;

/// First argument of the process that serves.
const WORD: &str = "serve-for-the-bench";

/// The running service; ends with the bench, however that ends.
pub struct Service {
    child: Child,
    port: u16,
}

impl Service {
    /// Starts it with as many connections for `nearby` as asked for.
    ///
    /// # Errors
    /// When the process does not start.
    pub fn start(cluster: &BenchCluster, database: &str, connections: u64) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WORD).arg(cluster.socket_dir()).arg(database).arg(connections.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the service has no output")?).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_not_a_port| "the service did not start")?;
        Ok(Self { child, port })
    }

    /// Address of its root.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("waiting for the service: {error}");
        }
    }
}

/// What follows the word, when this process is the one that serves.
pub fn arguments(all: &[String]) -> Option<&[String]> {
    all.get(1).filter(|word| *word == WORD).map(|_| &all[2..])
}

/// Serves until standard input ends.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let [socket_dir, database, connections] = arguments else { return Err("takes a socket folder, a database and a number".into()) };
    let connections: u32 = connections.parse()?;
    telemetry::start(&LogConfig { level: "info".to_owned(), format: LogFormat::Json })?;
    let primary = PgConnectOptions::new_without_pgpass().socket(socket_dir).username("ar_supervisor").database(database);
    // A third each goes to boxes and to writes; the rest is for hot reads.
    let config = DatabaseConfig { primary, replica: None, max_connections: 3 * connections - 2 };
    let lifecycle = Lifecycle::new();
    let parent_left = lifecycle.clone();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Whatever ends it, the parent is gone.
        drop(std::io::stdin().read_to_end(&mut rest));
        parent_left.stop();
    });
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async move {
        let key = CursorKey::derive(&SecretString::from("only for measuring, on loopback"));
        let db = Db::new(&config);
        let router = router(AppState::new(db.clone(), key, lifecycle.clone()));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?.port());
        lifecycle.mark_started();
        serve(listener, router, ConnectionLimits::default(), &lifecycle).await;
        db.close().await;
        Ok(())
    })
}
