//! A place among the requests under way. Whoever waits for a body gives his place up until it is there: a client
//! that sends slowly holds a connection, and nothing that others need.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ApiError;
use crate::telemetry::meters;

/// Cheap to clone; there is one place, whoever holds it.
#[derive(Clone)]
pub(super) struct Place {
    places: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    /// Takes a place.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub(super) fn take(places: &Arc<Semaphore>) -> Result<Self, ApiError> {
        let place = Self { places: Arc::clone(places), held: Arc::default() };
        place.take_again()?;
        Ok(place)
    }

    /// Takes one after it was given up.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub(super) fn take_again(&self) -> Result<(), ApiError> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_full| {
            meters().http.shed.increment(1);
            ApiError::unavailable("overloaded", "too many requests are under way; try again")
        })?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        Ok(())
    }

    /// Gives it up, if it is held.
    pub(super) fn give_up(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
