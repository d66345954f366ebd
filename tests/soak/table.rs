//! What was tried, as a table.

use std::collections::BTreeSet;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::parts::{Outcome, Record};

/// Width (characters) where nobody says how wide the terminal is.
const WIDTH: u16 = 200;

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

/// The table, and what it comes to.
pub(crate) fn text(outcomes: &[Outcome], took: Duration, interrupted: bool) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table.set_header(["", "promise", "tried", "tries", "failures", "seed", "duration", "measured"]);
    let (mut tries, mut failures) = (0, 0);
    for outcome in outcomes {
        let Outcome { promise, ended, records, took } = outcome;
        let told: u64 = records.iter().map(|record| record.failures).sum();
        // Whoever broke off before it could tell has failed all the same.
        let untold = u64::from(ended.is_err() && told == 0);
        (tries, failures) = (tries + records.iter().map(|record| record.tries).sum::<u64>(), failures + told + untold);
        let mut row = |what: &str, record: Option<&Record>, remark: &str| {
            let number = |of: fn(&Record) -> u64| record.map_or_else(|| "–".to_owned(), |record| of(record).to_string());
            let seed = record.and_then(|record| record.seed.clone()).unwrap_or_else(|| "–".to_owned());
            let failures = if untold > 0 { untold.to_string() } else { number(|record| record.failures) };
            table.add_row([promise.name, promise.says, what, &number(|record| record.tries), &failures, &seed, &duration(*took), remark]);
        };
        for record in records {
            let remark = match ended {
                Err(how) => format!("{how}; {}", record.measured),
                Ok(()) if record.tries == 0 => format!("nothing was tried; {}", record.measured),
                Ok(()) => record.measured.clone(),
            };
            row(&record.what, Some(record), &remark);
        }
        if records.is_empty() {
            let how = ended.as_ref().err().map_or("", String::as_str);
            row("nothing", None, &format!("no record; {how}"));
        }
    }
    for number in [3, 4, 5, 6] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let names = |wanted: bool| -> BTreeSet<&str> {
        let broken: BTreeSet<&str> = outcomes.iter().filter(|outcome| !outcome.is_good()).map(|outcome| outcome.promise.name).collect();
        outcomes.iter().map(|outcome| outcome.promise.name).filter(|name| broken.contains(name) != wanted).collect()
    };
    let (kept, broken) = (names(true), names(false));
    let not_kept =
        if broken.is_empty() { String::new() } else { format!(" Not kept: {}.", broken.into_iter().collect::<Vec<_>>().join(", ")) };
    let interrupted = if interrupted { " Interrupted." } else { "" };
    format!("{table}\n{} promises kept: {tries} tries, {failures} failures, {}.{not_kept}{interrupted}\n", kept.len(), duration(took))
}
