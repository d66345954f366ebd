//! Phones over HTTP: positions a second, each answered after its commit, beside a direct `UNNEST` of 500 rows, beside
//! one `UPDATE` a request, and beside a bare axum route that answers as much and does nothing, which is as fast as
//! HTTP and its load are here. On a database that waits for its disk, because that is what a commit costs.

use std::process::Command;
use std::time::{Duration, Instant};

use ar_supervisor::geo::{Cells, Geog, LatLng};
use axum::extract::Path;
use axum::http::header;
use axum::routing::put;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use geo_types::Point;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::service::Service;
use crate::support::database::BenchCluster;
use crate::support::fleet::{self, phone};
use crate::support::random::{Random, SQUARE};
use crate::support::{Outcome, measure, report, setting};
use crate::tools::{Load, after, find_pgbench, number_after, output};

const PHONES: usize = 20_000;
const EDGES: u64 = 20;
const DIRECT: usize = 500;
const DATABASE: &str = "bench_phones";
const EMAIL: &str = "phones@example.org";
const PASSWORD: &str = "seven brass gears turn";

/// An edge is compared with others every 30 s: what was compared long ago, because the phones were silent in other
/// turns, would all be compared anew at once.
const AS_IF_SENDING_ALL_ALONG: &str = "UPDATE ar.device_connections SET edge_chosen_at = now() - random() * interval '30 s'";
/// An answer of the service.
const ANSWER: &str = r#"{"device":{"device_id":"phone-000001","user_id":"019b0000-0000-7000-8000-000000000000","edge_server_id":"00000000-0000-0000-0000-000000000001","lat":48.1234567,"lng":11.1234567,"accuracy_meters":5.0,"h3_r9":"891f8d7a8c7ffff","connection_status":"connected","connected_at":"2026-01-01T12:00:00.123456Z","last_ping":"2026-01-01T12:00:01.123456Z","app_version":null,"device_info":null},"edge_server":{"id":"00000000-0000-0000-0000-000000000001","api_url":"https://edge.example.com","websocket_url":"wss://edge.example.com"},"reason":null,"handover":false,"stale":false}"#;

/// Measures, and writes the section. `AR_BENCH_PHONES` (128) is how many ask at once.
///
/// # Errors
/// When something cannot be run.
pub(crate) async fn compare(load: Load, rounds: u64) -> Outcome<()> {
    let load = Load { connections: setting("AR_BENCH_PHONES", 128)?, ..load };
    let cluster = BenchCluster::durable()?;
    let mut direct = cluster.empty(DATABASE).await?.connect().await?;
    let service = Service::start(&cluster, DATABASE, 4)?;
    let (user_id, token) = sign_in(&service).await?;
    let edges = fleet::add_edges(&mut direct, &SQUARE, EDGES).await?;
    let mut places = fleet::add_phones(&mut direct, &edges, user_id, PHONES).await?;
    let tools = Tools::new(&cluster, &token, &edges)?;
    let bare = serve_bare().await?;

    let mut speeds: [Vec<f64>; 5] = Default::default();
    // The first round, not counted, opens connections and fills caches.
    for round in 0..=rounds {
        let mut turn = [0.0; 5];
        for place in 0..5_u64 {
            let who = usize::try_from((place + round) % 5)?;
            sqlx::raw_sql(AS_IF_SENDING_ALL_ALONG).execute(&mut direct).await?;
            sqlx::raw_sql("VACUUM ar.device_connections").execute(&mut direct).await?;
            turn[who] = match who {
                0 => tools.phones(service.url(), load)?,
                1 => write_directly(&mut direct, &mut places, load.seconds).await?,
                2 => tools.updates(load.connections, load.seconds)?,
                3 => tools.updates(1, load.seconds)?,
                _ => tools.phones(&bare, load)?,
            };
        }
        let [http, unnest, many, one, bare] = turn;
        eprintln!(
            "round {round}: HTTP {http:.0}/s, UNNEST {unnest:.0}/s, one UPDATE each {many:.0}/s, on one connection {one:.0}/s, bare {bare:.0}/s"
        );
        if round > 0 {
            speeds.iter_mut().zip(turn).for_each(|(speeds, speed)| speeds.push(speed));
        }
    }
    let hot: (i64, i64) = sqlx::query_as("SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'device_connections'")
        .fetch_one(&mut direct)
        .await?;
    let machine = report::machine(&mut direct).await?;
    drop(service);
    report::write_section("Phones over HTTP", &summary(load, rounds, &machine, &speeds, hot))
}

#[expect(clippy::cast_precision_loss, reason = "small")]
fn summary(load: Load, rounds: u64, machine: &str, speeds: &[Vec<f64>; 5], (hot, updates): (i64, i64)) -> String {
    let http = &speeds[0];
    let line = |name: String, speed: &[f64]| {
        let ratios: Vec<f64> = http.iter().zip(speed).map(|(http, speed)| http / speed).collect();
        let each = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ");
        vec![name, format!("{:.0}", measure::median(speed)), format!("{:.2}", measure::median(&ratios)), each]
    };
    let Load { connections, seconds } = load;
    let table = report::table(
        &["positions", "median a second", "HTTP ÷ that", "rounds"],
        &[
            line(format!("HTTP, {connections} connections"), http),
            line("direct UNNEST of 500 rows".to_owned(), &speeds[1]),
            line(format!("one UPDATE each, {connections} connections to the database"), &speeds[2]),
            line("one UPDATE each, one connection, as the writer has".to_owned(), &speeds[3]),
            line(format!("a bare axum route, {connections} connections, no database"), &speeds[4]),
        ],
    );
    println!("{table}");
    format!(
        "`cargo bench --bench compare`: {PHONES} phones of {EDGES} edges, {rounds} rounds of {seconds} s taken in turns, on a database that waits for its disk.\n\n\
         {machine}. Service, database and load share these cores.\n\n{table}\n\n\
         - HTTP: `PUT /devices/{{id}}/location` (`wrk`, 1 thread), each answered after its commit with the device and its edge.\n\
         - direct: the same columns in arrays, one statement after the other on one connection, nothing checked and nothing answered.\n\
         - one UPDATE each: `pgbench -M prepared`, 1 thread, without HTTP; of a number in place of the position, so that no connection loads PostGIS first.\n\
         - a bare axum route: the same requests and as long an answer, from the bench's own process without any layer; what is left of two cores by then is what HTTP, kernel and `wrk` leave.\n\
         - Before each turn, the phones' edges were last compared at random times of the last 30 s, as if they had sent all along.\n\
         - {:.1} % of all updates touched no index.",
        100.0 * hot as f64 / updates as f64
    )
}

/// Serves a route that takes what phones send and answers as much as the service does; its address.
async fn serve_bare() -> Outcome<String> {
    let locate = async |Path(_): Path<String>, Json(_): Json<Value>| ([(header::CONTENT_TYPE, "application/json")], ANSWER);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    #[expect(clippy::disallowed_methods, reason = "ends with the bench")]
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/v1/devices/{device_id}/location", put(locate))).await });
    Ok(url)
}

/// Registers somebody, and signs him in: his identity and token.
pub(crate) async fn sign_in(service: &Service) -> Outcome<(Uuid, String)> {
    let client = reqwest::Client::new();
    let credentials = json!({"email": EMAIL, "password": PASSWORD, "full_name": "Bench"});
    // The address is open before the schema is looked at.
    for _ in 0..100 {
        if client.get(format!("{}/health/ready", service.url())).send().await?.status().is_success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.post(format!("{}/api/v1/auth/register", service.url())).json(&credentials).send().await?.error_for_status()?;
    sign_in_again(service).await
}

/// Signs the same user in, who may be somebody else by now: an admin.
pub(crate) async fn sign_in_again(service: &Service) -> Outcome<(Uuid, String)> {
    let client = reqwest::Client::new();
    let login = json!({"email": EMAIL, "password": PASSWORD});
    let answer: Value =
        client.post(format!("{}/api/v1/auth/login", service.url())).json(&login).send().await?.error_for_status()?.json().await?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("no text in the answer");
    Ok((text(&answer["user"]["id"])?.parse()?, text(&answer["access_token"])?))
}

/// Positions a second in arrays of 500.
async fn write_directly(connection: &mut PgConnection, places: &mut [LatLng], seconds: u64) -> Outcome<f64> {
    let mut random = Random::new(seconds);
    let (mut elapsed, mut rows, mut first) = (Duration::ZERO, 0_u32, 0);
    while elapsed < Duration::from_secs(seconds) {
        let piece = first..(first + DIRECT).min(places.len());
        first = if piece.end == places.len() { 0 } else { piece.end };
        let names: Vec<String> = piece.clone().map(phone).collect();
        for place in &mut places[piece.clone()] {
            *place = fleet::a_step_from(*place, &mut random);
        }
        let places = &places[piece];
        let cells: Vec<Cells> = places.iter().map(|place| Cells::of(*place)).collect();
        let positions: Vec<Geog<Point<f64>>> = places.iter().map(|place| Geog((*place).into())).collect();
        let centres: Vec<Geog<Point<f64>>> = cells.iter().map(|cells| Geog(cells.r9.centre().into())).collect();
        let [r7, r9]: [Vec<i64>; 2] =
            [|cells: &Cells| cells.r7.to_db(), |cells: &Cells| cells.r9.to_db()].map(|of| cells.iter().map(of).collect());
        let now = vec![DateTime::<Utc>::from(std::time::SystemTime::now()); places.len()];
        let started = Instant::now();
        sqlx::query(fleet::DIRECT_UNNEST)
            .bind(names)
            .bind(positions)
            .bind(centres)
            .bind(r7)
            .bind(r9)
            .bind(now)
            .execute(&mut *connection)
            .await?;
        elapsed += started.elapsed();
        rows += u32::try_from(places.len())?;
    }
    Ok(f64::from(rows) / elapsed.as_secs_f64())
}

/// The load generators, with their scripts.
struct Tools {
    folder: TempDir,
    pgbench: Vec<String>,
}

impl Tools {
    fn new(cluster: &BenchCluster, token: &str, edges: &[(Uuid, LatLng)]) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let places: Vec<String> = edges.iter().map(|(_, place)| format!("{{{:.7}, {:.7}}}", place.lat_deg(), place.lng_deg())).collect();
        let script = format!(
            "local random, format = math.random, string.format\n\
             local edges = {{{}}}\n\
             wrk.method = \"PUT\"\n\
             wrk.headers[\"Content-Type\"] = \"application/json\"\n\
             wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n\
             function init() math.randomseed(os.time()) end\n\
             function request()\n\
             \x20 local n = random(0, {})\n\
             \x20 local edge = edges[n % #edges + 1]\n\
             \x20 local body = format('{{\"lat\":%.7f,\"lng\":%.7f,\"accuracy_meters\":5}}', edge[1] + 0.0001 * random(), edge[2] + 0.0001 * random())\n\
             \x20 return wrk.format(nil, format(\"/api/v1/devices/phone-%06d/location\", n), nil, body)\n\
             end\n\
             function done(summary)\n\
             \x20 local errors = summary.errors\n\
             \x20 io.write(format(\"failed %d\\n\", errors.connect + errors.read + errors.write + errors.status + errors.timeout))\n\
             end\n",
            places.join(", "),
            PHONES - 1
        );
        std::fs::write(folder.path().join("phones.lua"), script)?;
        let update = format!(
            "\\set n random(0, {})\n\\set dx random(0, 100)\n\
             UPDATE ar.device_connections SET accuracy_meters = :dx / 10.0, recorded_at = now(), last_ping = now() \
             WHERE device_id = 'phone-' || lpad((:n)::text, 6, '0');\n",
            PHONES - 1
        );
        std::fs::write(folder.path().join("update.sql"), update)?;
        let mut pgbench: Vec<String> = ["-n", "-M", "prepared", "-j", "1", "-U", "ar_supervisor", "-h"].map(str::to_owned).to_vec();
        pgbench.extend([cluster.socket_dir().display().to_string(), DATABASE.to_owned()]);
        Ok(Self { folder, pgbench })
    }

    /// Positions a second over HTTP.
    fn phones(&self, url: &str, load: Load) -> Outcome<f64> {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "--latency"]).arg(format!("-c{}", load.connections)).arg(format!("-d{}s", load.seconds));
        wrk.arg("-s").arg(self.folder.path().join("phones.lua")).arg(url);
        let text = output(&mut wrk, "wrk")?;
        if number_after(&text, "failed ")? > 0.0 {
            return Err(format!("requests failed: {text}").into());
        }
        eprintln!("  p50 {}, p99 {}", after(&text, " 50% ").unwrap_or("?"), after(&text, " 99% ").unwrap_or("?"));
        number_after(&text, "Requests/sec:")
    }

    /// Positions a second with a statement and a commit each.
    fn updates(&self, connections: u64, seconds: u64) -> Outcome<f64> {
        let mut pgbench = Command::new(find_pgbench());
        pgbench.arg(format!("-c{connections}")).arg(format!("-T{seconds}")).arg("-f").arg(self.folder.path().join("update.sql"));
        number_after(&output(pgbench.args(&self.pgbench), "postgresql-15")?, "tps = ")
    }
}
