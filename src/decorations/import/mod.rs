//! Imports: GeoJSON, NDJSON or CSV, streamed, validated row by row, written in transactions of 1,000 rows.
//!
//! A thread reads and validates (`records`, `content`) and hands batches over a short queue to the writer
//! (`write`), so that reading and writing overlap and memory stays bounded. A bad row is reported and left
//! out; the good ones are kept.

mod json;
mod records;
mod write;

use std::collections::BTreeSet;
use std::io::BufRead;

use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::mpsc;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

pub use records::Format;

use super::content::{self, Content};
use crate::audit::Actor;
use crate::db::DbError;
use crate::input::{FieldFault, Fields};

/// Rows of a transaction.
const BATCH_ROWS: usize = 1_000;
/// Batches that wait for the writer at most: what is read ahead.
const BATCHES_AHEAD: usize = 4;
/// Row errors that a report names; more are only counted.
const MAX_ERRORS: usize = 100_000;
/// Unknown columns that a report names.
const MAX_UNKNOWN: usize = 100;

/// Rules and wishes of an import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Base under which asset URLs must lie, when set.
    pub cdn_base_url: Option<Url>,
    /// Check and compare everything, change nothing.
    pub dry_run: bool,
    /// Who imports: for the audit log, and as `created_by` of what is new.
    pub actor: Option<Actor>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub struct Report {
    /// New decorations.
    pub created: u64,
    /// Decorations with new content, each one version higher.
    pub updated: u64,
    /// Decorations that had this very content.
    pub unchanged: u64,
    /// Rows left out.
    pub rejected: u64,
    /// Why rows were left out.
    pub errors: Vec<RowError>,
    /// What was ignored, such as unknown columns.
    pub warnings: Vec<String>,
}

impl Report {
    /// How many rows of each kind, for people.
    #[must_use]
    pub fn counts(&self) -> String {
        let Self { created, updated, unchanged, rejected, .. } = self;
        format!("{created} created, {updated} updated, {unchanged} unchanged, {rejected} rejected")
    }

    /// Adds errors, of which it names so many and no more.
    fn name(&mut self, errors: impl IntoIterator<Item = RowError>, not_named: &mut usize) {
        for error in errors {
            if self.errors.len() < MAX_ERRORS {
                self.errors.push(error);
            } else {
                *not_named += 1;
            }
        }
    }
}

/// A fault of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportRowError)]
pub struct RowError {
    /// Number of the row: the line of an NDJSON file, the record of a CSV file (its header not counted), the
    /// feature of a GeoJSON file; from 1.
    pub row: u64,
    /// The field at fault; empty when it is the row as a whole.
    pub field: String,
    /// Stable name of the fault.
    pub code: &'static str,
    /// What is wrong.
    pub detail: String,
}

/// Why an import ended early. What was committed until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database failed.
    #[error("writing decorations; until then {}", .so_far.counts())]
    Database {
        /// Why.
        source: DbError,
        /// What was done, and stays done.
        so_far: Box<Report>,
    },
    /// The reading thread is gone.
    #[error("the reading of the input broke off")]
    Reader,
}

/// How far an import is; called after every batch.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Rows dealt with.
    pub rows: u64,
    /// Bytes read of the input.
    pub bytes: u64,
}

/// A row that passed validation.
#[derive(Clone, Debug)]
pub(super) struct Row {
    number: u64,
    id: Option<Uuid>,
    content: Content,
    /// Whether it says what the `external_id` is to be, be it none.
    names_external_id: bool,
}

#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    errors: Vec<RowError>,
    rejected: u64,
    unknown: BTreeSet<String>,
    /// Where the input was read to.
    bytes: u64,
    /// What a broken input said at its end.
    broken: Option<String>,
}

/// Imports a file or any other input.
///
/// # Errors
/// When the database fails; row faults are in the report.
pub async fn import(
    pool: &PgPool,
    input: impl BufRead + Send + 'static,
    format: Format,
    options: Options,
    progress: impl FnMut(Progress) + Send,
) -> Result<Report, ImportError> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let cdn_base_url = options.cdn_base_url.clone();
    let reader = tokio::task::spawn_blocking(move || read_all(input, format, cdn_base_url.as_ref(), &sender));
    let report = write_all(pool, receiver, &options, progress).await?;
    reader.await.map_err(|_panicked| ImportError::Reader)?;
    Ok(report)
}

/// Imports content that is there already, such as the demo's.
///
/// # Errors
/// When the database fails; row faults are in the report.
pub async fn import_contents(
    pool: &PgPool,
    contents: impl Iterator<Item = Content> + Send + 'static,
    progress: impl FnMut(Progress) + Send,
) -> Result<Report, ImportError> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let mut rows = contents.zip(1..).map(|(content, number)| Row { number, id: None, content, names_external_id: true }).peekable();
        while rows.peek().is_some() {
            let batch = Batch { rows: rows.by_ref().take(BATCH_ROWS).collect(), ..Batch::default() };
            if sender.blocking_send(batch).is_err() {
                return; // the writer has failed and says why
            }
        }
    });
    let report = write_all(pool, receiver, &Options::default(), progress).await?;
    reader.await.map_err(|_panicked| ImportError::Reader)?;
    Ok(report)
}

fn read_all(input: impl BufRead, format: Format, cdn_base_url: Option<&Url>, sender: &mpsc::Sender<Batch>) {
    let mut batch = Batch::default();
    let ended = records::read(input, format, |number, fields, bytes| {
        let read = fields.and_then(|fields: Fields| {
            let content::Reading { id, content, names_external_id, unknown } = content::read(fields, cdn_base_url);
            let room = MAX_UNKNOWN.saturating_sub(batch.unknown.len());
            batch.unknown.extend(unknown.into_iter().take(room));
            let content = content.map_err(|faults| row_errors(number, faults))?;
            Ok(Row { number, id, content, names_external_id })
        });
        match read {
            Ok(row) => batch.rows.push(row),
            Err(errors) => {
                batch.rejected += 1;
                batch.errors.extend(errors);
            }
        }
        batch.bytes = bytes;
        let full = batch.rows.len() + batch.errors.len() >= BATCH_ROWS;
        // False ends the reading: the writer has failed, and says why.
        !full || sender.blocking_send(std::mem::take(&mut batch)).is_ok()
    });
    batch.broken = ended.err().map(|error| error.to_string());
    // Nobody listens when the writer has failed.
    drop(sender.blocking_send(batch));
}

fn row_errors(row: u64, faults: Vec<FieldFault>) -> Vec<RowError> {
    faults.into_iter().map(|FieldFault { field, code, detail, .. }| RowError { row, field, code, detail }).collect()
}

async fn write_all(
    pool: &PgPool,
    mut batches: mpsc::Receiver<Batch>,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, ImportError> {
    let (mut report, mut unknown, mut not_named) = (Report::default(), BTreeSet::new(), 0);
    let mut writer = write::Writer::new(options.dry_run, options.actor.clone());
    let mut rows = 0;
    while let Some(batch) = batches.recv().await {
        rows += batch.rows.len() as u64 + batch.rejected;
        let written = match writer.write(pool, &batch.rows).await {
            Ok(written) => written,
            Err(source) => return Err(ImportError::Database { source, so_far: Box::new(report) }),
        };
        report.created += written.created;
        report.updated += written.updated;
        report.unchanged += written.unchanged;
        report.rejected += batch.rejected + written.errors.len() as u64;
        report.name(batch.errors.into_iter().chain(written.errors), &mut not_named);
        unknown.extend(batch.unknown);
        if let Some(broken) = batch.broken {
            let detail = format!("the input ends here: {broken}");
            report.name([RowError { row: rows + 1, field: String::new(), code: "unreadable", detail }], &mut not_named);
            report.rejected += 1;
        }
        progress(Progress { rows, bytes: batch.bytes });
    }
    report.errors.sort_by_key(|error| error.row);
    if not_named > 0 {
        report.warnings.push(format!("{not_named} further errors are not listed"));
    }
    if rows == 0 && report.errors.is_empty() {
        report.warnings.push("the input has no rows".to_owned());
    }
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.into_iter().take(MAX_UNKNOWN).collect();
        report.warnings.push(format!("unknown columns were ignored: {}", names.join(", ")));
    }
    Ok(report)
}
