//! Writing rows: matched with what is there, then one statement for the new and one for the changed ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Row, RowError};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::decorations::content::Content;
use crate::decorations::write::{Present, drawn_cells, insert, lock, update};
use crate::geo::{Cell, ensure_outlines};
use crate::sync::{hold_areas, mark_for_edges};

/// Time before each further attempt to write a batch that others were in the way of.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Attempts to write a batch at once. Each may meet the next batch of somebody who imports the same rows.
const ATTEMPTS_TOGETHER: usize = 5;

/// Writes batches of one import.
pub(super) struct Writer {
    dry_run: bool,
    /// Who imports; nobody's act is written down for the demo's own data.
    actor: Option<Actor>,
    /// Cells whose outlines are known to be stored.
    outlined: HashSet<Cell>,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Written {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) errors: Vec<RowError>,
}

fn failed(error: sqlx::Error) -> DbError {
    DbError::new("importing decorations", error)
}

impl Writer {
    pub(super) fn new(dry_run: bool, actor: Option<Actor>) -> Self {
        Self { dry_run, actor, outlined: HashSet::new() }
    }

    /// Writes a batch in one transaction. When a constraint refuses it, somebody else imported the same rows at the same
    /// time: they are there by then, and it is tried again. Refused again and again, its rows are tried one by one, so
    /// that a bad one fails alone; that takes long, and keeps edges from changing meanwhile.
    pub(super) async fn write(&mut self, pool: &PgPool, rows: &[Row]) -> Result<Written, DbError> {
        for _ in 0..ATTEMPTS_TOGETHER {
            match self.write_patiently(pool, rows, Way::Together).await {
                Err(error) if is_refusal(&error) => {}
                written => return written.map_err(failed),
            }
        }
        self.write_patiently(pool, rows, Way::OneByOne).await.map_err(failed)
    }

    /// Tries again when others were in the way: edits and imports of the same decorations. It holds no connection
    /// while it waits.
    async fn write_patiently(&mut self, pool: &PgPool, rows: &[Row], way: Way) -> Result<Written, sqlx::Error> {
        let mut waits = WAITS.into_iter();
        loop {
            match (self.write_batch(pool, rows, way).await, waits.next()) {
                (Err(error), Some(wait)) if is_contention(&error) => tokio::time::sleep(wait).await,
                (written, _) => return written,
            }
        }
    }

    async fn write_batch(&mut self, pool: &PgPool, rows: &[Row], way: Way) -> Result<Written, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        // A thousand rows may take longer than one, and wait longer for others.
        sqlx::raw_sql("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '5s'").execute(&mut *transaction).await?;
        hold_areas(&mut transaction).await?;
        let mut written = Written::default();
        match way {
            Way::Together => write_all(&mut transaction, rows, self.actor.as_ref(), &mut written).await?,
            Way::OneByOne => write_each(&mut transaction, rows, self.actor.as_ref(), &mut written).await?,
        }
        let cells: HashSet<Cell> =
            rows.iter().flat_map(|row| drawn_cells(row.content.position)).filter(|cell| !self.outlined.contains(cell)).collect();
        ensure_outlines(&mut transaction, &cells).await?;
        if let (Some(actor), true) = (&self.actor, written.created + written.updated > 0) {
            let detail = json!({"created": written.created, "updated": written.updated});
            audit::record(&mut transaction, actor, "decoration.import", None, detail).await?;
        }
        if self.dry_run {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
            self.outlined.extend(cells);
        }
        Ok(written)
    }
}

/// How the rows of a batch are written within its transaction.
#[derive(Clone, Copy)]
enum Way {
    /// As many at once as there can be.
    Together,
    /// Each by itself, so that the others stay when one is refused.
    OneByOne,
}

async fn write_all(connection: &mut PgConnection, rows: &[Row], actor: Option<&Actor>, written: &mut Written) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    while !rest.is_empty() {
        let distinct = &rest[..distinct_prefix(rest)];
        let count = write_distinct(connection, distinct, actor, written).await?;
        rest = &rest[count..];
    }
    Ok(())
}

async fn write_each(connection: &mut PgConnection, rows: &[Row], actor: Option<&Actor>, written: &mut Written) -> Result<(), sqlx::Error> {
    for row in rows {
        // The second time, what was in its way is there to be changed.
        if !write_one(connection, row, actor, written).await? && !write_one(connection, row, actor, written).await? {
            let detail = "conflicts with a change made at the same time".to_owned();
            written.errors.push(RowError { row: row.number, field: String::new(), code: "conflict", detail });
        }
    }
    Ok(())
}

/// Whether no constraint refused it.
async fn write_one(connection: &mut PgConnection, row: &Row, actor: Option<&Actor>, written: &mut Written) -> Result<bool, sqlx::Error> {
    let mut savepoint = connection.begin().await?;
    let mut one = Written::default();
    match write_distinct(&mut savepoint, std::slice::from_ref(row), actor, &mut one).await {
        Ok(_) => {
            savepoint.commit().await?;
            written.add(one);
            Ok(true)
        }
        Err(error) if is_refusal(&error) => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Written {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.errors.extend(other.errors);
    }
}

fn is_refusal(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint().is_some())
}

/// Whether others were in the way: a lock that was not given up in time, or two who waited for each other.
fn is_contention(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().is_some_and(|code| ["40001", "40P01", "55P03"].contains(&&*code)))
}

/// How many rows from the start on name different decorations: one statement changes a row once.
fn distinct_prefix(rows: &[Row]) -> usize {
    let (mut ids, mut external_ids) = (HashSet::new(), HashSet::new());
    rows.iter()
        .position(|row| {
            let id_again = row.id.is_some_and(|id| !ids.insert(id));
            let external_id_again = row.content.external_id.as_ref().is_some_and(|external_id| !external_ids.insert(external_id));
            id_again || external_id_again
        })
        .unwrap_or(rows.len())
}

/// Writes rows up to the first that means a decoration which one before it means as well, by another name; how
/// many that are.
async fn write_distinct(
    connection: &mut PgConnection,
    rows: &[Row],
    actor: Option<&Actor>,
    written: &mut Written,
) -> Result<usize, sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.id).collect();
    let external_ids: Vec<String> = rows.iter().filter_map(|row| row.content.external_id.clone()).collect();
    let present = lock(connection, &ids, &external_ids).await?;
    let by_id: HashMap<Uuid, usize> = present.iter().enumerate().map(|(i, present)| (present.id, i)).collect();
    let by_external_id: HashMap<&str, usize> =
        present.iter().enumerate().filter_map(|(i, present)| Some((present.content.external_id.as_deref()?, i))).collect();
    let (mut new, mut changed): (Vec<(Uuid, &Content)>, Vec<(Uuid, Cow<Content>)>) = (Vec::new(), Vec::new());
    let mut matched = HashSet::new();
    let mut count = 0;
    for row in rows {
        let with_id = row.id.and_then(|id| by_id.get(&id).copied());
        let with_external_id = row.content.external_id.as_deref().and_then(|external_id| by_external_id.get(external_id).copied());
        match (with_id, with_external_id) {
            // One before it may have changed who has the external id.
            (Some(a), Some(b)) if a != b && (matched.contains(&a) || matched.contains(&b)) => break,
            (Some(a), Some(b)) if a != b => {
                let detail = "another decoration has this external_id".to_owned();
                written.errors.push(RowError { row: row.number, field: "external_id".to_owned(), code: "conflict", detail });
                count += 1;
                continue;
            }
            (Some(at), _) | (None, Some(at)) if !matched.insert(at) => break,
            _ => count += 1,
        }
        match with_id.or(with_external_id).map(|at| &present[at]) {
            None => new.push((row.id.unwrap_or_else(Uuid::now_v7), &row.content)),
            Some(present) => match keep_external_id(row, present) {
                content if present.deleted || *content != present.content => changed.push((present.id, content)),
                _ => written.unchanged += 1,
            },
        }
    }
    written.created += new.len() as u64;
    written.updated += changed.len() as u64;
    let changed: Vec<(Uuid, &Content)> = changed.iter().map(|(id, content)| (*id, content.as_ref())).collect();
    insert(connection, &new, actor.and_then(|actor| actor.user_id)).await?;
    update(connection, &changed).await?;
    let written_ids: Vec<Uuid> = new.iter().chain(&changed).map(|(id, _)| *id).collect();
    mark_for_edges(connection, &written_ids).await?;
    Ok(count)
}

/// A row matched by id may leave out the `external_id`, column and all: that is not a change.
fn keep_external_id<'a>(row: &'a Row, present: &Present) -> Cow<'a, Content> {
    match &present.content.external_id {
        Some(known) if !row.names_external_id => Cow::Owned(Content { external_id: Some(known.clone()), ..row.content.clone() }),
        _ => Cow::Borrowed(&row.content),
    }
}
