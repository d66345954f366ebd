//! HTTP itself: accepting connections, the order of layers around every request, reading what comes in and
//! answering errors. What a route does is in its feature's folder.

mod accept;
mod access;
mod api_error;
mod around;
mod body;
mod client;
mod conditional;
mod context;
mod cursor;
mod docs;
mod door;
mod format;
mod health;
mod html;
mod idempotency;
mod layers;
mod origin;
mod path;
mod place;
mod query;
mod security;
mod throttle;
mod tls;

pub use accept::{ConnectionLimits, Entrance, serve};
pub use api_error::{ApiError, Problem};
pub use cursor::{Cursor, CursorKey};
pub use docs::{OPENAPI_PATH, openapi};
pub use layers::router;
pub use throttle::{RateLimits, Throttle};
pub use tls::{Tls, TlsError};

pub(crate) use access::{Admin, AdminOrEdge, Caller, ClientAddress, ClientConnection, forbidden, identify, identify_edge, network_bucket};
pub(crate) use api_error::{AccessFailures, BodyFailures, NotFound, ReadFailures, TooMany};
pub(crate) use body::{JsonBody, is_encoded, media_type};
pub(crate) use conditional::{IfMatch, IfNoneMatch, Tags, etag, precondition_required, version_mismatch};
pub(crate) use cursor::{CursorParam, TimePosition};
pub(crate) use format::{FeatureCollection, Format, Page, Placed, answer, best_liked, geo_json, json};
pub(crate) use html::escaped;
pub(crate) use idempotency::{Claim, IdempotencyKey, claim, keep, key_reused};
pub(crate) use origin::Origin;
pub(crate) use path::{PathId, PathText};
pub(crate) use place::Places;
pub(crate) use query::{FromQuery, Nothing, QueryReader, StrictQuery};
pub(crate) use security::{bearer, is_own_origin};
pub(crate) use throttle::{CLASSES, network_of};
