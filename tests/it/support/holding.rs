//! An edge that holds its content: the test's own reading of contract §8, apart from the service's and the simulation's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{RegisteredEdge, Socket, TestServer};

/// What an edge holds, and what it remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) epoch: Option<String>,
    pub(crate) items: BTreeMap<Uuid, (i64, Value)>,
    pub(crate) removed: HashMap<Uuid, i64>,
    /// Refused, with these words.
    pub(crate) refused: HashMap<Uuid, String>,
    /// Refusals of each.
    pub(crate) refusals: HashMap<Uuid, u32>,
    /// Entries that changed something.
    pub(crate) effects: u64,
    /// Times at which a version fell: a fault.
    pub(crate) falls: u64,
    pub(crate) snapshots: u64,
    pub(crate) inventories: u64,
    pub(crate) matching_checkpoints: u64,
    /// Entries that came, whether or not they changed something; those of a batch that came again are not counted again.
    pub(crate) entries: u64,
    /// Entries that changed something that they, or newer ones, had changed before: a fault.
    pub(crate) repeats: u64,
    /// How sessions began: `delta` or `snapshot`.
    pub(crate) modes: Vec<String>,
    /// The highest number that changed something, of each that was not lost since.
    taken: HashMap<Uuid, i64>,
    named: Option<HashSet<Uuid>>,
    coming_epoch: Option<String>,
    /// What was answered to the batches of this socket.
    answered: HashMap<u64, Value>,
}

fn first_8(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(digest(&SHA256, bytes).as_ref()[..8].try_into().expect("8 bytes"))
}

/// Digest of a set, as the wire has it.
pub(crate) fn digest_of<'i>(items: impl IntoIterator<Item = (&'i Uuid, i64)>) -> (u64, String) {
    let (mut count, mut sum) = (0, 0);
    for (id, version) in items {
        count += 1;
        sum ^= first_8(&[id.as_bytes().as_slice(), &version.to_be_bytes()].concat());
    }
    (count, format!("{sum:016x}"))
}

fn bucket(id: &Uuid, bits: u64) -> u64 {
    if bits == 0 { 0 } else { first_8(id.as_bytes()) >> (64 - bits) }
}

fn id_of(entry: &Value) -> Uuid {
    entry["id"].as_str().expect("an id").parse().expect("a UUID")
}

impl Held {
    pub(crate) fn sum(&self) -> (u64, String) {
        digest_of(self.items.iter().map(|(id, (version, _))| (id, *version)))
    }

    /// Loses one without knowing of it.
    pub(crate) fn lose(&mut self, id: Uuid) {
        self.items.remove(&id);
        self.taken.remove(&id);
    }

    fn held(&self) -> Value {
        let (count, digest) = self.sum();
        json!({"count": count, "digest": digest})
    }

    pub(crate) fn hello(&self) -> Value {
        json!({"protocol": 1, "agent": "test/1", "epoch": self.epoch, "held": self.held()})
    }

    /// A session begins.
    pub(crate) fn welcomed(&mut self, welcome: &Value) {
        let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
        if self.epoch.as_ref() != Some(&epoch) {
            self.items.values_mut().for_each(|(version, _)| *version = 0);
            self.removed.clear();
            self.taken.clear();
        }
        (self.coming_epoch, self.named) = (Some(epoch), None);
        self.answered.clear();
        self.modes.push(welcome["mode"].as_str().expect("a mode").to_owned());
    }

    /// What it answers to a message.
    pub(crate) fn answer(&mut self, message: &Value) -> Vec<Value> {
        let data = &message["data"];
        match message["type"].as_str().expect("a type") {
            "sync_decorations" => vec![json!({"type": "sync_ack", "data": self.apply(data)})],
            "checkpoint" => {
                let (count, digest) = self.sum();
                if data["count"] == json!(count) && data["digest"] == json!(digest) {
                    self.removed.clear();
                    self.matching_checkpoints += 1;
                    return Vec::new();
                }
                vec![json!({"type": "sync_request", "data": {"reason": "checkpoint_differs"}})]
            }
            "digest_request" => self.digests(data["bits"].as_u64().expect("bits")),
            "inventory_request" => {
                let bits = data["bits"].as_u64().expect("bits");
                self.inventories += 1;
                let inventory = |prefix: &Value| {
                    let prefix = prefix.as_u64().expect("a prefix");
                    let items = self.items.iter().filter(|(id, _)| bucket(id, bits) == prefix);
                    let items: Vec<_> = items.map(|(id, (version, _))| json!({"id": id, "sync_version": version})).collect();
                    json!({"type": "inventory", "data": {"bits": bits, "prefix": prefix, "items": items}})
                };
                data["prefixes"].as_array().expect("prefixes").iter().map(inventory).collect()
            }
            _ => Vec::new(),
        }
    }

    fn digests(&self, bits: u64) -> Vec<Value> {
        let mut buckets: BTreeMap<u64, Vec<(&Uuid, i64)>> = BTreeMap::new();
        for (id, (version, _)) in &self.items {
            buckets.entry(bucket(id, bits)).or_default().push((id, *version));
        }
        let sum = |(prefix, items): (u64, Vec<(&Uuid, i64)>)| {
            let (count, digest) = digest_of(items);
            json!({"prefix": prefix, "count": count, "digest": digest})
        };
        let sums: Vec<Value> = buckets.into_iter().map(sum).collect();
        let parts = sums.len().div_ceil(400).max(1);
        let part =
            |i: usize| json!({"bits": bits, "buckets": sums.iter().skip(i * 400).take(400).collect::<Vec<_>>(), "last": i + 1 == parts});
        (0..parts).map(|i| json!({"type": "digests", "data": part(i)})).collect()
    }

    /// Applies a batch; its acknowledgement. One that came before is only acknowledged again.
    fn apply(&mut self, batch: &Value) -> Value {
        let batch_id = batch["batch_id"].as_u64().expect("a number");
        if let Some(answer) = self.answered.get(&batch_id) {
            return answer.clone();
        }
        let snapshot = &batch["snapshot"];
        if snapshot["first"] == true {
            self.named = Some(HashSet::new());
            self.snapshots += 1;
        }
        let entries = |member: &str| batch[member].as_array().expect("entries");
        let mut results = Vec::new();
        for (entry, put) in entries("decorations").iter().map(|e| (e, true)).chain(entries("removed").iter().map(|e| (e, false))) {
            let (id, version) = (id_of(entry), entry["sync_version"].as_i64().expect("a number"));
            if let Some(named) = self.named.as_mut().filter(|_| put) {
                named.insert(id);
            }
            results.push(match self.take(id, version, put.then_some(entry)) {
                Ok(()) => json!({"id": id, "sync_version": version, "ok": true}),
                Err(error) => json!({"id": id, "sync_version": version, "ok": false, "error": error}),
            });
        }
        self.entries += u64::try_from(results.len()).expect("few");
        if snapshot["last"] == true {
            if let Some(named) = self.named.take() {
                self.items.retain(|id, _| named.contains(id));
                self.taken.retain(|id, _| named.contains(id));
            }
            self.epoch.clone_from(&self.coming_epoch);
        }
        let answer = json!({"batch_id": batch_id, "results": results});
        self.answered.insert(batch_id, answer.clone());
        answer
    }

    fn take(&mut self, id: Uuid, version: i64, content: Option<&Value>) -> Result<(), String> {
        let known = self.items.get(&id).map(|(version, _)| *version).or(self.removed.get(&id).copied());
        if known.is_some_and(|known| known >= version) {
            return Ok(());
        }
        if let Some(error) = self.refused.get(&id) {
            *self.refusals.entry(id).or_default() += 1;
            return Err(error.clone());
        }
        self.effects += 1;
        let before = self.taken.insert(id, version);
        self.repeats += u64::from(before.is_some_and(|before| before >= version));
        if let Some(content) = content {
            self.removed.remove(&id);
            let before = self.items.insert(id, (version, content.clone()));
            let older = |(_, before): &(i64, Value)| before["version"].as_i64() > content["version"].as_i64();
            self.falls += u64::from(before.as_ref().is_some_and(older));
        } else {
            self.items.remove(&id);
            self.removed.insert(id, version);
        }
        Ok(())
    }
}

/// Such an edge, alive: it comes back whenever its socket ends.
pub(crate) struct HoldingEdge {
    pub(crate) edge: RegisteredEdge,
    held: Arc<Mutex<Held>>,
    living: JoinHandle<()>,
}

impl HoldingEdge {
    /// Begins to live, at wherever `address` says the service is.
    pub(crate) fn live(edge: RegisteredEdge, address: impl Fn() -> SocketAddr + Send + 'static, held: Held) -> Self {
        let held = Arc::new(Mutex::new(held));
        let living = tokio::spawn({
            let (edge, held) = (edge.clone(), Arc::clone(&held));
            async move {
                loop {
                    session(&edge, address(), &held).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Self { edge, held, living }
    }

    /// What it holds now.
    pub(crate) fn held(&self) -> Held {
        self.held.lock().expect("not poisoned").clone()
    }

    /// Changes what it holds, or what it thinks of it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().expect("not poisoned"));
    }

    /// Ends at once, as by kill -9; what it held then.
    pub(crate) async fn kill(mut self) -> Held {
        self.living.abort();
        let _aborted = (&mut self.living).await;
        self.held()
    }
}

impl Drop for HoldingEdge {
    fn drop(&mut self) {
        self.living.abort();
    }
}

/// One session, until it ends in whatever way.
async fn session(edge: &RegisteredEdge, address: SocketAddr, held: &Mutex<Held>) {
    let bearer = format!("Bearer {}", edge.key);
    let Ok(mut socket) = Socket::to(address, &format!("/ws/edge/{}", edge.id), &[("authorization", &bearer)]).await else { return };
    let hello = held.lock().expect("not poisoned").hello();
    if !socket.try_send(&json!({"type": "hello", "data": hello})).await {
        return;
    }
    while let Some(message) = socket.try_next().await {
        let answers = {
            let mut held = held.lock().expect("not poisoned");
            if message["type"] == "welcome" {
                held.welcomed(&message["data"]);
            }
            held.answer(&message)
        };
        for answer in answers {
            if !socket.try_send(&answer).await {
                return;
            }
        }
    }
}

/// A socket whose edge answers when the test says so.
pub(crate) struct Talk {
    pub(crate) socket: Socket,
    pub(crate) held: Held,
}

impl Talk {
    /// Opens it, says hello, and is welcomed.
    pub(crate) async fn begin(server: &TestServer, edge: &RegisteredEdge, held: Held) -> Self {
        let hello = held.hello();
        Self::begin_with(server, edge, held, hello).await
    }

    /// The same with something else said than it holds.
    pub(crate) async fn begin_with(server: &TestServer, edge: &RegisteredEdge, mut held: Held, hello: Value) -> Self {
        let mut socket = edge.open(server).await;
        socket.send("hello", hello).await;
        held.welcomed(&socket.data("welcome").await);
        Self { socket, held }
    }

    /// Answers what comes, as it should, up to a message of a type; that one is not answered.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.socket.next().await.unwrap_or_else(|closed| panic!("closed with {closed:?} before {kind}"));
            if message["type"] == kind {
                return message;
            }
            self.answer(&message).await;
        }
    }

    /// Answers a message as it should.
    pub(crate) async fn answer(&mut self, message: &Value) {
        for answer in self.held.answer(message) {
            assert!(self.socket.try_send(&answer).await, "the socket is open");
        }
    }

    /// Answers everything until a checkpoint agrees with what is held.
    pub(crate) async fn until_agreed(&mut self) {
        let before = self.held.matching_checkpoints;
        while self.held.matching_checkpoints == before {
            let checkpoint = self.until("checkpoint").await;
            self.answer(&checkpoint).await;
        }
    }
}
