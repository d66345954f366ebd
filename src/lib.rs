//! **ar-supervisor**: the supervisor server of a distributed augmented-reality system, on PostGIS.
pub mod accounts;
pub mod audit;
pub mod commands;
pub mod config;
pub mod db;
pub mod decorations;
pub mod demo;
pub mod edges;
pub mod geo;
pub mod http;
pub mod input;
mod keys;
pub mod lifecycle;
pub mod regions;
pub mod state;
pub mod telemetry;
