//! What the tests stand on: a database server of their own, a clone of a migrated database for each test,
//! the service on a real port, and the true distances to compare with.

mod account;
mod answer;
mod cluster;
mod decoration;
mod earth;
mod fault_proxy;
mod holding;
mod place;
mod process;
mod promise;
mod random;
mod raw;
mod server;
mod service;
mod socket;
mod wait;
mod writer;

pub(crate) use account::{Account, PASSWORD};
pub(crate) use answer::Answer;
pub(crate) use cluster::{OwnCluster, TestDb, migrated_apart};
pub(crate) use decoration::DecorationBuilder;
pub(crate) use earth::{geodesic, position};
pub(crate) use fault_proxy::{Beyond, FaultProxy};
pub(crate) use holding::{Held, HoldingEdge, Talk, digest_of};
pub(crate) use place::{EdgeBuilder, RegionBuilder};
pub(crate) use process::{Process, with_clock};
pub(crate) use promise::Proof;
pub(crate) use random::{Random, query_count, rounds};
pub(crate) use raw::RawConnection;
pub(crate) use server::{Config, SECRET, TestServer, config_of};
pub(crate) use service::{Service, free_address, is_pinned, pin_database};
pub(crate) use socket::{RegisteredEdge, Socket, edge_body, health_update, hello};
pub(crate) use wait::eventually;
pub(crate) use writer::{Ledger, Scene, half_applied};
