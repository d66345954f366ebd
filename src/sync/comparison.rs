//! Comparing what an edge holds with the books: digests of buckets first, and of those that differ every item. A part of
//! the state machine, as pure as the whole.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::digest::{Sum, bucket};

/// Buckets whose items are asked for at once.
const PREFIXES_AT_ONCE: usize = 16;
/// Most items of one bucket: some 850 fit into a message.
const MAX_LISTED: u64 = 600;
/// An edge that does not answer for so long is asked once more.
pub(super) const ANSWER_TIMEOUT_MS: u64 = 5_000;

/// A decoration of which the edge holds something else than the books say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) id: Uuid,
    /// The number that the edge holds.
    pub(crate) theirs: Option<i64>,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step {
    AskDigests {
        bits: u8,
    },
    AskInventory {
        bits: u8,
        prefixes: Vec<u32>,
    },
    Compare {
        bits: u8,
        theirs: HashMap<u32, Sum>,
    },
    Mend(Vec<Difference>),
    Done,
    /// The edge does not answer, or holds so much of one bucket that a message could not list it.
    Hopeless,
}

/// What the books say the edge holds, by bucket: ids and numbers.
pub(crate) type Buckets = HashMap<u32, Vec<(Uuid, i64)>>;

#[derive(Debug)]
enum State {
    Begin,
    /// Digests were asked for.
    Asked(HashMap<u32, Sum>),
    /// They are all there.
    Answered(HashMap<u32, Sum>),
    /// The books are asked.
    Comparing,
    /// Items were asked for of the buckets `asked`; `ours` are those that differ and are not answered yet.
    Listing {
        ours: Buckets,
        asked: HashSet<u32>,
        differences: Vec<Difference>,
    },
    /// The books are being mended, and these are left.
    Mending(Buckets),
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Comparison {
    bits: u8,
    state: State,
    asked_ms: u64,
    asked_again: bool,
}

impl Comparison {
    pub(super) fn new(bits: u8) -> Self {
        Self { bits, state: State::Begin, asked_ms: 0, asked_again: false }
    }

    /// From the beginning.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.bits);
    }

    pub(super) fn next(&mut self, now_ms: u64) -> Option<Step> {
        let bits = self.bits;
        let late = now_ms.saturating_sub(self.asked_ms) >= ANSWER_TIMEOUT_MS;
        match &mut self.state {
            State::Begin => {
                (self.state, self.asked_ms) = (State::Asked(HashMap::new()), now_ms);
                Some(Step::AskDigests { bits })
            }
            State::Asked(theirs) if late => {
                theirs.clear();
                Some(self.once_more(now_ms, Step::AskDigests { bits }))
            }
            State::Answered(theirs) if theirs.values().any(|sum| sum.count > MAX_LISTED) => Some(Step::Hopeless),
            State::Answered(theirs) => {
                let theirs = std::mem::take(theirs);
                self.state = State::Comparing;
                Some(Step::Compare { bits, theirs })
            }
            State::Listing { asked, .. } if !asked.is_empty() => {
                let prefixes = asked.iter().copied().collect();
                late.then(|| self.once_more(now_ms, Step::AskInventory { bits, prefixes }))
            }
            State::Listing { ours, differences, .. } if !differences.is_empty() => {
                let (ours, differences) = (std::mem::take(ours), std::mem::take(differences));
                self.state = State::Mending(ours);
                Some(Step::Mend(differences))
            }
            State::Listing { ours, .. } if ours.is_empty() => Some(Step::Done),
            State::Listing { ours, asked, .. } => {
                let prefixes: Vec<u32> = ours.keys().copied().take(PREFIXES_AT_ONCE).collect();
                asked.extend(&prefixes);
                self.asked_ms = now_ms;
                Some(Step::AskInventory { bits, prefixes })
            }
            State::Asked(_) | State::Comparing | State::Mending(_) => None,
        }
    }

    fn once_more(&mut self, now_ms: u64, step: Step) -> Step {
        self.asked_ms = now_ms;
        if std::mem::replace(&mut self.asked_again, true) { Step::Hopeless } else { step }
    }

    /// A part of the edge's digests; buckets that it leaves out are empty.
    pub(super) fn digests(&mut self, bits: u8, buckets: impl Iterator<Item = (u32, Sum)>, last: bool, now_ms: u64) {
        let State::Asked(theirs) = &mut self.state else { return };
        if bits == self.bits {
            // A bucket that cannot be is as good as one that is left out.
            theirs.extend(buckets.filter(|(prefix, _)| prefix >> bits == 0));
            (self.asked_ms, self.asked_again) = (now_ms, false);
            if last {
                self.state = State::Answered(std::mem::take(theirs));
            }
        }
    }

    /// The books' items in every bucket that differs.
    pub(super) fn compared(&mut self, differing: Buckets) {
        if matches!(self.state, State::Comparing) {
            self.state = State::Listing { ours: differing, asked: HashSet::new(), differences: Vec::new() };
        }
    }

    /// What the edge holds of a bucket.
    pub(super) fn inventory(&mut self, bits: u8, prefix: u32, items: Vec<(Uuid, i64)>, now_ms: u64) {
        let State::Listing { ours, asked, differences } = &mut self.state else { return };
        if bits != self.bits || !asked.remove(&prefix) {
            return;
        }
        (self.asked_ms, self.asked_again) = (now_ms, false);
        let mut ours: HashMap<Uuid, i64> = ours.remove(&prefix).into_iter().flatten().collect();
        for (id, number) in items.into_iter().filter(|(id, _)| bucket(*id, bits) == prefix) {
            if ours.remove(&id) != Some(number) {
                differences.push(Difference { id, theirs: Some(number) });
            }
        }
        differences.extend(ours.into_keys().map(|id| Difference { id, theirs: None }));
    }

    /// The books are mended.
    pub(super) fn mended(&mut self) {
        if let State::Mending(ours) = &mut self.state {
            let ours = std::mem::take(ours);
            self.state = State::Listing { ours, asked: HashSet::new(), differences: Vec::new() };
        }
    }
}
