//! The sync: what edges should hold is what they hold, whatever happens in between.

mod books;
pub(crate) mod delivering;
mod epochs;
pub(crate) mod instances;
mod mangled;
mod plans;
mod reconcile;
mod refusing;
mod repairing;
mod restoring;
mod routes;
mod status;
mod surviving;
mod wanted;

pub(crate) use books::{every_pair_is_right, holds_its_books, wrong_pairs};
