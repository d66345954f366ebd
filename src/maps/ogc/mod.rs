//! OGC API – Features 1.0, Part 1 (OGC 17-069r4), at `/ogc`: what is public, for QGIS, GDAL and whoever speaks the standard,
//! and as pages for people.
//!
//! A collection is described once (`collection`, `collections`). Made of that description are its SQL (`reader`), what
//! its parameters mean (`query`), its routes and their part of OpenAPI (`routes`, `operations`), and its pages (`page`).
//! The standard wants OpenAPI 3.0, which `api` makes of the service's own document.

mod answer;
mod api;
mod collection;
mod collections;
mod extent;
mod feature;
mod metadata;
mod operations;
mod page;
mod query;
mod reader;
mod routes;

use axum::Router;
use axum::extract::OriginalUri;
use axum::response::Redirect;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// Where it all is.
const ROOT: &str = "/ogc";

/// The routes of this feature, at the root.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    routes::routes()
}

/// The landing page is where a slash too many leads.
pub(crate) fn pages() -> Router {
    let to_landing_page = |OriginalUri(uri): OriginalUri| async move {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Redirect::permanent(&format!("{ROOT}{query}"))
    };
    Router::new().route("/ogc/", get(to_landing_page))
}
