//! The rules of the sync for one session of one edge: what to look for, what to send, what an answer means. Pure: no
//! clock, socket or SQL. `delivery` and `repair` do what it asks for; `simulation` runs it by seeds.
//!
//! What is due is read from the books (`ar.decoration_sync`) again and again, row by row, until they say that nothing
//! is: no order of commits can hide a change. At most [`MAX_FLIGHTS`] batches are on their way; what is not acknowledged
//! in time is due again. Once nothing is due, a checkpoint lets the edge compare; when it differs, digests are compared,
//! and only what differs is mended. A snapshot is the last resort, and the first step of an edge that knows nothing.

mod acts;

use std::collections::HashSet;

use uuid::Uuid;

pub(crate) use acts::{Act, Answer, Batch, Books, Change, Entry, Weight};

use super::comparison::{Buckets, Comparison, Step};
use super::digest::{Sum, bits_for};

/// Most batches on their way at once.
pub(crate) const MAX_FLIGHTS: usize = 4;
/// Most entries of a batch.
pub(crate) const MAX_ENTRIES: usize = 200;
/// Most bytes of a batch's entries.
pub(crate) const MAX_BATCH_BYTES: usize = 240 * 1024;
/// After this time a batch that was not acknowledged is due again.
pub(super) const ACK_TIMEOUT_MS: u64 = 5_000;
/// A checkpoint that differs so soon after digests were compared cannot be mended by comparing them again.
const MENDED_MS: u64 = 60_000;
/// Requests of an edge that are heeded at once; each one after that waits twice as long as the one before.
const PROMPT_REQUESTS: u32 = 3;
/// Longest wait of a request, and after which time without one they are heeded at once again.
const REQUEST_PAUSE_MS: u64 = 64_000;
const REQUESTS_FORGOTTEN_MS: u64 = 300_000;
/// Strays that are removed one by one; more are dropped by a snapshot.
const MAX_STRAYS: usize = 10_000;
/// A snapshot is cheaper than a delta that removes so many times more than stays as it is.
const REMOVALS_PER_KEPT: u64 = 8;

#[derive(Debug)]
struct Flight {
    batch_id: u64,
    items: Vec<(Uuid, i64)>,
    /// Those of them that no row tells of.
    strays: Vec<(Uuid, i64)>,
    bytes: usize,
    sent_ms: u64,
    /// It was acknowledged, and the books are not written yet.
    acknowledged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshot {
    /// None is under way.
    None,
    Wanted {
        renumber: bool,
    },
    /// The books are being taken back.
    Beginning,
    /// Whether the next batch is the first one, and whether all that was to be sent is.
    Sending {
        first: bool,
        complete: bool,
    },
    /// This batch says that it was all.
    Ending {
        batch_id: u64,
    },
    /// It was acknowledged; that is to be noted.
    Ended,
    Noting,
}

/// One session's sync.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own, and any of them go together")]
pub(crate) struct Machine {
    /// What the edge holds by the books, and its highest number.
    held: Sum,
    number: i64,
    flights: Vec<Flight>,
    /// Batches that may be on their way: rises with acknowledgements, falls when one is late.
    credit: usize,
    /// Entries of a batch: falls when one is late, so that one that silences the edge is found.
    limit: usize,
    unanswered: Vec<(Uuid, i64)>,
    last_batch: u64,
    snapshot: Snapshot,
    /// What the edge holds and no row tells of: to be removed.
    strays: Vec<(Uuid, i64)>,
    /// Something may be due.
    look: bool,
    looking: bool,
    /// What was written into the books while we look.
    landed: Vec<(Uuid, i64)>,
    /// The edge is to compare.
    check: bool,
    comparison: Option<Comparison>,
    compared_ms: Option<u64>,
    /// The snapshot under way has the edge take everything again.
    anew: bool,
    /// What the edge asks for and is not heeded yet: what differs, or everything.
    wish: Option<Wish>,
    requests: u32,
    requested_ms: u64,
    /// Batches that were late since this was last asked.
    late: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Differing,
    Everything,
}

impl Machine {
    /// A session begins: the edge says of which epoch its content is, and what it holds. The first thing sent is a
    /// snapshot when that is said by [`Self::is_snapshot`].
    pub(crate) fn begin(same_epoch: bool, theirs: Sum, books: Books) -> Self {
        let cheaper = books.to_remove > books.to_keep.saturating_mul(REMOVALS_PER_KEPT);
        // Numbers need not be higher: those of another epoch are void, and what the edge has in these it only has to
        // hear of again.
        let needed = !same_epoch || books.snapshot_due || cheaper;
        let snapshot = if needed { Snapshot::Wanted { renumber: false } } else { Snapshot::None };
        let differs = snapshot == Snapshot::None && theirs != books.held;
        Self {
            held: books.held,
            number: books.number,
            flights: Vec::new(),
            credit: MAX_FLIGHTS / 2,
            limit: MAX_ENTRIES,
            unanswered: Vec::new(),
            last_batch: 0,
            snapshot,
            strays: Vec::new(),
            look: true,
            looking: false,
            landed: Vec::new(),
            check: true,
            comparison: differs.then(|| Comparison::new(bits_for(books.held.count.max(theirs.count)))),
            compared_ms: None,
            anew: !same_epoch,
            wish: None,
            requests: 0,
            requested_ms: 0,
            late: 0,
        }
    }

    /// Whether a snapshot is under way.
    pub(crate) fn is_snapshot(&self) -> bool {
        self.snapshot != Snapshot::None
    }

    /// Batches that were late since this was last asked: what was in them is due again.
    pub(crate) fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// Bytes on their way.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.flights.iter().map(|flight| flight.bytes).sum()
    }

    /// What is to be done now; none: nothing before something happens, or time passes.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Act> {
        self.give_up_late(now_ms);
        if !self.unanswered.is_empty() {
            return Some(Act::GiveUp(std::mem::take(&mut self.unanswered)));
        }
        self.heed_wish(now_ms);
        match self.snapshot {
            Snapshot::Wanted { renumber } if !self.looking => {
                // What is on its way has old numbers, and what is to be mended is dropped by the snapshot.
                (self.comparison, self.snapshot) = (None, Snapshot::Beginning);
                self.flights.clear();
                self.strays.clear();
                return Some(Act::BeginSnapshot { renumber });
            }
            Snapshot::Ended => {
                self.snapshot = Snapshot::Noting;
                return Some(Act::EndSnapshot);
            }
            Snapshot::Wanted { .. } | Snapshot::Beginning | Snapshot::Noting => return None,
            Snapshot::None | Snapshot::Sending { .. } | Snapshot::Ending { .. } => {}
        }
        if self.comparison.is_some() {
            return self.compare_on(now_ms);
        }
        let room = self.credit.saturating_sub(self.flights.len());
        if (self.look || !self.strays.is_empty()) && !self.looking && room > 0 {
            (self.look, self.looking) = (false, true);
            self.landed = Vec::new();
            let flying: usize = self.flights.iter().map(|flight| flight.items.len()).sum();
            return Some(Act::Look { most: flying + room * self.limit });
        }
        if let Snapshot::Sending { first, complete: true } = self.snapshot
            && room > 0
        {
            let batch_id = self.depart(Vec::new(), Vec::new(), 0, now_ms);
            self.snapshot = Snapshot::Ending { batch_id };
            return Some(Act::SendLast { batch_id, first });
        }
        if self.look || !self.is_quiet() || !self.strays.is_empty() {
            return None;
        }
        let checking = std::mem::take(&mut self.check);
        checking.then_some(Act::SendCheckpoint { number: self.number, held: self.held })
    }

    /// Comparing goes on when nothing is on its way any more.
    fn compare_on(&mut self, now_ms: u64) -> Option<Act> {
        if self.looking || !self.flights.is_empty() {
            return None;
        }
        match self.comparison.as_mut()?.next(now_ms)? {
            Step::AskDigests { bits } => Some(Act::AskDigests { bits }),
            Step::AskInventory { bits, prefixes } => Some(Act::AskInventory { bits, prefixes }),
            Step::Compare { bits, theirs } => Some(Act::Compare { bits, theirs }),
            Step::Mend(differences) => Some(Act::Mend(differences)),
            Step::Done => {
                (self.comparison, self.compared_ms) = (None, Some(now_ms));
                (self.look, self.check) = (true, true);
                self.next(now_ms)
            }
            Step::Hopeless => {
                self.want_snapshot();
                self.next(now_ms)
            }
        }
    }

    fn give_up_late(&mut self, now_ms: u64) {
        let flights = std::mem::take(&mut self.flights);
        let is_late = |flight: &Flight| !flight.acknowledged && now_ms.saturating_sub(flight.sent_ms) >= ACK_TIMEOUT_MS;
        let (late, others): (Vec<_>, _) = flights.into_iter().partition(is_late);
        self.flights = others;
        if late.is_empty() {
            return;
        }
        self.unanswered.extend(late.iter().filter(|flight| flight.items.len() == 1 && self.limit == 1).flat_map(|flight| &flight.items));
        (self.credit, self.limit) = (1, (self.limit / 2).max(1));
        self.late += late.len() as u64;
        for flight in late {
            self.land(&flight);
        }
    }

    /// A batch is no longer on its way; what it brought is due again, unless the books say otherwise by now.
    fn land(&mut self, flight: &Flight) {
        self.look = true;
        self.strays.extend(&flight.strays);
        if self.snapshot == (Snapshot::Ending { batch_id: flight.batch_id }) {
            self.snapshot = Snapshot::Sending { first: false, complete: true };
        }
    }

    fn depart(&mut self, items: Vec<(Uuid, i64)>, strays: Vec<(Uuid, i64)>, bytes: usize, now_ms: u64) -> u64 {
        self.last_batch += 1;
        self.flights.push(Flight { batch_id: self.last_batch, items, strays, bytes, sent_ms: now_ms, acknowledged: false });
        self.last_batch
    }

    /// Something may be due.
    pub(crate) fn wake(&mut self) {
        self.look = true;
    }

    /// The edge is to compare what it holds with the books, which say this now.
    pub(crate) fn check(&mut self, books: Books) {
        if self.is_quiet() {
            (self.held, self.number) = (books.held, books.number);
            (self.look, self.check) = (true, true);
        }
    }

    /// Whether nothing is on its way or under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.flights.is_empty() && self.comparison.is_none() && !self.looking && self.snapshot == Snapshot::None
    }

    /// Which of these due rows are not on their way with that number, and were not when we began to look: the rows may
    /// have been read before the books were written.
    pub(crate) fn news<T>(&self, rows: Vec<T>, key: impl Fn(&T) -> (Uuid, i64)) -> Vec<T> {
        let flying = self.flights.iter().flat_map(|flight| &flight.items);
        let flying: HashSet<_> = flying.chain(&self.landed).copied().collect();
        rows.into_iter().filter(|row| !flying.contains(&key(row))).collect()
    }

    /// What was found due and is not on its way, in the order of numbers; `all`: nothing else is due. Gives what is to
    /// be sent; what does not fit is found again.
    pub(crate) fn found<C: Weight>(&mut self, rows: Vec<Entry<C>>, all: bool, now_ms: u64) -> Vec<Batch<C>> {
        (self.looking, self.landed) = (false, Vec::new());
        if matches!(self.snapshot, Snapshot::Wanted { .. }) {
            return Vec::new();
        }
        let known: HashSet<_> = rows.iter().map(|entry| entry.id).collect();
        // One that became a row meanwhile is no stray any more.
        let strays: HashSet<_> = std::mem::take(&mut self.strays).into_iter().filter(|(id, _)| !known.contains(id)).collect();
        let removals = strays.iter().map(|&(id, number)| Entry { id, number, content: None });
        let mut rows = removals.chain(rows).peekable();
        let mut batches = Vec::new();
        while self.flights.len() < self.credit && rows.peek().is_some() {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            while let Some(entry) = rows.next_if(|next| entries.is_empty() || bytes + next.bytes() <= MAX_BATCH_BYTES) {
                bytes += entry.bytes();
                entries.push(entry);
                if entries.len() == self.limit {
                    break;
                }
            }
            let items: Vec<_> = entries.iter().map(|entry| (entry.id, entry.number)).collect();
            let astray = items.iter().filter(|item| strays.contains(item)).copied().collect();
            let id = self.depart(items, astray, bytes, now_ms);
            let snapshot = match &mut self.snapshot {
                Snapshot::Sending { first, .. } => Some((std::mem::take(first), false)),
                // Something became due after its end.
                _ => None,
            };
            batches.push(Batch { id, entries, snapshot });
        }
        // What is left is found again; strays are in no row and are kept here.
        let rest = !all || rows.peek().is_some();
        self.strays.extend(rows.map(|entry| (entry.id, entry.number)).filter(|item| strays.contains(item)));
        self.look |= rest;
        if let Snapshot::Sending { complete, .. } = &mut self.snapshot {
            // All that was due when we looked is on its way, or there.
            *complete |= !rest;
        }
        batches
    }

    /// Looking failed: it is done again.
    pub(crate) fn not_found(&mut self) {
        (self.looking, self.look) = (false, true);
    }

    /// The edge acknowledged a batch with so many results, and the books are to be written.
    pub(crate) fn acknowledged(&mut self, batch_id: u64, results: usize) -> Answer {
        let is_it = |flight: &&mut Flight| flight.batch_id == batch_id && !flight.acknowledged;
        let Some(flight) = self.flights.iter_mut().find(is_it) else { return Answer::Stale };
        flight.acknowledged = results >= flight.items.len();
        if flight.acknowledged { Answer::Whole } else { Answer::Partial }
    }

    /// The books are written, with these changes. (An acknowledgement that came late counts too.)
    pub(crate) fn recorded(&mut self, batch_id: u64, changes: &[Change]) {
        for change in changes {
            change.before.into_iter().for_each(|number| self.held.take(change.id, number));
            change.after.into_iter().for_each(|number| {
                self.held.add(change.id, number);
                self.number = self.number.max(number);
            });
        }
        self.check = true;
        let Some(at) = self.flights.iter().position(|flight| flight.batch_id == batch_id) else { return };
        let flight = self.flights.remove(at);
        if self.looking {
            // What of it is due all the same is found by the next look.
            self.look = true;
            self.landed.extend(flight.items);
        }
        self.credit = (self.credit + 1).min(MAX_FLIGHTS);
        self.limit = (self.limit * 2).min(MAX_ENTRIES);
        if self.snapshot == (Snapshot::Ending { batch_id }) {
            self.snapshot = Snapshot::Ended;
        }
    }

    /// The books could not be written: what was acknowledged is sent again.
    pub(crate) fn not_recorded(&mut self, batch_id: u64) {
        if let Some(at) = self.flights.iter().position(|flight| flight.batch_id == batch_id) {
            let flight = self.flights.remove(at);
            self.land(&flight);
        }
    }

    /// The edge asks for its content: for what differs, or for everything.
    pub(crate) fn requested(&mut self, differs: bool, now_ms: u64) {
        let under_way = if differs { self.is_snapshot() || self.comparison.is_some() } else { self.is_snapshot() && self.anew };
        if under_way {
            // What comes is what it asks for.
            return;
        }
        let wish = if differs { Wish::Differing } else { Wish::Everything };
        if self.wish != Some(Wish::Everything) {
            self.wish = Some(wish);
        }
        self.heed_wish(now_ms);
    }

    /// Heeds what the edge asks for, unless it asks again and again.
    fn heed_wish(&mut self, now_ms: u64) {
        let Some(wish) = self.wish else { return };
        let since_ms = now_ms.saturating_sub(self.requested_ms);
        if since_ms >= REQUESTS_FORGOTTEN_MS {
            self.requests = 0;
        }
        let doublings = self.requests.saturating_sub(PROMPT_REQUESTS);
        let pause_ms = if doublings == 0 { 0 } else { (500 << doublings.min(10)).min(REQUEST_PAUSE_MS) };
        if since_ms < pause_ms {
            return;
        }
        (self.wish, self.requested_ms) = (None, now_ms);
        self.requests += 1;
        let just_compared = self.compared_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < MENDED_MS);
        if wish == Wish::Differing && !just_compared {
            if self.comparison.is_none() && !self.is_snapshot() {
                self.comparison = Some(Comparison::new(bits_for(self.held.count)));
            }
        } else {
            self.want_snapshot();
        }
    }

    fn want_snapshot(&mut self) {
        (self.compared_ms, self.comparison, self.anew) = (None, None, true);
        self.snapshot = Snapshot::Wanted { renumber: true };
    }

    /// All is taken back in the books.
    pub(crate) fn snapshot_begun(&mut self) {
        if self.snapshot != Snapshot::Beginning {
            // Another one is wanted meanwhile.
            return;
        }
        (self.held, self.number) = (Sum::default(), 0);
        (self.look, self.snapshot) = (true, Snapshot::Sending { first: true, complete: false });
    }

    /// It is noted that the snapshot is complete.
    pub(crate) fn snapshot_ended(&mut self) {
        if self.snapshot != Snapshot::Noting {
            return;
        }
        self.anew = false;
        (self.look, self.check, self.snapshot) = (true, true, Snapshot::None);
    }

    /// A part of the edge's digests.
    pub(crate) fn digests(&mut self, bits: u8, buckets: impl Iterator<Item = (u32, Sum)>, last: bool, now_ms: u64) {
        if let Some(comparison) = &mut self.comparison {
            comparison.digests(bits, buckets, last, now_ms);
        }
    }

    /// What the edge holds of a bucket.
    pub(crate) fn inventory(&mut self, bits: u8, prefix: u32, items: Vec<(Uuid, i64)>, now_ms: u64) {
        if let Some(comparison) = &mut self.comparison {
            comparison.inventory(bits, prefix, items, now_ms);
        }
    }

    /// What the books say, as a whole, and item by item in the buckets that differ.
    pub(crate) fn compared(&mut self, books: Books, differing: Buckets) {
        // A snapshot may have come between.
        let Some(comparison) = &mut self.comparison else { return };
        (self.held, self.number) = (books.held, books.number);
        comparison.compared(differing);
    }

    /// The books are mended: this is what they say now, and what no row tells of is to be removed with these numbers.
    pub(crate) fn mended(&mut self, books: Books, strays: Vec<(Uuid, i64)>) {
        let Some(comparison) = &mut self.comparison else { return };
        (self.held, self.number) = (books.held, books.number);
        comparison.mended();
        self.strays.extend(strays);
        if self.strays.len() > MAX_STRAYS {
            self.want_snapshot();
        }
    }

    /// What was asked of the database failed: it is asked again.
    pub(crate) fn failed(&mut self, act: &Act) {
        match act {
            Act::Look { .. } => self.not_found(),
            Act::BeginSnapshot { renumber } if self.snapshot == Snapshot::Beginning => {
                self.snapshot = Snapshot::Wanted { renumber: *renumber }
            }
            Act::EndSnapshot if self.snapshot == Snapshot::Noting => self.snapshot = Snapshot::Ended,
            Act::Compare { .. } | Act::Mend(_) => self.comparison.iter_mut().for_each(Comparison::restart),
            // What is said needs no database; and what was wanted meanwhile stands.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
