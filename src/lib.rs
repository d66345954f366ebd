//! **ar-supervisor**: the supervisor server of a distributed augmented-reality system, on PostGIS.
pub mod accounts;
pub mod audit;
pub mod background;
pub mod commands;
pub mod config;
mod dashboard;
pub mod db;
pub mod decorations;
pub mod demo;
pub mod devices;
pub mod edges;
pub mod geo;
pub mod http;
pub mod hub;
pub mod input;
pub mod instances;
mod keys;
pub mod lifecycle;
pub mod maps;
pub mod metrics;
#[cfg(test)]
#[path = "../tests/it/support/promise.rs"]
mod promise;
pub mod regions;
pub mod state;
mod sync;
pub mod telemetry;
