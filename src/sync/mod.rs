//! Sync: every edge holds exactly the decorations of its area, at their latest version.

mod digest;
mod margin;
mod reconcile;
mod standing;
mod wanted;

pub(crate) use digest::{Digest, MAX_BITS, bucket};
pub(crate) use reconcile::compare;
pub(crate) use standing::{Standing, begin_epoch, standing};
pub(crate) use wanted::{change_areas, hold_areas, margin, mark_edge, mark_for_edges};

use crate::state::AppState;

/// Starts what goes on by itself; it ends with the service.
pub(crate) fn keep(state: &AppState) {
    let keeping = state.clone();
    state.lifecycle.spawn(async move {
        margin::bring_into_force(&keeping).await;
        reconcile::run(&keeping).await;
    });
}
