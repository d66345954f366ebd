//! Sending all of an edge's content anew: every row gets a new number. That is noted in one short transaction
//! (`ar.sync_resends`) and done in pieces, a transaction each, by whichever instances are free: none holds the rows of
//! many, an edit waits for one piece at most, and a crash loses nothing.
//!
//! Locks: the note of the edge first, then its rows in the order of their decorations. Marks take rows in the order
//! (decoration, edge), of which this is a part, and acknowledgements pass over locked ones: nobody waits in a circle.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgExecutor};
use uuid::Uuid;

use super::model::Resend;
use crate::db::within_deadline;
use crate::state::AppState;
use crate::telemetry::prometheus::Work;

/// Rows of a piece: some 100 ms.
const PIECE: i64 = 5_000;
/// How often notes are looked for that nobody told of: those of an instance that is gone.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Notes that all edges are to be sent all of their content anew, from the start also where that is under way.
pub(super) async fn note_all(connection: &mut PgConnection) -> Result<Resend, sqlx::Error> {
    // In an order, so that two who do this at once do not wait for each other in a circle.
    let noted = sqlx::query!(
        "INSERT INTO ar.sync_resends (edge_server_id) SELECT id FROM ar.edge_servers WHERE deleted_at IS NULL ORDER BY id
         ON CONFLICT (edge_server_id) DO UPDATE SET done_up_to = DEFAULT"
    );
    let edge_servers = i64::try_from(noted.execute(&mut *connection).await?.rows_affected()).unwrap_or(i64::MAX);
    let size = sqlx::query!(
        r#"SELECT pg_relation_size(oid) > 128 * 1024 * 1024 AS "many!", greatest(reltuples, 0)::bigint AS "estimate!"
           FROM pg_class WHERE oid = 'ar.decoration_sync'::regclass"#
    );
    let size = size.fetch_one(&mut *connection).await?;
    let decorations = if size.many {
        size.estimate
    } else {
        let counted = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM ar.decoration_sync WHERE wanted = 'put'"#);
        counted.fetch_one(connection).await?
    };
    Ok(Resend { edge_servers, decorations, is_estimate: size.many })
}

/// Notes it for one edge; how many decorations that are. None: there is no such edge server.
pub(super) async fn note(connection: &mut PgConnection, edge_server_id: Uuid) -> Result<Option<i64>, sqlx::Error> {
    let noted = sqlx::query!(
        "INSERT INTO ar.sync_resends (edge_server_id) SELECT id FROM ar.edge_servers WHERE id = $1 AND deleted_at IS NULL
         ON CONFLICT (edge_server_id) DO UPDATE SET done_up_to = DEFAULT",
        edge_server_id
    );
    if noted.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let counted = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM ar.decoration_sync WHERE edge_server_id = $1 AND wanted = 'put'"#,
        edge_server_id
    );
    counted.fetch_one(connection).await.map(Some)
}

/// Gives the next rows of an edge new numbers, and wakes who delivers them. The edge's note must be there, and locked.
/// True: that was all, and the note is gone.
pub(super) async fn renew_piece(connection: &mut PgConnection, edge_server_id: Uuid, after: Uuid) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        r#"WITH piece AS MATERIALIZED (
               SELECT decoration_id FROM ar.decoration_sync
               WHERE edge_server_id = $1 AND decoration_id > $2 ORDER BY decoration_id LIMIT $3 FOR NO KEY UPDATE
           ), renewed AS (
               UPDATE ar.decoration_sync s SET sync_version = nextval('ar.sync_version_seq'),
                   sync_status = CASE WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END,
                   attempts = 0, next_attempt_at = NULL, error_message = NULL, wanted_at = now()
               FROM piece WHERE s.edge_server_id = $1 AND s.decoration_id = piece.decoration_id
           )
           SELECT (SELECT count(*) FROM piece) AS "count!", (SELECT decoration_id FROM piece ORDER BY decoration_id DESC LIMIT 1) AS last"#,
        edge_server_id,
        after,
        PIECE
    );
    let renewed = renewed.fetch_one(&mut *connection).await?;
    let rest = renewed.last.filter(|_| renewed.count == PIECE);
    match rest {
        Some(last) => {
            sqlx::query!("UPDATE ar.sync_resends SET done_up_to = $2 WHERE edge_server_id = $1", edge_server_id, last)
                .execute(&mut *connection)
                .await?;
        }
        None => {
            sqlx::query!("DELETE FROM ar.sync_resends WHERE edge_server_id = $1", edge_server_id).execute(&mut *connection).await?;
        }
    }
    wake(connection, edge_server_id).await?;
    Ok(rest.is_none())
}

/// Makes the next rows of an edge due that failed, or wait after a refusal, and wakes who delivers them. What the edge
/// said stays, until it says something else. Gives the last of them when there may be more.
pub(super) async fn retry_piece(connection: &mut PgConnection, edge_server_id: Uuid, after: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let retried = sqlx::query!(
        r#"WITH piece AS MATERIALIZED (
               SELECT decoration_id FROM ar.decoration_sync
               WHERE edge_server_id = $1 AND decoration_id > $2
                 AND (sync_status = 'failed' OR (sync_status IN ('pending', 'outdated') AND next_attempt_at IS NOT NULL))
               ORDER BY decoration_id LIMIT $3 FOR NO KEY UPDATE
           ), retried AS (
               UPDATE ar.decoration_sync s SET next_attempt_at = NULL,
                   attempts = CASE WHEN s.sync_status = 'failed' THEN 0 ELSE s.attempts END,
                   sync_status = CASE WHEN s.sync_status <> 'failed' THEN s.sync_status WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END
               FROM piece WHERE s.edge_server_id = $1 AND s.decoration_id = piece.decoration_id
           )
           SELECT (SELECT count(*) FROM piece) AS "count!", (SELECT decoration_id FROM piece ORDER BY decoration_id DESC LIMIT 1) AS last"#,
        edge_server_id,
        after,
        PIECE
    );
    let retried = retried.fetch_one(&mut *connection).await?;
    wake(connection, edge_server_id).await?;
    Ok(retried.last.filter(|_| retried.count == PIECE))
}

/// How many rows of an edge may be delivered now.
pub(super) async fn due(executor: impl PgExecutor<'_>, edge_server_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "due!" FROM ar.decoration_sync
           WHERE edge_server_id = $1 AND sync_status IN ('pending', 'outdated') AND (next_attempt_at IS NULL OR next_attempt_at <= now())"#,
        edge_server_id
    )
    .fetch_one(executor)
    .await
}

/// Tells every instance, once the transaction is committed.
async fn wake(connection: &mut PgConnection, edge_server_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify('ar', 'sync:' || $1::uuid)", edge_server_id).execute(connection).await.map(|_| ())
}

/// Does what is noted, a piece of each edge in turn, until the service stops.
pub(super) async fn resend_until(state: AppState) {
    let stopping = state.lifecycle.stopping();
    // The edge that had its turn last.
    let mut turn = Uuid::nil();
    let work = Work::begin("resending", SWEEP_INTERVAL);
    loop {
        let working = within_deadline(state.db.background(), "sending content anew", async |connection| {
            let mut transaction = connection.begin().await?;
            let next = take(&mut transaction, &mut turn).await?;
            if let Some(done_up_to) = next {
                renew_piece(&mut transaction, turn, done_up_to).await?;
            }
            transaction.commit().await?;
            Ok(next.is_some())
        });
        let is_idle = match work.note(working.await) {
            Ok(true) => false,
            // Those before it are looked for, too, before there is nothing to do.
            Ok(false) => std::mem::take(&mut turn).is_nil(),
            // Another one's turn, later.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, edge = %turn, "sending content anew: trying again");
                true
            }
        };
        if stopping.is_cancelled() {
            return;
        }
        if is_idle {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = state.sync.resends.notified() => {}
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
        }
    }
}

/// The next edge in turn that is noted and that no other instance is at: how far it is.
async fn take(connection: &mut PgConnection, turn: &mut Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let next = sqlx::query!(
        "SELECT edge_server_id, done_up_to FROM ar.sync_resends WHERE edge_server_id > $1 ORDER BY edge_server_id LIMIT 1 FOR UPDATE SKIP LOCKED",
        *turn
    );
    let next = next.fetch_optional(connection).await?;
    Ok(next.map(|next| {
        *turn = next.edge_server_id;
        next.done_up_to
    }))
}
