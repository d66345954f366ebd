//! The private cluster of the benches. Its data stays between runs, below cargo's target folder: a second
//! run starts at once. A changed migration makes it anew; a changed SQL layer is put on the data that is there.

use std::path::{Path, PathBuf};

use ar_supervisor::db::{ClusterSettings, MIGRATOR, PrivateCluster, migrate, reachable_dir};
use aws_lc_rs::digest;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::random::Area;
use super::{Outcome, load};

/// Raised when the made-up rows change, so that older data is not taken for theirs.
const DATA_VERSION: u32 = 1;

/// A running cluster; ends with the bench.
pub(crate) struct BenchCluster(PrivateCluster);

impl BenchCluster {
    /// Starts it.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start; the message says what to install.
    pub(crate) fn start() -> Outcome<Self> {
        let home = reachable_dir(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-clusters"))?;
        let data_dir = home.join(schema_digest());
        remove_outdated(&home, &data_dir);
        let settings = [
            // All databases of a bench at once.
            "shared_buffers=5GB",
            "maintenance_work_mem=512MB",
            "max_wal_size=8GB",
            "checkpoint_timeout=1h",
            // Nothing in the background while we measure; `load` vacuums and analyses by itself.
            "autovacuum=off",
            "wal_level=minimal",
            "max_wal_senders=0",
        ];
        let settings = settings.map(str::to_owned).to_vec();
        Ok(Self(PrivateCluster::start(&ClusterSettings { data_dir, durable: false, settings })?))
    }

    /// One that waits for its disk at each commit; its data does not stay.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start; the message says what to install.
    pub(crate) fn durable() -> Outcome<Self> {
        let data_dir = reachable_dir(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-durable"))?;
        let settings = ["shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=1h", "autovacuum=off", "max_connections=300"];
        let settings = settings.map(str::to_owned).to_vec();
        Ok(Self(PrivateCluster::start(&ClusterSettings { data_dir, durable: true, settings })?))
    }

    /// How to connect to a database of it.
    pub(crate) fn options(&self, database: &str) -> PgConnectOptions {
        self.0.options(database)
    }

    /// Folder of its Unix socket.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.0.socket_dir()
    }

    /// The server's process.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(crate) fn postmaster_pid(&self) -> Outcome<String> {
        let text = std::fs::read_to_string(self.0.data_dir().join("postmaster.pid"))?;
        text.lines().next().map(str::to_owned).ok_or_else(|| "the server has no process".into())
    }

    /// A database with so many decorations in an area, made and loaded when it is not there yet.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn database(&self, area: &Area, rows: u64) -> Outcome<String> {
        let name = format!("{}_{rows}", area.name);
        let mut admin = self.options("postgres").connect().await?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(&name).fetch_one(&mut admin).await?;
        if !exists {
            // Loaded under another name, so that one cut short is not taken for a whole one.
            let draft = format!("{name}_draft");
            sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {draft}"))).execute(&mut admin).await?;
            sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {draft}"))).execute(&mut admin).await?;
            migrate(&self.options(&draft)).await?;
            eprintln!("loading {rows} decorations into {name} (once)");
            load::fill(&mut self.options(&draft).connect().await?, area, rows).await?;
            sqlx::raw_sql(AssertSqlSafe(format!("ALTER DATABASE {draft} RENAME TO {name}"))).execute(&mut admin).await?;
        }
        admin.close().await?;
        migrate(&self.options(&name)).await?;
        self.warm(&name).await?;
        Ok(name)
    }

    /// A database with the schema and nothing in it, made anew.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn empty(&self, name: &str) -> Outcome<PgConnectOptions> {
        let mut admin = self.options("postgres").connect().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(&mut admin).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await?;
        admin.close().await?;
        migrate(&self.options(name)).await?;
        Ok(self.options(name))
    }

    /// Reads what will be measured into memory, and does what would otherwise happen in the background.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn warm(&self, name: &str) -> Outcome<()> {
        let mut connection = self.options(name).connect().await?;
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_prewarm").execute(&mut connection).await?;
        let sql = "SELECT sum(pg_prewarm(indexrelid)) + sum(pg_prewarm(indrelid)) FILTER (WHERE indisprimary)
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid IN ('ar.decorations'::regclass, 'ar.decoration_counts'::regclass)
            AND relname <> 'decorations_text_trgm'";
        sqlx::query(sql).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// A connection with the plan mode of one of the service's pools.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) async fn connect(&self, database: &str, plan_cache_mode: &str) -> Outcome<PgConnection> {
        let options = self.options(database).options([("plan_cache_mode", plan_cache_mode)]);
        // As the pool with generic plans has it.
        let options =
            if plan_cache_mode == "force_generic_plan" { options.options([("max_parallel_workers_per_gather", "0")]) } else { options };
        Ok(options.connect().await?)
    }
}

/// Names the data: by the migrations, and by the version of the made-up rows.
fn schema_digest() -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&DATA_VERSION.to_be_bytes());
    for migration in MIGRATOR.iter() {
        context.update(&migration.checksum);
    }
    let digest = context.finish();
    let first = digest.as_ref().first_chunk::<8>().expect("SHA-256 has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

/// Removes the data of other migrations, unless a server runs on it. Best effort.
fn remove_outdated(home: &Path, keep: &Path) {
    let folders = std::fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    let outdated: Vec<PathBuf> =
        folders.filter(|dir| dir != keep && dir.join("PG_VERSION").exists() && !dir.join("postmaster.pid").exists()).collect();
    for dir in outdated {
        if let Err(error) = std::fs::remove_dir_all(&dir) {
            eprintln!("removing {}: {error}", dir.display());
        }
    }
}
