//! Start and ordered stop: who runs, who is told to end, and in which order.
//!
//! stop: readiness off → (`STOP_DELAY`) → no new connections → running requests drain → background tasks end → pools close.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Owner of every background task; cheap to clone.
#[derive(Clone, Default)]
pub struct Lifecycle {
    started: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
    stopping: CancellationToken,
    drained: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A service that has not started yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the schema is in place and requests can be served.
    pub fn mark_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Whether requests can be served.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Says that the stop is near: whoever asks from now on had better ask another instance.
    pub fn mark_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the stop is near, or has begun.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.stopping.is_cancelled()
    }

    /// Cancelled when the service is to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Cancelled when, after the stop began, the last request has ended: nothing more comes to whoever collects
    /// what requests leave, and he may write the rest.
    #[must_use]
    pub fn drained(&self) -> CancellationToken {
        self.drained.clone()
    }

    /// Says that no request is under way any more, nor will be.
    pub fn mark_drained(&self) {
        self.drained.cancel();
    }

    /// Runs a background task, which ends by itself once [`Self::stopping`] is cancelled.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs work whose outcome somebody may wait for, and which ends by itself: soon, or once it hears of the stop.
    pub(crate) fn spawn_answering<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.tasks.spawn(work.in_current_span())
    }

    /// Says that no request is under way any more, and waits until every background task has ended.
    pub async fn tasks_ended(&self) {
        self.drained.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Resolves at the first SIGINT or SIGTERM. A second one ends the process at once, with status 130.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        #[expect(clippy::disallowed_methods, reason = "lives as long as the process, to end it; nobody waits for it")]
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
