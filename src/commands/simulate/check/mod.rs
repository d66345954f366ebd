//! `ar-supervisor simulate --check-edge`: the other way round. It is the supervisor, and a foreign edge server
//! connects: check by check it says what was expected, and what came.
//!
//! `reception` opens the address and the sockets, `dialogue` speaks over one of them, `examiner` goes through the
//! checks, which are in `trials`, and `supposed` is what the edge is supposed to hold all the while.

mod command;
mod dialogue;
mod examiner;
mod heard;
mod parcel;
mod reception;
mod report;
mod supposed;
mod trials;

pub(super) use command::run as run_command;
pub use reception::EdgeCheck;
pub use report::{Report, Verdict};
