//! A small edge server: how to hold the content that the supervisor sends, in some two hundred lines.
//!
//! With `make run` in one terminal, make an edge server at the Brandenburg Gate in another, and be it:
//!
//! ```sh
//! API=http://127.0.0.1:8080/api/v1
//! TOKEN=$(curl -s $API/auth/login --json "{\"email\": \"admin@example.org\", \"password\": \"$(cat .dev-data/admin-password)\"}" \
//!   | sed -E 's/.*"access_token":"([^"]*)".*/\1/')
//! MADE=$(curl -s $API/edge-servers -H "Authorization: Bearer $TOKEN" --json '{"name": "gate", "region": "eu-central",
//!   "api_url": "https://gate.example.com", "websocket_url": "wss://gate.example.com/ws",
//!   "lat": 52.5163, "lng": 13.3777, "service_radius_km": 2, "max_connections": 100}')
//! export EDGE_KEY=$(echo "$MADE" | sed -E 's/.*"edge_key":"([^"]*)".*/\1/')
//! ID=$(echo "$MADE" | sed -E 's/.*"id":"([^"]*)".*/\1/')
//! cargo run --example edge -- --url ws://127.0.0.1:8080/ws/edge/$ID --file /tmp/gate.json
//! ```
//!
//! The protocol is explained at `/docs/sockets` of a running supervisor, and `ar-supervisor simulate --check-edge`
//! tests an edge like this one. Devices, which an edge serves as well, are left out here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What an edge holds, and what it has to remember of it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Content {
    /// Epoch of the last snapshot that came to its end: numbers mean something in their epoch only.
    pub(crate) epoch: Option<String>,
    /// The decorations, each with its number in `sync_version`.
    pub(crate) decorations: BTreeMap<Uuid, Value>,
    /// Numbers of removals, so that an old message cannot bring back what was removed.
    pub(crate) removed: BTreeMap<Uuid, u64>,
    /// Where all this is kept. A real edge has a database: here everything is written anew after each message.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    /// What follows is of one session, and forgotten with it. First the supervisor's epoch.
    #[serde(skip)]
    pub(crate) new_epoch: Option<String>,
    /// Batches that came.
    #[serde(skip)]
    pub(crate) batches: HashSet<u64>,
    /// What a snapshot has named so far.
    #[serde(skip)]
    pub(crate) named: Option<HashSet<Uuid>>,
}

impl Content {
    /// What is in the file; nothing when there is none.
    pub(crate) fn open(file: Option<PathBuf>) -> Outcome<Self> {
        let kept = file.as_ref().filter(|file| file.exists()).map(std::fs::read).transpose()?;
        let content = kept.map_or(Ok(Self::default()), |bytes| serde_json::from_slice(&bytes))?;
        Ok(Self { file, ..content })
    }

    /// Writes the file: beside, then in its place, so that there is always a whole one.
    fn save(&self) -> Outcome<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let beside = file.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(self)?)?;
        Ok(std::fs::rename(beside, file)?)
    }

    /// The greeting: what is held, and since which epoch.
    pub(crate) fn hello(&self) -> Value {
        let epoch = self.epoch.as_ref().filter(|_| !self.decorations.is_empty());
        json!({"type": "hello", "data": {"protocol": 1, "agent": "example-edge/1.0", "epoch": epoch, "held": sum(self.decorations.iter())}})
    }

    /// Heeds a message of the supervisor; returns what to answer. Types that it does not know are left alone.
    pub(crate) fn heed(&mut self, message: &Value) -> Outcome<Vec<Value>> {
        let data = &message["data"];
        let answers = match message["type"].as_str() {
            Some("welcome") => {
                self.welcome(data["epoch"].as_str().ok_or("no epoch")?, &data["mode"]);
                vec![]
            }
            Some("sync_decorations") => vec![self.apply(data)?],
            Some("checkpoint") => self.compare(data).into_iter().collect(),
            Some("digest_request") => self.digests(bits(data)?),
            Some("inventory_request") => {
                let prefixes = data["prefixes"].as_array().ok_or("no prefixes")?.iter().filter_map(Value::as_u64);
                prefixes.map(|prefix| Ok(self.inventory(bits(data)?, prefix))).collect::<Outcome<_>>()?
            }
            Some("error") => {
                println!("The supervisor complains: {data}");
                vec![]
            }
            _ => vec![],
        };
        // Before the answer goes out: what is acknowledged stays, whatever happens.
        self.save()?;
        Ok(answers)
    }

    /// A session begins. Numbers of another epoch are void: everything new is newer. What is held is served on.
    fn welcome(&mut self, epoch: &str, mode: &Value) {
        (self.new_epoch, self.batches, self.named) = (Some(epoch.to_owned()), HashSet::new(), None);
        if self.epoch.as_deref() != Some(epoch) {
            self.removed.clear();
            for decoration in self.decorations.values_mut() {
                decoration["sync_version"] = json!(0);
            }
            if self.decorations.is_empty() && mode == "delta" {
                self.epoch = Some(epoch.to_owned());
            }
        }
    }

    /// Applies a batch; returns its acknowledgement, with a result for every entry.
    fn apply(&mut self, batch: &Value) -> Outcome<Value> {
        let batch_id = batch["batch_id"].as_u64().ok_or("no batch_id")?;
        // A batch that came before begins and ends no snapshot. Its entries are not newer than what is known.
        let is_new = self.batches.insert(batch_id);
        if is_new && batch["snapshot"]["first"] == true {
            self.named = Some(HashSet::new());
        }
        let mut results = Vec::new();
        for decoration in batch["decorations"].as_array().ok_or("no decorations")? {
            let (id, number) = entry(decoration)?;
            if let Some(named) = &mut self.named {
                named.insert(id);
            }
            if self.is_newer(id, number) {
                self.removed.remove(&id);
                self.decorations.insert(id, decoration.clone());
            }
            // Who cannot take it says `"ok": false` and why in `error`, and is sent it again a little later.
            results.push(json!({"id": id, "sync_version": number, "ok": true}));
        }
        for removal in batch["removed"].as_array().ok_or("no removed")? {
            let (id, number) = entry(removal)?;
            if self.is_newer(id, number) {
                self.decorations.remove(&id);
                self.removed.insert(id, number);
            }
            results.push(json!({"id": id, "sync_version": number, "ok": true}));
        }
        if is_new && batch["snapshot"]["last"] == true {
            // What the snapshot did not name is not to be held. Only now are the numbers those of the new epoch.
            if let Some(named) = self.named.take() {
                self.decorations.retain(|id, _| named.contains(id));
                self.epoch.clone_from(&self.new_epoch);
            }
        }
        println!("Batch {batch_id}: {} entries; {} decorations are held.", results.len(), self.decorations.len());
        Ok(json!({"type": "sync_ack", "data": {"batch_id": batch_id, "results": results}}))
    }

    /// Whether a number is higher than the last one seen for that decoration.
    fn is_newer(&self, id: Uuid, number: u64) -> bool {
        let held = self.decorations.get(&id).map(number_of);
        held.max(self.removed.get(&id).copied()).is_none_or(|last| number > last)
    }

    /// Compares with what the supervisor believes is held here.
    fn compare(&mut self, checkpoint: &Value) -> Option<Value> {
        let held = sum(self.decorations.iter());
        if held["count"] == checkpoint["count"] && held["digest"] == checkpoint["digest"] {
            println!("In step: {} decorations, digest {}.", held["count"], held["digest"]);
            self.removed.clear();
            return None;
        }
        println!("Out of step: {held} are held.");
        Some(json!({"type": "sync_request", "data": {"reason": "checkpoint_differs"}}))
    }

    /// What is held, by buckets, 400 in a message.
    fn digests(&self, bits: u32) -> Vec<Value> {
        let mut buckets: BTreeMap<u64, Vec<(&Uuid, &Value)>> = BTreeMap::new();
        for (id, decoration) in &self.decorations {
            buckets.entry(bucket(*id, bits)).or_default().push((id, decoration));
        }
        let mut buckets: Vec<Value> = buckets
            .into_iter()
            .map(|(prefix, items)| (prefix, sum(items.into_iter())))
            .map(|(prefix, sum)| json!({"prefix": prefix, "count": sum["count"], "digest": sum["digest"]}))
            .collect();
        let mut parts = Vec::new();
        loop {
            let rest = buckets.split_off(buckets.len().min(400));
            parts.push(json!({"type": "digests", "data": {"bits": bits, "buckets": buckets, "last": rest.is_empty()}}));
            if rest.is_empty() {
                return parts;
            }
            buckets = rest;
        }
    }

    /// What is held of one bucket.
    fn inventory(&self, bits: u32, prefix: u64) -> Value {
        let items = self.decorations.iter().filter(|(id, _)| bucket(**id, bits) == prefix);
        let items: Vec<Value> = items.map(|(id, decoration)| json!({"id": id, "sync_version": number_of(decoration)})).collect();
        json!({"type": "inventory", "data": {"bits": bits, "prefix": prefix, "items": items}})
    }
}

/// Count and digest: XOR of the first 8 bytes of SHA-256(id ‖ number), as 16 hexadecimal digits.
fn sum<'c>(decorations: impl Iterator<Item = (&'c Uuid, &'c Value)>) -> Value {
    let (count, digest) = decorations.fold((0_u64, 0_u64), |(count, digest), (id, decoration)| {
        let bytes = [&id.as_bytes()[..], &number_of(decoration).to_be_bytes()].concat();
        (count + 1, digest ^ first_bits(&bytes, 64))
    });
    json!({"count": count, "digest": format!("{digest:016x}")})
}

/// The bucket of a decoration: the first bits of SHA-256(id), as a number.
fn bucket(id: Uuid, bits: u32) -> u64 {
    first_bits(id.as_bytes(), bits)
}

fn first_bits(bytes: &[u8], bits: u32) -> u64 {
    let first = Sha256::digest(bytes).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    first.checked_shr(64 - bits).unwrap_or(0)
}

fn bits(request: &Value) -> Outcome<u32> {
    let bits = request["bits"].as_u64().filter(|bits| *bits <= 16).ok_or("no bits")?;
    Ok(u32::try_from(bits)?)
}

fn entry(entry: &Value) -> Outcome<(Uuid, u64)> {
    Ok((entry["id"].as_str().ok_or("no id")?.parse()?, entry["sync_version"].as_u64().ok_or("no sync_version")?))
}

fn number_of(decoration: &Value) -> u64 {
    decoration["sync_version"].as_u64().unwrap_or(0)
}

/// How a session ended.
enum End {
    /// It is to be opened again, after this time if the supervisor named one.
    Again(Option<Duration>),
    /// It is not to be opened again.
    Never(String),
}

/// Holds a connection until the supervisor does not let it in any more, or the content cannot be kept.
pub(crate) async fn run(url: &str, key: &str, content: &mut Content, heed: fn(&mut Content, &Value) -> Outcome<Vec<Value>>) -> Outcome<()> {
    let mut backoff = Duration::from_secs(1);
    loop {
        let named = match session(url, key, content, heed).await {
            Ok(End::Never(reason)) => return Err(reason.into()),
            Ok(End::Again(named)) => {
                backoff = Duration::from_secs(1);
                named
            }
            Err(error) => match error.downcast_ref::<SocketError>() {
                // The key is wrong: trying again would not help.
                Some(SocketError::Http(refusal)) if refusal.status().is_client_error() && refusal.status() != 429 => return Err(error),
                Some(_) => {
                    println!("The connection is lost: {error}");
                    None
                }
                None => return Err(error),
            },
        };
        // Spread at random, so that not all edges come back at once.
        let spread = u32::try_from(RandomState::new().hash_one(0) % 500).unwrap_or(0);
        let pause = named.unwrap_or(backoff) * (1000 + spread) / 1000;
        println!("Connecting again in {pause:.1?}.");
        tokio::time::sleep(pause).await;
        backoff = (backoff * 2).min(Duration::from_mins(1));
    }
}

/// One session, from connecting to its end.
async fn session(url: &str, key: &str, content: &mut Content, heed: fn(&mut Content, &Value) -> Outcome<Vec<Value>>) -> Outcome<End> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let hello = content.hello();
    println!("Connected, with {}.", hello["data"]["held"]);
    socket.send(Message::text(hello.to_string())).await?;
    // The welcome says how often it is to beat, and is to come within this time.
    let mut beats = tokio::time::interval(Duration::from_secs(10));
    beats.tick().await;
    let (mut welcomed, mut heard) = (false, Instant::now());
    loop {
        tokio::select! {
            frame = socket.next() => {
                heard = Instant::now();
                match frame.ok_or(SocketError::ConnectionClosed)?? {
                    Message::Text(text) => {
                        let message: Value = serde_json::from_str(&text)?;
                        for answer in heed(content, &message)? {
                            socket.send(Message::text(answer.to_string())).await?;
                        }
                        if message["type"] == "welcome" {
                            let heartbeat_s = message["data"]["heartbeat_seconds"].as_u64().ok_or("no heartbeat_seconds")?;
                            (welcomed, beats) = (true, tokio::time::interval(Duration::from_secs(heartbeat_s)));
                            println!("Welcome, to a {} and a beat every {heartbeat_s} s.", message["data"]["mode"]);
                        }
                    }
                    Message::Close(frame) => {
                        let (code, reason) = frame.map_or((1005, String::new()), |frame| (u16::from(frame.code), frame.reason.to_string()));
                        println!("The supervisor closes: {code} {reason}");
                        // 1008: another connection took over, or the key is void. Coming back would not help.
                        if code == 1008 {
                            return Ok(End::Never(reason));
                        }
                        let reason: HashMap<String, u64> = serde_json::from_str(&reason).unwrap_or_default();
                        return Ok(End::Again(reason.get("retry_after_ms").map(|ms| Duration::from_millis(*ms))));
                    }
                    // Pings are answered by the library.
                    _ => {}
                }
            }
            _ = beats.tick() => {
                // The supervisor pings every 20 s.
                if !welcomed || heard.elapsed() > Duration::from_mins(1) {
                    println!("The supervisor is silent.");
                    return Ok(End::Again(None));
                }
                socket.send(Message::text(beat().to_string())).await?;
            }
        }
    }
}

/// How it is. A real edge measures it.
fn beat() -> Value {
    let timestamp = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    json!({"type": "health_update", "data": {"cpu_usage": 12.5, "memory_usage": 40.0, "active_connections": 0, "timestamp": timestamp}})
}

/// The value behind an option on the command line.
fn option(name: &str) -> Option<String> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    #[expect(clippy::disallowed_methods, reason = "this is no part of the service, which reads its environment in one place")]
    let key = option("--key").or_else(|| std::env::var("EDGE_KEY").ok()).ok_or("--key or EDGE_KEY: the key of the edge server")?;
    let url = option("--url").ok_or("--url: where to connect, such as ws://127.0.0.1:8080/ws/edge/<id>")?;
    let mut content = Content::open(option("--file").map(PathBuf::from))?;
    tokio::select! {
        ended = run(&url, &key, &mut content, Content::heed) => ended,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}
