//! Decorations in the hands of admins: one at a time (`edit`), listed (`list`), and all at once (`transfer`).

mod edit;
mod list;
mod transfer;

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;

use crate::http::ApiError;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    edit::routes().merge(list::routes()).merge(transfer::routes())
}

fn unknown_decoration() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_decoration", "no decoration has that id")
}
