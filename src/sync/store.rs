//! The books of the sync in the database: what is due, what was acknowledged, and how they are mended.
//!
//! **Order of locks**: rows of `edge_servers`, then the session, then rows of `decoration_sync` in the order of their
//! decorations. What is written for a session holds that session: one that takes over waits, and finds books that nobody
//! else writes to. Acknowledgements do not wait for rows of `decoration_sync`: one that somebody holds is getting another number.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::comparison::Difference;
use super::digest::{Digest, Sum};
use super::machine::{Books, Change};

/// A number so far ahead of ours is nobody's: it would use up the numbers there are.
const MAX_AHEAD: i64 = 10_000_000;
/// Numbers end where not every reader of JSON keeps them exactly; edges may bring us no nearer than this.
const HIGHEST_BELIEVED: i64 = 1 << 52;
/// Two that catch up do so one after the other.
const CATCHING_UP: i64 = 0x6172_6e75_6d62_6572;
/// Rows that are taken back at once: some 100 ms.
const PIECE: i64 = 5_000;
/// Characters that are kept of what an edge says when it refuses.
pub(super) const MAX_ERROR_CHARS: usize = 500;

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What the books say edges hold.
pub(crate) async fn books(connection: &mut PgConnection, edge_ids: &[Uuid]) -> Result<HashMap<Uuid, Books>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.snapshot_due, count(s.held_digest) AS "held!", coalesce(bit_xor(s.held_digest), 0) AS "digest!",
               coalesce(max(s.synced_version), 0) AS "number!",
               count(*) FILTER (WHERE s.wanted = 'remove' AND s.synced_version IS NOT NULL) AS "to_remove!",
               count(*) FILTER (WHERE s.sync_status = 'synced') AS "to_keep!"
           FROM ar.edge_servers e LEFT JOIN ar.decoration_sync s ON s.edge_server_id = e.id
           WHERE e.id = ANY ($1) GROUP BY e.id"#,
        edge_ids
    );
    let books = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let held = Sum { count: count(row.held), digest: Digest::from_db(row.digest) };
        let (to_remove, to_keep) = (count(row.to_remove), count(row.to_keep));
        (row.id, Books { held, number: row.number, to_remove, to_keep, snapshot_due: row.snapshot_due })
    });
    Ok(books.collect())
}

/// A row that is due.
pub(super) struct Due {
    pub(super) edge_server_id: Uuid,
    pub(super) decoration_id: Uuid,
    pub(super) sync_version: i64,
    /// Whether the edge is to hold it.
    pub(super) put: bool,
}

/// What is due at edges: for each at most so many rows, those with the lowest numbers.
pub(super) async fn due(connection: &mut PgConnection, edge_ids: &[Uuid], most: &[i64]) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"SELECT asked.edge_id AS "edge_server_id!", due.decoration_id, due.sync_version, due.put AS "put!"
           FROM unnest($1::uuid[], $2::bigint[]) AS asked(edge_id, most)
           CROSS JOIN LATERAL (
               SELECT s.decoration_id, s.sync_version, s.wanted = 'put' AS put FROM ar.decoration_sync s
               WHERE s.edge_server_id = asked.edge_id AND s.sync_status IN ('pending', 'outdated')
                 AND (s.next_attempt_at IS NULL OR s.next_attempt_at <= now())
               ORDER BY s.sync_version LIMIT asked.most
           ) AS due
           ORDER BY asked.edge_id, due.sync_version"#,
        edge_ids,
        most
    )
    .fetch_all(connection)
    .await
}

/// Which of these edges something is due at.
pub(super) async fn edges_with_due(connection: &mut PgConnection, edge_ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT asked.edge_id AS "edge_id!" FROM unnest($1::uuid[]) AS asked(edge_id)
           WHERE EXISTS (
               SELECT FROM ar.decoration_sync s WHERE s.edge_server_id = asked.edge_id AND s.sync_status IN ('pending', 'outdated')
                 AND (s.next_attempt_at IS NULL OR s.next_attempt_at <= now())
           )"#,
        edge_ids
    )
    .fetch_all(connection)
    .await
}

/// At which edges one of these decorations is due.
pub(super) async fn edges_due_of(connection: &mut PgConnection, decoration_ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT edge_server_id FROM ar.decoration_sync WHERE decoration_id = ANY ($1) AND sync_status IN ('pending', 'outdated')",
        decoration_ids
    )
    .fetch_all(connection)
    .await
}

/// The epoch of this database.
pub(crate) async fn epoch(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_one(connection).await
}

/// What an edge said of one entry.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) edge_id: Uuid,
    pub(super) session_id: Uuid,
    pub(super) decoration_id: Uuid,
    pub(super) number: i64,
    /// Why it was refused; none: it was not.
    pub(super) refused: Option<String>,
}

/// Writes what edges said into the books: what was acknowledged in the number that is wanted still. A refusal is tried
/// again after 1, 3, 9 … seconds, and set aside after `max_attempts`. Gives the changes, by edge.
pub(super) async fn record(
    connection: &mut PgConnection,
    said: &[Said],
    max_attempts: i32,
) -> Result<HashMap<Uuid, Vec<Change>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"WITH said AS (
               SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[]) AS s(edge_id, session_id, decoration_id, number, refused)
           ), live AS MATERIALIZED (
               -- Held until this is committed: a session that takes over reads the books after it.
               SELECT edge_server_id, session_id FROM ar.edge_sessions
               WHERE edge_server_id = ANY ($1) AND session_id = ANY ($2) ORDER BY edge_server_id FOR SHARE
           ), mine AS MATERIALIZED (
               SELECT s.edge_server_id, s.decoration_id, s.synced_version AS before, s.wanted, said.refused
               FROM said JOIN live ON live.edge_server_id = said.edge_id AND live.session_id = said.session_id
               JOIN ar.decoration_sync s ON s.edge_server_id = said.edge_id AND s.decoration_id = said.decoration_id
               WHERE s.sync_version = said.number AND s.sync_status <> 'synced'
               FOR NO KEY UPDATE OF s SKIP LOCKED
           ), put AS (
               UPDATE ar.decoration_sync s SET sync_status = 'synced', synced_version = s.sync_version, attempts = 0, next_attempt_at = NULL,
                   error_message = NULL, last_sync_at = now()
               FROM mine m
               WHERE s.edge_server_id = m.edge_server_id AND s.decoration_id = m.decoration_id AND m.wanted = 'put' AND m.refused IS NULL
               RETURNING s.edge_server_id, s.decoration_id, m.before, s.synced_version AS after
           ), removed AS (
               DELETE FROM ar.decoration_sync s USING mine m
               WHERE s.edge_server_id = m.edge_server_id AND s.decoration_id = m.decoration_id AND m.wanted = 'remove' AND m.refused IS NULL
               RETURNING s.edge_server_id, s.decoration_id, m.before, NULL::bigint AS after
           ), refused AS (
               UPDATE ar.decoration_sync s SET attempts = s.attempts + 1, error_message = m.refused,
                   sync_status = CASE WHEN s.attempts + 1 >= $6 THEN 'failed' ELSE s.sync_status END,
                   next_attempt_at = CASE WHEN s.attempts + 1 < $6 THEN now() + make_interval(secs => least(3 ^ s.attempts, 3600)) END
               FROM mine m
               WHERE s.edge_server_id = m.edge_server_id AND s.decoration_id = m.decoration_id AND m.refused IS NOT NULL
                 -- One attempt, one refusal, however often it is said.
                 AND s.sync_status <> 'failed' AND (s.next_attempt_at IS NULL OR s.next_attempt_at <= now())
           )
           SELECT edge_server_id AS "edge_server_id!", decoration_id AS "decoration_id!", before, after
           FROM (SELECT * FROM put UNION ALL SELECT * FROM removed) AS changed"#,
        &said.iter().map(|said| said.edge_id).collect::<Vec<_>>(),
        &said.iter().map(|said| said.session_id).collect::<Vec<_>>(),
        &said.iter().map(|said| said.decoration_id).collect::<Vec<_>>(),
        &said.iter().map(|said| said.number).collect::<Vec<_>>(),
        &said.iter().map(|said| said.refused.clone()).collect::<Vec<_>>() as _,
        max_attempts
    );
    let mut changes: HashMap<Uuid, Vec<Change>> = HashMap::new();
    for row in rows.fetch_all(connection).await? {
        let change = Change { id: row.decoration_id, before: row.before, after: row.after };
        changes.entry(row.edge_server_id).or_default().push(change);
    }
    Ok(changes)
}

/// Whether a session is the one of its edge still; it stays so until the transaction ends.
async fn is_live(connection: &mut PgConnection, edge_id: Uuid, session_id: Uuid) -> Result<bool, sqlx::Error> {
    let live = sqlx::query_scalar!(
        "SELECT session_id FROM ar.edge_sessions WHERE edge_server_id = $1 AND session_id = $2 FOR SHARE",
        edge_id,
        session_id
    );
    Ok(live.fetch_optional(connection).await?.is_some())
}

/// Notes that an edge is to get everything, until that is complete.
pub(super) async fn want_snapshot(connection: &mut PgConnection, edge_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.edge_servers SET snapshot_due = true WHERE id = $1 AND NOT snapshot_due", edge_id)
        .execute(connection)
        .await
        .map(|_| ())
}

/// How taking everything back went.
pub(super) enum TakenBack {
    /// It goes on after this decoration.
    UpTo(Uuid),
    /// That was all.
    All,
    /// The session is over.
    Over,
}

/// Takes a piece of everything back, after a decoration: the edge holds nothing of it by the books, and what it should
/// hold is due; with new numbers, if the edge is to take again what it has. In pieces, so that no edit waits for long.
pub(super) async fn take_back(
    connection: &mut PgConnection,
    (edge_id, session_id): (Uuid, Uuid),
    renumber: bool,
    after: Uuid,
) -> Result<TakenBack, sqlx::Error> {
    if !is_live(connection, edge_id, session_id).await? {
        return Ok(TakenBack::Over);
    }
    let piece = sqlx::query!(
        r#"WITH mine AS MATERIALIZED (
               SELECT decoration_id, wanted, $2 OR wanted = 'remove' OR synced_version IS NOT NULL OR sync_status = 'failed' AS is_to_change
               FROM ar.decoration_sync WHERE edge_server_id = $1 AND decoration_id > $3 ORDER BY decoration_id LIMIT $4 FOR NO KEY UPDATE
           ), dropped AS (
               DELETE FROM ar.decoration_sync s USING mine m
               WHERE s.edge_server_id = $1 AND s.decoration_id = m.decoration_id AND m.wanted = 'remove'
           ), due AS (
               UPDATE ar.decoration_sync s SET sync_status = 'pending', synced_version = NULL, attempts = 0, next_attempt_at = NULL,
                   error_message = NULL, wanted_at = now(),
                   sync_version = CASE WHEN $2 THEN nextval('ar.sync_version_seq') ELSE s.sync_version END
               FROM mine m WHERE s.edge_server_id = $1 AND s.decoration_id = m.decoration_id AND m.wanted = 'put' AND m.is_to_change
           )
           SELECT count(*) AS "count!", (SELECT decoration_id FROM mine ORDER BY decoration_id DESC LIMIT 1) AS last FROM mine"#,
        edge_id,
        renumber,
        after,
        PIECE
    );
    let piece = piece.fetch_one(connection).await?;
    Ok(piece.last.filter(|_| piece.count == PIECE).map_or(TakenBack::All, TakenBack::UpTo))
}

/// Notes that an edge has its snapshot. False when the session is over.
pub(super) async fn end_snapshot(connection: &mut PgConnection, edge_id: Uuid, session_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.edge_servers e SET snapshot_due = false FROM ar.edge_sessions s WHERE e.id = $1 AND s.edge_server_id = e.id AND s.session_id = $2",
        edge_id,
        session_id
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// What an edge holds by the books, item by item.
pub(super) async fn held(connection: &mut PgConnection, edge_id: Uuid) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT decoration_id, synced_version AS "synced_version!" FROM ar.decoration_sync WHERE edge_server_id = $1 AND synced_version IS NOT NULL"#,
        edge_id
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.decoration_id, row.synced_version)).collect())
}

/// Writes what an edge really holds into the books, so that what is wrong becomes due. Gives what no row tells of, with
/// the numbers to remove it by; none when the session is over.
pub(super) async fn mend(
    connection: &mut PgConnection,
    edge_id: Uuid,
    session_id: Uuid,
    differences: &[Difference],
) -> Result<Option<Vec<(Uuid, i64)>>, sqlx::Error> {
    if !is_live(connection, edge_id, session_id).await? {
        return Ok(None);
    }
    let ahead = catch_up(connection, differences.iter().filter_map(|difference| difference.theirs).max().unwrap_or(0)).await?;
    let believed = |difference: &&Difference| difference.theirs.is_none_or(|number| number <= ahead);
    let (ids, theirs): (Vec<Uuid>, Vec<Option<i64>>) =
        differences.iter().filter(believed).map(|difference| (difference.id, difference.theirs)).unzip();
    if ids.len() < differences.len() {
        let count = differences.len() - ids.len();
        tracing::warn!(edge = %edge_id, count, "edge {edge_id} holds {count} decorations with numbers that were never given");
    }
    let strays = sqlx::query!(
        r#"WITH told AS (
               SELECT * FROM unnest($2::uuid[], $3::bigint[]) AS t(id, theirs)
           ), mine AS MATERIALIZED (
               SELECT s.decoration_id, told.theirs FROM told JOIN ar.decoration_sync s ON s.edge_server_id = $1 AND s.decoration_id = told.id
               ORDER BY s.decoration_id FOR NO KEY UPDATE OF s
           ), gone AS (
               DELETE FROM ar.decoration_sync s USING mine m
               WHERE s.edge_server_id = $1 AND s.decoration_id = m.decoration_id AND m.theirs IS NULL AND s.wanted = 'remove'
           ), mended AS (
               UPDATE ar.decoration_sync s SET synced_version = m.theirs,
                   -- The edge takes only what is newer than what it has.
                   sync_version = CASE WHEN m.theirs > s.sync_version OR (m.theirs = s.sync_version AND s.wanted = 'remove')
                                       THEN nextval('ar.sync_version_seq') ELSE s.sync_version END,
                   attempts = CASE WHEN m.theirs = s.sync_version AND s.wanted = 'put' THEN 0 ELSE s.attempts END,
                   next_attempt_at = CASE WHEN m.theirs = s.sync_version AND s.wanted = 'put' THEN NULL ELSE s.next_attempt_at END,
                   error_message = CASE WHEN m.theirs = s.sync_version AND s.wanted = 'put' THEN NULL ELSE s.error_message END,
                   sync_status = CASE WHEN m.theirs = s.sync_version AND s.wanted = 'put' THEN 'synced' WHEN s.sync_status = 'failed' THEN 'failed'
                                      WHEN m.theirs IS NULL THEN 'pending' ELSE 'outdated' END
               FROM mine m
               WHERE s.edge_server_id = $1 AND s.decoration_id = m.decoration_id AND NOT (m.theirs IS NULL AND s.wanted = 'remove')
           )
           SELECT told.id AS "id!", nextval('ar.sync_version_seq') AS "number!" FROM told
           WHERE told.theirs IS NOT NULL AND NOT EXISTS (SELECT FROM mine m WHERE m.decoration_id = told.id)"#,
        edge_id,
        &ids,
        &theirs as _
    );
    Ok(Some(strays.fetch_all(connection).await?.into_iter().map(|row| (row.id, row.number)).collect()))
}

/// Sees to it that numbers to come are higher than one that an edge has: it is of a time that a restored database does not
/// know of. Gives the highest number that is believed.
async fn catch_up(connection: &mut PgConnection, theirs: i64) -> Result<i64, sqlx::Error> {
    let ours = sqlx::query_scalar!("SELECT last_value FROM ar.sync_version_seq").fetch_one(&mut *connection).await?;
    if theirs <= ours {
        return Ok(ours);
    }
    tracing::warn!(
        theirs,
        ours,
        "an edge has numbers that this database never gave: after a restore, run `ar-supervisor doctor --after-restore`"
    );
    if theirs - ours > MAX_AHEAD || theirs > HIGHEST_BELIEVED {
        return Ok(ours);
    }
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", CATCHING_UP).fetch_one(&mut *connection).await?;
    // Far enough that it rises whatever others take at the same time.
    sqlx::query_scalar!(
        r#"SELECT setval('ar.sync_version_seq', greatest($1, nextval('ar.sync_version_seq')) + 1000000) AS "set!""#,
        theirs
    )
    .fetch_one(connection)
    .await?;
    Ok(theirs)
}
