//! Which decorations were answered most.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::range::Range;
use super::store;
use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, FromQuery, QueryReader, ReadFailures, StrictQuery};
use crate::state::AppState;

/// The time asked about when none is.
const DEFAULT_LENGTH: TimeDelta = TimeDelta::days(1);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(top_decorations))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct TopParams {
    /// Only hours that begin then or later; a day before `to` when left out.
    #[param(format = "date-time", example = "2026-01-01T00:00:00Z")]
    from: Option<DateTime<Utc>>,
    /// Only hours that begin before; now when left out.
    #[param(format = "date-time", example = "2027-01-01T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// Only this decoration.
    #[param(format = "uuid", example = "01890000-0000-7000-8000-000000000000")]
    decoration_id: Option<Uuid>,
    /// Most items.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<i64>,
}

struct Top {
    range: [Option<DateTime<Utc>>; 2],
    decoration_id: Option<Uuid>,
    limit: i64,
}

impl FromQuery for Top {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let range = reader.time_range();
        let decoration_id = reader.optional_uuid("decoration_id");
        let limit = reader.limit(50, 500);
        Some(Self { range: range.ok()?, decoration_id: decoration_id.ok()?, limit: limit? })
    }
}

/// Decorations by how often they were answered.
#[derive(Serialize, ToSchema)]
struct TopDecorations {
    /// Start of the time looked at.
    from: DateTime<Utc>,
    /// Its end, not included.
    to: DateTime<Utc>,
    /// Most answered first, ties by id.
    items: Vec<DecorationUsage>,
}

/// How often a decoration was answered.
#[derive(Serialize, ToSchema)]
struct DecorationUsage {
    /// The decoration.
    decoration_id: Uuid,
    /// Its name; null when nothing is left of it.
    #[schema(required)]
    name: Option<String>,
    /// Answers of `nearby` that it was in.
    answers: i64,
}

/// Which decorations were answered most
///
/// How often each was in an answer of `nearby`, counted by whole hours and written every 10 s. Analysts read what at least
/// ten networks were answered, by hour and cell, in the view `gis.decoration_usage` once the hour is over.
#[utoipa::path(get, path = "/metrics/decorations", operation_id = "list_top_decorations", tag = "metrics", security(("bearer" = ["admin"])), params(TopParams), responses(
    (status = 200, description = "Most answered first.", body = TopDecorations), AccessFailures, ReadFailures,
))]
async fn top_decorations(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(query): StrictQuery<Top>,
) -> Result<Json<TopDecorations>, ApiError> {
    let failed = |error| DbError::new("reading how often decorations were answered", error);
    let now = store::now(state.db.write()).await.map_err(failed)?;
    let Range { from, to } = Range::of(query.range, now, DEFAULT_LENGTH)?;
    let items = sqlx::query_as!(
        DecorationUsage,
        r#"SELECT u.decoration_id AS "decoration_id!", d.name AS "name?", u.answers AS "answers!"
           FROM (
               SELECT decoration_id, sum(answers)::bigint AS answers FROM ar.decoration_usage
               WHERE hour >= $1 AND hour < $2 AND ($3::uuid IS NULL OR decoration_id = $3)
               GROUP BY decoration_id ORDER BY 2 DESC, 1 LIMIT $4
           ) AS u
           LEFT JOIN ar.decorations d ON d.id = u.decoration_id
           ORDER BY u.answers DESC, u.decoration_id"#,
        from,
        to,
        query.decoration_id,
        query.limit
    );
    let items = items.fetch_all(state.db.write()).await.map_err(failed)?;
    Ok(Json(TopDecorations { from, to, items }))
}
