//! Integration tests: one binary, one private database server, one clone of a migrated database for each
//! test. A missing PostgreSQL fails here, it never skips.
//!
//! `AR_TEST_QUERIES` and `AR_TEST_SEED` set how many random queries `brute_force` asks and from which seed;
//! `AR_TEST_FULL=1` repeats what is counted in rounds as often as is promised.
#![expect(clippy::float_cmp, reason = "answers are compared to the last digit on purpose")]
#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads best in its place, as an argument")]
#![expect(clippy::disallowed_methods, reason = "tests spawn, and read their own variables")]

mod accounts;
mod analysts;
mod bad_input;
mod brute_force;
mod commands;
mod dashboard;
mod deployment;
mod devices;
mod discovery;
mod edge_check;
mod edges;
mod editing;
mod faults;
mod http_basics;
mod hub;
mod import;
mod instances;
mod maps;
mod metrics;
mod operations;
mod plans;
mod schema;
mod simulation;
mod support;
mod sync;
mod telemetry;
