//! Two hundred edge servers that are told of devices, one of which stops reading: what the others notice of it, what it
//! costs, and when it is let go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::edge::{Edge, Socket};
use super::{Row, mib, resident_kib};
use crate::service::Service;
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure};

/// Edge servers, and how many messages all of them get in a second.
const EDGES: usize = 200;
const A_SECOND: u32 = 500;
/// Time between two writes of messages.
const STEP: Duration = Duration::from_millis(20);
/// How long all read, and how long one does not.
const QUIET: Duration = Duration::from_secs(10);
const STALLED: Duration = Duration::from_secs(30);
/// Time for the last messages to come.
const SETTLE: Duration = Duration::from_secs(3);
/// Long messages that wait for the one that stalls: more than the kernel holds for a socket.
const FLOOD: i64 = 20_000;
/// Its receive buffer.
const RECEIVE_BYTES: u32 = 4 * 1024;
/// What is promised.
const P99_MS: f64 = 250.0;
const GROWTH_MIB: f64 = 32.0;
const LET_GO_S: f64 = 15.0;

/// When a message was written, in microseconds since the begin, stands before the first dash of its device.
const DEVICE: &str = r#""device_id":""#;

/// Longer delays count as this one, in microseconds.
const MOST_DELAY_US: u64 = 60_000_000;

/// Delays of messages, in microseconds.
type Delays = Arc<Mutex<Histogram<u64>>>;

/// Those that read.
struct Readers {
    begin: Instant,
    delays: Delays,
    tasks: JoinSet<()>,
    end: CancellationToken,
}

/// Measures.
pub(super) async fn measure(cluster: &BenchCluster, database: &str, service: &Service, edges: &[Edge]) -> Outcome<Vec<Row>> {
    let ids: Vec<Uuid> = edges[..EDGES].iter().map(|edge| edge.id).collect();
    let begin = Instant::now();
    let mut readers = Readers {
        begin,
        delays: Arc::new(Mutex::new(Histogram::new_with_max(MOST_DELAY_US, 3)?)),
        tasks: JoinSet::new(),
        end: CancellationToken::new(),
    };
    for edge in &edges[1..EDGES] {
        readers.add(edge.connect(service.url(), None).await?);
    }
    let (mut sql, mut watch) = (cluster.options(database).connect().await?, cluster.options(database).connect().await?);
    // The one that is to stall reads, too, to begin with.
    let (stalls, end) = (CancellationToken::new(), readers.end.clone());
    let mut stalling = edges[0].connect(service.url(), Some(RECEIVE_BYTES)).await?;
    let stops_reading = stalls.clone();
    readers.tasks.spawn(async move {
        tokio::select! {
            () = stops_reading.cancelled() => {}
            _closed = stalling.closed() => return,
        }
        end.cancelled().await;
    });

    tell(&mut sql, &ids, begin, Duration::from_secs(1)).await?;
    tokio::time::sleep(SETTLE).await;
    readers.take();
    let told = tell(&mut sql, &ids, begin, QUIET).await?;
    tokio::time::sleep(SETTLE).await;
    let quiet = Delivered { told, delays: readers.take() };
    stalls.cancel();
    let pid = service.pid()?;
    let before_kib = resident_kib(pid)?;
    flood(&mut sql, ids[0]).await?;
    let (seen, told) = tokio::join!(look_on(&mut watch, ids[0], pid), tell(&mut sql, &ids, begin, STALLED));
    let (seen, told) = (seen?, told?);
    tokio::time::sleep(SETTLE).await;
    let beside = Delivered { told, delays: readers.take() };
    readers.end.cancel();
    readers.tasks.join_all().await;

    let growth_mib = mib(seen.most_kib.saturating_sub(before_kib));
    let others = format!("delay of the other {} at {A_SECOND} messages/s, one stalled: p99", EDGES - 1);
    Ok(vec![
        Row::new(others, format!("< {P99_MS} ms"), format!("{:.0} ms", beside.ms(0.99)), beside.ms(0.99) < P99_MS).with(format!(
            "p50 {:.0} ms, most {:.0} ms; when none stalled: p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms",
            beside.ms(0.5),
            beside.ms(1.0),
            quiet.ms(0.5),
            quiet.ms(0.99),
            quiet.ms(1.0)
        )),
        Row::new(
            "messages they did not get".to_owned(),
            "0".to_owned(),
            (quiet.lost() + beside.lost()).to_string(),
            quiet.lost() + beside.lost() == 0,
        )
        .with(format!("of {}", measure::count_text(quiet.told + beside.told))),
        Row::new(
            "memory the stalled one costs".to_owned(),
            format!("< {GROWTH_MIB} MiB"),
            format!("{growth_mib:.1} MiB"),
            growth_mib < GROWTH_MIB,
        )
        .with(format!(
            "{:.1} MiB before; {} messages of 255 characters wait for it",
            mib(before_kib),
            measure::count_text(FLOOD.unsigned_abs())
        )),
        Row::new(
            "the stalled one is let go after".to_owned(),
            format!("≤ {LET_GO_S} s"),
            seen.let_go_s.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s")),
            seen.let_go_s.is_some_and(|seconds| seconds <= LET_GO_S),
        )
        .with(format!("since it was last sent one; {} had gone into the kernel's buffers", measure::count_text(seen.taken))),
    ])
}

impl Readers {
    /// Reads a socket to the end, and notes how long each message was under way.
    fn add(&mut self, mut socket: Socket) {
        let (begin, delays, end) = (self.begin, Arc::clone(&self.delays), self.end.clone());
        self.tasks.spawn(async move {
            let reading = async {
                while let Ok(text) = socket.next().await {
                    let written_us = text.split_once(DEVICE).and_then(|(_, id)| id.split('-').next()?.parse().ok());
                    if let Some(written_us) = written_us {
                        let delay_us = micros(begin).saturating_sub(written_us);
                        delays.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(delay_us);
                    }
                }
                eprintln!("a socket that was read ended");
            };
            tokio::select! {
                () = end.cancelled() => {}
                () = reading => {}
            }
        });
    }

    /// What they got since the last time.
    fn take(&self) -> Histogram<u64> {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = delays.clone();
        delays.reset();
        taken
    }
}

/// What was written for those that read, and what they got.
struct Delivered {
    told: u64,
    delays: Histogram<u64>,
}

impl Delivered {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn ms(&self, quantile: f64) -> f64 {
        self.delays.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn lost(&self) -> u64 {
        self.told.saturating_sub(self.delays.len())
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Writes messages for all of them in turn, as the service does; how many for those that read.
async fn tell(sql: &mut PgConnection, ids: &[Uuid], begin: Instant, lasting: Duration) -> Outcome<u64> {
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let each = usize::try_from(A_SECOND * u32::try_from(STEP.as_millis())? / 1000)?;
    let steps = lasting.as_millis() / STEP.as_millis();
    let (mut number, mut told) = (0, 0);
    for _ in 0..steps {
        ticks.tick().await;
        let written_us = micros(begin);
        let turn: Vec<Uuid> = (0..each).map(|n| ids[(number + n) % ids.len()]).collect();
        let devices: Vec<String> = (0..each).map(|n| format!("{written_us}-{}", number + n)).collect();
        number += each;
        told += turn.iter().filter(|id| **id != ids[0]).count() as u64;
        sqlx::query(
            "WITH added AS (
                 INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned)
                 SELECT n.edge_server_id, n.device_id, true FROM unnest($1::uuid[], $2::text[]) AS n(edge_server_id, device_id)
                 RETURNING 1
             )
             SELECT pg_notify('ar', 'devices:00000000-0000-0000-0000-000000000000') FROM added LIMIT 1",
        )
        .bind(turn)
        .bind(devices)
        .execute(&mut *sql)
        .await?;
    }
    Ok(told)
}

/// Writes long messages for one.
async fn flood(sql: &mut PgConnection, id: Uuid) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned)
         SELECT $1, lpad(n::text, 255, 'x'), true FROM generate_series(1, $2) AS n",
    )
    .bind(id)
    .bind(FLOOD)
    .execute(sql)
    .await?;
    Ok(())
}

/// What was seen of the one that stalled, from outside.
struct Seen {
    most_kib: u64,
    /// Messages that were put on its way.
    taken: u64,
    /// Seconds from the last of them to the end of its session.
    let_go_s: Option<f64>,
}

/// Looks at the messages that wait for it, at its session and at the service's memory.
async fn look_on(sql: &mut PgConnection, id: Uuid, pid: u32) -> Outcome<Seen> {
    let begin = Instant::now();
    let mut seen = Seen { most_kib: 0, taken: 0, let_go_s: None };
    let (mut taken_at, mut fewest) = (begin, FLOOD);
    while begin.elapsed() < STALLED {
        let (waiting, is_open): (i64, bool) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM ar.edge_device_notices WHERE edge_server_id = $1 AND device_id LIKE 'x%'),
                    EXISTS (SELECT FROM ar.edge_sessions WHERE edge_server_id = $1)",
        )
        .bind(id)
        .fetch_one(&mut *sql)
        .await?;
        seen.most_kib = seen.most_kib.max(resident_kib(pid)?);
        if waiting < fewest {
            (taken_at, fewest) = (Instant::now(), waiting);
        }
        if !is_open && seen.let_go_s.is_none() {
            seen.let_go_s = Some(taken_at.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    seen.taken = FLOOD.abs_diff(fewest);
    Ok(seen)
}
