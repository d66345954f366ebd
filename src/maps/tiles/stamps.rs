//! When something changed where: numbers that rise, one for each layer and, of decorations, one for each tile of zooms
//! 0 to 8. What was read from the database after its tile's number was last raised is up to date; a number is taken
//! before the reading begins.
//!
//! Notices name the tile of zoom 8 that a change lies in. At zooms that show kept counts, tiles change once those were
//! folded, and every tile where the middle of a cell may have moved from or to; at larger zooms with the decoration
//! itself, and there the tiles within a tile of zoom 8 share its number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::address::{Place, TileId};
use super::layer::Layer;

/// The zoom of blocks, and the largest that shows kept counts.
const BLOCK_ZOOM: u8 = 8;
/// Widest cell of a cluster, in widths of a tile of its zoom at the equator.
const CELL_IN_TILES: f64 = 0.25;

/// The numbers.
pub(super) struct Stamps {
    begun: Instant,
    last: AtomicU64,
    layers: [AtomicU64; Layer::ALL.len()],
    /// When each layer last changed, in milliseconds since `begun`.
    changed_ms: [AtomicU64; Layer::ALL.len()],
    /// Tiles of zooms 0 to 8 that show kept counts, zoom by zoom and row by row.
    counted: Box<[AtomicU64]>,
    /// Tiles of larger zooms, by the tile of zoom 8 that they lie in.
    placed: Box<[AtomicU64]>,
}

/// Tiles before the first of a zoom.
fn tiles_before(zoom: u8) -> usize {
    ((1_usize << (2 * zoom)) - 1) / 3
}

fn zeros(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Stamps {
    /// Nothing has changed yet.
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            layers: [const { AtomicU64::new(0) }; Layer::ALL.len()],
            changed_ms: [const { AtomicU64::new(0) }; Layer::ALL.len()],
            counted: zeros(tiles_before(BLOCK_ZOOM + 1)),
            placed: zeros(1 << (2 * BLOCK_ZOOM)),
        }
    }

    /// The number of a tile: that of the newest change which may show in it.
    pub(super) fn of(&self, id: TileId) -> u64 {
        let layer = self.layers[id.layer as usize].load(Ordering::Acquire);
        if id.layer != Layer::Decorations {
            return layer;
        }
        let Place { z, x, y } = id.place;
        let (numbers, zoom) = if z <= BLOCK_ZOOM { (&self.counted[tiles_before(z)..], z) } else { (&self.placed[..], BLOCK_ZOOM) };
        let up = z - zoom;
        layer.max(numbers[at(zoom, x >> up, y >> up)].load(Ordering::Acquire))
    }

    /// A moment after the last change of a layer that was told of: whoever has everything until then has it.
    pub(super) fn changed_before(&self, layer: Layer) -> Instant {
        self.begun + Duration::from_millis(self.changed_ms[layer as usize].load(Ordering::Acquire) + 1)
    }

    /// Something changed somewhere in a layer.
    pub(super) fn raise(&self, layer: Layer) {
        let next = self.next(layer);
        self.layers[layer as usize].fetch_max(next, Ordering::AcqRel);
    }

    /// Decorations changed in a block.
    pub(super) fn placed(&self, block: u16) {
        let next = self.next(Layer::Decorations);
        raise_around(&self.placed, BLOCK_ZOOM, block, 1, next);
    }

    /// Counts of decorations in a block were folded.
    pub(super) fn counted(&self, block: u16) {
        let next = self.next(Layer::Decorations);
        let reach = reach_in_tiles(block);
        for zoom in 0..=BLOCK_ZOOM {
            raise_around(&self.counted[tiles_before(zoom)..], zoom, block, reach, next);
        }
    }

    fn next(&self, layer: Layer) -> u64 {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.changed_ms[layer as usize].fetch_max(elapsed_ms, Ordering::AcqRel);
        self.last.fetch_add(1, Ordering::AcqRel) + 1
    }
}

fn at(zoom: u8, x: u32, y: u32) -> usize {
    ((y << zoom) + x) as usize
}

/// Column and row of a block.
fn place_of(block: u16) -> (u32, u32) {
    (u32::from(block & 0xff), u32::from(block >> 8))
}

/// How many tiles away the middle of a cell may be that has something in a block: the map stretches towards the poles.
fn reach_in_tiles(block: u16) -> u32 {
    let (_, row) = place_of(block);
    // The edge that is nearer to the pole, in turns of the map.
    let from_equator = f64::from((row + 1).abs_diff(128).max(row.abs_diff(128))) / 256.0;
    // The map's scale: 1 / cos(latitude).
    let stretch = (from_equator * std::f64::consts::TAU).cosh();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 3")]
    let reach = (CELL_IN_TILES * stretch).ceil() as u32;
    reach.max(1)
}

/// Raises the numbers of a zoom's tiles around a block, whose rows are `numbers`. West of the first column is the last.
fn raise_around(numbers: &[AtomicU64], zoom: u8, block: u16, reach: u32, to: u64) {
    let (x, y) = place_of(block);
    let (size, down) = (1_u32 << zoom, BLOCK_ZOOM - zoom);
    // Beyond the map's edge a cell may have any longitude.
    let is_whole_row = y == 0 || y == (1 << BLOCK_ZOOM) - 1 || 2 * reach + 1 >= size;
    let (x, y) = (x >> down, y >> down);
    let (first, columns) = if is_whole_row { (0, size) } else { (x + size - reach, 2 * reach + 1) };
    for row in y.saturating_sub(reach)..=(y + reach).min(size - 1) {
        for column in first..first + columns {
            numbers[at(zoom, column % size, row)].fetch_max(to, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(layer: Layer, z: u8, x: u32, y: u32) -> TileId {
        TileId { layer, place: Place { z, x, y }, at_s: None }
    }

    fn decorations(z: u8, x: u32, y: u32) -> TileId {
        tile(Layer::Decorations, z, x, y)
    }

    fn block(x: u16, y: u16) -> u16 {
        y * 256 + x
    }

    #[test]
    fn a_change_raises_the_tiles_around_it_and_no_others() {
        let stamps = Stamps::new();
        stamps.placed(block(134, 89));
        let raised = [(134, 89), (133, 88), (135, 90)].map(|(x, y)| stamps.of(decorations(8 + 5, x * 32 + 7, y * 32 + 31)));
        assert!(raised.iter().all(|number| *number > 0), "{raised:?}");
        for (x, y) in [(132, 89), (136, 89), (134, 87), (134, 91)] {
            assert_eq!(stamps.of(decorations(13, x * 32 + 16, y * 32 + 16)), 0, "{x} {y}");
        }
        assert_eq!(stamps.of(decorations(8, 134, 89)), 0, "kept counts are as they were");
        assert_eq!(stamps.of(tile(Layer::Edges, 13, 134 * 32, 89 * 32)), 0);
        stamps.counted(block(134, 89));
        for zoom in 0..=8 {
            assert!(stamps.of(decorations(zoom, 134 >> (8 - zoom), 89 >> (8 - zoom))) > raised[0], "{zoom}");
        }
        assert_eq!(stamps.of(decorations(8, 130, 89)), 0);
        assert_eq!(stamps.of(decorations(5, 3, 3)), 0);
    }

    #[test]
    fn a_change_at_the_antimeridian_raises_both_ends_of_the_map() {
        let stamps = Stamps::new();
        stamps.placed(block(255, 128));
        assert!(stamps.of(decorations(9, 0, 256)) > 0);
        stamps.counted(block(0, 128));
        assert!(stamps.of(decorations(8, 255, 128)) > 0);
        assert!(stamps.of(decorations(4, 15, 8)) > 0);
    }

    #[test]
    fn towards_the_poles_it_reaches_farther_and_at_them_all_around() {
        let row_of = |lat_deg: f64| {
            let y = (1.0 - lat_deg.to_radians().tan().asinh() / std::f64::consts::PI) * 128.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
            let row = y as u16;
            row
        };
        for (lat_deg, reach) in [(0.0, 1), (-60.0, 1), (70.0, 1), (79.0, 2), (-83.0, 3), (85.0, 3)] {
            assert_eq!(reach_in_tiles(block(7, row_of(lat_deg))), reach, "{lat_deg}");
        }
        let stamps = Stamps::new();
        stamps.placed(block(3, 255));
        stamps.counted(block(3, 255));
        assert!(stamps.of(decorations(12, 2000, 4095)) > 0);
        assert!(stamps.of(decorations(8, 140, 254)) > 0);
        assert_eq!(stamps.of(decorations(8, 140, 100)), 0);
    }

    #[test]
    fn a_layer_is_raised_as_a_whole() {
        let stamps = Stamps::new();
        stamps.raise(Layer::Regions);
        assert!(stamps.of(tile(Layer::Regions, 22, 5, 9)) > 0);
        assert_eq!(stamps.of(tile(Layer::DeviceDensity, 0, 0, 0)), 0);
        stamps.raise(Layer::Decorations);
        assert!(stamps.of(decorations(0, 0, 0)) > 0 && stamps.of(decorations(22, 0, 0)) > 0);
    }
}
