//! `ar-supervisor doctor`: looks for what goes wrong in practice, and names a cure for each fault.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use geo_types::Point;
use sqlx::{ConnectOptions, PgConnection};
use uuid::Uuid;

use super::Outcome;
use crate::config::{Environment, LogFormat};
use crate::db::{MIGRATOR, grant_rights, sql_layer_digest};
use crate::geo::{Cells, Geog, LatLng};
use crate::http::Tls;
use crate::sync;

/// Rows whose cells are checked unless all are asked for.
const SAMPLE_ROWS: i64 = 100_000;
/// How long the replica may take to answer.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(5);
/// Decorations that are compared with edges' rows at once.
const SYNC_PAGE: i64 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Check the stored cells, and what edges should hold, of every decoration, not of 100,000
    #[arg(long)]
    all: bool,
    /// Write the right cells where stored ones are wrong
    #[arg(long)]
    repair_cells: bool,
    /// After this database was restored from a backup: let edges know that what they hold may be newer than it, so that
    /// each gets all of its content anew
    #[arg(long)]
    after_restore: bool,
}

/// What a check found: how it is, or what is wrong and what to do.
type Finding = Result<String, Fault>;

struct Fault {
    what: String,
    cure: String,
}

fn fault<T>(what: impl Into<String>, cure: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { what: what.into(), cure: cure.into() })
}

/// A statement of ours failed: most often because what it looks at is not there.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unexpected(error: sqlx::Error) -> Fault {
    Fault { what: error.to_string(), cure: "cure what stands above first; then run doctor again".to_owned() }
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let mut faults = 0;
    let mut tell = |name: &str, finding: Finding| match finding {
        Ok(state) => println!("ok    {name}: {state}"),
        Err(Fault { what, cure }) => {
            faults += 1;
            println!("FAULT {name}: {what}\n      cure: {cure}");
        }
    };
    tell("configuration", configuration(environment));
    tell("certificate", certificate(environment));
    match connect(environment).await {
        Err(fault) => tell("database", Err(fault)),
        Ok(mut connection) => {
            let connection = &mut connection;
            tell("database", version(connection).await);
            tell("PostGIS", extensions(connection).await);
            tell("schema", schema(connection).await);
            tell("indexes", indexes(connection).await);
            if args.after_restore {
                tell("rights", rights(connection).await);
            }
            tell("analysts' role", analyst(connection).await);
            tell("stored cells", cells(connection, args).await);
            tell("places at edges", places(connection).await);
            if args.after_restore {
                tell("restored", restored(connection).await);
            }
            tell("sync", sync(connection, args).await);
            tell("admins", admins(connection).await);
            tell("clock", clock(connection).await);
            tell("replica", replica(environment, connection).await);
            tell("instances", instances(connection).await);
        }
    }
    if faults == 0 {
        println!("All is well.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{faults} fault{}.", if faults == 1 { "" } else { "s" });
    Ok(ExitCode::FAILURE)
}

fn configuration(environment: &Environment) -> Finding {
    let faults: Vec<String> = [
        environment.database().err().map(|error| error.to_string()),
        environment.server().err().map(|error| error.to_string()),
        environment.content().err().map(|error| error.to_string()),
        environment.log(LogFormat::Json).err().map(|error| error.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if faults.is_empty() {
        return Ok("every variable can be used".to_owned());
    }
    fault(faults.join("\n"), "set the variables named above in the form they take")
}

fn certificate(environment: &Environment) -> Finding {
    let files = match environment.server() {
        Err(_) => return Ok("not looked at before the configuration can be used".to_owned()),
        Ok(server) => server.http.tls,
    };
    let Some(files) = files else { return Ok("none set; the port speaks plain HTTP".to_owned()) };
    match Tls::load(&files) {
        Ok(_) => Ok(format!("{} can be used", files.certificate.display())),
        Err(error) => fault(
            error.source().map_or(error.to_string(), |why| format!("{error}: {why}")),
            "name a certificate chain and its private key, both PEM, that the service may read",
        ),
    }
}

/// Every edge must count the devices that it has: who counts too many refuses phones that it could take.
async fn places(connection: &mut PgConnection) -> Finding {
    let wrong: Vec<(Uuid, i32, i64)> = sqlx::query_as(
        "SELECT l.edge_server_id, l.current_connections, count(d.device_id)
         FROM ar.edge_load l LEFT JOIN ar.device_connections d ON d.edge_server_id = l.edge_server_id
         GROUP BY l.edge_server_id HAVING l.current_connections <> count(d.device_id) ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(unexpected)?;
    if let Some((edge, counted, there)) = wrong.first() {
        let cure = "while the service is stopped: UPDATE ar.edge_load l SET current_connections = \
                    (SELECT count(*) FROM ar.device_connections d WHERE d.edge_server_id = l.edge_server_id)";
        return fault(format!("counted wrong at {} edges: {edge} counts {counted} devices and has {there}", wrong.len()), cure);
    }
    let (edges, devices): (i64, i64) = sqlx::query_as("SELECT count(*), coalesce(sum(current_connections), 0)::bigint FROM ar.edge_load")
        .fetch_one(connection)
        .await
        .map_err(unexpected)?;
    Ok(format!("{devices} devices at {edges} edges are counted right"))
}

/// A dump has neither roles nor the rights on the database itself.
async fn rights(connection: &mut PgConnection) -> Finding {
    grant_rights(connection).await.map_err(unexpected)?;
    Ok("given and taken as by a migration".to_owned())
}

/// The numbers that edges know are of a time that this database does not remember: with another epoch they are void.
async fn restored(connection: &mut PgConnection) -> Finding {
    let epoch = sync::begin_epoch(connection).await.map_err(unexpected)?;
    Ok(format!(
        "the epoch is {epoch} from now on, and no edge's session goes on. Edges connect again by themselves and get all of their content \
         anew, serving what they have until it is complete; what they had beyond this database's state goes"
    ))
}

/// The decoration before the newest ones, if there is one: most of what goes wrong went wrong lately.
async fn before_newest(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM ar.decorations ORDER BY id DESC OFFSET $1 LIMIT 1")
        .bind(SAMPLE_ROWS)
        .fetch_optional(connection)
        .await
}

/// Edges' rows must say what edges should hold.
async fn sync(connection: &mut PgConnection, args: &Args) -> Finding {
    let start = if args.all { None } else { before_newest(connection).await.map_err(unexpected)? };
    let (mut after, mut compared, mut differing) = (start, 0, Vec::new());
    loop {
        let page = sync::compare(connection, after, SYNC_PAGE).await.map_err(unexpected)?;
        compared += page.decorations;
        differing.extend(page.differing);
        if page.last.is_none() {
            break;
        }
        after = page.last;
    }
    if let Some(first) = differing.first() {
        return fault(
            format!("what edges should hold is not marked for {} of {compared} decorations, such as {first}", differing.len()),
            "none needed: while a service runs, it mends itself within EDGE_SYNC_INTERVAL and logs it; if it comes back, tell us",
        );
    }
    let sync::Standing { margin_m, uneven, pairs } = sync::standing(connection).await.map_err(unexpected)?;
    if uneven > 0 {
        let cure = "start a service: it covers all edges for the margin of its EDGE_SYNC_MARGIN_METERS";
        return fault(format!("{uneven} edges are not covered, or not marked, for the margin of {margin_m} m that is in force"), cure);
    }
    Ok(format!("{pairs} pairs of edge and decoration are as they should be, on {compared} decorations, with a margin of {margin_m} m"))
}

/// Without an admin the service is whole, only nobody manages its content.
async fn admins(connection: &mut PgConnection) -> Finding {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.users WHERE role = 'admin' AND is_active")
        .fetch_one(connection)
        .await
        .map_err(unexpected)?;
    Ok(match count {
        0 => "none yet; ar-supervisor admin create makes one".to_owned(),
        count => format!("{count} active"),
    })
}

async fn connect(environment: &Environment) -> Result<PgConnection, Fault> {
    let config =
        environment.database().map_err(|error| Fault { what: error.to_string(), cure: "set the variables named above".to_owned() })?;
    let options = &config.primary;
    let place = format!(
        "{}:{}",
        options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string()),
        options.get_port()
    );
    options.clone().application_name("ar-supervisor doctor").connect().await.map_err(|error| Fault {
        what: format!("cannot connect to {place}: {}", error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        cure: "check that PostgreSQL runs there and that DATABASE_URL, or DB_HOST, DB_PORT, DB_USER, DB_PASSWORD and DB_NAME, are right"
            .to_owned(),
    })
}

/// What `DATABASE_READ_URL` names must follow the primary.
async fn replica(environment: &Environment, primary: &mut PgConnection) -> Finding {
    let options = environment.database().ok().and_then(|config| config.replica);
    let Some(options) = options else { return Ok("none set; discovery reads the primary".to_owned()) };
    let asking = async {
        let mut connection = options.application_name("ar-supervisor doctor").connect().await?;
        let follows: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await?;
        Ok::<_, sqlx::Error>((follows, sync::epoch(&mut connection).await?))
    };
    let cure = "check that a standby of this very database runs where DATABASE_READ_URL says; without one, unset it. Discovery reads the \
                primary meanwhile";
    let (follows, epoch) = match tokio::time::timeout(REPLICA_TIMEOUT, asking).await {
        Ok(Ok(state)) => state,
        Ok(Err(error)) => return fault(format!("it cannot be asked: {error}"), cure),
        Err(_elapsed) => return fault(format!("it does not answer within {} s", REPLICA_TIMEOUT.as_secs()), cure),
    };
    if !follows {
        return fault("it is no standby: it takes writes of its own", cure);
    }
    if epoch != sync::epoch(primary).await.map_err(unexpected)? {
        return fault("it follows another database, or this one from before a restore", cure);
    }
    Ok("it is a standby of this database".to_owned())
}

/// Who runs on the database now.
async fn instances(connection: &mut PgConnection) -> Finding {
    let (running, lost, other): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE lease_until > now()), count(*) FILTER (WHERE lease_until <= now()),
                count(*) FILTER (WHERE lease_until > now() AND sql_layer <> $1) FROM ar.instances",
    )
    .bind(sql_layer_digest())
    .fetch_one(connection)
    .await
    .map_err(unexpected)?;
    Ok(format!("{running} running, {other} of them of another version than this program; {lost} vanished lately"))
}

async fn version(connection: &mut PgConnection) -> Finding {
    let number: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(connection).await.map_err(unexpected)?;
    if number < 150_000 {
        return fault(format!("PostgreSQL {} is too old", number / 10_000), "upgrade to PostgreSQL 15 or newer");
    }
    Ok(format!("PostgreSQL {}.{}", number / 10_000, number % 10_000))
}

async fn extensions(connection: &mut PgConnection) -> Finding {
    let present: Vec<(String, String)> =
        sqlx::query_as("SELECT extname::text, extversion FROM pg_extension WHERE extname IN ('postgis', 'pg_trgm') ORDER BY 1 DESC")
            .fetch_all(connection)
            .await
            .map_err(unexpected)?;
    for wanted in ["postgis", "pg_trgm"] {
        if !present.iter().any(|(name, _)| name == wanted) {
            return fault(format!("extension {wanted} is missing"), format!("as a superuser, in this database: CREATE EXTENSION {wanted}"));
        }
    }
    Ok(present.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", "))
}

async fn schema(connection: &mut PgConnection) -> Finding {
    let migrate = "ar-supervisor migrate";
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('ar.schema_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(unexpected)?;
    if !exists {
        return fault("the schema was never made", migrate);
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM ar.schema_migrations").fetch_all(&mut *connection).await.map_err(unexpected)?;
    let pending = MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).count();
    if pending > 0 {
        return fault(format!("{pending} migrations are pending"), migrate);
    }
    if let Some(newer) = applied.iter().find(|version| !MIGRATOR.version_exists(**version)) {
        return fault(format!("migration {newer} is unknown to this version"), "run the newer ar-supervisor that made it");
    }
    let layer: Option<String> =
        sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'sql_layer'").fetch_optional(connection).await.map_err(unexpected)?;
    if layer != Some(sql_layer_digest()) {
        return fault("the SQL layer (schema gis) is another version's", migrate);
    }
    Ok(format!("{} migrations and the SQL layer are in place", applied.len()))
}

/// Every index that a migration makes must be there and valid.
async fn indexes(connection: &mut PgConnection) -> Finding {
    let valid: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace IN (to_regnamespace('ar'), to_regnamespace('gis')) AND i.indisvalid",
    )
    .fetch_all(connection)
    .await
    .map_err(unexpected)?;
    let words: Vec<&str> = MIGRATOR.iter().flat_map(|migration| migration.sql.as_str().split_whitespace()).collect();
    let dropped: Vec<&str> = words.windows(3).filter(|w| w[0] == "DROP" && w[1] == "INDEX").map(|w| w[2].trim_end_matches(';')).collect();
    let made = words.windows(3).filter(|w| w[0] == "INDEX" && w[2] == "ON").map(|w| w[1]);
    let wanted: Vec<&str> = made.filter(|name| !dropped.iter().any(|dropped| dropped.strip_prefix("ar.") == Some(name))).collect();
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !valid.iter().any(|valid| valid == name)).collect();
    if !missing.is_empty() {
        let cure = "REINDEX INDEX CONCURRENTLY <schema>.<name> for an invalid one; for a missing one, run its CREATE INDEX from the folder migrations/";
        return fault(format!("missing or invalid: {}", missing.join(", ")), cure);
    }
    Ok(format!("all {} are there and valid", wanted.len()))
}

async fn analyst(connection: &mut PgConnection) -> Finding {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regrole('ar_analyst') IS NOT NULL").fetch_one(&mut *connection).await.map_err(unexpected)?;
    if !exists {
        return fault(
            "role ar_analyst is missing",
            "as a superuser: CREATE ROLE ar_analyst LOGIN; then ar-supervisor migrate after UPDATE ar.meta SET value = '' WHERE key = 'sql_layer'",
        );
    }
    let told: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'ar.device_connections'::regclass AND attname IN ('position', 'cell_centre') AND attstattarget <> 0)",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(unexpected)?;
    if told {
        return fault(
            "statistics are kept of where devices are, and PostGIS shows them to everybody",
            "ALTER TABLE ar.device_connections ALTER position SET STATISTICS 0, ALTER cell_centre SET STATISTICS 0, \
             ALTER position TYPE geography(Point, 4326), ALTER cell_centre TYPE geography(Point, 4326)",
        );
    }
    let rights: (bool, bool, bool) = sqlx::query_as(
        "SELECT has_table_privilege('ar_analyst', 'gis.decorations', 'SELECT'), has_schema_privilege('ar_analyst', 'ar', 'USAGE'),
            has_database_privilege('ar_analyst', current_database(), 'TEMPORARY')",
    )
    .fetch_one(connection)
    .await
    .map_err(unexpected)?;
    match rights {
        (true, false, false) => Ok("ar_analyst reads gis and nothing else".to_owned()),
        (false, ..) => fault(
            "ar_analyst may not read gis",
            "GRANT USAGE ON SCHEMA gis TO ar_analyst; GRANT SELECT ON ALL TABLES IN SCHEMA gis TO ar_analyst",
        ),
        (_, true, _) => fault("ar_analyst may use schema ar", "REVOKE ALL ON SCHEMA ar FROM PUBLIC, ar_analyst"),
        (.., true) => fault(
            "ar_analyst may make temporary objects",
            "as the database's owner: REVOKE TEMPORARY ON DATABASE <name> FROM PUBLIC, ar_analyst",
        ),
    }
}

/// The cells of a decoration as stored beside its position.
#[derive(sqlx::FromRow)]
struct StoredCells {
    id: Uuid,
    location: Geog<Point<f64>>,
    h3_r5: i64,
    h3_r7: i64,
    h3_r9: i64,
}

async fn cells(connection: &mut PgConnection, args: &Args) -> Finding {
    let limit = if args.all { i64::MAX } else { SAMPLE_ROWS };
    let rows: Vec<StoredCells> = sqlx::query_as("SELECT id, location, h3_r5, h3_r7, h3_r9 FROM ar.decorations LIMIT $1")
        .bind(limit)
        .fetch_all(&mut *connection)
        .await
        .map_err(unexpected)?;
    let mut wrong = Vec::new();
    for row in &rows {
        let position = LatLng::new(row.location.0.y(), row.location.0.x());
        let position = position
            .map_err(|error| Fault { what: format!("decoration {}: {error}", row.id), cure: "write its location again".to_owned() })?;
        let right = Cells::of(position);
        if (right.r5.to_db(), right.r7.to_db(), right.r9.to_db()) != (row.h3_r5, row.h3_r7, row.h3_r9) {
            wrong.push((row.id, right));
        }
    }
    if wrong.is_empty() {
        return Ok(format!("right on {} decorations", rows.len()));
    }
    if !args.repair_cells {
        return fault(
            format!("wrong on {} of {} decorations, such as {}", wrong.len(), rows.len(), wrong[0].0),
            "ar-supervisor doctor --all --repair-cells",
        );
    }
    for (id, right) in &wrong {
        sqlx::query("UPDATE ar.decorations SET h3_r5 = $2, h3_r7 = $3, h3_r9 = $4 WHERE id = $1")
            .bind(id)
            .bind(right.r5.to_db())
            .bind(right.r7.to_db())
            .bind(right.r9.to_db())
            .execute(&mut *connection)
            .await
            .map_err(unexpected)?;
    }
    Ok(format!("repaired on {} of {} decorations", wrong.len(), rows.len()))
}

#[expect(clippy::disallowed_methods, reason = "compares our clock with the database's, which is the point")]
async fn clock(connection: &mut PgConnection) -> Finding {
    let before = Utc::now();
    let theirs: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection).await.map_err(unexpected)?;
    let after = Utc::now();
    let ahead = if theirs < before { before - theirs } else { (theirs - after).max(TimeDelta::zero()) };
    if ahead > TimeDelta::seconds(5) {
        return fault(
            format!("ours and the database's differ by {} s", ahead.num_seconds()),
            "let both machines keep time with NTP (timedatectl set-ntp true)",
        );
    }
    Ok(format!("within {} ms of the database's", (ahead + (after - before)).num_milliseconds()))
}
