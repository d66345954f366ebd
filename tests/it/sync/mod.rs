//! The sync: what edges should hold is what they hold, whatever happens in between.

mod books;
mod delivering;
mod epochs;
mod instances;
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

pub(crate) use books::wrong_pairs;
