//! Sockets: edges that come, beat, are taken over and sent away; admins that look.

mod admins;
mod crowds;
mod edges;
mod losing;
mod outage;
mod stopping;
