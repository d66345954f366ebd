//! The state machine by seeds: one edge and its books through loss, duplication, reordering, crashes, restores, refusals
//! and commits out of order; and after that the edge holds what it should. A seed that fails is printed, and kept below.
//!
//! The edge is the simulator's own (`commands::simulate::content`), written from the published protocol. The books are
//! what `store` does in SQL, as a map; that both do the same is for the tests over real sockets to show.

mod books;

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use uuid::Uuid;

use self::books::{Database, Status};
use super::digest::{Digest, Sum};
use super::machine::{Act, Batch, Change, Entry, Machine, Weight};
use crate::commands::simulate::content::Content;
use crate::commands::simulate::protocol::{self, Checkpoint, Digests, Inventory, Mode, Put, Removal, SnapshotPart, SyncAck};
use crate::commands::simulate::random::Random;
use crate::promise::Proof;

/// What a decoration says: its version, as the edge's fingerprint has it.
impl Weight for u64 {
    fn bytes(&self) -> usize {
        1_000
    }
}

const TICK_MS: u64 = 500;
const SWEEP_MS: u64 = 3_000;
const CHECK_MS: u64 = 20_000;

#[derive(Clone, Debug)]
enum ToEdge {
    Batch(Batch<u64>),
    Checkpoint(i64, Sum),
    AskDigests(u8),
    AskInventory(u8, Vec<u32>),
}

#[derive(Clone, Debug)]
enum FromEdge {
    Ack(SyncAck),
    Request(&'static str),
    Digests(Digests),
    Inventory(Inventory),
}

/// What happens, in its order.
#[derive(Clone, Debug)]
enum Event {
    /// Messages of a connection.
    ToEdge(u64, ToEdge),
    FromEdge(u64, FromEdge),
    /// What was asked of the database is answered, to a session.
    Found(u64, Vec<Entry<u64>>, bool),
    Recorded(u64, u64, Vec<Change>, bool),
    Done(u64, Act),
    /// A change is committed, with a number that was taken when it began.
    Commit(Uuid, bool, i64),
    Tick,
    Sweep,
    Check,
    Connect,
    Trouble,
    Edit,
}

struct World {
    random: Random,
    now_ms: u64,
    counter: u64,
    events: BinaryHeap<(std::cmp::Reverse<(u64, u64)>, usize)>,
    waiting: HashMap<usize, Event>,
    database: Database,
    backups: Vec<Database>,
    content: Content,
    old_contents: Vec<Content>,
    machine: Option<Machine>,
    /// The newest connection; others' messages are lost.
    connection: u64,
    /// Faults happen still.
    chaos: bool,
    /// Messages are lost, repeated and reordered within a connection: no socket does that.
    mangled: bool,
}

fn ids(count: u128) -> impl Iterator<Item = Uuid> {
    (1..=count).map(|n| Uuid::from_u128(n * 0x9E37_79B9_7F4A_7C15))
}

fn epoch_name(epoch: u64) -> String {
    format!("epoch-{epoch}")
}

fn sum_of(held: &protocol::Held) -> Sum {
    Sum { count: held.count, digest: Digest::from_hex(&held.digest).expect("16 digits") }
}

impl World {
    fn new(seed: u64, mangled: bool) -> Self {
        let mut world = Self {
            random: Random::new(seed, 0),
            now_ms: 0,
            counter: 0,
            events: BinaryHeap::new(),
            waiting: HashMap::new(),
            database: Database::default(),
            backups: Vec::new(),
            content: Content::default(),
            old_contents: Vec::new(),
            machine: None,
            connection: 0,
            chaos: true,
            mangled,
        };
        for (after_ms, event) in [
            (0, Event::Connect),
            (10, Event::Tick),
            (20, Event::Sweep),
            (CHECK_MS, Event::Check),
            (5, Event::Edit),
            (2_000, Event::Trouble),
        ] {
            world.after(after_ms, event);
        }
        world
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.counter += 1;
        let key = usize::try_from(self.counter).expect("few");
        self.events.push((std::cmp::Reverse((self.now_ms + ms, self.counter)), key));
        self.waiting.insert(key, event);
    }

    fn up_to(&mut self, most: u64) -> u64 {
        self.random.bits() % most.max(1)
    }

    /// A message of the newest connection is on its way: later than the one before, unless the way is mangled.
    fn carry(&mut self, event: &Event) {
        let mangled = self.mangled && self.chaos;
        if mangled && self.random.chance(0.05) {
            return;
        }
        let copies = if mangled && self.random.chance(0.1) { 2 } else { 1 };
        for _ in 0..copies {
            let ms = if mangled { self.up_to(3_000) } else { 20 };
            self.after(ms, event.clone());
        }
    }

    fn send(&mut self, message: ToEdge) {
        self.carry(&Event::ToEdge(self.connection, message));
    }

    fn run(&mut self, until_ms: u64) {
        while self.events.peek().is_some_and(|(std::cmp::Reverse((at_ms, _)), _)| *at_ms <= until_ms) {
            let (std::cmp::Reverse((at_ms, _)), key) = self.events.pop().expect("there is one");
            self.now_ms = at_ms;
            let event = self.waiting.remove(&key).expect("it waits");
            self.happen(event);
        }
        self.now_ms = until_ms;
    }

    fn happen(&mut self, event: Event) {
        let now_ms = self.now_ms;
        match event {
            Event::Edit => self.edit(),
            Event::Commit(id, inside, number) => {
                self.database.mark(id, inside, number);
                // Its notice may be lost.
                if !self.chaos || self.random.chance(0.8) {
                    self.machine.iter_mut().for_each(Machine::wake);
                }
                self.advance();
            }
            Event::Tick => {
                self.after(TICK_MS, Event::Tick);
                self.advance();
            }
            Event::Sweep => {
                self.after(SWEEP_MS, Event::Sweep);
                if !self.database.due(1, now_ms).is_empty() {
                    self.machine.iter_mut().for_each(Machine::wake);
                }
                self.advance();
            }
            Event::Check => {
                self.after(CHECK_MS, Event::Check);
                let books = self.database.books();
                self.machine.iter_mut().for_each(|machine| machine.check(books));
                self.advance();
            }
            Event::Connect => self.connect(),
            Event::Trouble => self.trouble(),
            Event::ToEdge(connection, message) if connection == self.connection => self.at_edge(message),
            Event::FromEdge(connection, message) if connection == self.connection => self.at_supervisor(message),
            Event::Found(connection, entries, all) if connection == self.connection => {
                let Some(machine) = &mut self.machine else { return };
                for batch in machine.found(entries, all, now_ms) {
                    self.send(ToEdge::Batch(batch));
                }
                self.advance();
            }
            Event::Recorded(connection, batch_id, changes, failed) if connection == self.connection => {
                let Some(machine) = &mut self.machine else { return };
                if failed {
                    machine.not_recorded(batch_id);
                } else {
                    machine.recorded(batch_id, &changes);
                }
                self.advance();
            }
            Event::Done(connection, act) if connection == self.connection => self.done(&act),
            Event::ToEdge(..) | Event::FromEdge(..) | Event::Found(..) | Event::Recorded(..) | Event::Done(..) => {}
        }
    }

    /// Some decorations change; commits come in another order than numbers were taken.
    fn edit(&mut self) {
        if !self.chaos {
            return;
        }
        let all: Vec<Uuid> = ids(400).collect();
        let count = if self.random.chance(0.05) { 300 } else { 1 + self.up_to(4) };
        let mut taken = std::collections::HashSet::new();
        for _ in 0..count {
            let id = *self.random.one_of(&all).expect("some");
            // Rows are locked: one change of a decoration at a time.
            if self.waiting.values().any(|event| matches!(event, Event::Commit(other, ..) if *other == id)) || !taken.insert(id) {
                continue;
            }
            let inside = self.random.chance(0.6);
            let number = self.database.next_number();
            let ms = self.up_to(300);
            self.after(ms, Event::Commit(id, inside, number));
        }
        let ms = 20 + self.up_to(800);
        self.after(ms, Event::Edit);
    }

    fn connect(&mut self) {
        self.connection += 1;
        let (epoch, held) = self.content.hello();
        let ours = epoch_name(self.database.epoch);
        let machine = Machine::begin(epoch.as_ref() == Some(&ours), sum_of(&held), self.database.books());
        let mode = if machine.is_snapshot() { Mode::Snapshot } else { Mode::Delta };
        self.content.welcome(&ours, mode);
        self.machine = Some(machine);
        self.advance();
    }

    fn disconnect(&mut self) {
        self.machine = None;
        self.connection += 1;
        let ms = self.up_to(3_000);
        self.after(ms, Event::Connect);
    }

    /// Something fails.
    fn trouble(&mut self) {
        if !self.chaos {
            return;
        }
        self.old_contents.push(self.content.clone());
        self.backups.push(self.database.clone());
        match self.up_to(12) {
            // The socket breaks, the edge or the supervisor is killed.
            0..=4 => self.disconnect(),
            // The edge is restored from an old disk, or a new one.
            5 => {
                self.content = self.random.one_of(&self.old_contents).cloned().expect("some");
                self.disconnect();
            }
            6 => {
                self.content = Content::default();
                self.disconnect();
            }
            // The database is restored: all is of that time, and the operator says so, or forgets.
            7 => {
                let newest = self.database.epoch;
                self.database = self.random.one_of(&self.backups).cloned().expect("some");
                self.waiting.values_mut().filter(|event| matches!(event, Event::Commit(..))).for_each(|event| *event = Event::Tick);
                if self.random.chance(0.7) {
                    self.database.epoch = newest + 1;
                }
                self.backups.clear();
                self.disconnect();
            }
            // It refuses something for a while.
            8 | 9 => {
                let all: Vec<Uuid> = ids(400).collect();
                let id = *self.random.one_of(&all).expect("some");
                let why = self.random.chance(0.5).then(|| "no".to_owned());
                self.content.refuse(id, why);
            }
            _ => {}
        }
        let ms = 500 + self.up_to(6_000);
        self.after(ms, Event::Trouble);
    }

    fn at_edge(&mut self, message: ToEdge) {
        match message {
            ToEdge::Batch(Batch { id: batch_id, entries, snapshot }) => {
                let (puts, removals): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.content.is_some());
                let put =
                    |entry: &&Entry<u64>| Put { id: entry.id, sync_version: entry.number, fingerprint: entry.content.expect("a put") };
                let batch = protocol::Batch {
                    id: batch_id,
                    version: entries.iter().map(|entry| entry.number).max().unwrap_or(0),
                    decorations: puts.iter().map(put).collect(),
                    removed: removals.iter().map(|entry| Removal { id: entry.id, sync_version: entry.number }).collect(),
                    snapshot: snapshot.map(|(first, last)| SnapshotPart { first, last }),
                };
                let ack = self.content.apply(&batch).ack;
                self.carry(&Event::FromEdge(self.connection, FromEdge::Ack(ack)));
            }
            ToEdge::Checkpoint(version, sum) => {
                let held = protocol::Held { count: sum.count, digest: sum.digest.to_string() };
                if let Some(reason) = self.content.checkpoint(&Checkpoint { version, held }) {
                    self.carry(&Event::FromEdge(self.connection, FromEdge::Request(reason)));
                }
            }
            ToEdge::AskDigests(bits) => {
                for part in self.content.digests(bits.into()) {
                    self.carry(&Event::FromEdge(self.connection, FromEdge::Digests(part)));
                }
            }
            ToEdge::AskInventory(bits, prefixes) => {
                for prefix in prefixes {
                    let inventory = self.content.inventory(bits.into(), prefix);
                    self.carry(&Event::FromEdge(self.connection, FromEdge::Inventory(inventory)));
                }
            }
        }
    }

    fn at_supervisor(&mut self, message: FromEdge) {
        let now_ms = self.now_ms;
        let Some(machine) = &mut self.machine else { return };
        match message {
            FromEdge::Ack(mut ack) => {
                let answer = machine.acknowledged(ack.batch_id, ack.results.len());
                ack.results.retain(|result| answer.counts(result.ok));
                let failed = self.chaos && self.random.chance(0.03);
                let changes = if failed { Vec::new() } else { self.database.record(&ack, now_ms) };
                let ms = self.up_to(100);
                self.after(ms, Event::Recorded(self.connection, ack.batch_id, changes, failed));
            }
            FromEdge::Request(reason) => machine.requested(reason == super::CHECKPOINT_DIFFERS, now_ms),
            FromEdge::Digests(Digests { bits, buckets, last }) => {
                let bits = u8::try_from(bits).expect("few");
                machine.digests(bits, buckets.iter().map(|bucket| (bucket.prefix, sum_of(&bucket.held))), last, now_ms);
            }
            FromEdge::Inventory(Inventory { bits, prefix, items }) => {
                let items = items.iter().map(|item| (item.id, item.sync_version)).collect();
                machine.inventory(u8::try_from(bits).expect("few"), prefix, items, now_ms);
            }
        }
        self.advance();
    }

    /// What `delivery` does.
    fn advance(&mut self) {
        let now_ms = self.now_ms;
        while let Some(machine) = &mut self.machine {
            let Some(act) = machine.next(now_ms) else { return };
            match act {
                Act::Look { most } => {
                    let rows = self.database.due(most, now_ms);
                    let all = rows.len() < most;
                    let news = machine.news(rows, |(id, row)| (*id, row.number));
                    let entries = news.into_iter().map(|(id, row)| {
                        let content = row.put.then(|| self.database.contents[&id].0);
                        Entry { id, number: row.number, content }
                    });
                    let (entries, ms) = (entries.collect(), self.up_to(100));
                    self.after(ms, Event::Found(self.connection, entries, all));
                    return;
                }
                Act::GiveUp(items) => {
                    let refused = |(id, sync_version)| protocol::ItemResult { id, sync_version, ok: false, error: None };
                    self.database.record(&SyncAck { batch_id: 0, results: items.into_iter().map(refused).collect() }, now_ms);
                }
                Act::SendLast { batch_id, first } => {
                    self.send(ToEdge::Batch(Batch { id: batch_id, entries: Vec::new(), snapshot: Some((first, true)) }));
                }
                Act::SendCheckpoint { number, held } => self.send(ToEdge::Checkpoint(number, held)),
                Act::AskDigests { bits } => self.send(ToEdge::AskDigests(bits)),
                Act::AskInventory { bits, prefixes } => self.send(ToEdge::AskInventory(bits, prefixes)),
                act => {
                    let ms = self.up_to(200);
                    self.after(ms, Event::Done(self.connection, act));
                    return;
                }
            }
        }
    }

    /// What `repair` does.
    fn done(&mut self, act: &Act) {
        let Some(machine) = &mut self.machine else { return };
        if self.chaos && self.random.chance(0.05) {
            machine.failed(act);
            return;
        }
        match act {
            Act::BeginSnapshot { renumber } => {
                self.database.begin_snapshot(*renumber);
                machine.snapshot_begun();
            }
            Act::EndSnapshot => {
                self.database.snapshot_due = false;
                machine.snapshot_ended();
            }
            Act::Compare { bits, theirs } => machine.compared(self.database.books(), self.database.differing(*bits, theirs)),
            Act::Mend(differences) => {
                let strays = self.database.mend(differences);
                machine.mended(self.database.books(), strays);
            }
            other => panic!("{other:?} is not asked of the database"),
        }
        self.advance();
    }

    /// What is not as it should be.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (id, row) in &self.database.rows {
            if !row.put || row.status != Status::Synced {
                faults.push(format!("{id} is {row:?}"));
            }
        }
        let held: BTreeMap<Uuid, (i64, u64)> = self.content.items().map(|(id, item)| (id, (item.sync_version, item.fingerprint))).collect();
        let wanted = self.database.contents.iter().filter(|(_, (_, inside))| *inside);
        let wanted: BTreeMap<Uuid, (i64, u64)> =
            wanted.map(|(id, (content, _))| (*id, (self.database.rows.get(id).map_or(-1, |row| row.number), *content))).collect();
        for (id, item) in &held {
            if wanted.get(id) != Some(item) {
                faults.push(format!("{id} is held as {item:?} and wanted as {:?}", wanted.get(id)));
            }
        }
        faults.extend(wanted.keys().filter(|id| !held.contains_key(id)).map(|id| format!("{id} is missing")));
        faults
    }
}

/// Faults for a while; then none, and what is left after `calm_ms`.
fn faults_after(seed: u64, mangled: bool, calm_ms: u64) -> Vec<String> {
    let mut world = World::new(seed, mangled);
    world.run(5_000 + seed.wrapping_mul(7_919) % 60_000);
    world.chaos = false;
    // An admin lets what was refused be tried again.
    for id in ids(400) {
        world.content.refuse(id, None);
    }
    for row in world.database.rows.values_mut().filter(|row| row.status != Status::Synced) {
        (row.status, row.attempts, row.not_before_ms) = (Status::Due, 0, 0);
    }
    if world.machine.is_none() && !world.waiting.values().any(|event| matches!(event, Event::Connect)) {
        world.after(0, Event::Connect);
    }
    let end_ms = world.now_ms + calm_ms;
    world.run(end_ms);
    world.faults()
}

#[expect(clippy::disallowed_methods, reason = "tests read their own variables")]
fn seeds(few: u64) -> impl Iterator<Item = u64> {
    let count = match std::env::var("AR_TEST_FULL") {
        Ok(text) if text == "1" => 1_000,
        _ => few,
    };
    0..count
}

/// Sockets keep their order and lose nothing but what was on its way when they break: ten seconds are enough.
#[test]
fn after_faults_every_edge_holds_what_it_should_within_ten_seconds() {
    let mut proof = Proof::of("P2", "seeds of the state machine, 10 s of calm").seeded(0);
    for seed in seeds(60) {
        let faults = faults_after(seed, false, 10_000);
        proof.tried(1);
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    }
}

/// Whatever repeats, loses and reorders messages in between: then answers are waited for.
#[test]
fn mangled_messages_have_one_effect() {
    let mut proof = Proof::of("P3", "seeds of the state machine, mangled").seeded(0);
    for seed in seeds(60) {
        let faults = faults_after(seed, true, 40_000);
        proof.tried(1);
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    }
}
