//! Where results go: tables on the terminal, and `benches/RESULTS.md`, one section a bench.

use std::path::Path;

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};
use sqlx::PgConnection;

use super::Outcome;

/// A table in Markdown, which also reads well on a terminal.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// What was measured on: processor, memory, programs, and the day. No host name, no paths.
///
/// # Errors
/// When the database fails.
pub(crate) async fn machine(connection: &mut PgConnection) -> Outcome<String> {
    let (postgres, postgis): (String, String) =
        sqlx::query_as("SELECT current_setting('server_version'), postgis_lib_version()").fetch_one(connection).await?;
    let line = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned()));
        value.unwrap_or_else(|| "unknown".to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let postgres = postgres.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{cores} cores ({}), {} of memory, PostgreSQL {postgres}, PostGIS {postgis}, {}",
        line("/proc/cpuinfo", "model name"),
        line("/proc/meminfo", "MemTotal"),
        DateTime::<Utc>::from(std::time::SystemTime::now()).format("%Y-%m-%d")
    ))
}

/// Puts a section into `benches/RESULTS.md`, in place of an older one with the same title.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn write_section(title: &str, body: &str) -> Outcome<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let old = if path.exists() {
        std::fs::read_to_string(&path)?
    } else {
        "# Results\n\nWritten by the benches themselves; the newest run of each.\n".to_owned()
    };
    let mut parts = old.split("\n## ");
    let mut text = parts.next().unwrap_or_default().trim_end().to_owned();
    let new = format!("{title}\n\n{}", body.trim_end());
    let mut sections: Vec<&str> = parts.map(str::trim_end).collect();
    match sections.iter_mut().find(|section| section.lines().next() == Some(title)) {
        Some(section) => *section = &new,
        None => sections.push(&new),
    }
    for section in sections {
        text.push_str("\n\n## ");
        text.push_str(section);
    }
    text.push('\n');
    std::fs::write(path, text)?;
    Ok(())
}
