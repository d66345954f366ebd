//! The sync: what edges should hold is what they hold, whatever happens in between.

mod delivering;
mod instances;
mod mangled;
mod refusing;
mod repairing;
mod restoring;
mod routes;
mod status;
mod surviving;
