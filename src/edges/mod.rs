//! Edge servers: where they stand and which cells they may be asked about.

mod coverage;
mod store;

pub use coverage::circle_cells;
pub(crate) use store::SYNC_MARGIN;
pub use store::{NewEdge, add};
