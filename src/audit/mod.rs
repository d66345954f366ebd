//! Who changed what and when. Every act of an admin leaves a row, in the transaction that does it: there is
//! no act without its row and no row without its act.

mod routes;

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use routes::routes;

use crate::http::Caller;

/// Who acts.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// The account; none for the command line.
    pub user_id: Option<Uuid>,
    address: Option<IpAddr>,
    request_id: Option<String>,
}

impl Actor {
    /// Whoever has a shell on the server and the database's password.
    #[must_use]
    pub fn command_line() -> Self {
        Self::default()
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { user_id: Some(caller.user_id()), address: Some(caller.address), request_id: Some(caller.request_id.clone()) }
    }
}

/// Writes down an act: what was done (`decoration.replace`) to which thing. `detail` has no secrets and no
/// e-mail addresses, because analysts read it.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut PgConnection,
    actor: &Actor,
    action: &'static str,
    object_id: Option<&str>,
    detail: Value,
) -> Result<(), sqlx::Error> {
    let object_kind = action.split('.').next().unwrap_or(action);
    sqlx::query!(
        "INSERT INTO ar.audit_log (id, actor_id, action, object_kind, object_id, detail, ip_address, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        Uuid::now_v7(),
        actor.user_id,
        action,
        object_kind,
        object_id,
        detail,
        actor.address.map(IpNet::from) as _,
        actor.request_id
    )
    .execute(connection)
    .await
    .map(|_| ())
}
