//! What devices cost in the database: positions that edges report, through the service's writer, beside a direct
//! `UNNEST` of 500 rows; and the choice of an edge at several sizes, beside the specification's query with a radius
//! of its own in every row. Run by `cargo bench --bench devices`; writes `benches/RESULTS.md`.

mod support;

use std::time::{Duration, Instant};

use ar_supervisor::background;
use ar_supervisor::config::{DatabaseConfig, Environment};
use ar_supervisor::db::Db;
use ar_supervisor::devices::Report;
use ar_supervisor::geo::{Cell, Cells, Geog, LatLng};
use ar_supervisor::lifecycle::Lifecycle;
use ar_supervisor::state::AppState;
use chrono::{DateTime, Utc};
use criterion::{BenchmarkId, Criterion, SamplingMode};
use geo_types::Point;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use support::database::BenchCluster;
use support::fleet::{self, phone};
use support::measure::{count_text, growth_exponent, median, time_text};
use support::random::{Random, SQUARE};
use support::{Outcome, report};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Phones, edges, and rows of a frame and of a direct write.
const PHONES: usize = 20_000;
const EDGES: u64 = 20;
const FRAME: usize = 100;
const DIRECT: usize = 500;
/// Rounds of the writers, and rows that each writes in one.
const ROUNDS: u32 = 15;
const ROWS: usize = PHONES;
/// Generation of the edges' sessions.
const GENERATION: i64 = 1;
/// Sizes at which an edge is chosen, rounds, and how long one takes.
const SIZES: [u64; 3] = [100, 1_000, 10_000];
const CHOICE_ROUNDS: u64 = 30;
const TURN: Duration = Duration::from_millis(40);
/// Functions that choose inside the database, and how often at a time.
const CHOICES_INSIDE: [(&str, usize); 2] = [("ours", 200), ("specified", 5)];

/// The specification's `GetBestEdgeServers`, word for word but for `LEAST(1, …)`: without it, rounding takes the sum
/// past 1 for an edge where the phone is, and the statement fails.
const SPECIFIED_CHOICE: &str = "SELECT *,
       (6371 * acos(LEAST(1, cos(radians($1)) * cos(radians(lat)) *
        cos(radians(lng) - radians($2)) + sin(radians($1)) *
        sin(radians(lat))))) as distance_km
FROM spec.edge_servers
WHERE is_active = true
  AND health_status = 'healthy'
  AND current_connections < max_connections
  AND (6371 * acos(LEAST(1, cos(radians($1)) * cos(radians(lat)) *
      cos(radians(lng) - radians($2)) + sin(radians($1)) *
      sin(radians(lat))))) <= service_radius_km
ORDER BY (current_connections::float / max_connections::float) ASC, distance_km ASC
LIMIT 3";

/// As `best` asks.
const OUR_CHOICE: &str = "SELECT edge_server_id, name, api_url, websocket_url, preference, reason
FROM gis.edge_choice($1, $2, 50000, 0.5, 0.3, 0.2, NULL) ORDER BY preference DESC, edge_server_id LIMIT 3";

/// The specification's table, with the same edges and its own column types.
const SPECIFIED_EDGES: &str = "CREATE SCHEMA spec;
CREATE TABLE spec.edge_servers AS
SELECT id, name, region, api_url, websocket_url, ST_Y(location::geometry)::decimal(10, 8) AS lat, ST_X(location::geometry)::decimal(11, 8) AS lng,
    service_radius_km::decimal(5, 2) AS service_radius_km, max_connections, 0 AS current_connections, health_status, true AS is_active
FROM ar.edge_servers;
ALTER TABLE spec.edge_servers ADD PRIMARY KEY (id);
CREATE INDEX ON spec.edge_servers (region);
CREATE INDEX ON spec.edge_servers (health_status);";

/// A function that chooses for some places, one after the other, and says how many seconds each took by the database's
/// own clock: what is compared is two statements, without what brings question and answer.
fn inside(statement: &str, place: &str, second: &str) -> String {
    let statement = statement.replace("$1", place).replace("$2", second).replacen("SELECT", "PERFORM", 1);
    format!(
        "(lats float8[], lngs float8[], r5 bigint[], r7 bigint[], r9 bigint[]) RETURNS float8[] LANGUAGE plpgsql
         SET plan_cache_mode = force_generic_plan AS $$
         DECLARE the_lat float8; the_lng float8; place geography; cells bigint[]; started timestamptz; took float8[] := '{{}}';
         BEGIN
             FOR n IN 1..cardinality(lats) LOOP
                 the_lat := lats[n]; the_lng := lngs[n]; place := ST_MakePoint(the_lng, the_lat)::geography; cells := ARRAY[r5[n], r7[n], r9[n]];
                 started := clock_timestamp();
                 {statement};
                 took := took || extract(epoch FROM clock_timestamp() - started)::float8;
             END LOOP;
             RETURN took;
         END $$"
    )
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let cluster = BenchCluster::start()?;
    let mut criterion = Criterion::default().configure_from_args();
    let writing = writers(&runtime, &cluster, &mut criterion)?;
    let choosing = choices(&runtime, &cluster, &mut criterion)?;
    criterion.final_summary();
    println!("{writing}\n{choosing}");
    let machine = runtime
        .block_on(async { report::machine(&mut cluster.connect("postgres", "auto").await?).await })
        .or_else(|_no_postgis| runtime.block_on(async { report::machine(&mut cluster.connect("bench_edges_100", "auto").await?).await }))?;
    let body = format!(
        "`cargo bench --bench devices`: {} phones of {EDGES} edges; {ROUNDS} rounds of {} positions each, taken in turns, the database on a Unix socket. \
         Through the writer: frames of {FRAME}, as edges send them, only for devices of that edge and session, newer ones only, with their cells computed.\n\n\
         Choosing: some three edges cover a place at every size; median time of one statement while two connections ask at once, \
         for a machine with nothing else to do measures how soon it wakes up.\n\n{machine}.\n\n{writing}\n\n{choosing}",
        count_text(PHONES as u64),
        count_text(ROWS as u64)
    );
    report::write_section("Devices in the database", &body)
}

/// One way to write positions, then the other.
struct Writers {
    state: AppState,
    direct: PgConnection,
    edges: Vec<(Uuid, LatLng)>,
    places: Vec<LatLng>,
    random: Random,
    now: DateTime<Utc>,
    written: usize,
}

fn writers(runtime: &Runtime, cluster: &BenchCluster, criterion: &mut Criterion) -> Outcome<String> {
    let mut writers = runtime.block_on(Writers::start(cluster))?;
    let mut group = criterion.benchmark_group("positions");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(3));
    group.bench_function("reported in frames of 100", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| runtime.block_on(writers.report()).expect("writes")).sum());
    });
    group.bench_function("direct UNNEST of 500", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| runtime.block_on(writers.write_directly()).expect("writes")).sum());
    });
    group.finish();
    let (mut reported, mut direct) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for round in 0..=ROUNDS {
            // Each goes first in turn.
            let (a, b) = if round % 2 == 0 {
                (writers.report().await?, writers.write_directly().await?)
            } else {
                let b = writers.write_directly().await?;
                (writers.report().await?, b)
            };
            if round > 0 {
                reported.push(a.as_secs_f64());
                direct.push(b.as_secs_f64());
            }
            sqlx::raw_sql("VACUUM ar.device_connections").execute(&mut writers.direct).await?;
        }
        Outcome::Ok(())
    })?;
    let hot: (i64, i64) = runtime.block_on(async {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut writers.direct).await?;
        sqlx::query_as("SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'device_connections'")
            .fetch_one(&mut writers.direct)
            .await
    })?;
    writers.state.lifecycle.stop();
    runtime.block_on(writers.state.lifecycle.tasks_ended());
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let (rows, hot) = (ROWS as f64, 100.0 * hot.0 as f64 / hot.1 as f64);
    let ratios: Vec<f64> = direct.iter().zip(&reported).map(|(direct, reported)| direct / reported).collect();
    let line = |name: &str, times: &[f64], ratio: String| vec![name.to_owned(), format!("{:.0}", rows / median(times)), ratio];
    let table = report::table(
        &["positions", "a second", "of direct"],
        &[
            line("reported over a socket, through the writer", &reported, format!("{:.2}", median(&ratios))),
            line("direct UNNEST of 500 rows", &direct, "1".to_owned()),
        ],
    );
    Ok(format!("{table}\n\n{hot:.1} % of all these updates touched no index."))
}

impl Writers {
    async fn start(cluster: &BenchCluster) -> Outcome<Self> {
        let options = cluster.empty("bench_devices").await?;
        let mut direct = options.clone().connect().await?;
        let user_id: Uuid = sqlx::query_scalar(
            "INSERT INTO ar.users (email, password_hash, full_name, role) VALUES ('b@example.org', 'x', 'B', 'user') RETURNING id",
        )
        .fetch_one(&mut direct)
        .await?;
        let edges = fleet::add_edges(&mut direct, &SQUARE, EDGES).await?;
        fleet::open_sessions(&mut direct, GENERATION).await?;
        let places = fleet::add_phones(&mut direct, &edges, user_id, PHONES).await?;
        let now = sqlx::query_scalar("SELECT now() - interval '1 h'").fetch_one(&mut direct).await?;
        let state = state(options)?;
        background::start(&state);
        Ok(Self { state, direct, edges, places, random: Random::new(7), now, written: 0 })
    }

    /// The next phones, and where they are a moment later.
    fn step(&mut self, count: usize) -> (Vec<usize>, DateTime<Utc>) {
        self.now += Duration::from_millis(1);
        let first = self.written;
        self.written += count;
        let phones: Vec<usize> = (first..first + count).map(|number| number % PHONES).collect();
        for number in &phones {
            self.places[*number] = fleet::a_step_from(self.places[*number], &mut self.random);
        }
        (phones, self.now)
    }

    /// Time until all is written that edges report in frames.
    async fn report(&mut self) -> Outcome<Duration> {
        let (phones, now) = self.step(ROWS);
        let mut frames = Vec::new();
        for (number, (edge_id, _)) in self.edges.iter().enumerate() {
            let own: Vec<usize> = phones.iter().copied().filter(|phone| phone % self.edges.len() == number).collect();
            for frame in own.chunks(FRAME) {
                let reports = frame.iter().map(|number| Report::seen(phone(*number), Some(self.places[*number]), Some(now)));
                frames.push((*edge_id, reports.collect::<Vec<_>>()));
            }
        }
        let devices = &self.state.devices;
        let ignored = devices.ignored_reports();
        let started = Instant::now();
        for (edge_id, reports) in frames {
            devices.reported_locations(edge_id, GENERATION, reports).await;
        }
        // Ones that nobody knows come last: once they are ignored, all before them are written.
        for (edge_id, _) in &self.edges {
            devices.reported_disconnected(*edge_id, GENERATION, "nobody".to_owned()).await;
        }
        while devices.ignored_reports() < ignored + EDGES {
            if started.elapsed() > Duration::from_mins(1) {
                return Err("the reports are not written".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(started.elapsed())
    }

    /// Time to write as much in arrays, one statement after the other.
    async fn write_directly(&mut self) -> Outcome<Duration> {
        let (mut phones, now) = self.step(ROWS);
        phones.sort_unstable();
        let mut elapsed = Duration::ZERO;
        for piece in phones.chunks(DIRECT) {
            let cells: Vec<Cells> = piece.iter().map(|number| Cells::of(self.places[*number])).collect();
            let names: Vec<String> = piece.iter().map(|number| phone(*number)).collect();
            let positions: Vec<Geog<Point<f64>>> = piece.iter().map(|number| Geog(self.places[*number].into())).collect();
            let centres: Vec<Geog<Point<f64>>> = cells.iter().map(|cells| Geog(cells.r9.centre().into())).collect();
            let [r7, r9]: [Vec<i64>; 2] =
                [|cells: &Cells| cells.r7.to_db(), |cells: &Cells| cells.r9.to_db()].map(|of| cells.iter().map(of).collect());
            let started = Instant::now();
            let write =
                sqlx::query(fleet::DIRECT_UNNEST).bind(names).bind(positions).bind(centres).bind(r7).bind(r9).bind(vec![now; piece.len()]);
            let written = write.execute(&mut self.direct).await?.rows_affected();
            elapsed += started.elapsed();
            if written != piece.len() as u64 {
                return Err(format!("{written} rows written instead of {}", piece.len()).into());
            }
        }
        Ok(elapsed)
    }
}

fn state(options: PgConnectOptions) -> Outcome<AppState> {
    let server = Environment::of(&[("JWT_SECRET", "Only-for-Measuring-on-Loopback-0123456789"), ("RATE_LIMIT", "off")]).server()?;
    let config = DatabaseConfig::without_replica(options, 20);
    Ok(AppState::new(Db::new(&config), &server, Lifecycle::new()))
}

fn choices(runtime: &Runtime, cluster: &BenchCluster, criterion: &mut Criterion) -> Outcome<String> {
    let mut databases = runtime.block_on(async {
        let mut databases = Vec::new();
        for size in SIZES {
            let name = format!("bench_edges_{size}");
            let mut loading = cluster.empty(&name).await?.connect().await?;
            fleet::add_edges(&mut loading, &SQUARE, size).await?;
            sqlx::raw_sql(SPECIFIED_EDGES).execute(&mut loading).await?;
            for (name, function) in
                [("ours", inside(OUR_CHOICE, "place", "cells")), ("specified", inside(SPECIFIED_CHOICE, "the_lat", "the_lng"))]
            {
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE FUNCTION spec.{name}{function}"))).execute(&mut loading).await?;
            }
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut loading).await?;
            databases
                .push((size, [cluster.connect(&name, "force_generic_plan").await?, cluster.connect(&name, "force_generic_plan").await?]));
        }
        Outcome::Ok(databases)
    })?;
    let ways = [("edge choice", OUR_CHOICE), ("specification's query", SPECIFIED_CHOICE)];
    for (name, statement) in ways {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(2));
        for (size, [connection, _]) in &mut databases {
            let mut random = Random::new(*size);
            group.bench_function(BenchmarkId::from_parameter(*size), |bencher| {
                bencher.iter_custom(|count| {
                    runtime.block_on(async {
                        let started = Instant::now();
                        for _ in 0..count {
                            ask(connection, statement, &mut random).await.expect("the database answers");
                        }
                        started.elapsed()
                    })
                });
            });
        }
        group.finish();
    }
    let mut times = [vec![Vec::new(); SIZES.len()], vec![Vec::new(); SIZES.len()]];
    let mut times_inside = times.clone();
    runtime.block_on(async {
        for round in 0..CHOICE_ROUNDS {
            for ((_, statement), times) in ways.iter().zip(&mut times) {
                for ((_, [one, other]), times) in databases.iter_mut().zip(times) {
                    let (one, other) =
                        futures_util::try_join!(ask_again_and_again(one, statement, round), ask_again_and_again(other, statement, !round))?;
                    times.extend(one.into_iter().chain(other));
                }
            }
            for ((function, count), times) in CHOICES_INSIDE.iter().zip(&mut times_inside) {
                for ((_, [connection, _]), times) in databases.iter_mut().zip(times) {
                    times.extend(choose_inside(connection, function, *count, round).await?);
                }
            }
        }
        Outcome::Ok(())
    })?;
    let medians = |times: &[Vec<Vec<f64>>]| -> Vec<Vec<(u64, f64)>> {
        times.iter().map(|times| SIZES.into_iter().zip(times.iter().map(|times| median(times))).collect()).collect()
    };
    let names = ways.map(|(name, _)| name);
    Ok(format!(
        "{}\n\nThe same by the database's own clock, without question and answer on their way:\n\n{}",
        choice_table(&names, &medians(&times)),
        choice_table(&names, &medians(&times_inside))
    ))
}

/// Seconds that choices take inside the database.
async fn choose_inside(connection: &mut PgConnection, function: &str, count: usize, seed: u64) -> Outcome<Vec<f64>> {
    let mut random = Random::new(seed);
    let places: Vec<LatLng> = std::iter::repeat_with(|| SQUARE.place(&mut random)).take(count).collect();
    let cells: Vec<Cells> = places.iter().map(|place| Cells::of(*place)).collect();
    let of = |cell: fn(&Cells) -> Cell| cells.iter().map(|cells| cell(cells).to_db()).collect::<Vec<i64>>();
    let seconds = sqlx::query_scalar(AssertSqlSafe(format!("SELECT spec.{function}($1, $2, $3, $4, $5)")))
        .bind(places.iter().copied().map(LatLng::lat_deg).collect::<Vec<f64>>())
        .bind(places.iter().copied().map(LatLng::lng_deg).collect::<Vec<f64>>())
        .bind(of(|cells| cells.r5))
        .bind(of(|cells| cells.r7))
        .bind(of(|cells| cells.r9));
    Ok(seconds.fetch_one(connection).await?)
}

/// Times of one statement after the other.
async fn ask_again_and_again(connection: &mut PgConnection, statement: &'static str, seed: u64) -> Outcome<Vec<f64>> {
    let (mut random, mut times) = (Random::new(seed), Vec::new());
    ask(connection, statement, &mut random).await?;
    let turn = Instant::now();
    while times.is_empty() || turn.elapsed() < TURN {
        let started = Instant::now();
        ask(connection, statement, &mut random).await?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(times)
}

async fn ask(connection: &mut PgConnection, statement: &'static str, random: &mut Random) -> Outcome<()> {
    let place = SQUARE.place(random);
    let query = sqlx::query(statement);
    // The specification's takes degrees.
    let query = if statement == OUR_CHOICE {
        let Cells { r5, r7, r9 } = Cells::of(place);
        query.bind(Geog(Point::from(place))).bind([r5, r7, r9].map(Cell::to_db).to_vec())
    } else {
        query.bind(place.lat_deg()).bind(place.lng_deg())
    };
    let rows = query.fetch_all(connection).await?;
    std::hint::black_box(rows);
    Ok(())
}

fn choice_table(ways: &[&str], costs: &[Vec<(u64, f64)>]) -> String {
    let mut header = vec!["choice".to_owned()];
    header.extend(SIZES.iter().map(|size| format!("{} edges", count_text(*size))));
    header.push("grows with edges to the power".to_owned());
    let mut lines: Vec<Vec<String>> = ways
        .iter()
        .zip(costs)
        .map(|(name, costs)| {
            let mut line = vec![(*name).to_owned()];
            line.extend(costs.iter().map(|(_, cost)| time_text(*cost)));
            line.push(format!("{:.3}", growth_exponent(costs)));
            line
        })
        .collect();
    if let [ours, specified] = costs {
        let mut line = vec!["specification's ÷ ours".to_owned()];
        line.extend(specified.iter().zip(ours).map(|((_, theirs), (_, ours))| format!("{:.1} ×", theirs / ours)));
        line.push(String::new());
        lines.push(line);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    report::table(&header, &lines)
}
