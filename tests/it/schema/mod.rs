//! The database as it is made: its rules, what analysts may see, and how it is brought up to date.

mod analyst;
mod catalog;
mod cells;
mod circles;
mod examples;
mod geometry;
mod migrating;
mod numbers;
mod snapshots;
