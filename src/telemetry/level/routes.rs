//! The log level in the hands of admins, and of whoever has a shell.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::filter::{BadLogFilter, LogFilter};
use super::{default_filter, store};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::http::{AccessFailures, Admin, ApiError, BodyFailures, JsonBody, Nothing, ReadFailures, StrictQuery};
use crate::input::{Faults, FieldReader};
use crate::state::AppState;

/// How long a filter is in force when nothing else is said.
const DEFAULT_S: i64 = 900;
/// How long it may be: what is to stay is set by `LOG_LEVEL`.
const MAX_S: i64 = 86_400;

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, ask, take_back))
}

/// Which log lines are written.
#[derive(Serialize, ToSchema)]
#[schema(as = LogLevel)]
struct Shown {
    /// The filter in force.
    #[schema(example = "info,ar_supervisor::sync=debug")]
    filter: String,
    /// The filter of the instance that answers, its `LOG_LEVEL`, to which it goes back.
    #[schema(example = "info")]
    default_filter: &'static str,
    /// Until when the filter is in force; null: it is the instance's own.
    #[schema(example = "2026-11-28T12:15:00Z")]
    until: Option<DateTime<Utc>>,
}

/// Which log lines are written
#[utoipa::path(get, path = "/log-level", operation_id = "log_level", tag = "operation", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "The filter in force on all instances, if an admin asked for one; else that of the instance that answers.", body = Shown),
    AccessFailures, ReadFailures,
))]
async fn show(State(state): State<AppState>, _admin: Admin, StrictQuery(Nothing): StrictQuery<Nothing>) -> Result<Json<Shown>, ApiError> {
    let asked = store::asked(state.db.write()).await.map_err(|error| DbError::new("reading the log level", error))?;
    let (filter, until) = asked.map_or((default_filter().to_owned(), None), |asked| (asked.filter, Some(asked.until)));
    Ok(Json(Shown { filter, default_filter: default_filter(), until }))
}

/// Which log lines are to be written for a while.
#[derive(ToSchema)]
#[schema(as = LogLevelChange)]
#[expect(dead_code, reason = "documents a body")]
struct Change {
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or levels by module in tracing's syntax. `debug` and
    /// `trace` are for `ar_supervisor` and its modules; libraries are heard up to `info`, whatever the level.
    #[schema(min_length = 1, max_length = 200, example = "info,ar_supervisor::sync=debug")]
    filter: String,
    /// For how long, in seconds; then it goes back by itself.
    #[schema(minimum = 1, maximum = 86400, default = 900, example = 900)]
    for_seconds: Option<i64>,
}

fn read(reader: &mut FieldReader) -> Option<(LogFilter, i64)> {
    let filter = reader.required_text("filter", LogFilter::MAX_CHARS);
    let filter = filter.and_then(|text| LogFilter::read(&text).map_err(|bad| refuse(&mut reader.faults, &bad)).ok());
    let for_s = if reader.is_filled("for_seconds") { reader.integer("for_seconds", 1, MAX_S) } else { Some(DEFAULT_S) };
    // A null is as good as nothing.
    reader.ignore(&["for_seconds"]);
    Some((filter?, for_s?))
}

fn refuse(faults: &mut Faults, bad: &BadLogFilter) {
    let code = match bad {
        BadLogFilter::Unreadable(_) => "bad_filter",
        BadLogFilter::TooVerbose(_) => "too_verbose",
    };
    faults.out_of_domain("filter", code, bad.to_string());
}

/// Write other log lines for a while
///
/// On all instances: at once where notices arrive, within 30 s else; one that starts meanwhile does so, too. Another
/// call replaces it.
#[utoipa::path(put, path = "/log-level", operation_id = "set_log_level", tag = "operation", security(("bearer" = ["admin"])), request_body = Change, responses(
    (status = 200, description = "What is in force now.", body = Shown), AccessFailures, ReadFailures, BodyFailures,
))]
async fn ask(State(state): State<AppState>, Admin(caller): Admin, body: JsonBody) -> Result<Json<Shown>, ApiError> {
    let (filter, for_s) = body.read(read)?;
    let work = state.clone();
    let asked = state.finish(async move {
        let failed = |error| DbError::new("setting the log level", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        let until = ask_for(&mut transaction, &Actor::from(&caller), &filter, for_s).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Shown { filter: filter.as_str().to_owned(), default_filter: default_filter(), until: Some(until) })
    });
    asked.await.map(Json)
}

async fn ask_for(connection: &mut PgConnection, actor: &Actor, filter: &LogFilter, for_s: i64) -> Result<DateTime<Utc>, sqlx::Error> {
    let until = store::ask(&mut *connection, filter.as_str(), for_s).await?;
    let detail = json!({"filter": filter.as_str(), "for_seconds": for_s});
    audit::record(connection, actor, "log_level.change", None, detail).await?;
    Ok(until)
}

/// Go back to each instance's own log level
#[utoipa::path(delete, path = "/log-level", operation_id = "reset_log_level", tag = "operation", security(("bearer" = ["admin"])), responses(
    (status = 204, description = "All instances write by their own `LOG_LEVEL`."), AccessFailures, ReadFailures,
))]
async fn take_back(
    State(state): State<AppState>,
    Admin(caller): Admin,
    StrictQuery(Nothing): StrictQuery<Nothing>,
) -> Result<StatusCode, ApiError> {
    let work = state.clone();
    let taken = state.finish(async move {
        let failed = |error| DbError::new("resetting the log level", error);
        let mut transaction = work.db.write().begin().await.map_err(failed)?;
        take_back_as(&mut transaction, &Actor::from(&caller)).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(())
    });
    taken.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_back_as(connection: &mut PgConnection, actor: &Actor) -> Result<(), sqlx::Error> {
    if store::take_back(&mut *connection).await? {
        audit::record(connection, actor, "log_level.reset", None, json!({})).await?;
    }
    Ok(())
}

/// The same from the command line; until when it is in force. Without a filter it goes back.
///
/// # Errors
/// When the database fails.
pub(crate) async fn set_by_command_line(
    connection: &mut PgConnection,
    filter: Option<&LogFilter>,
    wanted: Duration,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let failed = |error| DbError::new("setting the log level", error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let actor = Actor::command_line();
    let until = if let Some(filter) = filter {
        let for_s = i64::try_from(wanted.as_secs()).unwrap_or(MAX_S).clamp(1, MAX_S);
        Some(ask_for(&mut transaction, &actor, filter, for_s).await.map_err(failed)?)
    } else {
        take_back_as(&mut transaction, &actor).await.map_err(failed)?;
        None
    };
    transaction.commit().await.map_err(failed)?;
    Ok(until)
}
