//! The router of the whole service, and the layers around every route. Outermost first: request id and
//! problem documents, panics, security headers and https, CORS, the size of the head, time, compression; and
//! around each route of the API: load, access.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tower::util::option_layer;
use tower_http::compression::{CompressionLayer, CompressionLevel};
use utoipa_axum::router::OpenApiRouter;

use super::access::{self, AccessTable};
use super::around::{Around, AroundLayer, Inner, Inside};
use super::place::{Place, Shed, Standing};
use super::{ApiError, context, docs, health, security};
use crate::state::AppState;

/// Largest target and largest header section of a request.
const MAX_HEAD_PART_BYTES: usize = 16 * 1024;
/// Imports are streamed, take as long as they take, and watch over idleness themselves.
const IMPORT_PATH: &str = "/api/v1/decorations/import";
/// Time for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// All routes of the service with all their layers.
pub fn router(state: AppState) -> Router {
    let (api, openapi) = api_routes().split_for_parts();
    let table = Arc::new(AccessTable::of(&openapi));
    let api = api
        .with_state(state.clone())
        // Only the routes inside know which of them matched.
        .route_layer(AroundLayer(AroundApi { state: state.clone(), table }));
    let pages = docs::routes(openapi)
        .merge(crate::hub::pages())
        .merge(crate::maps::pages())
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .route_layer(middleware::from_fn_with_state(state.clone(), access::throttle_pages));
    let dashboard = crate::dashboard::routes().route_layer(middleware::from_fn_with_state(state.clone(), access::throttle_map_files));
    // Sockets look after themselves: who may open one is looked at there, because a browser cannot send a header.
    let sockets = crate::hub::routes().with_state(state.clone());
    let cors = option_layer(security::cors(&state.http.allowed_origins));
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    pages
        .merge(dashboard)
        .merge(sockets)
        .route_layer(AroundLayer(AroundPages))
        .merge(api)
        // Outermost first; one layer to the router.
        .layer((AroundLayer(AroundAll { state }), cors, AroundLayer(WithinLimits), compression))
}

/// Outermost: see the head of this file.
#[derive(Clone)]
struct AroundAll {
    state: AppState,
}

impl Around for AroundAll {
    fn answer<S: Inner>(self, request: Request, inside: Inside<S>) -> impl Future<Output = Response> + Send {
        let leaving = self.state.lifecycle.clone();
        let answering = context::around(request, |request| {
            context::catch_panic(security::around(self.state, request, |request| inside.answer(request)))
        });
        async move {
            let mut response = answering.await;
            // The next request over this connection would come too late.
            if leaving.is_leaving() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// Size of the head, and time.
#[derive(Clone)]
struct WithinLimits;

impl Around for WithinLimits {
    fn answer<S: Inner>(self, request: Request, inside: Inside<S>) -> impl Future<Output = Response> + Send {
        limit_head(request, |request| limit_time(request, |request| inside.answer(request)))
    }
}

/// Around each route of the API: load, access.
#[derive(Clone)]
struct AroundApi {
    state: AppState,
    table: Arc<AccessTable>,
}

impl Around for AroundApi {
    fn answer<S: Inner>(self, request: Request, inside: Inside<S>) -> impl Future<Output = Response> + Send {
        let Self { state, table } = self;
        context::note_route(request, move |request| {
            shed(state.clone(), request, move |request| access::around(state, table, request, |request| inside.answer(request)))
        })
    }
}

/// Around what is not in the document.
#[derive(Clone)]
struct AroundPages;

impl Around for AroundPages {
    fn answer<S: Inner>(self, request: Request, inside: Inside<S>) -> impl Future<Output = Response> + Send {
        context::note_route(request, |request| inside.answer(request))
    }
}

/// The documented routes: what OpenAPI publishes is read off these.
pub(super) fn api_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(docs::about())
        .merge(health::routes())
        .merge(crate::accounts::root_routes())
        .merge(crate::maps::routes())
        .nest(
            "/api/v1",
            crate::decorations::routes()
                .merge(crate::regions::routes())
                .merge(crate::edges::routes())
                .merge(crate::devices::routes())
                .merge(crate::sync::routes())
                .merge(crate::metrics::routes())
                .merge(crate::accounts::routes())
                .merge(crate::audit::routes())
                .merge(crate::telemetry::routes()),
        )
}

/// 414 and 431: before anything is looked up.
async fn limit_head<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > MAX_HEAD_PART_BYTES {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    let header_bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > MAX_HEAD_PART_BYTES {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    next(request).await
}

/// 503 when a request takes too long: our slow database, mostly. A slow body has been answered 408 before.
async fn limit_time<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    if request.uri().path() == IMPORT_PATH {
        return next(request).await;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ApiError::unavailable("timeout", "the request took longer than 10 s").into_response(),
    }
}

/// 503 when more requests are under way than could be answered in time: better than a queue that makes all of them
/// late. Health stays outside.
async fn shed<F: Future<Output = Response>>(state: AppState, mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
    if request.uri().path().starts_with("/health/") {
        return next(request).await;
    }
    let standing = request.extensions().get::<Standing>().cloned();
    match Place::take(&state.places, standing).await {
        Ok(place) => {
            request.extensions_mut().insert(place.clone());
            let response = next(request).await;
            place.give_up();
            response
        }
        Err(error) => (Extension(Shed), error).into_response(),
    }
}
