//! What maps and GIS tools read.

mod ogc;

pub(crate) use ogc::{pages as ogc_pages, routes as ogc_routes};
