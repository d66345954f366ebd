//! What all benches share: a private database with the same made-up decorations at several sizes, the
//! service's own statements, and medians. Nothing here is measured.
//!
//! Environment: `AR_BENCH_ROWS` (default `10000,100000,1000000`) are the sizes; small ones make a quick run.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod database;
pub(crate) mod fleet;
pub(crate) mod load;
pub(crate) mod measure;
pub(crate) mod questions;
pub(crate) mod random;
pub(crate) mod report;
pub(crate) mod statements;

/// Result of a step of a bench; a failed one ends the bench with its message.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A number from the environment, or its default.
///
/// # Errors
/// When the variable is set and is no number.
#[expect(clippy::disallowed_methods, reason = "benches are not the service: they have no configuration of their own")]
pub(crate) fn setting(name: &str, default: u64) -> Outcome<u64> {
    std::env::var(name)
        .map_or(Ok(default), |text| text.parse().map_err(|_not_a_number| format!("{name} is no whole number: {text}").into()))
}

/// The sizes to measure, in rows, ascending.
///
/// # Errors
/// When `AR_BENCH_ROWS` is set and is no list of numbers.
#[expect(clippy::disallowed_methods, reason = "benches are not the service: they have no configuration of their own")]
pub(crate) fn sizes() -> Outcome<Vec<u64>> {
    let text = std::env::var("AR_BENCH_ROWS").unwrap_or_else(|_not_set| "10000,100000,1000000".to_owned());
    let sizes: Result<Vec<u64>, _> = text.split(',').map(|size| size.trim().parse()).collect();
    let mut sizes = sizes.map_err(|_not_a_number| format!("AR_BENCH_ROWS is no list such as 10000,100000: {text}"))?;
    sizes.sort_unstable();
    Ok(sizes)
}
