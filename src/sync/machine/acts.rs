//! What the state machine asks for, and what it is told.

use std::collections::HashMap;

use uuid::Uuid;

use crate::sync::comparison::Difference;
use crate::sync::digest::Sum;

/// What is to be done at an edge with one decoration: put it, or, without content, remove it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<C> {
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) content: Option<C>,
}

/// What has a size on the wire.
pub(crate) trait Weight {
    /// Most bytes that it takes.
    fn bytes(&self) -> usize;
}

impl<C: Weight> Entry<C> {
    pub(in crate::sync) fn bytes(&self) -> usize {
        const REMOVAL_BYTES: usize = 96;
        self.content.as_ref().map_or(REMOVAL_BYTES, Weight::bytes)
    }
}

/// A message with content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch<C> {
    pub(crate) id: u64,
    pub(crate) entries: Vec<Entry<C>>,
    /// Whether it is the first, and the last, of a snapshot; none: it is no part of one.
    pub(crate) snapshot: Option<(bool, bool)>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Look what is due: so many rows, and give what is new of them to [`Machine::found`].
    Look { most: usize },
    /// Note that the edge gives no answer to these, each sent alone; as if it had refused them.
    GiveUp(Vec<(Uuid, i64)>),
    /// Send an empty batch that ends a snapshot.
    SendLast { batch_id: u64, first: bool },
    /// Send what the edge holds by the books, and their highest number.
    SendCheckpoint { number: i64, held: Sum },
    /// Ask for digests of buckets.
    AskDigests { bits: u8 },
    /// Ask for the items of buckets.
    AskInventory { bits: u8, prefixes: Vec<u32> },
    /// Take everything back in the books, with new numbers or not; then [`Machine::snapshot_begun`].
    BeginSnapshot { renumber: bool },
    /// Note that the snapshot is complete; then [`Machine::snapshot_ended`].
    EndSnapshot,
    /// Compare the edge's buckets with those of the books; then [`Machine::compared`].
    Compare { bits: u8, theirs: HashMap<u32, Sum> },
    /// Mend the books; then [`Machine::mended`].
    Mend(Vec<Difference>),
}

/// What the books say when a session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    /// What the edge holds.
    pub(crate) held: Sum,
    /// Its highest number.
    pub(crate) number: i64,
    /// How much of it is to be removed, and how much stays as it is.
    pub(crate) to_remove: u64,
    pub(crate) to_keep: u64,
    /// A snapshot was begun and is not complete.
    pub(crate) snapshot_due: bool,
}

/// What of the books an acknowledgement changed: the number that the edge holds of a decoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: Uuid,
    pub(crate) before: Option<i64>,
    pub(crate) after: Option<i64>,
}

/// What an acknowledgement is to the batches on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All of one that was waited for.
    Whole,
    /// A part of one, which is late some time.
    Partial,
    /// Of one that was answered before, or is late.
    Stale,
}

impl Answer {
    /// Whether what it says of a decoration goes into the books. What is taken is, whenever that is said; but an old
    /// refusal, heard again, is no second attempt.
    pub(crate) fn counts(self, taken: bool) -> bool {
        taken || self != Self::Stale
    }
}
