//! One message to two thousand sockets: what of CPU that costs the service, beside a bare loop of `write(2)`. A message
//! alone is one of the admins' feed; an edit that as many edge servers hold brings its reading, its numbers and its
//! acknowledgements along, which are told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::{ConnectOptions, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::bare::Writer;
use super::crowd::Crowd;
use super::editor::Editor;
use super::{cpu_s, sites};
use crate::devices::sign_in_again;
use crate::sockets::edge::{BUFFER_BYTES, Socket};
use crate::sockets::{self, Row};
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure};

const FEED_DATABASE: &str = "bench_feed";
/// Sockets that are opened at once.
const OPENING: usize = 32;
/// Messages, and edits, that are averaged; and rounds whose median is taken.
const MESSAGES: u32 = 30;
const EDITS: u32 = 8;
const ROUNDS: usize = 5;
/// Time between two messages: sooner, the service would send two together.
const PAUSE: Duration = Duration::from_millis(250);
/// How long nothing happens, to see what that costs.
const IDLE: Duration = Duration::from_secs(8);
/// Longest wait for all to have a message.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is promised: times the bare loop.
const RATIO: f64 = 2.0;

/// Measures.
pub(super) async fn measure(cluster: &BenchCluster, sql: &mut PgConnection, database: &str, fanned: u64) -> Outcome<Vec<Row>> {
    let sockets = measure::count_text(fanned);
    let feed = feed(cluster, usize::try_from(fanned)?).await?;
    let ratio = measure::median(&feed.ratios);
    let mut rows = vec![
        Row::new(
            format!("one message to {sockets} sockets: CPU ÷ a bare loop of write(2)"),
            format!("≤ {RATIO}"),
            format!("{ratio:.2}"),
            ratio <= RATIO,
        )
        .with(format!(
            "`decoration_changed` to admins, {} bytes: {:.1} µs a socket, the bare loop {:.1} µs (medians of {ROUNDS} rounds of {MESSAGES}; ratios {})",
            feed.bytes,
            feed.cpu_us,
            feed.bare_us,
            feed.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ")
        )),
    ];
    let edit = edit(cluster, sql, database, fanned).await?;
    rows.push(
        Row::told(
            format!("the same of an edit that {sockets} edge servers hold, with all that is read for it"),
            format!("{:.2}", edit.reached_us / edit.bare_us),
        )
        .with(format!(
            "{} bytes: {:.1} µs a socket until all have it, from the request on; {:.1} µs for acknowledgements, books and checkpoints; the bare loop {:.1} µs",
            edit.bytes, edit.reached_us, edit.acknowledged_us, edit.bare_us
        )),
    );
    Ok(rows)
}

struct Feed {
    bytes: usize,
    /// CPU a message and socket, in microseconds.
    cpu_us: f64,
    bare_us: f64,
    ratios: Vec<f64>,
}

/// A message to admins, which is nothing but that: a notice has it sent.
async fn feed(cluster: &BenchCluster, fanned: usize) -> Outcome<Feed> {
    let mut sql = cluster.empty(FEED_DATABASE).await?.connect().await?;
    let service = sockets::start(cluster, FEED_DATABASE).await?;
    let token = super::admin(&service, &mut sql).await?;
    let admins = Readers::open(service.url(), "/ws/admin", &token, fanned, "decoration_changed").await?;
    let mut writer = Writer::start(fanned)?;
    let bare = Readers::open(writer.url(), "/", "", fanned, "").await?;
    let pid = service.pid()?;
    tokio::time::sleep(IDLE).await;
    let (mut cpu, mut bare_cpu) = (Vec::new(), Vec::new());
    // The first round is not counted.
    for round in 0..=ROUNDS {
        let (before_s, began) = (cpu_s(pid)?, Instant::now());
        tokio::time::sleep(IDLE).await;
        let idle = (cpu_s(pid)? - before_s) / began.elapsed().as_secs_f64();
        let (before_s, began) = (cpu_s(pid)?, Instant::now());
        for _ in 0..MESSAGES {
            let target = admins.target();
            let notify = sqlx::query("SELECT pg_notify('ar', 'decoration:' || $1::text)").bind(Uuid::now_v7().to_string());
            notify.execute(&mut sql).await?;
            admins.all_have(target).await?;
            tokio::time::sleep(PAUSE).await;
        }
        let cpu_us = each_us(cpu_s(pid)? - before_s - idle * began.elapsed().as_secs_f64(), MESSAGES, fanned);
        let before_s = cpu_s(writer.pid())?;
        for _ in 0..MESSAGES {
            let target = bare.target();
            writer.write(admins.bytes())?;
            bare.all_have(target).await?;
            tokio::time::sleep(PAUSE).await;
        }
        let bare_us = each_us(cpu_s(writer.pid())? - before_s, MESSAGES, fanned);
        eprintln!("round {round}: {cpu_us:.2} µs a message and socket, bare {bare_us:.2} µs; {:.1} % when idle", idle * 100.0);
        if round > 0 {
            cpu.push(cpu_us);
            bare_cpu.push(bare_us);
        }
    }
    let ratios = cpu.iter().zip(&bare_cpu).map(|(cpu, bare)| cpu / bare).collect();
    Ok(Feed { bytes: admins.bytes(), cpu_us: measure::median(&cpu), bare_us: measure::median(&bare_cpu), ratios })
}

struct EditCost {
    bytes: usize,
    reached_us: f64,
    acknowledged_us: f64,
    bare_us: f64,
}

/// An edit of a decoration that all edge servers of the stadium hold.
async fn edit(cluster: &BenchCluster, sql: &mut PgConnection, database: &str, fanned: u64) -> Outcome<EditCost> {
    let edges = sites::add_crowd(sql, &sites::STADIUM, fanned).await?;
    let service = sockets::start(cluster, database).await?;
    let (_user_id, token) = sign_in_again(&service).await?;
    let mut editor = Editor::create(&service, &token, sites::STADIUM.place()).await?;
    let fanned = edges.len();
    let mut crowd = Crowd::connect(service.url(), &edges).await?;
    let mut writer = Writer::start(fanned)?;
    let bare = Readers::open(writer.url(), "/", "", fanned, "").await?;
    let pid = service.pid()?;
    let (mut reached, mut acknowledged, mut bare_cpu, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let (before_s, began) = (cpu_s(pid)?, Instant::now());
        tokio::time::sleep(IDLE).await;
        let idle = (cpu_s(pid)? - before_s) / began.elapsed().as_secs_f64();
        let (mut reached_s, mut acknowledged_s, mut bare_s) = (0.0, 0.0, 0.0);
        for _ in 0..EDITS {
            let (before_s, began) = (cpu_s(pid)?, Instant::now());
            bytes = crowd.edit_only(&mut editor).await?;
            let (then_s, then) = (cpu_s(pid)?, Instant::now());
            reached_s += then_s - before_s - idle * (then - began).as_secs_f64();
            crowd.acknowledge().await?;
            acknowledged_s += cpu_s(pid)? - then_s - idle * then.elapsed().as_secs_f64();
            let before_s = cpu_s(writer.pid())?;
            let target = bare.target();
            writer.write(bytes)?;
            bare.all_have(target).await?;
            bare_s += cpu_s(writer.pid())? - before_s;
            tokio::time::sleep(PAUSE).await;
        }
        let each = |cpu_s: f64| each_us(cpu_s, EDITS, fanned);
        eprintln!(
            "round {round}: an edit {:.1} µs a socket, acknowledgements {:.1} µs, bare {:.1} µs; {:.1} % when idle",
            each(reached_s),
            each(acknowledged_s),
            each(bare_s),
            idle * 100.0
        );
        if round > 0 {
            reached.push(each(reached_s));
            acknowledged.push(each(acknowledged_s));
            bare_cpu.push(each(bare_s));
        }
    }
    crowd.end().await;
    Ok(EditCost {
        bytes,
        reached_us: measure::median(&reached),
        acknowledged_us: measure::median(&acknowledged),
        bare_us: measure::median(&bare_cpu),
    })
}

/// Microseconds of each message and socket.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn each_us(cpu_s: f64, messages: u32, sockets: usize) -> f64 {
    cpu_s * 1e6 / f64::from(messages) / sockets as f64
}

/// Sockets that are read.
struct Readers {
    count: usize,
    /// Messages that came, and how long the last one was.
    came: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Readers {
    /// Opens so many, and counts their messages that have a word in them.
    async fn open(url: &str, path: &str, bearer: &str, count: usize, word: &'static str) -> Outcome<Self> {
        let opening = stream::iter(0..count).map(|_| Socket::open(url, path, bearer, None, BUFFER_BYTES));
        let sockets: Vec<Socket> = opening.buffered(OPENING).try_collect().await?;
        let (came, bytes, mut tasks) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), JoinSet::new());
        for mut socket in sockets {
            let (came, bytes) = (Arc::clone(&came), Arc::clone(&bytes));
            tasks.spawn(async move {
                while let Ok(text) = socket.next().await {
                    if text.contains(word) {
                        bytes.store(text.len(), Ordering::Relaxed);
                        came.fetch_add(1, Ordering::Release);
                    }
                }
                eprintln!("a socket that was read ended");
            });
        }
        Ok(Self { count, came, bytes, _tasks: tasks })
    }

    /// How many will have come when each has one more.
    fn target(&self) -> usize {
        self.came.load(Ordering::Acquire) + self.count
    }

    async fn all_have(&self, target: usize) -> Outcome<()> {
        let waiting = async {
            while self.came.load(Ordering::Acquire) < target {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        Ok(tokio::time::timeout(PATIENCE, waiting).await.map_err(|_elapsed| "a message did not come to all")?)
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}
