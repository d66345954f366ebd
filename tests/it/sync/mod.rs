//! What edges hold of what they should.

mod routes;
mod status;
