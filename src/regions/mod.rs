//! Regions: countries, their divisions, and areas that admins drew.

mod routes;
mod store;

pub use store::{Kind, NewRegion, put_all};
pub(crate) use store::{Meaning, resolve};

pub(crate) use routes::routes;
