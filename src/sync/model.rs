//! What admins see of the synchronisation.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Digest;

/// How far an edge server is with a decoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub(super) enum SyncStatus {
    /// Never delivered.
    Pending,
    /// Acknowledged.
    Synced,
    /// Refused too often, and set aside.
    Failed,
    /// An older state is held.
    Outdated,
}

impl SyncStatus {
    /// The words, for messages.
    pub(super) const WORDS: &str = "pending, synced, failed, outdated";

    /// The word on the wire and in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Synced => "synced",
            Self::Failed => "failed",
            Self::Outdated => "outdated",
        }
    }

    /// The status of a word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Synced, Self::Failed, Self::Outdated].into_iter().find(|status| status.as_str() == word)
    }
}

/// What an edge server is to do with a decoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub(super) enum Wanted {
    /// Hold it.
    Put,
    /// Hold it no longer.
    Remove,
}

/// What is sent anew.
#[derive(Serialize, ToSchema)]
pub(super) struct Resend {
    /// Edge servers that get all of their content anew.
    #[schema(minimum = 0, example = 1)]
    pub(super) edge_servers: i64,
    /// Decorations that they are sent, each counted for every edge server that is to hold it.
    #[schema(minimum = 0, example = 4_985)]
    pub(super) decorations: i64,
    /// True: there are so many that `decorations` is the planner's estimate.
    pub(super) is_estimate: bool,
}

/// What is pushed.
#[derive(Serialize, ToSchema)]
pub(super) struct Triggered {
    /// Decorations that are due at the edge server now, removals included.
    #[schema(minimum = 0, example = 15)]
    pub(super) pending: i64,
}

/// Decorations of an edge server by how far they are; one that is to be removed counts until that is acknowledged.
#[derive(Serialize, ToSchema)]
#[schema(as = EdgePairCounts)]
pub(super) struct PairCounts {
    /// Never delivered.
    pub(super) pending: i64,
    /// Acknowledged.
    pub(super) synced: i64,
    /// Refused too often.
    pub(super) failed: i64,
    /// An older state is held.
    pub(super) outdated: i64,
}

/// A set of decorations with their numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct ContentSum {
    /// How many there are.
    #[schema(example = 2)]
    pub(super) count: i64,
    /// XOR, over the set, of the first 8 bytes of SHA-256(id's 16 bytes ‖ number as 8 bytes big-endian), as 16
    /// hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{16}$", example = "fd0c8a4e9a3bf904")]
    digest: String,
}

impl ContentSum {
    pub(super) fn of(count: i64, digest: Digest) -> Self {
        Self { count, digest: digest.to_string() }
    }
}

/// How far an edge server is with a decoration, and why no further.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncItem {
    /// The decoration.
    pub(super) decoration_id: Uuid,
    /// What the edge server is to do with it.
    pub(super) wanted: Wanted,
    /// How far that is.
    pub(super) sync_status: SyncStatus,
    /// Number of the state that is wanted.
    pub(super) sync_version: i64,
    /// Number of the state that the edge server holds by its acknowledgements; null when it holds none.
    #[schema(required)]
    pub(super) synced_version: Option<i64>,
    /// How often it refused the wanted state.
    pub(super) attempts: i32,
    /// Not before this time is it sent again; null: as soon as can be.
    #[schema(required)]
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    /// Its last acknowledgement.
    #[schema(required)]
    pub(super) last_sync_at: Option<DateTime<Utc>>,
    /// What it said when it refused.
    #[schema(required)]
    pub(super) error_message: Option<String>,
}

/// How far an edge server is.
#[derive(Serialize, ToSchema)]
pub(super) struct EdgeSync {
    /// The edge server.
    pub(super) edge_server_id: Uuid,
    /// Its decorations by how far they are.
    pub(super) counts: PairCounts,
    /// What it holds by its acknowledgements.
    pub(super) held: ContentSum,
    /// What it should hold. The same as `held` when nothing is missing.
    pub(super) wanted: ContentSum,
    /// Last acknowledgement of what it holds.
    #[schema(required)]
    pub(super) last_sync_at: Option<DateTime<Utc>>,
    /// True: it is being sent all of its content anew, and some of that has not got its new number yet.
    pub(super) resending: bool,
    /// Its decorations, in the order of their ids.
    pub(super) items: Vec<SyncItem>,
    /// What `cursor` is for the next page; null on the last one.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}
