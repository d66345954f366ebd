//! Tiles that were made already, in memory within a fixed size. One is served as long as nothing changed in it since
//! before it was read (`stamps`); besides, none lives longer than two minutes, should a notice be lost. Who asks for a
//! tile that is just being made waits for it: the database is asked once. A replica is asked only when it has the last
//! change that was told of.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::address::TileId;
use super::stamps::Stamps;
use super::store;
use crate::db::{Db, DbError};
use crate::keys;
use crate::telemetry::meters;

/// Bytes of all tiles in memory.
const CAPACITY_BYTES: u64 = 64 * 1024 * 1024;
/// What a tile takes besides its bytes.
const OVERHEAD_BYTES: u64 = 256;
/// Tiles expected: some 4 KiB each.
const EXPECTED: usize = 16 * 1024;
/// Parts with a lock of their own; a tile must fit into one.
const PARTS: usize = 8;
/// How long a tile is served without asking whether a notice was lost.
const MAX_AGE: Duration = Duration::from_mins(2);
/// Smaller ones are not worth the work.
const LEAST_COMPRESSED_BYTES: usize = 1024;

/// All tiles in memory, and what changed when.
pub(crate) struct Tiles {
    kept: Cache<TileId, Arc<Tile>, ByBytes>,
    pub(super) stamps: Stamps,
}

/// A tile as it is kept.
pub(super) struct Tile {
    /// Compressed, when that makes it smaller.
    body: Bytes,
    is_compressed: bool,
    tag: String,
    /// The number of its place before it was read.
    stamp: u64,
    /// When its reading began.
    begun: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<TileId, Arc<Tile>> for ByBytes {
    fn weight(&self, _: &TileId, tile: &Arc<Tile>) -> u64 {
        OVERHEAD_BYTES + tile.body.len() as u64
    }
}

impl Tiles {
    /// None yet.
    pub(crate) fn new() -> Self {
        let options = OptionsBuilder::new().shards(PARTS).estimated_items_capacity(EXPECTED).weight_capacity(CAPACITY_BYTES).build();
        let options = options.expect("both capacities are given");
        let kept = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { kept, stamps: Stamps::new() }
    }

    /// A tile, as it is now or was at some time since this was called.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn tile(&self, db: &Db, id: TileId) -> Result<Arc<Tile>, DbError> {
        let asked = self.stamps.of(id);
        loop {
            self.kept.remove_if(&id, |tile| !tile.is_good(asked));
            match self.kept.get_value_or_guard_async(&id).await {
                Ok(tile) if tile.is_good(asked) => {
                    meters().tiles.hit.increment(1);
                    return Ok(tile);
                }
                // Of a reading that had begun before we asked.
                Ok(_) => {}
                Err(place) => {
                    meters().tiles.miss.increment(1);
                    let (stamp, begun) = (self.stamps.of(id), Instant::now());
                    // Should it fail, or its client leave, the next who waits reads.
                    let bytes = store::read(db, id, self.stamps.changed_before(id.layer)).await?;
                    let tile = Arc::new(Tile::new(&bytes, stamp, begun));
                    // Refused when the tile was taken out meanwhile: then it is not kept.
                    drop(place.insert(Arc::clone(&tile)));
                    return Ok(tile);
                }
            }
        }
    }

    /// How many are in memory, and the bytes they take.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.kept.len(), usize::try_from(self.kept.weight()).unwrap_or(usize::MAX))
    }
}

impl Tile {
    fn new(bytes: &[u8], stamp: u64, begun: Instant) -> Self {
        let tag = URL_SAFE_NO_PAD.encode(&keys::sha256(bytes)[..18]);
        let compressed = compress(bytes).filter(|compressed| compressed.len() < bytes.len());
        let is_compressed = compressed.is_some();
        let body = compressed.map_or_else(|| Bytes::copy_from_slice(bytes), Bytes::from);
        Self { body, is_compressed, tag, stamp, begun }
    }

    /// Whether it was read after the change of that number, and not too long ago.
    fn is_good(&self, asked: u64) -> bool {
        self.stamp >= asked && self.begun.elapsed() < MAX_AGE
    }

    /// Whether it is kept in gzip.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// The bytes as they are kept.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The bytes for a client that takes them as they are.
    ///
    /// # Errors
    /// When what is kept is broken, which would be a bug.
    pub(super) fn plain(&self) -> std::io::Result<Bytes> {
        if !self.is_compressed {
            return Ok(self.body.clone());
        }
        let mut plain = Vec::with_capacity(4 * self.body.len());
        GzDecoder::new(self.body.as_ref()).read_to_end(&mut plain)?;
        Ok(plain.into())
    }

    /// A hash of the bytes.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }
}

/// The bytes in gzip; none when they are too few.
fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < LEAST_COMPRESSED_BYTES {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_comes_out_as_it_went_in() {
        for bytes in [vec![], vec![7; 100], vec![7; 5000], (0..2000_u32).flat_map(|n| keys::sha256(&n.to_be_bytes())).collect::<Vec<u8>>()]
        {
            let tile = Tile::new(&bytes, 0, Instant::now());
            assert_eq!(tile.plain().expect("unpacks"), bytes);
            assert!(tile.body().len() <= bytes.len());
            assert_eq!(tile.is_compressed(), bytes.len() == 5000);
        }
    }

    #[test]
    fn a_tile_is_good_until_something_changes_or_it_is_old() {
        let now = Instant::now();
        let tile = Tile::new(&[], 3, now);
        assert!(tile.is_good(3));
        assert!(!tile.is_good(4));
        if let Some(long_ago) = now.checked_sub(MAX_AGE) {
            assert!(!Tile::new(&[], 3, long_ago).is_good(3));
        }
    }
}
