//! The messages that are about content: contract §8, from `sync_decorations` to `inventory`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Held;
use crate::decorations::Decoration;
use crate::sync::MAX_BITS;

/// Most results of one `sync_ack`.
const MAX_RESULTS: usize = 1_000;
/// Most buckets of one `digests`.
const MAX_BUCKETS: usize = 400;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct SyncAck {
    /// The batch.
    #[schema(minimum = 0, example = 1)]
    pub(crate) batch_id: u64,
    /// One for each of its entries, removals included, in any order.
    #[schema(max_items = 1000)]
    pub(crate) results: Vec<SyncResult>,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct SyncResult {
    /// The decoration.
    pub(crate) id: Uuid,
    /// Number of the entry.
    #[schema(minimum = 0, example = 4711)]
    pub(crate) sync_version: i64,
    /// Whether the edge has it now; also true of an entry that it had already, or had a newer one of.
    pub(crate) ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "asset is not reachable")]
    pub(crate) error: Option<String>,
}

/// Content is wanted anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct SyncRequest {
    /// Why. `checkpoint_differs` has digests compared, and only what differs is sent again; anything else has everything
    /// sent, as a snapshot.
    #[schema(min_length = 1, max_length = 255, example = "checkpoint_differs")]
    pub(crate) reason: String,
}

/// Some of the buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Digests {
    /// As asked.
    #[schema(minimum = 0, maximum = 16, example = 2)]
    pub(crate) bits: u8,
    /// Buckets that are not empty.
    #[schema(max_items = 400)]
    pub(crate) buckets: Vec<Bucket>,
    /// Whether these are the last ones.
    pub(crate) last: bool,
}

/// What is held of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Bucket {
    /// The first `bits` bits of SHA-256(id) of all that is in it.
    #[schema(minimum = 0, maximum = 65535, example = 3)]
    pub(crate) prefix: u32,
    /// How many, and their digest.
    #[serde(flatten)]
    pub(crate) held: Held,
}

/// All that is held of one bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Inventory {
    /// As asked.
    #[schema(minimum = 0, maximum = 16, example = 2)]
    pub(crate) bits: u8,
    /// The bucket.
    #[schema(minimum = 0, maximum = 65535, example = 3)]
    pub(crate) prefix: u32,
    /// What is held.
    pub(crate) items: Vec<Numbered>,
}

/// A decoration by its number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object")]
pub(crate) struct Numbered {
    /// The decoration.
    pub(crate) id: Uuid,
    /// Its number: rises with every change of what the edge is to hold of it.
    #[schema(minimum = 0, example = 4711)]
    pub(crate) sync_version: i64,
}

/// A batch of content. An entry is applied when its number is higher than the last one seen for that id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SyncDecorations {
    /// Rises within the session; one that was seen before is acknowledged again, and nothing else.
    #[schema(example = 1)]
    pub(crate) batch_id: u64,
    /// The highest `sync_version` in it; 0 when it is empty.
    #[schema(example = 4711)]
    pub(crate) version: i64,
    /// What the edge is to hold. With `removed` at most 200.
    #[schema(max_items = 200)]
    pub(crate) decorations: Vec<NumberedDecoration>,
    /// What the edge is not to hold any more.
    #[schema(max_items = 200)]
    pub(crate) removed: Vec<Numbered>,
    /// Which part of a snapshot it is; null: of none.
    #[schema(required)]
    pub(crate) snapshot: Option<SnapshotPart>,
}

/// A decoration with its number.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct NumberedDecoration {
    /// Rises with every change of what the edge is to hold of it.
    #[schema(example = 4711)]
    pub(crate) sync_version: i64,
    /// The decoration.
    #[serde(flatten)]
    pub(crate) decoration: Decoration,
}

/// A part of a snapshot. After the last one the edge drops all that was not named since the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SnapshotPart {
    /// Whether it begins here.
    pub(crate) first: bool,
    /// Whether it ends here.
    pub(crate) last: bool,
}

/// What the edge holds by our books.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Checkpoint {
    /// The highest `sync_version` that it acknowledged over this socket, or held when that was opened.
    #[schema(example = 4711)]
    pub(crate) version: i64,
    /// How many, and their digest.
    #[serde(flatten)]
    pub(crate) held: Held,
}

/// Digests are to be compared.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DigestRequest {
    /// How many bits make a bucket; 0: all is in one.
    #[schema(minimum = 0, maximum = 16, example = 2)]
    pub(crate) bits: u8,
}

/// Buckets are to be listed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct InventoryRequest {
    /// How many bits make a bucket.
    #[schema(minimum = 0, maximum = 16, example = 2)]
    pub(crate) bits: u8,
    /// The buckets.
    #[schema(max_items = 16)]
    pub(crate) prefixes: Vec<u32>,
}

impl SyncAck {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.results.len() > MAX_RESULTS {
            return Err(format!("results has more than {MAX_RESULTS} items"));
        }
        let mut numbers = self.results.iter().map(|result| result.sync_version);
        numbers.try_for_each(check_number)
    }
}

impl Digests {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.buckets.len() > MAX_BUCKETS {
            return Err(format!("buckets has more than {MAX_BUCKETS} items"));
        }
        check_bucket(self.bits, 0)?;
        self.buckets.iter().try_for_each(|bucket| {
            check_bucket(self.bits, bucket.prefix)?;
            bucket.held.digest("digest").map(|_| ())
        })
    }
}

impl Inventory {
    pub(super) fn check(&self) -> Result<(), String> {
        check_bucket(self.bits, self.prefix)?;
        self.items.iter().try_for_each(|item| check_number(item.sync_version))
    }
}

/// Numbers that every JSON reader keeps exactly.
fn check_number(number: i64) -> Result<(), String> {
    if (0..1 << 53).contains(&number) { Ok(()) } else { Err("sync_version is outside 0 to 2^53".to_owned()) }
}

fn check_bucket(bits: u8, prefix: u32) -> Result<(), String> {
    if bits <= MAX_BITS && prefix >> MAX_BITS == 0 { Ok(()) } else { Err(format!("there is no bucket {prefix} of {bits} bits")) }
}
