//! `ar.decoration_sync` of one edge as a map: what `store` and `wanted` do in SQL.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::commands::simulate::protocol::SyncAck;
use crate::sync::comparison::Difference;
use crate::sync::digest::{Sum, bucket};
use crate::sync::machine::{Books, Change};

const MAX_ATTEMPTS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Due,
    Synced,
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) put: bool,
    pub(super) number: i64,
    pub(super) held: Option<i64>,
    pub(super) status: Status,
    pub(super) attempts: u32,
    pub(super) not_before_ms: u64,
}

/// `ar.decoration_sync` of one edge, and what goes with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    pub(super) rows: BTreeMap<Uuid, Row>,
    /// What each decoration says; it is shown inside the area.
    pub(super) contents: BTreeMap<Uuid, (u64, bool)>,
    pub(super) sequence: i64,
    pub(super) epoch: u64,
    pub(super) snapshot_due: bool,
}

impl Database {
    pub(super) fn next_number(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    /// A decoration changes, with a number that was taken before.
    pub(super) fn mark(&mut self, id: Uuid, inside: bool, number: i64) {
        let content = self.contents.entry(id).or_insert((0, false));
        *content = (content.0 + 1, inside);
        // Numbers are taken while the row is locked: whoever gave it another one meanwhile was before us.
        let number = if self.rows.get(&id).is_some_and(|row| row.number >= number) { self.next_number() } else { number };
        match self.rows.get_mut(&id) {
            Some(row) => (row.put, row.number, row.status, row.attempts, row.not_before_ms) = (inside, number, Status::Due, 0, 0),
            None if inside => {
                self.rows.insert(id, Row { put: true, number, held: None, status: Status::Due, attempts: 0, not_before_ms: 0 });
            }
            None => {}
        }
    }

    pub(super) fn books(&self) -> Books {
        let mut books = Books { snapshot_due: self.snapshot_due, ..Books::default() };
        for (id, row) in &self.rows {
            if let Some(held) = row.held {
                books.held.add(*id, held);
                books.number = books.number.max(held);
                books.to_remove += u64::from(!row.put);
            }
            books.to_keep += u64::from(row.status == Status::Synced);
        }
        books
    }

    pub(super) fn due(&self, most: usize, now_ms: u64) -> Vec<(Uuid, Row)> {
        let due = self.rows.iter().filter(|(_, row)| row.status == Status::Due && row.not_before_ms <= now_ms);
        let mut due: Vec<_> = due.map(|(id, row)| (*id, row.clone())).collect();
        due.sort_by_key(|(_, row)| row.number);
        due.truncate(most);
        due
    }

    pub(super) fn record(&mut self, ack: &SyncAck, now_ms: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for result in &ack.results {
            let Some(row) = self.rows.get_mut(&result.id) else { continue };
            if row.number != result.sync_version || row.status == Status::Synced {
                continue;
            }
            if !result.ok && (row.status == Status::Failed || row.not_before_ms > now_ms) {
                continue;
            }
            if !result.ok {
                row.attempts += 1;
                row.not_before_ms = now_ms + 1_000 * 3_u64.pow(row.attempts - 1);
                if row.attempts >= MAX_ATTEMPTS {
                    row.status = Status::Failed;
                }
                continue;
            }
            let before = row.held;
            if row.put {
                (row.status, row.held, row.attempts) = (Status::Synced, Some(row.number), 0);
                changes.push(Change { id: result.id, before, after: row.held });
            } else {
                self.rows.remove(&result.id);
                changes.push(Change { id: result.id, before, after: None });
            }
        }
        changes
    }

    pub(super) fn begin_snapshot(&mut self, renumber: bool) {
        self.snapshot_due = true;
        self.rows.retain(|_, row| row.put);
        let sequence = &mut self.sequence;
        for row in self.rows.values_mut().filter(|row| renumber || row.held.is_some() || row.status == Status::Failed) {
            (row.held, row.status, row.attempts, row.not_before_ms) = (None, Status::Due, 0, 0);
            if renumber {
                *sequence += 1;
                row.number = *sequence;
            }
        }
    }

    pub(super) fn differing(&self, bits: u8, theirs: &HashMap<u32, Sum>) -> HashMap<u32, Vec<(Uuid, i64)>> {
        let mut ours: HashMap<u32, Vec<(Uuid, i64)>> = theirs.keys().map(|prefix| (*prefix, Vec::new())).collect();
        for (id, held) in self.rows.iter().filter_map(|(id, row)| Some((*id, row.held?))) {
            ours.entry(bucket(id, bits)).or_default().push((id, held));
        }
        let sum = |items: &[(Uuid, i64)]| {
            let mut sum = Sum::default();
            for (id, number) in items {
                sum.add(*id, *number);
            }
            sum
        };
        ours.retain(|prefix, items| theirs.get(prefix).copied().unwrap_or_default() != sum(items));
        ours
    }

    pub(super) fn mend(&mut self, differences: &[Difference]) -> Vec<(Uuid, i64)> {
        let highest = differences.iter().filter_map(|difference| difference.theirs).max().unwrap_or(0);
        if highest > self.sequence {
            self.sequence = highest + 1_000_000;
        }
        let mut strays = Vec::new();
        for Difference { id, theirs } in differences {
            let number = self.next_number();
            match (self.rows.get_mut(id), theirs) {
                (Some(row), None) if !row.put => {
                    self.rows.remove(id);
                }
                (Some(row), theirs) => {
                    row.held = *theirs;
                    let same = *theirs == Some(row.number);
                    if theirs.is_some_and(|theirs| theirs > row.number) || (same && !row.put) {
                        row.number = number;
                    }
                    row.status = match row.status {
                        _ if same && row.put => Status::Synced,
                        Status::Failed => Status::Failed,
                        Status::Due | Status::Synced => Status::Due,
                    };
                }
                (None, Some(_)) => strays.push((*id, number)),
                (None, None) => {}
            }
        }
        strays
    }
}
