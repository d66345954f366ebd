//! The list of decorations that admins work with.

use axum::Json;
use axum::extract::State;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::DbError;
use crate::decorations::discovery::FilterParams;
use crate::decorations::model::AdminDecoration;
use crate::decorations::store::{self, AdminFilters, Filters};
use crate::http::{
    AccessFailures, Admin, ApiError, Cursor, CursorParam, FromQuery, Page, QueryReader, ReadFailures, StrictQuery, TimePosition,
};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct ListParams {
    /// Only decorations that are shown, or are not.
    is_active: Option<bool>,
    /// Only decorations with this text in name or description; case does not matter.
    #[param(min_length = 1, max_length = 255, example = "gate")]
    q: Option<String>,
    /// True: the deleted ones, and no others.
    #[param(default = false)]
    deleted: Option<bool>,
    /// Most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

struct List {
    filters: AdminFilters,
    limit: i64,
    cursor: Option<Cursor>,
}

impl FromQuery for List {
    fn from_query(reader: &mut QueryReader) -> Option<Self> {
        let filters = Filters::from_query(reader);
        let is_active = reader.optional_boolean("is_active");
        let text = reader.optional_text("q", 255);
        let deleted = reader.optional_boolean("deleted");
        let limit = reader.limit(100, 1000);
        let cursor = reader.cursor();
        let deleted = deleted.ok()?.unwrap_or(false);
        let filters = AdminFilters { filters: filters?, is_active: is_active.ok()?, text: text.ok()?, deleted };
        Some(Self { filters, limit: limit?, cursor: cursor.ok()? })
    }
}

/// All decorations
///
/// As admins see them, newest first.
#[utoipa::path(get, path = "/decorations", operation_id = "list_decorations", tag = "decorations", security(("bearer" = ["admin"])), params(FilterParams, ListParams, CursorParam), responses(
    (status = 200, description = "One page, newest first.", body = Page<AdminDecoration>), AccessFailures, ReadFailures,
))]
async fn list(
    State(state): State<AppState>,
    _admin: Admin,
    StrictQuery(query): StrictQuery<List>,
) -> Result<Json<Page<AdminDecoration>>, ApiError> {
    let List { filters, limit, cursor } = query;
    let scope = format!("decorations {filters:?}");
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), TimePosition::read)?;
    let listed = store::list(state.db.write(), &filters, after, limit + 1).await;
    let mut items = listed.map_err(|error| DbError::new("listing decorations", error))?;
    let next_cursor =
        state.cursor_key.cut_page(&scope, &mut items, limit, |last| TimePosition::write(last.decoration.created_at, last.decoration.id));
    Ok(Json(Page { items, next_cursor }))
}
