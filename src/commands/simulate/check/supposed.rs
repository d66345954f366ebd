//! What the edge is supposed to hold.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::digest::{bucket, hex, mark, place};
use super::super::protocol::{Held, Inventory};

/// Ids and their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Supposed(pub(super) BTreeMap<Uuid, i64>);

impl Supposed {
    pub(super) fn held(&self) -> Held {
        self.bucket(0, 0)
    }

    /// What is in one bucket.
    pub(super) fn bucket(&self, bits: u32, prefix: u32) -> Held {
        let items = self.0.iter().filter(|(id, _)| bucket(place(**id), bits) == prefix);
        let (count, digest) = items.fold((0, 0), |(count, digest), (id, number)| (count + 1, digest ^ mark(*id, *number)));
        Held { count, digest: hex(digest) }
    }

    /// The buckets that are not empty.
    pub(super) fn buckets(&self, bits: u32) -> BTreeSet<u32> {
        self.0.keys().map(|id| bucket(place(*id), bits)).collect()
    }

    /// What is held according to inventories.
    pub(super) fn told<'i>(inventories: impl IntoIterator<Item = &'i Inventory>) -> Self {
        let items = inventories.into_iter().flat_map(|inventory| &inventory.items);
        Self(items.map(|item| (item.id, item.sync_version)).collect())
    }

    /// In words, what is different.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        let missing =
            self.0.iter().filter(|(id, _)| !found.0.contains_key(id)).map(|(id, number)| format!("{id} (number {number}) is missing"));
        let too_much =
            found.0.iter().filter(|(id, _)| !self.0.contains_key(id)).map(|(id, number)| format!("{id} (number {number}) is too much"));
        let other = found.0.iter().filter_map(|(id, number)| {
            let right = self.0.get(id).filter(|right| *right != number)?;
            Some(format!("{id} has number {number} and not {right}"))
        });
        let all: Vec<String> = missing.chain(too_much).chain(other).collect();
        match all.as_slice() {
            [] => None,
            [first] => Some(first.clone()),
            [first, rest @ ..] => Some(format!("{first}, and {} more differences", rest.len())),
        }
    }
}
