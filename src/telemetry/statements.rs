//! What the database driver tells of each statement, under the statement's name: for the times of all of them, and a line
//! for each slow one. `build/statements.rs` gives the names. Neither the text nor the bound values go anywhere: the name finds the text.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::Histogram;
use sqlx::ConnectOptions;
use tracing::field::{Field, Visit};

use super::prometheus::statement_seconds;

include!(concat!(env!("OUT_DIR"), "/statements.rs"));

/// The driver's target.
pub(super) const TARGET: &str = "sqlx::query";
/// What has no name: what the driver says by itself, and texts that are made at run time (`maps::ogc`).
const OTHER: &str = "other";
/// Where a change is made to last: what the disk takes.
const COMMIT: &str = "commit";

/// Has the driver tell of every statement. At a level that is always on: the log does not show it.
pub(crate) fn told_of<O: ConnectOptions>(options: O) -> O {
    let level = log::LevelFilter::Info;
    options.log_statements(level).log_slow_statements(level, Duration::MAX)
}

/// Takes note of a statement that has ended.
pub(super) fn note(event: &tracing::Event<'_>, slow: Duration) {
    let mut told = Told::default();
    event.record(&mut told);
    let (name, place) = told.statement.map_or((OTHER, STATEMENTS.len()), |place| match STATEMENTS.get(place) {
        Some((_, name)) => (*name, place),
        None => (COMMIT, place),
    });
    times_of(name, place).record(told.elapsed_s);
    #[cfg(feature = "otel")]
    super::opentelemetry::statement(name, STATEMENTS.get(place).map(|(text, _)| *text), told.elapsed_s, told.rows);
    let (statement, rows, elapsed_ms) = (name, told.rows, (told.elapsed_s * 1e6).round() / 1e3);
    if told.elapsed_s >= slow.as_secs_f64() {
        tracing::warn!(statement, elapsed_ms, rows, "slow statement {name}");
    } else {
        tracing::debug!(statement, elapsed_ms, rows, "statement {name}");
    }
}

/// The times of a statement. Kept from its first time on: a look-up by name would cost more than all the rest. So
/// whoever takes the times is to be there before the first statement.
fn times_of(name: &'static str, place: usize) -> &'static Histogram {
    static TIMES: [OnceLock<Histogram>; STATEMENTS.len() + 2] = [const { OnceLock::new() }; STATEMENTS.len() + 2];
    TIMES[place].get_or_init(|| statement_seconds(name))
}

/// The place of a statement in the table, by its text. Lengths differ nearly always, so that few texts are compared.
fn place_of(text: &str) -> Option<usize> {
    let found = STATEMENTS.binary_search_by(|(known, _)| (known.len(), *known).cmp(&(text.len(), text)));
    found.ok().or_else(|| (text == "COMMIT").then_some(STATEMENTS.len() + 1))
}

/// What an event of the driver says.
#[derive(Default)]
struct Told {
    statement: Option<usize>,
    elapsed_s: f64,
    rows: u64,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // The whole text, when it is short; else its beginning, and the whole comes after it.
            "summary" => self.statement = place_of(value),
            "db.statement" if !value.is_empty() => {
                self.statement = value.strip_prefix("\n\n").and_then(|text| text.strip_suffix('\n')).and_then(place_of);
            }
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_affected" | "rows_returned") {
            self.rows = self.rows.max(value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.elapsed_s = value;
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_statement_that_the_compiler_checks_has_a_name_of_its_own() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).expect("the folder is there");
        let mut checked = 0;
        let mut nameless = Vec::new();
        for file in folder {
            let text = std::fs::read(file.expect("a file").path()).expect("reads");
            let query: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            let query = query["query"].as_str().expect("a statement");
            checked += 1;
            if place_of(query).is_none() {
                nameless.push(query.to_owned());
            }
        }
        assert!(checked > 200, "{checked} statements");
        assert!(nameless.is_empty(), "{} have no name, because build/statements.rs does not see them: {nameless:#?}", nameless.len());
        let names: HashSet<_> = STATEMENTS.iter().map(|(_, name)| *name).chain([OTHER, COMMIT]).collect();
        assert_eq!(names.len(), STATEMENTS.len() + 2, "names are unique");
    }

    #[test]
    fn a_statement_is_named_after_the_function_that_runs_it() {
        let names: HashSet<_> = STATEMENTS.iter().map(|(_, name)| *name).collect();
        // In place; by a macro of ours; by one that stands in another; the second of a function; without the compiler's check.
        let expected = [
            "audit::record",
            "accounts::store::user",
            "devices::store::device",
            "decorations::store::near",
            "sync::resend::renew_piece#2",
            "db::answers",
        ];
        for name in expected {
            assert!(names.contains(name), "{name} in {names:#?}");
        }
    }
}
