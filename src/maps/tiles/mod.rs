//! Vector tiles. What is drawn in one is an SQL function (`sql/functions/*_tile.sql`); here tiles are named
//! (`address`, `layer`), asked for (`routes`, `tile_json`), and kept in memory until something in them changes (`kept`,
//! `stamps`).

mod address;
mod kept;
mod layer;
mod routes;
mod stamps;
mod store;
mod tile_json;

pub(crate) use kept::Tiles;
pub(crate) use routes::routes;

use crate::db::Notice;
use crate::state::AppState;
use layer::Layer;

/// Takes note of what happened on some instance: tiles that show it are asked for anew.
pub(crate) fn heed(state: &AppState, notice: Notice) {
    let stamps = &state.tiles.stamps;
    match notice {
        Notice::Placed(Some(block)) => stamps.placed(block),
        Notice::Counted(Some(block)) => stamps.counted(block),
        Notice::Placed(None) | Notice::Counted(None) => stamps.raise(Layer::Decorations),
        Notice::Edge(_) => {
            stamps.raise(Layer::Edges);
            stamps.raise(Layer::Coverage);
        }
        Notice::Regions => stamps.raise(Layer::Regions),
        Notice::Density => stamps.raise(Layer::DeviceDensity),
        Notice::Missed => Layer::ALL.into_iter().for_each(|layer| stamps.raise(layer)),
        Notice::Session(_)
        | Notice::User(_)
        | Notice::Decoration(_)
        | Notice::Devices
        | Notice::Sync(_)
        | Notice::Wrote(_)
        | Notice::LogLevel => {}
    }
}
