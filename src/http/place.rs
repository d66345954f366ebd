//! A place among the requests under way. Whoever waits for a body gives his place up until it is there: a client
//! that sends slowly holds a connection, and nothing that others need.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ApiError;
use super::api_error::RETRY_AFTER;
use crate::telemetry::meters;

/// How often the log is told that requests are refused: a line for each would cost more than refusing them.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// All places of a process.
pub(crate) struct Places {
    most: usize,
    free: Arc<Semaphore>,
    untold: Mutex<Untold>,
}

/// Refusals that the log was not told of.
#[derive(Default)]
struct Untold {
    refusals: u64,
    told_at: Option<Instant>,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, free: Arc::new(Semaphore::new(most)), untold: Mutex::default() }
    }

    pub(crate) fn taken(&self) -> usize {
        self.most.saturating_sub(self.free.available_permits())
    }

    /// Takes one for a request that is about to come in.
    pub(super) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// What somebody is told who finds none.
    pub(super) fn refuse(&self) -> ApiError {
        meters().http.shed.increment(1);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.refusals += 1;
        if untold.told_at.is_none_or(|told_at| told_at.elapsed() >= TOLD_EVERY) {
            let refused = std::mem::take(&mut untold.refusals);
            untold.told_at = Some(Instant::now());
            tracing::warn!(refused, places = self.most, "too many requests are under way: {refused} were refused since this was last said");
        }
        ApiError::unavailable("overloaded", "too many requests are under way; try again")
    }
}

/// Marks the answer to a request that got no place: the log is told of all of them together.
#[derive(Clone, Copy)]
pub(super) struct Shed;

/// How a connection stands with places. Put into every request by the accept loop.
#[derive(Clone, Default)]
pub(super) struct Standing(Arc<Mutex<Stood>>);

#[derive(Default)]
struct Stood {
    /// Taken at the door, for the first request.
    reserved: Option<OwnedSemaphorePermit>,
    /// When it last found none.
    found_none_at: Option<Instant>,
}

impl Standing {
    pub(super) fn with(reserved: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Mutex::new(Stood { reserved: Some(reserved), found_none_at: None })))
    }

    fn stood(&self) -> MutexGuard<'_, Stood> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it found none less long ago than it was told to stay away.
    fn is_too_early(&self) -> bool {
        self.stood().found_none_at.is_some_and(|then| then.elapsed() < RETRY_AFTER)
    }
}

/// Cheap to clone; there is one place, whoever holds it.
#[derive(Clone)]
pub(super) struct Place {
    places: Arc<Places>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    /// Takes a place. A newcomer who finds none is refused at once. Over a connection that found none a moment ago, and
    /// was told to stay away for longer, a request waits in line for as long: refusing those who ask again and again
    /// would leave no time for what can be done.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub(super) async fn take(places: &Arc<Places>, connection: Option<Standing>) -> Result<Self, ApiError> {
        let place = Self { places: Arc::clone(places), held: Arc::default() };
        if let Some(reserved) = connection.as_ref().and_then(|standing| standing.stood().reserved.take()) {
            place.hold(reserved);
            return Ok(place);
        }
        if place.try_take() {
            return Ok(place);
        }
        let mut in_line = None;
        if connection.as_ref().is_some_and(Standing::is_too_early) {
            in_line = tokio::time::timeout(RETRY_AFTER, Arc::clone(&places.free).acquire_owned()).await.ok();
        }
        if let Some(standing) = &connection {
            standing.stood().found_none_at = Some(Instant::now());
        }
        match in_line {
            Some(Ok(permit)) => {
                place.hold(permit);
                Ok(place)
            }
            _ => Err(places.refuse()),
        }
    }

    /// Takes one after it was given up.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub(super) fn take_again(&self) -> Result<(), ApiError> {
        if self.try_take() { Ok(()) } else { Err(self.places.refuse()) }
    }

    /// Gives it up, if it is held.
    pub(super) fn give_up(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn try_take(&self) -> bool {
        self.places.reserve().map(|permit| self.hold(permit)).is_some()
    }

    fn hold(&self, permit: OwnedSemaphorePermit) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_again_too_early_waits_in_line_and_newcomers_are_refused_at_once() {
        let places = Arc::new(Places::new(1));
        let (patient, other) = (Standing::default(), Standing::default());
        let first = Place::take(&places, None).await.expect("there is one");
        assert_eq!(places.taken(), 1);
        let began = Instant::now();
        assert!(Place::take(&places, Some(patient.clone())).await.is_err());
        let at_once = began.elapsed();
        // Nothing becomes free: refused once more, after a while.
        assert!(Place::take(&places, Some(patient.clone())).await.is_err());
        assert!(began.elapsed() >= RETRY_AFTER && at_once < RETRY_AFTER, "{at_once:?}, {:?}", began.elapsed());
        // In line before those who come later.
        let waiting = Place::take(&places, Some(patient));
        let meanwhile = async {
            first.give_up();
            assert!(Place::take(&places, Some(other)).await.is_err(), "it is another's");
        };
        let (second, ()) = tokio::join!(biased; waiting, meanwhile);
        let second = second.expect("its turn");
        second.give_up();
        assert!(second.take_again().is_ok() && second.take_again().is_err());
    }
}
