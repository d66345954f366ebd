//! Sync: every edge holds exactly the decorations of its area, at their latest version.

mod digest;
mod wanted;

pub(crate) use digest::{Digest, MAX_BITS, bucket};
pub(crate) use wanted::mark_for_edges;
