//! What a simulated edge does about content over its open socket: it applies, acknowledges, compares and answers,
//! and now and then loses something. The rules are in `content`.

use std::time::Duration;

use tokio::time::Instant;

use super::content::{Applied, Content};
use super::edge::{Edge, End, Socket};
use super::protocol::{Batch, Checkpoint, Mode, ToSupervisor};
use super::session::say;
use super::tally::Count;

/// A full disk is full this long: the supervisor has tried again twice by then.
const FULL: Duration = Duration::from_secs(2);
/// Share of the sessions at whose beginning the content is put aside, to go back to.
const COPIES: f64 = 0.5;

impl Edge {
    /// Takes a welcome to heart.
    pub(super) async fn begin_content(&mut self, epoch: &str, mode: Mode) {
        if self.random.chance(COPIES) {
            let copy = self.content().clone();
            self.old_copy = copy;
        }
        self.content().welcome(epoch, mode);
        self.write_down().await;
    }

    /// Applies a batch and says what came of it.
    pub(super) async fn apply(&mut self, socket: &mut Socket, batch: &Batch) -> Result<(), End> {
        let is_full = self.full_until.is_some_and(|until| until > Instant::now());
        let Applied { ack, put, removed, refused, ends_snapshot, .. } = {
            let mut content = self.content();
            for put in &batch.decorations {
                content.refuse(put.id, is_full.then(|| "the disk is full".to_owned()));
            }
            content.apply(batch)
        };
        // What is acknowledged is kept, whatever happens next.
        self.write_down().await;
        for (count, n) in [
            (Count::Batches, 1),
            (Count::Puts, put),
            (Count::Removals, removed),
            (Count::Refusals, refused),
            (Count::Snapshots, u64::from(ends_snapshot)),
        ] {
            self.world.tally.add(count, n);
        }
        say(socket, &ToSupervisor::SyncAck(&ack)).await
    }

    /// Compares a checkpoint, and asks for more when it differs.
    pub(super) async fn compare(&mut self, socket: &mut Socket, checkpoint: &Checkpoint) -> Result<(), End> {
        let differs = self.content().checkpoint(checkpoint);
        self.write_down().await;
        let Some(reason) = differs else {
            self.world.tally.add(Count::Checkpoints, 1);
            return Ok(());
        };
        self.world.tally.add(Count::SyncRequests, 1);
        say(socket, &ToSupervisor::SyncRequest { reason }).await
    }

    /// Answers a `digest_request`.
    pub(super) async fn tell_digests(&mut self, socket: &mut Socket, bits: u32) -> Result<(), End> {
        self.world.tally.add(Count::Comparisons, 1);
        let parts = self.content().digests(bits);
        for part in &parts {
            say(socket, &ToSupervisor::Digests(part)).await?;
        }
        Ok(())
    }

    /// Answers an `inventory_request`.
    pub(super) async fn tell_inventory(&mut self, socket: &mut Socket, bits: u32, prefixes: Vec<u32>) -> Result<(), End> {
        for prefix in prefixes {
            let inventory = self.content().inventory(bits, prefix);
            say(socket, &ToSupervisor::Inventory(&inventory)).await?;
        }
        Ok(())
    }

    /// Loses all that it holds.
    pub(super) async fn forget_content(&mut self) {
        self.world.tally.add(Count::Forgettings, 1);
        self.replace_content(Content::default()).await;
    }

    /// Goes back to what it held before.
    pub(super) async fn restore_content(&mut self) {
        self.world.tally.add(Count::Restorings, 1);
        self.replace_content(self.old_copy.clone()).await;
    }

    /// Has no room for content for a while.
    pub(super) fn fill_disk(&mut self) {
        self.world.tally.add(Count::FullDisks, 1);
        self.full_until = Some(Instant::now() + FULL);
    }

    async fn replace_content(&mut self, mut other: Content) {
        let changes: Vec<_> = other.dump().collect();
        if self.file.is_some() {
            other.keep_changes();
        }
        *self.content() = other;
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.rewrite(&changes).await {
            self.world.tally.unexpected("content of an edge cannot be kept".to_owned(), error);
        }
    }

    /// Writes down what changed.
    async fn write_down(&mut self) {
        let changes = self.content().take_changes();
        let Some(file) = self.file.as_mut().filter(|_| !changes.is_empty()) else { return };
        if let Err(error) = file.append(&changes).await {
            self.world.tally.unexpected("content of an edge cannot be kept".to_owned(), error);
        }
    }
}
