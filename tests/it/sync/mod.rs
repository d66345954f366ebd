//! The sync: what edges should hold is what they hold, whatever happens in between.

mod delivering;
mod epochs;
mod instances;
mod mangled;
mod refusing;
mod repairing;
mod routes;
mod status;
mod surviving;
