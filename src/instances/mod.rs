//! The instances of the service that run on one database: each keeps a row in `ar.instances` by a lease on the
//! database's clock, and takes it away when it stops. So operators see who serves, in which version, and are told
//! when one is gone without a word.
//!
//! Nothing hangs on this lease. An edge's socket has one of its own (`hub::session`), because it can end, or be taken
//! over, while its instance lives; and work that is done for all is begun by whoever comes first (`db::begin_round`).

mod keeping;
mod store;

use std::net::SocketAddr;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use keeping::keep;
pub(crate) use store::{all, lost};

/// This run of this process.
pub struct Instance {
    id: Uuid,
    host: String,
    address: OnceLock<SocketAddr>,
}

impl Instance {
    /// A new run.
    #[must_use]
    pub(crate) fn new() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().chars().take(255).collect();
        Self { id: Uuid::now_v7(), host, address: OnceLock::new() }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Says where it listens; the first time counts.
    pub fn listens_at(&self, address: SocketAddr) {
        self.address.get_or_init(|| address);
    }

    fn address(&self) -> String {
        self.address.get().map_or_else(String::new, SocketAddr::to_string)
    }
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It serves.
    Serving,
    /// It sends its sockets away and ends.
    Stopping,
    /// It was not heard of for longer than its lease, and did not say goodbye.
    Lost,
}

/// An instance, as all see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub(crate) struct InstanceFigures {
    /// A run of a process.
    pub(crate) id: Uuid,
    /// Name of its machine or container.
    #[schema(example = "supervisor-1")]
    pub(crate) host: String,
    /// Address and port that it listens on there.
    #[schema(example = "0.0.0.0:8080")]
    pub(crate) address: String,
    /// The program's version.
    #[schema(example = "0.1.0")]
    pub(crate) version: String,
    /// False: it was built for another state of the schema than the database has, as is so while instances are
    /// upgraded one after the other.
    pub(crate) fits_schema: bool,
    /// How it is.
    pub(crate) state: State,
    /// When it began to serve.
    pub(crate) started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub(crate) last_seen: DateTime<Utc>,
    /// Sockets of edge servers that it held then.
    pub(crate) edge_sockets: i32,
    /// Sockets of admins that it held then.
    pub(crate) admin_sockets: i32,
}
