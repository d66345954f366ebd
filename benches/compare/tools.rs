//! The load generators, each asking at random places of the same area, and what they say they saw.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sqlx::{PgConnection, Row as _};
use tempfile::TempDir;
use uuid::Uuid;

use super::service::Service;
use crate::support::Outcome;
use crate::support::database::BenchCluster;
use crate::support::random::SQUARE;

/// The route under load.
pub(crate) const PATH: &str = "/api/v1/decorations/nearby";

/// How much load, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Connections at once.
    pub(crate) connections: u64,
    /// Length of a turn.
    pub(crate) seconds: u64,
}

/// What one turn gave.
pub(crate) struct Turn {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Latency, as the tool puts it.
    pub(crate) note: String,
}

/// Runs a tool to its end; its output, or an error that says how to get it.
pub(crate) fn output(command: &mut Command, package: &str) -> Outcome<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| missing(&program, package, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{program} failed: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn missing(program: &str, package: &str, error: &std::io::Error) -> String {
    format!("{program} cannot be run ({error}); on Debian: sudo apt-get install {package}")
}

/// The word after a label in a tool's output.
pub(crate) fn after<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.split_once(label)?.1.split_whitespace().next()
}

pub(crate) fn number_after(text: &str, label: &str) -> Outcome<f64> {
    let word = after(text, label).ok_or_else(|| format!("no {label:?} in {text}"))?;
    word.trim_matches(',').parse().map_err(|_not_a_number| format!("{label:?} is followed by {word:?}").into())
}

/// HTTP, by `wrk` with one thread.
pub(crate) struct Wrk {
    url: String,
    folder: TempDir,
    core: Option<&'static str>,
}

impl Wrk {
    /// Writes its script.
    pub(crate) fn new(service: &Service, radius_m: f64) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let ((south, north), (west, east)) = (SQUARE.lat_deg, SQUARE.lng_deg);
        let script = format!(
            "local random, format = math.random, string.format\n\
             function init() math.randomseed(os.time()) end\n\
             function request()\n\
             \x20 return wrk.format(nil, format(\"{PATH}?lat=%.7f&lng=%.7f&radius={radius_m}\", {south} + {} * random(), {west} + {} * random()))\n\
             end\n\
             function done(summary)\n\
             \x20 local errors = summary.errors\n\
             \x20 io.write(format(\"failed %d\\n\", errors.connect + errors.read + errors.write + errors.status + errors.timeout))\n\
             end\n",
            north - south,
            east - west
        );
        std::fs::write(folder.path().join("nearby.lua"), script)?;
        Ok(Self { url: service.url().to_owned(), folder, core: None })
    }

    /// The same, on one core.
    pub(crate) fn on_core(self, core: &'static str) -> Self {
        Self { core: Some(core), ..self }
    }

    /// One turn.
    pub(crate) fn turn(&self, load: Load) -> Outcome<Turn> {
        let mut wrk = match self.core {
            None => Command::new("wrk"),
            Some(core) => {
                let mut wrk = Command::new("taskset");
                wrk.args(["-c", core, "wrk"]);
                wrk
            }
        };
        wrk.args(["-t1", "--latency"]).arg(format!("-c{}", load.connections)).arg(format!("-d{}s", load.seconds));
        wrk.arg("-s").arg(self.folder.path().join("nearby.lua")).arg(&self.url);
        let text = output(&mut wrk, "wrk")?;
        if number_after(&text, "failed ")? > 0.0 {
            return Err(format!("requests failed: {text}").into());
        }
        let note = format!("p50 {}, p99 {}", after(&text, "50%").unwrap_or("?"), after(&text, "99%").unwrap_or("?"));
        Ok(Turn { per_second: number_after(&text, "Requests/sec:")?, note })
    }
}

/// The service's statement without the service, by `pgbench` with one thread.
pub(crate) struct Pgbench {
    command: PathBuf,
    connection: Vec<String>,
    statement: String,
    folder: TempDir,
}

impl Pgbench {
    /// Writes its script: the statement's text with pgbench's variables in place of the parameters.
    pub(crate) fn new(cluster: &BenchCluster, database: &str, near: &str, radius_m: f64) -> Outcome<Self> {
        // The viewer is made once a question, in a row of its own: pgbench can only send numbers, and a
        // generic plan would otherwise make the point again for every row.
        let viewer = "(SELECT ST_SetSRID(ST_MakePoint(:lng, :lat), 4326)::geography AS viewer OFFSET 0) AS asked,\n        LATERAL ";
        let mut statement =
            near.replace("FROM gis.decorations_near($1, $2)", &format!("FROM {viewer}gis.decorations_near(asked.viewer, {radius_m:.1})"));
        if statement == near {
            return Err("the statement of nearby no longer reads FROM gis.decorations_near($1, $2)".into());
        }
        for (parameter, value) in [("$3", "NULL"), ("$4", "NULL"), ("$5", "NULL"), ("$6", "NULL"), ("$7", "51")] {
            statement = statement.replace(parameter, value);
        }
        let folder = TempDir::new()?;
        let pick = |name: &str, (least, most): (f64, f64)| {
            format!("\\set {name} {least:.1} + random(0, 1000000000) * {:.1} / 1000000000.0\n", most - least)
        };
        let script = format!("{}{}{};\n", pick("lat", SQUARE.lat_deg), pick("lng", SQUARE.lng_deg), statement.replace('\n', " "));
        std::fs::write(folder.path().join("nearby.sql"), script)?;
        let mut connection: Vec<String> = ["-n", "-M", "prepared", "-j", "1", "-U", "ar_supervisor", "-h"].map(str::to_owned).to_vec();
        connection.extend([cluster.socket_dir().display().to_string(), database.to_owned()]);
        Ok(Self { command: find_pgbench(), connection, statement, folder })
    }

    /// Its statement at a place.
    pub(crate) fn statement_at(&self, lat: f64, lng: f64) -> String {
        self.statement.replace(":lng", &format!("{lng:?}")).replace(":lat", &format!("{lat:?}"))
    }

    /// One turn.
    pub(crate) fn turn(&self, load: Load) -> Outcome<Turn> {
        let mut pgbench = Command::new(&self.command);
        pgbench
            .args(["-c", &load.connections.to_string(), "-T", &load.seconds.to_string(), "-f"])
            .arg(self.folder.path().join("nearby.sql"));
        pgbench.args(&self.connection).env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan");
        let text = output(&mut pgbench, "postgresql-15")?;
        if number_after(&text, "number of failed transactions:")? > 0.0 {
            return Err(format!("statements failed: {text}").into());
        }
        Ok(Turn {
            per_second: number_after(&text, "tps =")?,
            note: format!("mean {} ms", after(&text, "latency average =").unwrap_or("?")),
        })
    }
}

/// Debian keeps it beside the server; the one on the PATH is a wrapper that looks for the system's cluster.
pub(crate) fn find_pgbench() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin/pgbench"));
    versions.filter(|path| path.exists()).max().unwrap_or_else(|| PathBuf::from("pgbench"))
}

/// A Redis of our own on a Unix socket, without persistence, by `redis-benchmark`.
pub(crate) struct Redis {
    server: Child,
    folder: TempDir,
    radius_m: std::cell::Cell<f64>,
}

impl Redis {
    /// Starts the server.
    pub(crate) fn start() -> Outcome<Self> {
        let folder = TempDir::new()?;
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.path().join("socket"));
        server.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let server = server.spawn().map_err(|error| missing("redis-server", "redis-server", &error))?;
        let redis = Self { server, folder, radius_m: std::cell::Cell::new(0.0) };
        for _ in 0..100 {
            if redis.cli().arg("PING").output().is_ok_and(|answer| answer.stdout.starts_with(b"PONG")) {
                return Ok(redis);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("redis-server did not answer within 5 s".into())
    }

    fn cli(&self) -> Command {
        let mut cli = Command::new("redis-cli");
        cli.arg("-s").arg(self.folder.path().join("socket"));
        cli
    }

    /// Copies identities and places of the decorations.
    pub(crate) async fn fill(&self, connection: &mut PgConnection) -> Outcome<()> {
        let sql = "SELECT id, ST_X(location::geometry) AS lng, ST_Y(location::geometry) AS lat FROM ar.decorations WHERE is_active AND deleted_at IS NULL";
        let rows = sqlx::query(sql).fetch_all(connection).await?;
        let mut cli = self.cli().arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut pipe = std::io::BufWriter::new(cli.stdin.take().ok_or("redis-cli has no input")?);
        for row in &rows {
            writeln!(pipe, "GEOADD places {} {} {}\r", row.get::<f64, _>("lng"), row.get::<f64, _>("lat"), row.get::<Uuid, _>("id"))?;
        }
        drop(pipe);
        let filled = cli.wait()?.success();
        let count = output(self.cli().args(["ZCARD", "places"]), "redis-tools")?;
        if filled && count.trim() == rows.len().to_string() {
            Ok(())
        } else {
            Err(format!("Redis holds {count} of {} places", rows.len()).into())
        }
    }

    /// The identities around a place.
    pub(crate) fn search(&self, lat: f64, lng: f64, radius_m: f64) -> Outcome<Vec<Uuid>> {
        self.radius_m.set(radius_m);
        let mut cli = self.cli();
        cli.args([
            "GEOSEARCH",
            "places",
            "FROMLONLAT",
            &lng.to_string(),
            &lat.to_string(),
            "BYRADIUS",
            &radius_m.to_string(),
            "m",
            "ASC",
            "COUNT",
            "51",
        ]);
        output(&mut cli, "redis-tools")?.lines().map(|line| Ok(line.trim().parse()?)).collect()
    }

    /// One turn, of about the asked length: the tool counts requests, so a short run before says how many.
    pub(crate) fn turn(&self, load: Load) -> Outcome<Turn> {
        let pace = self.requests(load.connections, 5_000)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a count of requests")]
        let count = (pace.per_second * load.seconds as f64) as u64;
        self.requests(load.connections, count.max(5_000))
    }

    fn requests(&self, connections: u64, count: u64) -> Outcome<Turn> {
        let mut benchmark = Command::new("redis-benchmark");
        benchmark.arg("-s").arg(self.folder.path().join("socket"));
        // Random numbers from 0 to a thousand million, which with the exponent are degrees of the area.
        benchmark.args(["--csv", "-c", &connections.to_string(), "-n", &count.to_string(), "-r", "1000000000"]);
        benchmark.args([
            "GEOSEARCH",
            "places",
            "FROMLONLAT",
            "__rand_int__e-8",
            "__rand_int__e-8",
            "BYRADIUS",
            &self.radius_m.get().to_string(),
            "m",
        ]);
        let text = output(benchmark.args(["ASC", "COUNT", "51", "WITHDIST"]), "redis-tools")?;
        let last = text.lines().last().unwrap_or_default();
        let cells: Vec<&str> = last.split("\",\"").map(|cell| cell.trim_matches('"')).collect();
        // test, requests a second, then mean, least, p50, p95, p99, greatest latency in ms
        let [_, per_second, _, _, p50, _, p99, _] = cells[..] else { return Err(format!("redis-benchmark said {text}").into()) };
        Ok(Turn { per_second: per_second.parse()?, note: format!("p50 {p50} ms, p99 {p99} ms") })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Err(error) = self.server.kill().and_then(|()| self.server.wait()) {
            eprintln!("stopping redis-server: {error}");
        }
    }
}
