//! The checks, in the order in which they are made. Each uses decorations of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::protocol::Held;
use super::dialogue::{Found, HEARTBEAT_S, fault};
use super::examiner::Examiner;
use super::heard::{Heard, Hello};
use super::parcel::Parcel;
use super::supposed::Supposed;

/// Time for the edge to be started.
const FIRST_CONNECTION: Duration = Duration::from_mins(2);
/// Time after which an edge that was told not to come back would have.
const GONE: Duration = Duration::from_secs(2);
/// Largest batch, and its largest part that is decorations.
const MAX_ENTRIES: usize = 200;
const LARGE_BATCH_BYTES: usize = 192 * 1024;

/// One check.
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) run: for<'e> fn(&'e mut Examiner) -> BoxFuture<'e, Found<()>>,
}

macro_rules! trials {
    ($($name:literal, $run:ident, $expected:literal;)*) => {
        [$(Trial { name: $name, expected: $expected, run: |examiner| examiner.$run().boxed() }),*]
    };
}

pub(super) const TRIALS: &[Trial] = &trials! {
    "hello", greets, "connects with its key and says hello first, within 10 s: protocol 1, and zeros when it holds nothing";
    "beats", beats, "says health_update at once after welcome, and then at the heartbeat it was told (1 s)";
    "put", takes, "acknowledges a batch, with one result for every entry, and holds what was put";
    "same batch again", takes_once, "acknowledges a batch that comes twice again, and nothing changes";
    "old number", ignores_old, "leaves an entry alone whose sync_version is not higher than the last it saw for that id, and says ok";
    "removal", removes, "removes, and acknowledges removals of what it does not hold";
    "old put after removal", remembers_removals, "remembers numbers of removals: an older put brings nothing back, a newer one does";
    "unknown type", ignores_unknown, "leaves messages of a type that it does not know alone";
    "unknown members", takes_unknown, "takes entries and batches with members that it does not know";
    "ping", answers_pings, "answers a ping with a pong of the same bytes";
    "window", takes_four, "takes four batches of 100 that come at once, and acknowledges each";
    "large batch", takes_large, "takes a batch of 200 decorations and 192 KiB, and acknowledges it in one message of at most 64 KiB";
    "digests", digests, "answers digest_request for 0, 3 and 12 bits with digests that are right, 400 buckets in a message, last in the last";
    "inventory", inventories, "answers inventory_request with one inventory for each prefix, also for an empty bucket";
    "checkpoint that agrees", agrees, "says nothing to a checkpoint that agrees with what it holds";
    "checkpoint that differs", disagrees, "answers a checkpoint that differs with sync_request, and digests after it";
    "snapshot", takes_snapshot, "holds all it held until the last batch of a snapshot, and then what was named since the first, and no more";
    "snapshot, a batch twice", snapshots_once, "a batch of a snapshot that comes twice neither begins nor ends one";
    "comes back", comes_back, "after 1012 with retry_after_ms it comes back, not before half of that time, and says what it holds";
    "new epoch", new_epoch, "takes lower numbers of a new epoch, goes on serving what it held until the snapshot's end, then tells the new epoch";
    "interrupted snapshot", interrupted, "tells the old epoch after a snapshot that was cut off, and takes it from the beginning";
    "superseded", stays_away, "does not come back after 1008 superseded";
};

impl Examiner {
    async fn greets(&mut self) -> Found<()> {
        self.connect(FIRST_CONNECTION).await?;
        let epoch = self.epoch.clone();
        let dialogue = self.dialogue()?;
        let Hello { protocol, held, .. } = dialogue.hello().await?;
        if protocol != 1 {
            return fault(format!("protocol {protocol}"));
        }
        if held.count == 0 && held != Supposed::default().held() {
            return fault(format!("count 0 with digest {}", held.digest));
        }
        if held.count == 0 {
            return dialogue.welcome(&epoch, "delta").await;
        }
        // It comes from elsewhere: what it holds is to go.
        dialogue.welcome(&epoch, "snapshot").await?;
        dialogue.deliver(&Parcel::default().of_snapshot(true, true)).await.map(drop)
    }

    async fn beats(&mut self) -> Found<()> {
        let began = Instant::now();
        let heartbeat = Duration::from_secs(HEARTBEAT_S);
        let dialogue = self.dialogue()?;
        dialogue.hear_beats(3, began + heartbeat * 5).await?;
        let beats = &dialogue.beats;
        let Some(first) = beats.first() else { return fault("no beat in 5 s") };
        if first.saturating_duration_since(began) > heartbeat {
            return fault(format!("the first one {:.1?} after welcome", first.saturating_duration_since(began)));
        }
        let longest = beats.windows(2).map(|pair| pair[1] - pair[0]).max();
        match longest {
            None => fault("one beat in 5 s"),
            // By then it counts as degraded.
            Some(longest) if longest > heartbeat.mul_f64(1.5) => fault(format!("{longest:.1?} between two of them")),
            Some(_) if beats.len() > 6 => fault(format!("{} of them in {:.1?}", beats.len(), began.elapsed())),
            Some(_) => Ok(()),
        }
    }

    async fn takes(&mut self) -> Found<()> {
        let puts = self.new_puts(3);
        self.put(puts).await?;
        self.compare().await
    }

    async fn takes_once(&mut self) -> Found<()> {
        let parcel = Parcel::puts(self.new_puts(2));
        self.supposed.0.extend(parcel.entries());
        let dialogue = self.dialogue()?;
        let batch_id = dialogue.deliver(&parcel).await?;
        dialogue.send_batch_as(batch_id, &parcel).await?;
        dialogue.acknowledged(batch_id, &parcel).await?;
        // The same under another number.
        dialogue.deliver(&parcel).await?;
        self.compare().await
    }

    async fn ignores_old(&mut self) -> Found<()> {
        let [(put, old), (other, _)] = [self.new_puts(1)[0], self.new_puts(1)[0]];
        let numbers = [self.next_number(), self.next_number()];
        self.put(vec![(put, numbers[0]), (other, numbers[1])]).await?;
        let dialogue = self.dialogue()?;
        dialogue.deliver(&Parcel::puts([(put, old)])).await?;
        dialogue.deliver(&Parcel::removed([(put, old), (other, numbers[1])])).await?;
        self.compare().await
    }

    async fn removes(&mut self) -> Found<()> {
        let puts = self.new_puts(3);
        self.put(puts.clone()).await?;
        let removed = vec![(puts[0].0, self.next_number()), (puts[1].0, self.next_number()), (Uuid::now_v7(), self.next_number())];
        for (id, _) in &removed {
            self.supposed.0.remove(id);
        }
        self.dialogue()?.deliver(&Parcel::removed(removed)).await?;
        self.compare().await
    }

    async fn remembers_removals(&mut self) -> Found<()> {
        let (held, unknown) = (self.new_puts(1)[0], Uuid::now_v7());
        let old = self.next_number();
        self.dialogue()?.deliver(&Parcel::puts([held])).await?;
        let removed = [(held.0, self.next_number()), (unknown, self.next_number())];
        let dialogue = self.dialogue()?;
        dialogue.deliver(&Parcel::removed(removed)).await?;
        dialogue.deliver(&Parcel::puts([(held.0, old), (unknown, old)])).await?;
        self.compare().await?;
        let again = vec![(held.0, self.next_number()), (unknown, self.next_number())];
        self.put(again).await?;
        self.compare().await
    }

    async fn ignores_unknown(&mut self) -> Found<()> {
        let dialogue = self.dialogue()?;
        dialogue.say("something_of_tomorrow", &json!({"list": [1, 2, null], "id": "x"})).await?;
        dialogue.say("device_assigned", &json!({"device_id": "phone-of-the-check", "new_member": {}})).await?;
        dialogue.say("device_released", &json!({"device_id": "phone-of-the-check"})).await?;
        dialogue.say("error", &json!({"code": "unknown_type", "message": "only a check: nothing is wrong"})).await?;
        self.takes().await
    }

    async fn takes_unknown(&mut self) -> Found<()> {
        let puts = self.new_puts(2);
        let removed = vec![(Uuid::now_v7(), self.next_number())];
        self.supposed.0.extend(puts.iter().copied());
        let parcel = Parcel { removed, is_of_tomorrow: true, ..Parcel::puts(puts) };
        self.dialogue()?.deliver(&parcel).await?;
        self.compare().await
    }

    async fn answers_pings(&mut self) -> Found<()> {
        self.dialogue()?.ping().await
    }

    async fn takes_four(&mut self) -> Found<()> {
        let parcels: Vec<Parcel> = (0..4).map(|_| Parcel::puts(self.new_puts(100))).collect();
        self.supposed.0.extend(parcels.iter().flat_map(Parcel::entries));
        let dialogue = self.dialogue()?;
        let mut sent = Vec::new();
        for parcel in &parcels {
            sent.push(dialogue.send_batch(parcel).await?);
        }
        let first = sent.first().copied().unwrap_or_default();
        for (batch_id, parcel) in (first..).zip(&parcels) {
            dialogue.acknowledged(batch_id, parcel).await?;
        }
        self.compare().await
    }

    async fn takes_large(&mut self) -> Found<()> {
        let parcel = Parcel::puts(self.new_puts(MAX_ENTRIES));
        let padding = (LARGE_BATCH_BYTES - parcel.data(0).to_string().len().min(LARGE_BATCH_BYTES)) / MAX_ENTRIES;
        let parcel = Parcel { padding, ..parcel };
        self.supposed.0.extend(parcel.entries());
        self.dialogue()?.deliver(&parcel).await?;
        self.compare().await
    }

    async fn digests(&mut self) -> Found<()> {
        for bits in [0, 3, 12] {
            let (found, parts) = self.dialogue()?.digests(bits).await?;
            let buckets = self.supposed.buckets(bits);
            let told: BTreeSet<u32> = found.keys().copied().collect();
            if told != buckets {
                return fault(format!("{} buckets of {bits} bits that are not empty, where {} are", told.len(), buckets.len()));
            }
            for (prefix, held) in found {
                let right = self.supposed.bucket(bits, prefix);
                if held != right {
                    let (count, digest) = (held.count, held.digest);
                    return fault(format!(
                        "bucket {prefix} of {bits} bits has count {count} and digest {digest}, not {} and {}",
                        right.count, right.digest
                    ));
                }
            }
            if parts < buckets.len().div_ceil(400) {
                return fault(format!("{} buckets in {parts} messages", buckets.len()));
            }
        }
        Ok(())
    }

    async fn inventories(&mut self) -> Found<()> {
        let bits = 3;
        let told = self.dialogue()?.inventory(bits, &[0, 1, 2, 3, 4, 5, 6, 7]).await?;
        for inventory in &told {
            let found = Supposed::told([inventory]);
            if found.held() != self.supposed.bucket(bits, inventory.prefix) || found.buckets(bits).len() > 1 {
                return fault(format!("bucket {} of {bits} bits has other items in it", inventory.prefix));
            }
        }
        let all = self.supposed.buckets(16);
        let empty = (0..=u32::from(u16::MAX)).find(|prefix| !all.contains(prefix)).unwrap_or_default();
        let told = self.dialogue()?.inventory(16, &[empty]).await?;
        if Supposed::told(&told) == Supposed::default() { Ok(()) } else { fault(format!("bucket {empty} of 16 bits is not empty")) }
    }

    async fn agrees(&mut self) -> Found<()> {
        self.dialogue()?.aside.clear();
        self.say_checkpoint(self.supposed.held()).await?;
        // The answer to this comes after any to the checkpoint.
        self.compare().await?;
        if self.has_asked()? { fault("sync_request") } else { Ok(()) }
    }

    async fn disagrees(&mut self) -> Found<()> {
        let held = self.supposed.held();
        self.say_checkpoint(Held { count: held.count, digest: "0123456789abcdef".to_owned() }).await?;
        let request = |heard: &Heard| matches!(heard, Heard::SyncRequest(_)).then_some(());
        self.dialogue()?.wait("sync_request", request).await?;
        let (found, _) = self.dialogue()?.digests(0).await?;
        if found.get(&0) != Some(&held) {
            return fault("digests of another content");
        }
        self.agrees().await
    }

    async fn takes_snapshot(&mut self) -> Found<()> {
        let named: Vec<(Uuid, i64)> = self.supposed.0.iter().take(3).map(|(id, number)| (*id, *number)).collect();
        let new = self.new_puts(2);
        self.supposed.0.extend(new.iter().copied());
        let dialogue = self.dialogue()?;
        dialogue.deliver(&Parcel::puts(named.clone()).of_snapshot(true, false)).await?;
        dialogue.deliver(&Parcel::puts(new.clone()).of_snapshot(false, false)).await?;
        self.compare().await?;
        self.supposed = Supposed(named.into_iter().chain(new).collect());
        self.dialogue()?.deliver(&Parcel::default().of_snapshot(false, true)).await?;
        self.compare().await?;
        // And no snapshot goes on.
        self.takes().await
    }

    async fn snapshots_once(&mut self) -> Found<()> {
        let [first, second] = [self.new_puts(1), self.new_puts(1)];
        let begin = Parcel::puts(first.clone()).of_snapshot(true, false);
        let dialogue = self.dialogue()?;
        let batch_id = dialogue.deliver(&begin).await?;
        dialogue.deliver(&Parcel::puts(second.clone()).of_snapshot(false, false)).await?;
        dialogue.send_batch_as(batch_id, &begin).await?;
        dialogue.acknowledged(batch_id, &begin).await?;
        let end = Parcel::default().of_snapshot(false, true);
        let batch_id = dialogue.deliver(&end).await?;
        self.supposed = Supposed(first.into_iter().chain(second).collect());
        self.compare().await?;
        let puts = self.new_puts(1);
        self.put(puts).await?;
        let dialogue = self.dialogue()?;
        dialogue.send_batch_as(batch_id, &end).await?;
        dialogue.acknowledged(batch_id, &end).await?;
        self.compare().await
    }

    async fn comes_back(&mut self) -> Found<()> {
        let hello = self.send_away().await?;
        let epoch = self.epoch.clone();
        self.dialogue()?.welcome(&epoch, "delta").await?;
        check_hello(&epoch, &hello)?;
        let right = self.supposed.held();
        if hello.held != right {
            let Held { count, digest } = hello.held;
            return fault(format!("hello with count {count} and digest {digest}, not {} and {}", right.count, right.digest));
        }
        self.takes().await
    }

    async fn new_epoch(&mut self) -> Found<()> {
        self.send_away().await?;
        let epoch = Uuid::now_v7().to_string();
        self.epoch.clone_from(&epoch);
        self.number = 0;
        let kept = self.supposed.0.keys().next().copied().unwrap_or_else(Uuid::now_v7);
        let puts = vec![(kept, self.next_number()), self.new_puts(1)[0]];
        let dialogue = self.dialogue()?;
        dialogue.welcome(&epoch, "snapshot").await?;
        dialogue.deliver(&Parcel::puts(puts.clone()).of_snapshot(true, false)).await?;
        let served = dialogue.all().await?;
        if let Some(lost) = self.supposed.0.keys().find(|id| !served.0.contains_key(id)) {
            return fault(format!("{lost} is gone before the snapshot's end"));
        }
        self.supposed = Supposed(puts.into_iter().collect());
        self.dialogue()?.deliver(&Parcel::default().of_snapshot(false, true)).await?;
        self.compare().await?;
        let hello = self.send_away().await?;
        self.dialogue()?.welcome(&epoch, "delta").await?;
        check_hello(&epoch, &hello)?;
        self.compare().await
    }

    async fn interrupted(&mut self) -> Found<()> {
        let old = self.epoch.clone();
        self.send_away().await?;
        self.epoch = Uuid::now_v7().to_string();
        self.number = 0;
        let epoch = self.epoch.clone();
        let cut_off = Parcel::puts(self.new_puts(2)).of_snapshot(true, false);
        let dialogue = self.dialogue()?;
        dialogue.welcome(&epoch, "snapshot").await?;
        dialogue.deliver(&cut_off).await?;
        let hello = self.send_away().await?;
        let puts = self.new_puts(1);
        self.supposed = Supposed(puts.iter().copied().collect());
        let dialogue = self.dialogue()?;
        dialogue.welcome(&epoch, "snapshot").await?;
        dialogue.deliver(&Parcel::puts(puts).of_snapshot(true, true)).await?;
        check_hello(&old, &hello)?;
        self.compare().await
    }

    async fn stays_away(&mut self) -> Found<()> {
        self.dialogue()?.close(1008, "superseded").await;
        self.dialogue = None;
        if self.connect(GONE).await.is_ok() { fault(format!("it came back within {GONE:?}")) } else { Ok(()) }
    }
}

/// Whether the edge says that it has its content of this epoch.
fn check_hello(epoch: &str, hello: &Hello) -> Found<()> {
    if hello.epoch.as_deref() == Some(epoch) {
        return Ok(());
    }
    fault(format!("hello with epoch {}, where it is {epoch}", hello.epoch.as_deref().unwrap_or("null")))
}
