//! Import and export over HTTP: streams, so that neither side holds more than some thousand rows.

use std::io::BufReader;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio_io_timeout::TimeoutReader;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::Actor;
use crate::decorations::export::{self, ExportError};
use crate::decorations::import::{self, Format, ImportError, Options, Report};
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, FromQuery, QueryReader, ReadFailures, StrictQuery, is_encoded, media_type,
};
use crate::state::AppState;

/// Time without a byte after which an import is taken for broken off.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of the network at once.
const BUFFER_BYTES: usize = 256 * 1024;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import)).routes(routes!(export))
}

const ND_JSON: &str = "application/x-ndjson";
const GEO_JSON: &str = "application/geo+json";
const CSV: &str = "text/csv";

/// Extractor: the format of a body, by its `Content-Type`.
struct BodyFormat(Format);

impl<S: Sync> FromRequestParts<S> for BodyFormat {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        of_headers(&parts.headers).map(Self).ok_or_else(|| {
            let detail = format!("the body is to be {ND_JSON}, {GEO_JSON} or {CSV}, without a Content-Encoding");
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
        })
    }
}

fn of_headers(headers: &HeaderMap) -> Option<Format> {
    if is_encoded(headers) {
        return None;
    }
    match media_type(headers)?.as_str() {
        ND_JSON | "application/ndjson" | "application/jsonl" => Some(Format::NdJson),
        GEO_JSON | "application/json" => Some(Format::GeoJson),
        CSV => Some(Format::Csv),
        _ => None,
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ImportParams {
    /// True: check and compare everything, change nothing.
    #[param(default = false)]
    dry_run: Option<bool>,
}

struct Wishes {
    dry_run: bool,
}

impl FromQuery for Wishes {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        Some(Self { dry_run: reader.optional_boolean("dry_run").ok()?.unwrap_or(false) })
    }
}

/// Import decorations
///
/// NDJSON, a GeoJSON `FeatureCollection` of points, or CSV with a header; columns have the names of the JSON fields.
/// A row matches by `id`, else by `external_id`, else it is new; the same content is `unchanged` and raises no
/// version. One that matches a deleted decoration brings it back. Committed every 1,000 rows; a bad row is left out
/// and named, the rest goes on. There is no total limit; 30 s without a byte end it, and what was committed until
/// then stays. When the database fails in the middle, the problem's member `report` says what was done. Two imports
/// run at once; a third is told to come back.
#[utoipa::path(post, path = "/decorations/import", operation_id = "import_decorations", tag = "decorations", security(("bearer" = ["admin"])), params(ImportParams),
    request_body(description = "The rows.", content((Value = "application/x-ndjson"), (Value = "application/geo+json"), (Value = "text/csv"))),
    responses(
        (status = 200, description = "What was done, and every row that was left out.", body = Report),
        AccessFailures, ReadFailures, BodyFailures,
    )
)]
async fn import(
    State(state): State<AppState>,
    Admin(caller): Admin,
    BodyFormat(format): BodyFormat,
    StrictQuery(Wishes { dry_run }): StrictQuery<Wishes>,
    body: Body,
) -> Result<Json<Report>, ApiError> {
    let options = Options { cdn_base_url: state.content.cdn_base_url.clone(), dry_run, actor: Some(Actor::from(&caller)) };
    let mut timed = TimeoutReader::new(StreamReader::new(until_stopped(body, state.lifecycle.stopping())));
    timed.set_timeout(Some(IDLE_TIMEOUT));
    let input = BufReader::with_capacity(BUFFER_BYTES, SyncIoBridge::new(Box::pin(timed)));
    let work = state.clone();
    let imported = state.finish(async move {
        let Ok(_place) = work.imports.try_acquire() else {
            return Err(ApiError::unavailable("imports_busy", "other imports are under way; try again when they are done"));
        };
        import::import(work.db.write(), input, format, options, |_| ()).await.map_err(ApiError::from)
    });
    imported.await.map(Json)
}

/// A body's bytes; when the service is to stop they break off, so that the sender gets the report of what was done.
fn until_stopped(body: Body, stopping: CancellationToken) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let stopped = stopping.clone();
    let last_word =
        async move { if stopped.is_cancelled() { Err(std::io::Error::other("the service is stopping")) } else { Ok(Bytes::new()) } };
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    bytes.take_until(stopping.cancelled_owned()).chain(stream::once(last_word))
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Database { source, so_far } => {
                Self::from(source).with("report", serde_json::to_value(*so_far).unwrap_or_default())
            }
            ImportError::Reader => {
                tracing::error!("the reading thread of an import panicked");
                Self::internal()
            }
        }
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ExportParams {
    /// How the rows are written; `ndjson` unless said otherwise.
    #[param(inline)]
    format: Option<ExportFormat>,
}

/// The words of `format`.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "documents a parameter")]
enum ExportFormat {
    NdJson,
    GeoJson,
    Csv,
}

impl FromQuery for Format {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        Some(reader.optional_word("format", Self::WORDS, Self::from_word).ok()?.unwrap_or(Self::NdJson))
    }
}

/// Export decorations
///
/// All that are not deleted, by id, streamed. Importing the answer into an empty system gives the same decorations.
#[utoipa::path(get, path = "/decorations/export", operation_id = "export_decorations", tag = "decorations", security(("bearer" = ["admin"])), params(ExportParams), responses(
    (status = 200, description = "The rows.", content((String = "application/x-ndjson"), (Object = "application/geo+json"), (String = "text/csv"))),
    AccessFailures, ReadFailures,
))]
async fn export(State(state): State<AppState>, _admin: Admin, StrictQuery(format): StrictQuery<Format>) -> Result<Response, ApiError> {
    let mut pieces = Box::pin(export::export(state.db.write().clone(), format));
    // The first piece before the answer: a database that is away is a 503 and not a broken stream.
    let first = pieces.try_next().await.map_err(|error| match error {
        ExportError::Database(error) => ApiError::from(error),
        ExportError::Row(error) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "an export broke off");
            ApiError::internal()
        }
    })?;
    let (kind, name) = match format {
        Format::NdJson => (ND_JSON, "decorations.ndjson"),
        Format::GeoJson => (GEO_JSON, "decorations.geojson"),
        Format::Csv => ("text/csv; charset=utf-8", "decorations.csv"),
    };
    let rest = pieces.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "an export broke off"));
    let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rest));
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}
