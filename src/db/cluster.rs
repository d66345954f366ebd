//! A PostgreSQL cluster of our own, for `ar-supervisor dev` and the tests: made in a folder, reached over a
//! Unix socket, never the system's. It ends with the process that started it, even when that is killed.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnectOptions;

/// Where the cluster lives and how careful it is.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Folder of its data; made when missing.
    pub data_dir: PathBuf,
    /// False: no fsync, for data that nobody will miss.
    pub durable: bool,
    /// More settings, `name=value`.
    pub settings: Vec<String>,
}

/// A running cluster; stopped when dropped.
#[derive(Debug)]
pub struct PrivateCluster {
    socket_dir: PathBuf,
    data_dir: PathBuf,
    /// Holds the pipe whose end makes the watcher stop the server.
    watcher: Child,
}

/// Why there is no private cluster, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// PostgreSQL's programs were not found.
    #[error("PostgreSQL's server programs were not found; on Debian: sudo apt-get install postgresql-15 postgresql-15-postgis-3")]
    NoPostgres,
    /// We are root, and there is no user to run the server as.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` to run it as; on Debian: sudo apt-get install postgresql-15")]
    NoPostgresUser,
    /// Another process uses the folder.
    #[error("{0} is in use by another running server; stop that one, or name another folder with --data-dir")]
    InUse(PathBuf),
    /// A file or process operation failed.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it printed.
        output: String,
    },
}

/// A socket's path may have some hundred characters, its file name included.
const MAX_SOCKET_DIR_LEN: usize = 80;

/// Who runs the server's processes when we are root.
#[derive(Clone, Copy)]
struct RunAs {
    uid: u32,
    gid: u32,
}

impl PrivateCluster {
    /// Starts the cluster, making it first when the folder is empty. Takes about a second, two when new.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn start(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        let bin = find_bin_dir().ok_or(ClusterError::NoPostgres)?;
        let run_as = if rustix::process::geteuid().is_root() { Some(postgres_user()?) } else { None };
        let data_dir = &settings.data_dir;
        make_dir(data_dir, run_as)?;
        if !data_dir.join("PG_VERSION").exists() {
            init(&bin, data_dir, run_as)?;
        }
        let socket_dir = if data_dir.as_os_str().len() <= MAX_SOCKET_DIR_LEN {
            data_dir.clone()
        } else {
            let short = std::env::temp_dir().join(format!("ar-supervisor-{}", uuid::Uuid::now_v7().simple()));
            make_dir(&short, run_as)?;
            short
        };
        start_server(&bin, settings, &socket_dir, run_as)?;
        let watcher = watch(&bin, data_dir, &socket_dir, run_as)?;
        Ok(Self { socket_dir, data_dir: data_dir.clone(), watcher })
    }

    /// How to connect to one of its databases, as its superuser.
    #[must_use]
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.socket_dir).username("ar_supervisor").database(database)
    }

    /// Folder of its Unix socket: `psql -h` takes it.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Folder of its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        // The watcher stops the server when its pipe closes, and we wait until it has.
        drop(self.watcher.stdin.take());
        if let Err(error) = self.watcher.wait() {
            tracing::warn!(%error, "waiting for the private database to stop");
        }
    }
}

/// A folder that the server's user can reach: the wished one, or another when that lies in a closed home.
///
/// # Errors
/// When we are root and there is no user to run the server as.
pub fn reachable_dir(wished: &Path) -> Result<PathBuf, ClusterError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(wished.to_owned());
    }
    let run_as = postgres_user()?;
    let closed = wished.ancestors().skip(1).filter(|dir| dir.exists()).any(|dir| !may_enter(dir, run_as));
    if !closed {
        return Ok(wished.to_owned());
    }
    let name: String = wished.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(Path::new("/var/lib/ar-supervisor").join(name.trim_matches('-')))
}

fn may_enter(dir: &Path, run_as: RunAs) -> bool {
    dir.metadata().is_ok_and(|meta| {
        let mode = meta.mode();
        mode & 0o001 != 0 || (meta.uid() == run_as.uid && mode & 0o100 != 0) || (meta.gid() == run_as.gid && mode & 0o010 != 0)
    })
}

/// `pg_config --bindir`, Debian's layout (newest first), Homebrew's.
fn find_bin_dir() -> Option<PathBuf> {
    let said = Command::new("pg_config").arg("--bindir").output().ok().filter(|output| output.status.success());
    let said = said.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut debian: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    debian.sort_by_key(|dir| std::cmp::Reverse(dir.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok())));
    let homebrew = ["/opt/homebrew/opt/postgresql@15/bin", "/usr/local/opt/postgresql@15/bin"].map(PathBuf::from);
    said.into_iter().chain(debian).chain(homebrew).find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists())
}

fn postgres_user() -> Result<RunAs, ClusterError> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(io("reading /etc/passwd"))?;
    let fields: Vec<&str> =
        passwd.lines().find(|line| line.starts_with("postgres:")).ok_or(ClusterError::NoPostgresUser)?.split(':').collect();
    match (fields.get(2).and_then(|uid| uid.parse().ok()), fields.get(3).and_then(|gid| gid.parse().ok())) {
        (Some(uid), Some(gid)) => Ok(RunAs { uid, gid }),
        _ => Err(ClusterError::NoPostgresUser),
    }
}

fn make_dir(dir: &Path, run_as: Option<RunAs>) -> Result<(), ClusterError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(io(format!("making {}", parent.display())))?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(io(format!("making {}", dir.display())))?;
    if let Some(RunAs { uid, gid }) = run_as {
        std::os::unix::fs::chown(dir, Some(uid), Some(gid)).map_err(io(format!("giving {} to user postgres", dir.display())))?;
    }
    Ok(())
}

fn command(program: &Path, run_as: Option<RunAs>) -> Command {
    let mut command = Command::new(program);
    // Not in our process group: Ctrl-C is for us, and we stop the server when we are done with it.
    command.process_group(0).current_dir("/").stdin(Stdio::null());
    if let Some(RunAs { uid, gid }) = run_as {
        command.uid(uid).gid(gid);
    }
    command
}

fn init(bin: &Path, data_dir: &Path, run_as: Option<RunAs>) -> Result<(), ClusterError> {
    let mut initdb = command(&bin.join("initdb"), run_as);
    initdb.arg("-D").arg(data_dir).args([
        "-U",
        "ar_supervisor",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    succeed("initdb", &mut initdb)
}

fn start_server(bin: &Path, settings: &ClusterSettings, socket_dir: &Path, run_as: Option<RunAs>) -> Result<(), ClusterError> {
    let data_dir = &settings.data_dir;
    if running_pid(data_dir).is_some() {
        return Err(ClusterError::InUse(data_dir.clone()));
    }
    let mut options = format!("-k {} -c listen_addresses= -c max_connections=200 -c jit=off", socket_dir.display());
    if !settings.durable {
        options.push_str(" -c fsync=off -c synchronous_commit=off -c full_page_writes=off");
    }
    for setting in &settings.settings {
        options.push_str(" -c ");
        options.push_str(setting);
    }
    let mut start = command(&bin.join("pg_ctl"), run_as);
    // The log is in the data folder; the terminal stays ours.
    start.arg("-D").arg(data_dir).arg("-l").arg(data_dir.join("server.log")).args(["-w", "-t", "60", "-s", "-o", &options, "start"]);
    succeed("pg_ctl start", &mut start)
}

/// The process id in `postmaster.pid`, when that process lives.
fn running_pid(data_dir: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data_dir.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    Path::new("/proc").join(pid.to_string()).exists().then_some(pid)
}

/// A shell that waits for the end of its standard input, which comes with the end of our process however
/// that ends, and then stops the server.
fn watch(bin: &Path, data_dir: &Path, socket_dir: &Path, run_as: Option<RunAs>) -> Result<Child, ClusterError> {
    let script = r#"trap '' INT TERM HUP; cat >/dev/null; "$1" -D "$2" -m fast -s -w -t 30 stop || "$1" -D "$2" -m immediate -s stop; [ "$2" = "$3" ] || rm -rf "$3""#;
    let mut watcher = command(Path::new("/bin/sh"), run_as);
    watcher.args(["-c", script, "sh"]).arg(bin.join("pg_ctl")).arg(data_dir).arg(socket_dir);
    watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watcher.spawn().map_err(io("starting the watcher of the private database"))
}

fn succeed(program: &'static str, command: &mut Command) -> Result<(), ClusterError> {
    // Not through pipes: the server inherits them from pg_ctl and would hold them open.
    let output_path = std::env::temp_dir().join(format!("ar-supervisor-{}", uuid::Uuid::now_v7()));
    let output =
        std::fs::File::options().create_new(true).read(true).write(true).open(&output_path).map_err(io("making a file for output"))?;
    let clone = |file: &std::fs::File| file.try_clone().map_err(io("sharing a file for output"));
    let status = command.stdout(clone(&output)?).stderr(clone(&output)?).status().map_err(io(format!("running {program}")));
    let text = std::fs::read_to_string(&output_path).unwrap_or_default();
    remove_quietly(&output_path);
    if status?.success() { Ok(()) } else { Err(ClusterError::Program { program, output: text.trim().to_owned() }) }
}

fn remove_quietly(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    if let Err(error) = removed {
        tracing::debug!(%error, path = %path.display(), "removing");
    }
}

fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> ClusterError {
    let doing = doing.into();
    move |source| ClusterError::Io { doing, source }
}
