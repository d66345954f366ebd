//! The sync: what edges should hold is what they hold, whatever happens in between.

mod books;
mod delivering;
mod reconcile;
mod restoring;
mod routes;
mod status;
mod wanted;
