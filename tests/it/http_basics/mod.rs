//! HTTP itself: ids, errors, connections, and what happens when the database is away or the service stops.

mod browsers;
mod connections;
mod crowded;
mod docs;
mod encryption;
mod errors;
mod heads;
mod outage;
mod stopping;
mod throttling;
