//! What edges should hold: marked in the transaction that changes a decoration, an edge's area or the margin.
//!
//! # Who waits for whom
//! Every transaction takes its locks in this order, so that no two can wait for each other:
//! 1. the **lock of areas**: shared by whoever writes decorations ([`hold_areas`]), alone by whoever changes where an
//!    edge reaches ([`change_areas`]). So neither misses what the other has not committed yet, and the two never meet
//!    further down. It comes first because a new `external_id` locks its decoration against the foreign key of a row
//!    of `decoration_sync`: a writer that held one and then waited here could be waited for by the other side.
//! 2. rows of `edge_servers`, by id; or rows of `decorations`, by id;
//! 3. rows of `decoration_sync`, by decoration and then edge, which is the order that every statement here writes in.
//!
//! Writers of the same decoration wait for each other at the decoration, those of the same edge's reach at the lock of
//! areas. Acknowledgements take none of the first two, lock rows of the third with SKIP LOCKED, and must not lock a row
//! of `edge_servers` after them; whoever marks all rows of an edge anew goes through them by decoration. What reads a
//! pair while it is being marked sees its old number, and an acknowledgement of that changes nothing.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::geo::Metres;

/// The lock of areas.
const AREAS: i64 = 0x6172_5f61_7265_6173;

/// Decorations of one transaction that instances are told of one by one.
const MAX_TOLD: usize = 100;

/// Pairs of edge and decoration that got a new number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The edge is to get the decoration.
    pub(crate) put: usize,
    /// The edge is to remove it.
    pub(crate) removed: usize,
}

/// How far beyond its service area an edge holds decorations, as is in force for all instances.
pub(crate) async fn margin(executor: impl PgExecutor<'_>) -> Result<Metres, sqlx::Error> {
    let margin_m = sqlx::query_scalar!(r#"SELECT value::float8 AS "margin_m!" FROM ar.meta WHERE key = 'sync_margin_m'"#);
    margin_m.fetch_one(executor).await.map(Metres)
}

/// Keeps the reach of all edges as it is until the transaction ends. To be called before anything is locked that is to
/// be marked. It may wait longer than for other locks: a new edge over a hundred thousand decorations takes seconds.
pub(crate) async fn hold_areas(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock_shared($1) AS "free!""#, AREAS);
    if free.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let limits = sqlx::query!(r#"SELECT current_setting('statement_timeout') AS "statement!", current_setting('lock_timeout') AS "lock!""#);
    let limits = limits.fetch_one(&mut *connection).await?;
    sqlx::raw_sql("SET LOCAL statement_timeout = '8s'; SET LOCAL lock_timeout = '8s'").execute(&mut *connection).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock_shared($1)", AREAS).fetch_one(&mut *connection).await?;
    sqlx::query!(
        "SELECT set_config('statement_timeout', $1, true) AS statement, set_config('lock_timeout', $2, true) AS lock",
        limits.statement,
        limits.lock
    )
    .fetch_one(connection)
    .await
    .map(|_| ())
}

/// Lets nobody else write decorations or change the reach of edges until the transaction ends; gives the margin in
/// force. To be called before anything is locked. The transaction may take longer than others from then on.
pub(crate) async fn change_areas(connection: &mut PgConnection) -> Result<Metres, sqlx::Error> {
    sqlx::raw_sql("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '10s'").execute(&mut *connection).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", AREAS).fetch_one(&mut *connection).await?;
    // In a statement of its own, which sees what was committed meanwhile.
    margin(connection).await
}

/// Marks what edges must learn of decorations that were written: who should hold one gets it, in its state as of
/// now, and who holds one and should not is to remove it. The decorations must be locked, so that numbers rise
/// with their states, and before them the areas ([`hold_areas`]). Gives the edges concerned.
pub(crate) async fn mark_for_edges(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    // Who forgot it would miss edges that change now; who has it already does not wait.
    hold_areas(connection).await?;
    let mut edges: Vec<Uuid> = mark(connection, ids, false).await?.into_iter().map(|(edge, _)| edge).collect();
    edges.sort_unstable();
    edges.dedup();
    Ok(edges)
}

/// The same for decorations that were not written: only pairs that are not as they should be are marked. The
/// decorations must be locked as well.
pub(super) async fn mark_differing(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Marked, sqlx::Error> {
    let pairs = mark(connection, ids, true).await?;
    let put = pairs.iter().filter(|(_, is_put)| *is_put).count();
    Ok(Marked { put, removed: pairs.len() - put })
}

/// Marks, and tells instances of it; the pairs, by their edge and whether it is to get the decoration.
async fn mark(connection: &mut PgConnection, ids: &[Uuid], only_differing: bool) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    let pairs = sqlx::query!(
        r#"WITH held AS MATERIALIZED (
               SELECT h.edge_server_id, h.decoration_id
               FROM (SELECT value::float8 AS margin_m FROM ar.meta WHERE key = 'sync_margin_m') AS m
               CROSS JOIN LATERAL gis.edges_holding($1, m.margin_m) AS h
           ), books AS MATERIALIZED (
               SELECT s.edge_server_id, s.decoration_id, s.wanted
               FROM ar.decoration_sync s JOIN ar.edge_servers e ON e.id = s.edge_server_id AND e.deleted_at IS NULL
               WHERE s.decoration_id = ANY ($1)
           ), due AS (
               SELECT edge_server_id, decoration_id, 'put' AS wanted FROM (
                   TABLE held EXCEPT SELECT edge_server_id, decoration_id FROM books WHERE $2 AND wanted = 'put'
               ) AS missing
               UNION ALL
               SELECT edge_server_id, decoration_id, 'remove' FROM (
                   SELECT edge_server_id, decoration_id FROM books WHERE NOT $2 OR wanted = 'put' EXCEPT TABLE held
               ) AS excess
           )
           INSERT INTO ar.decoration_sync AS s (edge_server_id, decoration_id, wanted, sync_status)
           SELECT edge_server_id, decoration_id, wanted, 'pending' FROM due ORDER BY decoration_id, edge_server_id
           ON CONFLICT (edge_server_id, decoration_id) DO UPDATE SET wanted = excluded.wanted, sync_version = nextval('ar.sync_version_seq'),
               sync_status = CASE WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END,
               attempts = 0, next_attempt_at = NULL, error_message = NULL, wanted_at = now()
           RETURNING s.edge_server_id, s.wanted = 'put' AS "is_put!""#,
        ids,
        only_differing
    )
    .fetch_all(&mut *connection)
    .await?;
    // One by one as long as they are few; then only that there were many.
    let told: &[Uuid] = if ids.len() <= MAX_TOLD { ids } else { &[Uuid::nil()] };
    sqlx::query!("SELECT pg_notify('ar', 'decoration:' || id) FROM unnest($1::uuid[]) AS id", told).fetch_all(connection).await?;
    Ok(pairs.into_iter().map(|pair| (pair.edge_server_id, pair.is_put)).collect())
}

/// Marks what an edge must learn after its reach changed: only pairs that are not as they should be. Nobody else may
/// write meanwhile ([`change_areas`]).
pub(crate) async fn mark_edge(connection: &mut PgConnection, edge_id: Uuid) -> Result<Marked, sqlx::Error> {
    // EXCEPT, because a join would be planned by a guess of how many are held, which may be far off.
    let marked = sqlx::query!(
        r#"WITH held AS MATERIALIZED (
               SELECT h.decoration_id FROM (SELECT value::float8 AS margin_m FROM ar.meta WHERE key = 'sync_margin_m') AS m
               CROSS JOIN LATERAL gis.decorations_held($1, m.margin_m) AS h
           ), books AS MATERIALIZED (
               SELECT decoration_id FROM ar.decoration_sync WHERE edge_server_id = $1 AND wanted = 'put'
           ), due AS (
               SELECT decoration_id, 'put' AS wanted FROM (TABLE held EXCEPT TABLE books) AS missing
               UNION ALL
               SELECT decoration_id, 'remove' FROM (TABLE books EXCEPT TABLE held) AS excess
           ), marked AS (
               INSERT INTO ar.decoration_sync AS s (edge_server_id, decoration_id, wanted, sync_status)
               SELECT $1, decoration_id, wanted, 'pending' FROM due ORDER BY decoration_id
               ON CONFLICT (edge_server_id, decoration_id) DO UPDATE SET wanted = excluded.wanted, sync_version = nextval('ar.sync_version_seq'),
                   sync_status = CASE WHEN s.synced_version IS NULL THEN 'pending' ELSE 'outdated' END,
                   attempts = 0, next_attempt_at = NULL, error_message = NULL, wanted_at = now()
               RETURNING s.wanted
           )
           SELECT count(*) FILTER (WHERE wanted = 'put') AS "put!", count(*) FILTER (WHERE wanted = 'remove') AS "removed!" FROM marked"#,
        edge_id
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!("SELECT pg_notify('ar', 'sync:' || $1::uuid)", edge_id).fetch_one(connection).await?;
    let count = |pairs: i64| usize::try_from(pairs).unwrap_or_default();
    Ok(Marked { put: count(marked.put), removed: count(marked.removed) })
}
