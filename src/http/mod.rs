//! HTTP itself: accepting connections, the order of layers around every request, reading what comes in and
//! answering errors. What a route does is in its feature's folder.

mod accept;
mod api_error;
mod context;
mod cursor;
mod docs;
mod format;
mod health;
mod layers;
mod query;

pub use accept::{ConnectionLimits, serve};
pub use api_error::{ApiError, Problem};
pub use cursor::{Cursor, CursorKey};
pub use docs::{OPENAPI_PATH, openapi};
pub use layers::router;

pub(crate) use api_error::{NotFound, ReadFailures};
pub(crate) use format::{FeatureCollection, Format, Page, Placed, answer, geo_json, json};
pub(crate) use query::{FromQuery, Nothing, QueryReader, StrictQuery};
