//! What an edge server reported over time.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::history::MetricType;
use super::range::{Bucket, Range};
use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, FromQuery, NotFound, PathId, QueryReader, ReadFailures, StrictQuery};
use crate::state::AppState;

/// The time asked about when none is.
const DEFAULT_LENGTH: TimeDelta = TimeDelta::hours(1);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(edge_history))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct HistoryParams {
    /// Only this type; else all.
    #[param(schema_with = types_of_edges)]
    metric_type: Option<String>,
    /// Not before this time; an hour before `to` when left out.
    #[param(format = "date-time", example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Before this time; now when left out.
    #[param(format = "date-time", example = "2027-01-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Length of a bucket, 1 s to 1 day: a whole number with `s`, `m`, `h` or `d`. When left out, one that gives 120
    /// points at most.
    #[param(pattern = "^[0-9]+[smhd]$", example = "5m")]
    bucket: Option<String>,
}

fn types_of_edges() -> Object {
    let words = MetricType::OF_EDGES.map(MetricType::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

struct History {
    types: Vec<MetricType>,
    range: [Option<DateTime<Utc>>; 2],
    bucket_s: Option<i64>,
}

impl FromQuery for History {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let words = MetricType::OF_EDGES.map(MetricType::as_str).join(", ");
        let one = reader.optional_word("metric_type", &words, |word| MetricType::OF_EDGES.into_iter().find(|known| known.as_str() == word));
        let range = reader.time_range();
        let bucket_s = reader.optional_duration_s("bucket", 1, 86_400);
        let types = one.ok()?.map_or_else(|| MetricType::OF_EDGES.to_vec(), |one| vec![one]);
        Some(Self { types, range: range.ok()?, bucket_s: bucket_s.ok()? })
    }
}

/// What an edge reported over time.
#[derive(Serialize, ToSchema)]
struct EdgeHistory {
    /// The edge.
    edge_server_id: Uuid,
    /// Start of the time looked at.
    from: DateTime<Utc>,
    /// Its end, not included.
    to: DateTime<Utc>,
    /// Length of a bucket in seconds.
    bucket_seconds: i64,
    /// One for each type asked for, also when there is nothing in it.
    series: Vec<HistorySeries>,
}

/// The samples of one type.
#[derive(Serialize, ToSchema)]
struct HistorySeries {
    /// What was measured: `cpu` and `memory` in per cent, `connections`, `bandwidth` in Mbit/s, `clock_skew` in
    /// seconds, `sync_due` in decorations that wait for the edge, `sync_lag` in seconds.
    metric_type: MetricType,
    /// Buckets with samples, in their order.
    points: Vec<HistoryPoint>,
}

/// The samples of a bucket.
#[derive(Serialize, ToSchema)]
struct HistoryPoint {
    /// Start of the bucket, by the database's clock; that of the first may lie before `from`.
    at: DateTime<Utc>,
    /// Mean.
    avg: f64,
    /// Least.
    min: f64,
    /// Greatest.
    max: f64,
    /// Samples.
    count: i64,
}

/// What an edge reported over time
///
/// Samples of CPU, memory, connections, bandwidth and clock skew, as it reported them, and of what waited for it while it
/// was connected, in buckets that begin at whole multiples of their length since 1970. The history of a deleted edge stays readable until it is too old (`METRICS_RETENTION`).
#[utoipa::path(get, path = "/metrics/edge/{edge_id}", operation_id = "read_edge_history", tag = "metrics", security(("bearer" = ["admin"])),
    params(("edge_id" = Uuid, Path, description = "The edge.", example = "01890000-0000-7000-8000-000000000000"), HistoryParams),
    responses(
        (status = 200, description = "A series for each type. More than 2,000 points a series are refused (422 `too_many_points`).", body = EdgeHistory),
        AccessFailures, ReadFailures, NotFound,
    )
)]
async fn edge_history(
    State(state): State<AppState>,
    _admin: Admin,
    id: PathId,
    StrictQuery(query): StrictQuery<History>,
) -> Result<Json<EdgeHistory>, ApiError> {
    let failed = |error| DbError::new("reading an edge's history", error);
    let found = sqlx::query!(r#"SELECT now() AS "now!", EXISTS (SELECT FROM ar.edge_servers WHERE id = $1) AS "exists!""#, id.read());
    let found = found.fetch_one(state.db.write()).await.map_err(failed)?;
    let range = Range::of(query.range, found.now, DEFAULT_LENGTH)?;
    let bucket = Bucket::of(query.bucket_s, range)?;
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "unknown_edge_server", "no edge server has that id");
    let edge_server_id = id.read().filter(|_| found.exists).ok_or_else(unknown)?;
    let series = series(state.db.write(), edge_server_id, &query.types, range, bucket).await.map_err(failed)?;
    Ok(Json(EdgeHistory { edge_server_id, from: range.from, to: range.to, bucket_seconds: bucket.seconds, series }))
}

async fn series(
    executor: impl PgExecutor<'_>,
    edge_server_id: Uuid,
    types: &[MetricType],
    range: Range,
    bucket: Bucket,
) -> Result<Vec<HistorySeries>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT metric_type, date_bin($5, recorded_at, 'epoch') AS "at!", avg(metric_value) AS "avg!", min(metric_value) AS "min!",
               max(metric_value) AS "max!", count(*) AS "count!"
           FROM ar.system_metrics
           WHERE edge_server_id = $1 AND metric_type = ANY($2::text[]) AND recorded_at >= $3 AND recorded_at < $4
           GROUP BY 1, 2 ORDER BY 2"#,
        edge_server_id,
        &types.iter().map(|metric| metric.as_str().to_owned()).collect::<Vec<_>>(),
        range.from,
        range.to,
        bucket.interval()
    );
    let mut series: Vec<HistorySeries> = types.iter().map(|&metric_type| HistorySeries { metric_type, points: Vec::new() }).collect();
    for row in rows.fetch_all(executor).await? {
        let of_type = series.iter_mut().find(|series| series.metric_type.as_str() == row.metric_type);
        let point = HistoryPoint { at: row.at, avg: row.avg, min: row.min, max: row.max, count: row.count };
        of_type.expect("only these types were asked for").points.push(point);
    }
    Ok(series)
}
