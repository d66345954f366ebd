//! The schema: extensions, migrations of `ar`, and the SQL layer `gis` on top of them.
//!
//! Views of the layer pin columns of the tables, so a migration drops the layer, changes the tables and
//! makes the layer again, in one transaction: other instances see the old or the new, never a half.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use include_dir::{Dir, include_dir};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::error::is_away;

/// Forward-only migrations of schema `ar`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

static SQL_LAYER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/sql");

/// The advisory lock that migrating instances take turns on.
const MIGRATE_LOCK: i64 = 0x6172_5f6d_6967_7261;

/// Extensions that must be there, and the Debian package that has them.
const EXTENSIONS: [(&str, &str); 2] = [("postgis", "postgresql-15-postgis-3"), ("pg_trgm", "postgresql-15")];

/// Objects of the layer, newest first: each was made after those it builds on. Without CASCADE, because
/// that would drop an operator's own views too.
const DROP_LAYER: &str = "DO $$
DECLARE object record;
BEGIN
    FOR object IN
        SELECT p.oid, format('FUNCTION %s', p.oid::regprocedure) AS name FROM pg_proc p WHERE p.pronamespace = to_regnamespace('gis')
        UNION ALL
        SELECT c.oid, format('VIEW %s', c.oid::regclass) FROM pg_class c WHERE c.relnamespace = to_regnamespace('gis') AND c.relkind = 'v'
        ORDER BY 1 DESC
    LOOP
        EXECUTE 'DROP ' || object.name;
    END LOOP;
END $$";

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations applied now.
    pub migrations: usize,
    /// Whether the SQL layer was made anew.
    pub sql_layer: bool,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateFailure {
    /// The database cannot be reached, or a statement failed.
    #[error("{doing}")]
    Database {
        /// What was being done.
        doing: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The server does not have an extension.
    #[error("extension {extension} is not installed on the database server; on Debian: sudo apt-get install {package}")]
    NotInstalled {
        /// Its name.
        extension: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// We may not create an extension.
    #[error("this database user may not create extension {extension}; as a superuser, in this database: CREATE EXTENSION {extension}")]
    NotAllowed {
        /// Its name.
        extension: &'static str,
        /// What the server said.
        source: sqlx::Error,
    },
    /// Something of the operator's builds on the layer.
    #[error("something of yours depends on schema gis and must be dropped first, and made again after: {0}")]
    Dependents(String),
    /// The database was migrated by a newer version of this program.
    #[error("the database was migrated by a newer version of ar-supervisor (migration {0} is unknown here); run that one")]
    Newer(i64),
    /// A migration failed; nothing was changed.
    #[error("applying migrations")]
    Migration(#[source] MigrateError),
}

impl MigrateFailure {
    /// Whether the database was away or too busy, at the beginning or in the middle: nothing was changed, and the same may
    /// succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database { source, .. }
            | Self::NotAllowed { source, .. }
            | Self::Migration(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => is_away(source),
            Self::Migration(_) | Self::NotInstalled { .. } | Self::Dependents(_) | Self::Newer(_) => false,
        }
    }
}

/// Digest of the SQL layer as built in, by which a changed one is noticed.
#[must_use]
pub fn sql_layer_digest() -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in layer_files() {
        context.update(text.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.finish())
}

/// The files that `sql/layer.sql` names, in its order.
fn layer_files() -> impl Iterator<Item = &'static str> {
    let text = |path: &str| {
        SQL_LAYER.get_file(path).and_then(include_dir::File::contents_utf8).unwrap_or_else(|| panic!("sql/{path} is built in"))
    };
    text("layer.sql").lines().filter_map(|line| line.strip_prefix("\\ir ")).map(move |path| text(path.trim()))
}

/// Gives those who read what they may, and takes from all others what they may not. A migration does so; a dump that was
/// restored has what belongs to its schemas, but not what belongs to the database and the cluster.
pub(crate) async fn grant_rights(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let roles = SQL_LAYER.get_file("roles.sql").and_then(include_dir::File::contents_utf8).expect("it is built in");
    sqlx::raw_sql(roles).execute(connection).await.map(|_| ())
}

/// Brings a database up to date; one instance at a time, and the others find nothing to do.
///
/// # Errors
/// See [`MigrateFailure`]. A failed migration leaves the database as it was.
pub async fn migrate(options: &PgConnectOptions) -> Result<Migrated, MigrateFailure> {
    let options = options.clone().application_name("ar-supervisor migrate").options([
        ("lock_timeout", "10s"),
        ("statement_timeout", "0"),
        // "already exists, skipping" is nothing to tell.
        ("client_min_messages", "warning"),
    ]);
    let mut connection = options.connect().await.map_err(while_doing("connecting to the database"))?;
    // Polled: a waiter on an advisory lock deadlocks with CREATE INDEX CONCURRENTLY.
    while !try_lock(&mut connection).await? {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let migrated = migrate_locked(&mut connection).await;
    // The lock goes with the connection.
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "closing the migrating connection");
    }
    migrated
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, MigrateFailure> {
    sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(MIGRATE_LOCK)
        .fetch_one(connection)
        .await
        .map_err(while_doing("taking the migration lock"))
}

async fn migrate_locked(connection: &mut PgConnection) -> Result<Migrated, MigrateFailure> {
    for (extension, package) in EXTENSIONS {
        ensure_extension(connection, extension, package).await?;
    }
    let mut transaction = connection.begin().await.map_err(while_doing("beginning the migration"))?;
    // PostGIS may live in a schema of its own.
    let set_path = "SELECT set_config('search_path', quote_ident(extnamespace::regnamespace::text) || ', pg_catalog', true) FROM pg_extension WHERE extname = 'postgis'";
    sqlx::raw_sql(set_path).execute(&mut *transaction).await.map_err(while_doing("finding PostGIS's schema"))?;

    let done = applied(&mut transaction).await?;
    let digest = sql_layer_digest();
    let pending = MIGRATOR.iter().filter(|migration| !done.migrations.contains(&migration.version)).count();
    let sql_layer = pending > 0 || done.sql_layer.as_deref() != Some(digest.as_str());
    if sql_layer {
        sqlx::raw_sql(DROP_LAYER).execute(&mut *transaction).await.map_err(dependents)?;
    }
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.dangerous_set_table_name("ar.schema_migrations");
    migrator.create_schema("ar");
    migrator.set_locking(false);
    migrator.run(&mut *transaction).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => MigrateFailure::Newer(version),
        other => MigrateFailure::Migration(other),
    })?;
    if sql_layer {
        for text in layer_files() {
            sqlx::raw_sql(text).execute(&mut *transaction).await.map_err(while_doing("making the SQL layer"))?;
        }
        sqlx::query("INSERT INTO ar.meta VALUES ('sql_layer', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(&digest)
            .execute(&mut *transaction)
            .await
            .map_err(while_doing("noting the SQL layer"))?;
    }
    transaction.commit().await.map_err(while_doing("committing the migration"))?;
    Ok(Migrated { migrations: pending, sql_layer })
}

struct Applied {
    migrations: Vec<i64>,
    sql_layer: Option<String>,
}

async fn applied(connection: &mut PgConnection) -> Result<Applied, MigrateFailure> {
    let doing = || while_doing("reading which migrations were applied");
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('ar.schema_migrations') IS NOT NULL AND to_regclass('ar.meta') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(doing())?;
    if !exists {
        return Ok(Applied { migrations: Vec::new(), sql_layer: None });
    }
    let migrations = sqlx::query_scalar("SELECT version FROM ar.schema_migrations").fetch_all(&mut *connection).await.map_err(doing())?;
    let sql_layer =
        sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'sql_layer'").fetch_optional(connection).await.map_err(doing())?;
    Ok(Applied { migrations, sql_layer })
}

async fn ensure_extension(connection: &mut PgConnection, extension: &'static str, package: &'static str) -> Result<(), MigrateFailure> {
    let doing = || while_doing("looking for extensions");
    let state: (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = $1), EXISTS (SELECT FROM pg_available_extensions WHERE name = $1)",
    )
    .bind(extension)
    .fetch_one(&mut *connection)
    .await
    .map_err(doing())?;
    match state {
        (true, _) => Ok(()),
        (false, false) => Err(MigrateFailure::NotInstalled { extension, package }),
        (false, true) => sqlx::raw_sql(AssertSqlSafe(format!("CREATE EXTENSION IF NOT EXISTS {extension}")))
            .execute(connection)
            .await
            .map(|_| ())
            .map_err(|source| MigrateFailure::NotAllowed { extension, source }),
    }
}

fn while_doing(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> MigrateFailure {
    let doing = doing.into();
    move |source| MigrateFailure::Database { doing, source }
}

fn dependents(error: sqlx::Error) -> MigrateFailure {
    match error.as_database_error() {
        Some(database) if database.code().as_deref() == Some("2BP01") => MigrateFailure::Dependents(database.message().to_owned()),
        _ => while_doing("dropping the SQL layer")(error),
    }
}
