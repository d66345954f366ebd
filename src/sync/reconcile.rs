//! The comparison that nothing should come of: every `EDGE_SYNC_INTERVAL`, what edges should hold is compared with
//! their rows, over all decorations, and what differs is put right. A repair means that something else is wrong.
//!
//! One pass for the whole database: its state is one row, and whoever holds that row's lock does the next page. So any
//! number of instances make one pass together, and go on with one that was broken off. After each page it rests nine
//! times as long as the page took, by the same row: a tenth of a core is what it takes at most.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::wanted::{Marked, hold_areas, mark_differing};
use crate::db::within_deadline;
use crate::state::AppState;
use crate::telemetry::meters;
use crate::telemetry::prometheus::Work;

/// Decorations of a page, unless pages of so many failed.
const PAGE: i64 = 1000;

/// How many times as long as a page took it rests.
const REST: u32 = 9;

/// A page of decorations, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    /// How many.
    pub(crate) decorations: usize,
    /// The last of them.
    pub(crate) last: Option<Uuid>,
    /// Those for which what edges should hold is not what stands in their rows.
    pub(crate) differing: Vec<Uuid>,
}

/// What a look at the pass came to.
enum Step {
    /// There is nothing to do, or another instance does it.
    Nothing,
    /// A page; `true`: the last one.
    Page(Compared, Marked, bool),
}

/// Reconciles until the service stops.
pub(super) async fn run(state: &AppState) {
    let (stopping, interval) = (state.lifecycle.stopping(), state.supervision.sync_interval);
    let look_again = (interval / 10).clamp(Duration::from_millis(100), Duration::from_secs(5));
    let mut page = PAGE;
    // What goes wrong right after a start is not for us to hide, and instances that start together do not begin together.
    let mut rest = interval;
    let work = Work::begin("reconciliation", interval);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
        let started = Instant::now();
        let comparing = within_deadline(state.db.background(), "comparing what edges should hold", async |connection| {
            step(connection, interval, page).await
        });
        rest = match work.note(comparing.await) {
            Ok(Step::Nothing) => look_again,
            Ok(Step::Page(compared, marked, is_last)) => {
                page = (page * 2).min(PAGE);
                tell(&compared, marked);
                if is_last { look_again } else { started.elapsed() * REST }
            }
            Err(error) => {
                page = (page / 2).max(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "edges' rows were not compared; trying again");
                look_again
            }
        };
    }
}

fn tell(compared: &Compared, Marked { put, removed }: Marked) {
    let differing = compared.differing.len();
    if put + removed > 0 {
        meters().sync.reconciled.increment((put + removed) as u64);
        tracing::warn!(
            decorations = differing,
            put,
            removed,
            "repaired what edges are to hold of {differing} decorations: {put} were missing, {removed} too many"
        );
    }
}

/// Does the next page, if one is due and nobody else is at it.
async fn step(connection: &mut PgConnection, interval: Duration, page: i64) -> Result<Step, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let claimed = sqlx::query!(
        // Not while edges are being marked for another margin.
        r#"SELECT after_id FROM ar.reconciliation
           WHERE next_page_at <= now() AND (after_id IS NOT NULL OR begun_at <= now() - make_interval(secs => $1))
             AND (SELECT count(DISTINCT value::float8) FROM ar.meta WHERE key IN ('sync_margin_m', 'sync_margin_marked_m')) = 1
           FOR UPDATE SKIP LOCKED"#,
        interval.as_secs_f64()
    );
    let Some(claimed) = claimed.fetch_optional(&mut *transaction).await? else { return Ok(Step::Nothing) };
    let compared = compare(&mut transaction, claimed.after_id, page).await?;
    let marked = repair(&mut transaction, &compared.differing).await?;
    let is_last = i64::try_from(compared.decorations).is_ok_and(|decorations| decorations < page);
    sqlx::query!(
        "UPDATE ar.reconciliation SET after_id = CASE WHEN NOT $2 THEN $1::uuid END,
             begun_at = CASE WHEN $3 THEN now() ELSE begun_at END,
             compared = CASE WHEN $3 THEN 0 ELSE compared END + $4, repaired = CASE WHEN $3 THEN 0 ELSE repaired END + $5,
             passes = passes + CASE WHEN $2 THEN 1 ELSE 0 END, ended_at = CASE WHEN $2 THEN clock_timestamp() ELSE ended_at END,
             next_page_at = clock_timestamp() + $6::float8 * (clock_timestamp() - now())",
        compared.last,
        is_last,
        claimed.after_id.is_none(),
        i64::try_from(compared.decorations).unwrap_or(i64::MAX),
        i64::try_from(marked.put + marked.removed).unwrap_or(i64::MAX),
        f64::from(REST)
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Step::Page(compared, marked, is_last))
}

/// Compares a page of decorations after this one, deleted ones included; changes nothing.
pub(crate) async fn compare(connection: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Compared, sqlx::Error> {
    let page = sqlx::query!(
        r#"WITH page AS MATERIALIZED (
               SELECT id FROM ar.decorations WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2
           ), held AS MATERIALIZED (
               SELECT h.edge_server_id, h.decoration_id
               FROM (SELECT array_agg(id) AS ids FROM page) AS p, (SELECT value::float8 AS margin_m FROM ar.meta WHERE key = 'sync_margin_m') AS m
               CROSS JOIN LATERAL gis.edges_holding(p.ids, m.margin_m) AS h
           ), books AS MATERIALIZED (
               SELECT s.edge_server_id, s.decoration_id
               -- By their keys, however many there are.
               FROM page CROSS JOIN LATERAL (
                   SELECT s.edge_server_id, s.decoration_id
                   FROM ar.decoration_sync s JOIN ar.edge_servers e ON e.id = s.edge_server_id AND e.deleted_at IS NULL
                   WHERE s.decoration_id = page.id AND s.wanted = 'put' OFFSET 0
               ) AS s
           )
           SELECT (SELECT count(*) FROM page) AS "decorations!", (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
               ARRAY(SELECT decoration_id FROM (TABLE held EXCEPT TABLE books) AS missing
                     UNION SELECT decoration_id FROM (TABLE books EXCEPT TABLE held) AS excess) AS "differing!""#,
        after,
        limit
    )
    .fetch_one(connection)
    .await?;
    Ok(Compared { decorations: usize::try_from(page.decorations).unwrap_or(usize::MAX), last: page.last, differing: page.differing })
}

/// Puts right what differs, under the same locks as a write of these decorations, by what is there then.
async fn repair(connection: &mut PgConnection, differing: &[Uuid]) -> Result<Marked, sqlx::Error> {
    if differing.is_empty() {
        return Ok(Marked::default());
    }
    hold_areas(connection).await?;
    sqlx::query!("SELECT FROM ar.decorations WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", differing)
        .fetch_all(&mut *connection)
        .await?;
    mark_differing(connection, differing).await
}
