//! One private PostgreSQL for the whole test process, and a clone of a migrated database for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use ar_supervisor::db::{ClusterSettings, PrivateCluster, migrate, reachable_dir};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const TEMPLATE: &str = "ar_template";

/// The shared server. A static is never dropped: the server ends, and its folder goes, when the pipes of
/// its watcher and of the folder's remover close with the end of this process, however that ends.
struct Shared {
    cluster: PrivateCluster,
    _remover: Child,
    clones: mpsc::UnboundedSender<(String, oneshot::Sender<()>)>,
    drops: mpsc::UnboundedSender<String>,
}

/// A database of one test's own; dropped with this value.
pub(crate) struct TestDb {
    name: String,
}

/// A server of one test's own, for tests that stop it.
pub(crate) struct OwnCluster {
    cluster: PrivateCluster,
    _remover: Child,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (cluster, remover) = start();
        let maintenance = cluster.options("postgres");
        let template = cluster.options(TEMPLATE);
        let (clones, mut to_clone) = mpsc::unbounded_channel::<(String, oneshot::Sender<()>)>();
        let (drops, mut to_drop) = mpsc::unbounded_channel::<String>();
        let (ready, made) = std::sync::mpsc::channel();
        // A thread of its own, because each test has its own runtime. One clone at a time: the server
        // refuses a second copy of a template that is being copied.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let mut copying = maintenance.connect().await.expect("connecting to the private cluster");
                let mut dropping = maintenance.connect().await.expect("connecting to the private cluster");
                run(&mut copying, format!("CREATE DATABASE {TEMPLATE}")).await;
                migrate(&template).await.expect("migrating the template");
                ready.send(()).expect("somebody waits");
                let clone = async {
                    while let Some((name, done)) = to_clone.recv().await {
                        run(&mut copying, format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
                        // A test that gave up meanwhile does not matter.
                        let _gave_up = done.send(());
                    }
                };
                let remove = async {
                    while let Some(name) = to_drop.recv().await {
                        run(&mut dropping, format!("DROP DATABASE {name} WITH (FORCE)")).await;
                    }
                };
                tokio::join!(clone, remove);
            });
        });
        made.recv().expect("the template is made");
        Shared { cluster, _remover: remover, clones, drops }
    })
}

async fn run(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// In memory where there is room and `TMPDIR` wishes nothing else: hundreds of databases are made and dropped, a thousand
/// files each.
fn scratch_dir() -> PathBuf {
    const IN_MEMORY: &str = "/dev/shm";
    const ROOM_BYTES: u64 = 4 << 30;
    let is_roomy = rustix::fs::statvfs(IN_MEMORY).is_ok_and(|is| is.f_bavail * is.f_frsize >= ROOM_BYTES);
    let wished = std::env::var_os("TMPDIR").is_some();
    if is_roomy && !wished { IN_MEMORY.into() } else { std::env::temp_dir() }
}

fn start() -> (PrivateCluster, Child) {
    let wished = scratch_dir().join(format!("ar-supervisor-it-{}", Uuid::now_v7().simple()));
    let data_dir = reachable_dir(&wished).expect("a folder that the server can reach");
    // What autovacuum does, it does at any time: rows move, plans and statistics change under a test that looks at them.
    let settings = ["shared_buffers=128MB", "max_wal_size=256MB", "autovacuum=off"].map(str::to_owned).to_vec();
    let settings = ClusterSettings { data_dir: data_dir.clone(), durable: false, settings };
    let cluster = PrivateCluster::start(&settings).unwrap_or_else(|error| panic!("the tests need PostgreSQL and PostGIS: {error}"));
    let remover = remove_after(&data_dir);
    (cluster, remover)
}

/// A shell that waits for the end of this process, then for the end of the server, and removes the folder.
fn remove_after(data_dir: &Path) -> Child {
    let script = r#"trap '' INT TERM HUP; cat >/dev/null; i=0; while [ -e "$1/postmaster.pid" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done; rm -rf "$1""#;
    let mut remover = Command::new("/bin/sh");
    remover.args(["-c", script, "sh"]).arg(data_dir).process_group(0).current_dir("/");
    remover.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    remover.spawn().expect("starting the remover of the data folder")
}

impl TestDb {
    /// A clone of the migrated template.
    pub(crate) async fn create() -> Self {
        let shared = tokio::task::spawn_blocking(shared).await.expect("the private cluster starts");
        let name = format!("t{}", Uuid::now_v7().simple());
        let (done, cloned) = oneshot::channel();
        shared.clones.send((name.clone(), done)).expect("the cloning thread lives");
        cloned.await.expect("the template can be cloned");
        Self { name }
    }

    /// An empty database: no extension, no schema.
    pub(crate) async fn empty() -> Self {
        let shared = tokio::task::spawn_blocking(shared).await.expect("the private cluster starts");
        let name = format!("t{}", Uuid::now_v7().simple());
        let mut connection = shared.cluster.options("postgres").connect().await.expect("connects");
        run(&mut connection, format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    /// A copy of a database that nobody is connected to.
    pub(crate) async fn copy_of(template: &Self) -> Self {
        let name = format!("t{}", Uuid::now_v7().simple());
        let mut connection = shared().cluster.options("postgres").connect().await.expect("connects");
        run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {}", template.name)).await;
        Self { name }
    }

    /// How to connect to it, as the owner of everything.
    pub(crate) fn options(&self) -> PgConnectOptions {
        shared().cluster.options(&self.name)
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.options().connect().await.expect("connecting to the test's database")
    }
}

/// A database migrated by itself and not cloned: rights on a database are not copied with it.
pub(crate) async fn migrated_apart() -> TestDb {
    let db = TestDb::empty().await;
    migrate(&db.options()).await.expect("migrates");
    db
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // When the thread is gone, so is the server.
        let _gone = shared().drops.send(std::mem::take(&mut self.name));
    }
}

impl OwnCluster {
    /// A new server with one migrated database, `postgres`.
    pub(crate) async fn start() -> Self {
        let (cluster, remover) = tokio::task::spawn_blocking(start).await.expect("a private cluster starts");
        migrate(&cluster.options("postgres")).await.expect("migrates");
        // It commits without waiting for the disk, and what a test kills should come back with its schema.
        let mut connection = cluster.options("postgres").connect().await.expect("connects");
        run(&mut connection, "CHECKPOINT".to_owned()).await;
        Self { cluster, _remover: remover }
    }

    /// A server that replicates this one: made from a base backup, and streamed to from then on.
    pub(crate) async fn replica(&self) -> Self {
        self.base_backup(&["-R"]).await
    }

    /// A server of its own that begins where this one is: what an operator has who restores a base backup.
    pub(crate) async fn copy(&self) -> Self {
        self.base_backup(&[]).await
    }

    async fn base_backup(&self, kind: &[&str]) -> Self {
        let data_dir = self.cluster.data_dir().with_file_name(format!("ar-supervisor-it-{}", Uuid::now_v7().simple()));
        let target = data_dir.to_string_lossy().into_owned();
        let source = self.cluster.socket_dir().to_string_lossy().into_owned();
        let arguments = ["-h", &source, "-U", "ar_supervisor", "-D", &target, "-X", "stream", "-c", "fast", "--no-sync"];
        let status = self.program("pg_basebackup").args(arguments).args(kind).status().await.expect("pg_basebackup runs");
        assert!(status.success(), "pg_basebackup: {status}");
        // Sockets are where data are, and the one of the primary is no file to copy.
        if let Err(error) = std::fs::remove_file(data_dir.join(".s.PGSQL.5432.lock")) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
        let settings = ClusterSettings { data_dir: data_dir.clone(), durable: false, settings: Vec::new() };
        let starting = tokio::task::spawn_blocking(move || PrivateCluster::start(&settings)).await.expect("no panic");
        Self { cluster: starting.expect("the copy starts"), _remover: remove_after(&data_dir) }
    }

    /// How to connect to its database.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.cluster.options("postgres")
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.cluster.socket_dir().join(".s.PGSQL.5432")
    }

    /// The tests' clusters do not wait for their log. From now on new connections do: for tests that kill them.
    pub(crate) async fn wait_for_its_log(&self) {
        let mut connection = self.options().connect().await.expect("connects");
        run(&mut connection, "ALTER DATABASE postgres SET synchronous_commit = on".to_owned()).await;
    }

    /// Stops the server, as an operator or a crash would: `fast` or `immediate`.
    pub(crate) async fn stop(&self, mode: &'static str) {
        self.pg_ctl(&["-m", mode, "-w", "stop"]).await;
    }

    /// Whether it takes connections, or will as soon as it has recovered by itself.
    pub(crate) fn is_up(&self) -> bool {
        let file = std::fs::read_to_string(self.cluster.data_dir().join("postmaster.pid")).unwrap_or_default();
        let pid = file.lines().next().unwrap_or_default().trim().to_owned();
        !pid.is_empty() && Path::new("/proc").join(pid).exists()
    }

    /// Kills its first process, as the kernel does when memory is short; the others end by themselves, some later.
    pub(crate) async fn kill(&self) {
        let file = std::fs::read_to_string(self.cluster.data_dir().join("postmaster.pid")).expect("it runs");
        let pid = file.lines().next().expect("its number").trim().to_owned();
        let status = tokio::process::Command::new("kill").args(["-9", &pid]).status().await.expect("kill runs");
        assert!(status.success());
    }

    /// Starts it again where it was, as soon as the last process of the one before is gone.
    pub(crate) async fn start_again(&self) {
        let options = format!("-k {} -c listen_addresses= -c max_connections=200 -c fsync=off", self.cluster.socket_dir().display());
        let arguments = ["-w", "-l", "/dev/null", "-o", &options, "start"].map(str::to_owned);
        super::eventually("PostgreSQL starts", async || self.try_pg_ctl(&arguments).await.success().then_some(())).await;
    }

    async fn pg_ctl(&self, arguments: &[&str]) {
        let status = self.try_pg_ctl(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>()).await;
        assert!(status.success(), "pg_ctl: {status}");
    }

    async fn try_pg_ctl(&self, arguments: &[String]) -> ExitStatus {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(self.cluster.data_dir()).arg("-s").args(arguments);
        command.status().await.expect("pg_ctl runs")
    }

    /// One of PostgreSQL's programs, run as the server's user.
    pub(crate) fn program(&self, name: &str) -> tokio::process::Command {
        let data_dir = self.cluster.data_dir();
        // Its first word is the server's program.
        let command_line = std::fs::read_to_string(data_dir.join("postmaster.opts")).expect("the server was started once");
        let program = PathBuf::from(command_line.split(' ').next().expect("a first word")).with_file_name(name);
        let owner = data_dir.metadata().expect("the data folder");
        let mut command = tokio::process::Command::new(program);
        command.uid(owner.uid()).gid(owner.gid()).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
