//! HTTP itself: ids, errors, connections, and what happens when the database is away or the service stops.

mod connections;
mod docs;
mod errors;
mod heads;
mod outage;
mod stopping;
