//! Regions that admins draw, replace and delete.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::feature::{self, FeatureBody, is_code};
use super::routes::RegionFeature;
use super::store::{self, NewRegion, Put, PutError};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{
    AccessFailures, Admin, ApiError, BodyFailures, JsonBody, NotFound, Nothing, PathText, ReadFailures, StrictQuery, geo_json,
};
use crate::input::Faults;
use crate::state::AppState;

/// Largest body: 10,000 vertices with all their decimals, and room to spare.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put, delete))
}

fn refused(field: &str, code: &'static str, detail: impl Into<String>) -> ApiError {
    let mut faults = Faults::default();
    faults.out_of_domain(field, code, detail);
    faults.into()
}

impl From<PutError> for ApiError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Invalid(reason) => refused("geometry", "invalid_polygon", format!("is not a valid area: {reason}")),
            PutError::UnknownParent => refused("properties.parent_code", "unknown_region", "no region has that code"),
            PutError::Cycle => refused("properties.parent_code", "cycle", "the region cannot be part of itself or of its own parts"),
            PutError::Database(error) => DbError::new("putting in a region", error).into(),
        }
    }
}

/// Draw a region, or replace one
///
/// A `Polygon` or `MultiPolygon`; one that crosses itself, or is otherwise not a clean area, is refused with the
/// reason. The code's case does not matter: `de` replaces `DE`. Members `id` and `properties.code` are ignored.
#[utoipa::path(put, path = "/regions/{code}", operation_id = "put_region", tag = "regions", security(("bearer" = ["admin"])),
    request_body(content((FeatureBody = "application/geo+json"), (FeatureBody = "application/json"))),
    params(("code" = String, Path, description = "The region's code: up to 20 letters, digits, `-`, `_` and `.`.", example = "campus")),
    responses(
        (status = 200, description = "The region as it is now.", body = RegionFeature, content_type = "application/geo+json"),
        (status = 201, description = "The new region; `Location` is its address.", body = RegionFeature, content_type = "application/geo+json"),
        AccessFailures, ReadFailures, BodyFailures,
    )
)]
async fn put(
    State(state): State<AppState>,
    Admin(caller): Admin,
    path: PathText,
    body: JsonBody<MAX_BODY_BYTES>,
) -> Result<Response, ApiError> {
    let drawn = body.read(feature::read)?;
    let bad_code = || refused("code", "bad_code", "is to be up to 20 letters, digits, '-', '_' and '.', such as campus-2");
    let code = path.read().filter(|code| is_code(code)).ok_or_else(bad_code)?;
    let feature::Drawn { name, kind, parent_code, border } = drawn;
    let region = NewRegion { code, name, kind, parent_code, border };
    let work = state.clone();
    let done = state.finish(async move {
        let failed = |error| DbError::new("putting in a region", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let Put { code, is_new } = store::put(&mut transaction, &region).await?;
        let (actor, action) = (Actor::from(&caller), if is_new { "region.create" } else { "region.replace" });
        audit::record(&mut transaction, &actor, action, Some(&code), json!({"name": region.name})).await.map_err(failed)?;
        let stored = store::by_code(&mut *transaction, &code).await.map_err(failed)?.ok_or_else(ApiError::internal)?;
        transaction.commit().await.map_err(failed)?;
        Ok((stored, is_new))
    });
    let (stored, is_new) = done.await?;
    let location = format!("/api/v1/regions/{}", stored.code);
    let mut response = geo_json(&RegionFeature::from(stored))?;
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
    Ok(response)
}

/// Delete a region
///
/// Regions that were part of it stay, and are part of none.
#[utoipa::path(delete, path = "/regions/{code}", operation_id = "delete_region", tag = "regions", security(("bearer" = ["admin"])),
    params(("code" = String, Path, description = "The region's code; case does not matter.", example = "campus")),
    responses((status = 204, description = "It is gone."), AccessFailures, ReadFailures, NotFound)
)]
async fn delete(
    State(state): State<AppState>,
    Admin(caller): Admin,
    path: PathText,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    let code = path.read().ok_or_else(store::unknown_region)?;
    let work = state.clone();
    let deleted = state.finish(async move {
        let failed = |error| DbError::new("deleting a region", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let code = store::delete(&mut transaction, &code).await.map_err(failed)?.ok_or_else(store::unknown_region)?;
        audit::record(&mut transaction, &Actor::from(&caller), "region.delete", Some(&code), json!({})).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(())
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}
