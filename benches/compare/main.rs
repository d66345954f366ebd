//! How much of the database's own speed reaches an HTTP client: `nearby` over HTTP under load, beside
//! `pgbench` running the same statement on the same data with as many connections, beside Redis `GEOSEARCH`.
//! Run by `cargo bench --bench compare`; writes `benches/RESULTS.md`.
//!
//! Answers are compared first: what answers something else has no speed worth naming. Then the three take
//! turns, several rounds, so that a noisy machine is noisy for all; what counts are medians and their ratios.
//! Then what signing in costs under load (`sign_in`), service and load on a core each; then phones that say where they
//! are (`devices`), edge servers that hold their sockets open (`sockets`), content that comes to them (`sync`) and
//! vector tiles (`tiles`), each of which alone is measured with `AR_BENCH_ONLY=devices`, `sockets`, `sync` or `tiles`.
//!
//! Environment: `AR_BENCH_ROWS` (the greatest size is taken), `AR_BENCH_CONNECTIONS` (8), `AR_BENCH_ROUNDS`
//! (5), `AR_BENCH_SECONDS` (5, of each turn).

mod answers;
mod devices;
mod service;
mod sign_in;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
mod sync;
mod tiles;
mod tools;

use support::database::BenchCluster;
use support::random::SQUARE;
use support::{Outcome, measure, report, setting, sizes, statements};
use tools::{Load, Pgbench, Redis, Turn, Wrk};

/// Rows that a mean answer has.
const ANSWER_ROWS: f64 = 18.0;
/// Places whose answers are compared.
const COMPARED: u32 = 200;

fn main() -> Outcome<()> {
    if let Some(outcome) = sign_in::as_load().or_else(sync::as_writer) {
        return outcome;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compare())
}

async fn compare() -> Outcome<()> {
    let rows = sizes()?.pop().ok_or("AR_BENCH_ROWS is empty")?;
    let (connections, rounds, seconds) =
        (setting("AR_BENCH_CONNECTIONS", 8)?, setting("AR_BENCH_ROUNDS", 5)?, setting("AR_BENCH_SECONDS", 5)?);
    let load = Load { connections, seconds };
    match only().as_deref() {
        None => {}
        Some("devices") => return devices::compare(load, rounds).await,
        Some("sockets") => return sockets::measure().await,
        Some("sync") => return sync::measure(rounds).await,
        Some("tiles") => return tiles::measure(rows).await,
        Some(other) => return Err(format!("AR_BENCH_ONLY is devices, sockets, sync or tiles, not {other}").into()),
    }
    let cluster = BenchCluster::start()?;
    let database = cluster.database(&SQUARE, rows).await?;
    let radius_m = SQUARE.radius_m_for(ANSWER_ROWS, rows).round();
    let near = statements::calling("gis.decorations_near(")?;

    let service = service::Service::start(&cluster, &database, connections)?;
    let pgbench = Pgbench::new(&cluster, &database, &near, radius_m)?;
    let wrk = Wrk::new(&service, radius_m)?;
    let redis = Redis::start()?;
    redis.fill(&mut cluster.connect(&database, "auto").await?).await?;

    let compared =
        answers::compare(&mut cluster.connect(&database, "force_generic_plan").await?, &near, &service, &pgbench, &redis, radius_m).await?;
    println!("{compared}");

    let mut speeds: [Vec<f64>; 3] = Default::default();
    // The first turns, not counted, open connections and fill caches.
    for round in 0..=rounds {
        // Each goes first in turn.
        for place in 0..3_u64 {
            let who = usize::try_from((place + round) % 3)?;
            let turn = match who {
                0 => wrk.turn(load)?,
                1 => pgbench.turn(load)?,
                _ => redis.turn(load)?,
            };
            let Turn { per_second, note } = turn;
            eprintln!("round {round}: {:<8} {per_second:>9.0}/s {note}", ["HTTP", "pgbench", "Redis"][who]);
            if round > 0 {
                speeds[who].push(per_second);
            }
        }
    }
    summarise(&cluster, &database, rows, radius_m, load, &compared, &speeds).await?;
    drop((wrk, redis, service));
    sign_in::compare(&cluster, &database, radius_m, load, rounds).await?;
    drop(cluster);
    devices::compare(load, rounds).await?;
    sockets::measure().await?;
    sync::measure(rounds).await?;
    tiles::measure(rows).await
}

/// The one part that is asked for.
#[expect(clippy::disallowed_methods, reason = "benches are not the service: they have no configuration of their own")]
fn only() -> Option<String> {
    std::env::var("AR_BENCH_ONLY").ok()
}

async fn summarise(
    cluster: &BenchCluster,
    database: &str,
    rows: u64,
    radius_m: f64,
    load: Load,
    compared: &str,
    speeds: &[Vec<f64>; 3],
) -> Outcome<()> {
    let [http, pgbench, redis] = speeds;
    // The ratio of each round, then the median: rounds differ more than turns within one.
    let ratio = |of: &[f64], to: &[f64]| measure::median(&of.iter().zip(to).map(|(a, b)| a / b).collect::<Vec<_>>());
    let line = |name: &str, speed: &[f64]| {
        let all: Vec<String> = speed.iter().map(|each| format!("{each:.0}")).collect();
        vec![name.to_owned(), format!("{:.0}", measure::median(speed)), format!("{:.2}", ratio(speed, pgbench)), all.join(" ")]
    };
    let table = report::table(
        &["what", "median a second", "of pgbench", "rounds"],
        &[line("HTTP nearby", http), line("pgbench, same statement", pgbench), line("Redis GEOSEARCH", redis)],
    );
    println!("{table}");
    let Load { connections, seconds } = load;
    let machine = report::machine(&mut cluster.connect(database, "auto").await?).await?;
    let body = format!(
        "`cargo bench --bench compare`: {rows} decorations, radius {radius_m} m, {connections} connections each, {rounds} rounds of {seconds} s taken in turns.\n\n\
         {machine}. All of them, and their load generators, share these cores.\n\n{table}\n\n{compared}\n\n\
         - HTTP answers whole decorations as JSON, with distance, bearing and level of detail, through every layer of the service (`wrk`, 1 thread).\n\
         - pgbench (`-M prepared`, 1 thread, generic plan as in the service) runs the service's own statement and gets its rows as text.\n\
         - Redis answers identities and distances only, on a sphere, and stores nothing else (`redis-benchmark`, Unix socket).",
        rounds = http.len()
    );
    report::write_section("HTTP beside pgbench and Redis", &body)
}
