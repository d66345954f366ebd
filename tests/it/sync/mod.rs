//! The sync: what edges should hold is what they hold, whatever happens in between.

mod delivering;
mod routes;
mod status;
