//! Thousands of sockets that do nothing: what each costs in memory, and how soon a thousand of them are back when all
//! broke at once.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::edge::{Edge, Socket};
use super::{Row, mib, resident_kib};
use crate::service::Service;
use crate::support::random::Random;
use crate::support::{Outcome, measure};

/// Sockets that are opened at once.
const OPENING: usize = 32;
/// Time for what was needed to begin with to be given back, before the first socket and after the last.
pub(super) const IDLE: Duration = Duration::from_secs(8);
/// Sockets that break at once.
const HERD: usize = 1_000;
/// Each edge server waits up to so long, at random, before it comes back.
const JITTER_S: f64 = 1.0;
/// What is promised: KiB of a socket, and seconds of the herd.
const EACH_KIB: f64 = 16.0;
const HERD_S: f64 = 60.0;

/// Opens a socket of every edge server, looks at the memory, breaks some and waits for them.
pub(super) async fn measure(service: &Service, edges: &[Edge]) -> Outcome<Vec<Row>> {
    let pid = service.pid()?;
    tokio::time::sleep(IDLE).await;
    let before_kib = resident_kib(pid)?;
    let began = Instant::now();
    let sockets = open(service, edges).await?;
    let opened_s = began.elapsed().as_secs_f64();
    let (herd, others) = edges.split_at(HERD.min(edges.len()));
    let mut sockets = sockets.into_iter();
    let breaking = Held::all(sockets.by_ref().take(herd.len()));
    let mut staying = Held::all(sockets);
    tokio::time::sleep(IDLE).await;
    let after_kib = resident_kib(pid)?;
    let each_kib = mib(after_kib.saturating_sub(before_kib)) * 1024.0 / f64::from(u32::try_from(edges.len())?);
    eprintln!("{} sockets in {opened_s:.1} s: {before_kib} kB before, {after_kib} kB now", edges.len());

    let (back_s, failed) = come_back(service, herd, breaking).await?;
    let last_s = back_s.iter().copied().fold(0.0, f64::max);
    let kept = others.len() - staying.ended();
    staying.end().await;
    let count = |count: usize| measure::count_text(count as u64);
    Ok(vec![
        Row::new(
            format!("memory of each of {} idle sockets", count(edges.len())),
            format!("≤ {EACH_KIB} KiB"),
            format!("{each_kib:.1} KiB"),
            each_kib <= EACH_KIB,
        )
        .with(format!(
            "{:.1} MiB before, {:.1} MiB after; opened in {opened_s:.1} s, {OPENING} at once",
            mib(before_kib),
            mib(after_kib)
        )),
        Row::new(
            format!("{} sockets broken at once are all back", count(herd.len())),
            format!("≤ {HERD_S} s"),
            format!("{last_s:.1} s"),
            last_s <= HERD_S && kept == others.len(),
        )
        .with(format!(
            "half of them in {:.1} s; {failed} tries failed; {} of the other {} stayed",
            measure::median(&back_s),
            count(kept),
            count(others.len())
        )),
    ])
}

/// Opens a socket of each, in their order, and beats once.
async fn open(service: &Service, edges: &[Edge]) -> Outcome<Vec<Socket>> {
    let opening = stream::iter(edges.iter().copied()).map(|edge| async move {
        let mut socket = edge.connect(service.url(), None).await?;
        socket.beat().await?;
        Ok(socket)
    });
    opening.buffered(OPENING).collect::<Vec<_>>().await.into_iter().collect()
}

/// Breaks the sockets of these, and has all of them come back; the seconds that each took, and how many tries failed.
async fn come_back(service: &Service, herd: &[Edge], breaking: Held) -> Outcome<(Vec<f64>, u32)> {
    let broken = Instant::now();
    breaking.end().await;
    let (mut random, mut coming) = (Random::new(1), JoinSet::new());
    for edge in herd.iter().copied() {
        let (url, jitter) = (service.url().to_owned(), Duration::from_secs_f64(random.between(0.0, JITTER_S)));
        coming.spawn(async move {
            tokio::time::sleep_until((broken + jitter).into()).await;
            let (socket, failed) = edge.connect_again(&url, broken + Duration::from_secs_f64(HERD_S)).await?;
            Outcome::Ok((broken.elapsed().as_secs_f64(), failed, socket))
        });
    }
    // The sockets are held until the last is there.
    let back = coming.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
    Ok((back.iter().map(|back| back.0).collect(), back.iter().map(|back| back.1).sum()))
}

/// Sockets that are read until they are to break.
struct Held {
    tasks: JoinSet<()>,
    end: CancellationToken,
}

impl Held {
    fn all(sockets: impl Iterator<Item = Socket>) -> Self {
        let mut held = Self { tasks: JoinSet::new(), end: CancellationToken::new() };
        for mut socket in sockets {
            let end = held.end.clone();
            held.tasks.spawn(async move {
                tokio::select! {
                    () = end.cancelled() => {}
                    _closed = socket.closed() => {}
                }
            });
        }
        held
    }

    /// How many ended by themselves.
    fn ended(&mut self) -> usize {
        std::iter::from_fn(|| self.tasks.try_join_next()).count()
    }

    /// Breaks them: no close is said.
    async fn end(self) {
        self.end.cancel();
        self.tasks.join_all().await;
    }
}
