//! **ar-supervisor**: the supervisor server of a distributed augmented-reality system, on PostGIS.
pub mod config;
pub mod db;
pub mod decorations;
pub mod geo;
pub mod http;
pub mod input;
pub mod lifecycle;
pub mod regions;
pub mod state;
pub mod telemetry;
pub mod commands;
pub mod demo;
pub mod edges;
