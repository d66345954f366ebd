//! Which edge server is best for a place.

use axum::Json;
use axum::extract::State;
use geo_types::Point;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::model::{Health, Position};
use crate::config::ChoiceConfig;
use crate::db::{Db, DbError};
use crate::geo::{Cell, Cells, Geog, LatLng};
use crate::http::{ApiError, FromQuery, QueryReader, ReadFailures, StrictQuery, TooMany};
use crate::state::AppState;
use crate::telemetry::meters;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(best))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct Params {
    /// Latitude in degrees.
    #[param(minimum = -90, maximum = 90, example = 52.5163)]
    lat: f64,
    /// Longitude in degrees.
    #[param(minimum = -180, maximum = 180, example = 13.3777)]
    lng: f64,
    /// Most edge servers.
    #[param(minimum = 1, maximum = 20, default = 3)]
    limit: Option<i64>,
}

struct Query {
    position: LatLng,
    limit: i64,
}

impl FromQuery for Query {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let (position, limit) = (reader.position(), reader.limit(3, 20));
        Some(Self { position: position?, limit: limit? })
    }
}

/// Why there is no edge server, or only a second choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum ChoiceReason {
    /// Those that cover the place have no room.
    AllFull,
    /// Those that cover the place are offline.
    NoneHealthy,
    /// None covers the place.
    OutsideServiceAreas,
    /// None covers the place, and none is near enough.
    NoEdges,
}

impl ChoiceReason {
    /// The word on the wire.
    fn as_str(self) -> &'static str {
        match self {
            Self::AllFull => "all_full",
            Self::NoneHealthy => "none_healthy",
            Self::OutsideServiceAreas => "outside_service_areas",
            Self::NoEdges => "no_edges",
        }
    }
}

/// The best edge servers for a place.
#[derive(Serialize, ToSchema)]
struct Best {
    /// Best first.
    items: Vec<Ranked>,
    /// Why there is none, or only a second choice; null when the first one covers the place.
    #[schema(required)]
    reason: Option<ChoiceReason>,
}

/// An edge server with what speaks for it.
#[derive(Serialize, ToSchema)]
#[schema(as = RankedEdgeServer)]
struct Ranked {
    /// Where it is reached.
    edge_server: Reachable,
    /// Distance on the spheroid.
    distance_meters: f64,
    /// The greater of assigned and reported devices, as a share of the most.
    load: f64,
    /// How it is.
    health_status: Health,
    /// Whether it covers the place.
    in_service_area: bool,
    /// The weighted sum of its scores.
    score: f64,
    /// What the score is made of, 0 to 1 each.
    scores: Scores,
}

/// Where an edge server is reached.
#[derive(Serialize, ToSchema)]
#[schema(as = ReachableEdgeServer)]
struct Reachable {
    /// Identity.
    id: Uuid,
    /// Name.
    name: String,
    /// Operator's label.
    region: String,
    /// Where phones reach it over HTTP.
    api_url: String,
    /// Where phones reach it over WebSocket.
    websocket_url: String,
    /// Where it stands.
    #[serde(flatten)]
    position: Position,
}

/// Parts of a score.
#[derive(Serialize, ToSchema)]
#[schema(as = EdgeScores)]
struct Scores {
    /// 1 at the edge server, 0 at the search radius and beyond.
    distance: f64,
    /// 1 when it is empty, 0 when it is full.
    load: f64,
    /// 1 healthy, 0.5 degraded, 0.25 unknown.
    health: f64,
}

/// The best edge servers for a place
///
/// Those that cover it and have room, by distance, load and health; where none does, those near by.
#[utoipa::path(get, path = "/edge-servers/best", operation_id = "best_edge_servers", tag = "edge servers", security(()), params(Params), responses(
    (status = 200, description = "Best first.", body = Best), ReadFailures, TooMany,
))]
async fn best(State(state): State<AppState>, StrictQuery(query): StrictQuery<Query>) -> Result<Json<Best>, ApiError> {
    let best = choose(&state.db, query, state.supervision.choice).await?;
    meters().edges.best.ended(best.reason.map(ChoiceReason::as_str));
    Ok(Json(best))
}

async fn choose(db: &Db, Query { position, limit }: Query, choice: ChoiceConfig) -> Result<Best, DbError> {
    let [distance, load, health] = choice.weights;
    let Cells { r5, r7, r9 } = Cells::of(position);
    let cells = [r5, r7, r9].map(Cell::to_db);
    db.hot()
        .run("choosing an edge server", |connection| {
            Box::pin(async move {
                let rows = sqlx::query!(
                    r#"SELECT c.reason AS "reason: ChoiceReason", c.distance_m, c.load, c.health_status AS "health_status: Health", c.in_service_area,
                           c.distance_score, c.load_score, c.health_score, c.score,
                           c.edge_server_id, c.name, c.region, c.api_url, c.websocket_url, c.location
                       FROM gis.edge_choice($1, $2, $3, $4, $5, $6, NULL) AS c
                       ORDER BY c.preference DESC, c.edge_server_id LIMIT $7"#,
                    Geog(Point::from(position)) as _,
                    &cells,
                    choice.search_radius.0,
                    distance,
                    load,
                    health,
                    limit
                );
                let rows = rows.fetch_all(connection).await?;
                let reason = rows.first().and_then(|row| row.reason);
                let ranked = rows.into_iter().filter_map(|row| {
                    let location = row.location?;
                    Some(Ranked {
                        edge_server: Reachable {
                            id: row.edge_server_id?,
                            name: row.name?,
                            region: row.region?,
                            api_url: row.api_url?,
                            websocket_url: row.websocket_url?,
                            position: LatLng::new(location.0.y(), location.0.x()).ok()?.into(),
                        },
                        distance_meters: row.distance_m?,
                        load: row.load?,
                        health_status: row.health_status?,
                        in_service_area: row.in_service_area?,
                        score: row.score?,
                        scores: Scores { distance: row.distance_score?, load: row.load_score?, health: row.health_score? },
                    })
                });
                Ok(Best { items: ranked.collect(), reason })
            })
        })
        .await
}
