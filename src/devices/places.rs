//! Places at edge servers: the one way in which devices get and leave them.
//!
//! Whoever calls has locked the devices, in the order of their ids; here the counters of the edges are locked, in the
//! order of theirs, read again, and changed by what is granted. So no edge ever has more devices than it takes, however
//! many ask at once, and a place that is free is found.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::grant::{Candidate, Grant, Room, Wish, grant};
use super::model::EdgeLink;
use crate::config::ChoiceConfig;
use crate::telemetry::meters;

/// Begins a transaction whose statements are planned once, by the keys' indexes and in the order of the rows given:
/// with a plan by hashing, rows would be locked in the order of the table.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// Candidates looked at before the choice is asked again.
const CANDIDATES: i64 = 8;

/// Who has devices placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The phone itself, which is told.
    Phone,
    /// We: the phone is to be told when it asks next.
    Us,
}

/// What a device got.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) device_id: String,
    pub(super) edge: Option<EdgeLink>,
    /// Why it is none, or a second choice.
    pub(super) reason: Option<String>,
    /// It has another edge than it was told last.
    pub(super) handover: bool,
    /// False: its candidates were taken by others meanwhile, and it is to be tried again.
    pub(super) settled: bool,
}

/// A device with what it may get.
struct Asking {
    wish: Wish,
    held: Option<EdgeLink>,
    /// It was moved since it was told last.
    handed_over: bool,
    reason: Option<String>,
}

/// Gives locked, connected devices the edges they should have.
pub(super) async fn place(
    connection: &mut PgConnection,
    choice: &ChoiceConfig,
    device_ids: &[String],
    by: By,
) -> Result<Vec<Place>, sqlx::Error> {
    if device_ids.is_empty() {
        return Ok(Vec::new());
    }
    let asking = choices(connection, choice, device_ids).await?;
    let open: Vec<&Wish> = asking.values().map(|asking| &asking.wish).filter(|wish| !wish.keeps()).collect();
    let (mut rooms, links) = lock_rooms(connection, &open).await?;
    let before = rooms.clone();
    let mut granted = grant(&open, &mut rooms).into_iter();
    let mut places = Vec::with_capacity(asking.len());
    let mut rows = Rows::default();
    for (number, asking) in asking {
        let device_id = device_ids[number].clone();
        let grant = if asking.wish.keeps() { Grant::Settled(asking.wish.held) } else { granted.next().unwrap_or(Grant::Open) };
        let Grant::Settled(edge_id) = grant else {
            // What it is told should it never be settled.
            let reason = asking.reason.or_else(|| Some("all_full".to_owned()));
            places.push(Place { device_id, edge: asking.held, reason, handover: false, settled: false });
            continue;
        };
        let moved = edge_id != asking.wish.held;
        rows.push(&device_id, &asking, edge_id, by == By::Us && (asking.handed_over || (moved && asking.wish.held.is_some())));
        let handover = asking.handed_over || (moved && asking.wish.held.is_some() && edge_id.is_some());
        let edge = if moved { edge_id.and_then(|id| links.get(&id).cloned()) } else { asking.held };
        places.push(Place { device_id, edge, reason: asking.reason, handover, settled: true });
    }
    count(connection, &before, &rooms).await?;
    rows.write(connection).await?;
    rows.notices.send(connection).await?;
    Ok(places)
}

/// Counts how choices ended, once that is committed.
pub(super) fn note(placed: &[Place], by: By) {
    let selection = if by == By::Phone { &meters().edges.by_phone } else { &meters().edges.moved };
    placed.iter().filter(|place| place.settled).for_each(|place| selection.ended(place.reason.as_deref()));
}

/// What each device may get, by its number among those given.
async fn choices(
    connection: &mut PgConnection,
    choice: &ChoiceConfig,
    device_ids: &[String],
) -> Result<BTreeMap<usize, Asking>, sqlx::Error> {
    let [distance, load, health] = choice.weights;
    let rows = sqlx::query!(
        r#"SELECT a.number AS "number!", d.edge_server_id AS held, h.api_url AS "api_url?", h.websocket_url AS "websocket_url?", d.handed_over,
               coalesce(h.draining AND h.is_active AND h.deleted_at IS NULL AND h.health_status <> 'offline', false) AS "may_stay!",
               c.edge_server_id AS candidate, c.load_score, c.score, c.preference, c.reason
           FROM unnest($1::text[]) WITH ORDINALITY AS a(device_id, number)
           JOIN ar.device_connections d ON d.device_id = a.device_id
           LEFT JOIN ar.edge_servers h ON h.id = d.edge_server_id
           CROSS JOIN LATERAL (
               SELECT e.edge_server_id, e.load_score, e.score, e.preference, e.reason
               FROM gis.edge_choice(d.position, NULL, $2, $3, $4, $5, d.edge_server_id) AS e
               ORDER BY e.preference DESC, e.edge_server_id LIMIT $6
           ) AS c
           ORDER BY a.number, c.preference DESC, c.edge_server_id"#,
        device_ids,
        choice.search_radius.0,
        distance,
        load,
        health,
        CANDIDATES
    )
    .fetch_all(connection)
    .await?;
    let mut asking: BTreeMap<usize, Asking> = BTreeMap::new();
    for row in rows {
        let number = usize::try_from(row.number - 1).unwrap_or_default();
        let asking = asking.entry(number).or_insert_with(|| Asking {
            wish: Wish { held: row.held, may_stay: row.may_stay, candidates: Vec::new() },
            held: row.held.zip(row.api_url).zip(row.websocket_url).map(|((id, api_url), websocket_url)| EdgeLink {
                id,
                api_url,
                websocket_url,
            }),
            handed_over: row.handed_over,
            reason: row.reason,
        });
        if let (Some(edge_id), Some(score), Some(load_score), Some(preference)) = (row.candidate, row.score, row.load_score, row.preference)
        {
            // The preference is the score, higher for the edge that it has.
            let factor = if score > 0.0 { preference / score } else { 1.0 };
            let worth_of_room = factor * load;
            asking.wish.candidates.push(Candidate { edge_id, base: preference - worth_of_room * load_score, worth_of_room });
        }
    }
    Ok(asking)
}

/// Locks the counters of all edges that these devices may leave or get, in the order of the edges' ids, and reads them
/// as they are then.
async fn lock_rooms(
    connection: &mut PgConnection,
    wishes: &[&Wish],
) -> Result<(HashMap<Uuid, Room>, HashMap<Uuid, EdgeLink>), sqlx::Error> {
    let edges = wishes.iter().flat_map(|wish| wish.held.into_iter().chain(wish.candidates.iter().map(|candidate| candidate.edge_id)));
    let edges: BTreeSet<Uuid> = edges.collect();
    if edges.is_empty() {
        return Ok(Default::default());
    }
    let rows = sqlx::query!(
        r#"SELECT l.edge_server_id, l.current_connections, l.reported_connections, e.max_connections, e.api_url, e.websocket_url,
               e.is_active AND e.deleted_at IS NULL AND NOT e.draining AND e.health_status <> 'offline' AS "is_open!"
           FROM ar.edge_load l JOIN ar.edge_servers e ON e.id = l.edge_server_id
           WHERE l.edge_server_id = ANY($1) ORDER BY l.edge_server_id FOR UPDATE OF l"#,
        &edges.into_iter().collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await?;
    let (mut rooms, mut links) = (HashMap::new(), HashMap::new());
    for row in rows {
        let id = row.edge_server_id;
        let (max, assigned, reported) = (row.max_connections, row.current_connections, row.reported_connections);
        rooms.insert(id, Room { is_open: row.is_open, max, assigned, reported });
        links.insert(id, EdgeLink { id, api_url: row.api_url, websocket_url: row.websocket_url });
    }
    Ok((rooms, links))
}

/// Writes the counters that changed.
async fn count(connection: &mut PgConnection, before: &HashMap<Uuid, Room>, after: &HashMap<Uuid, Room>) -> Result<(), sqlx::Error> {
    let changed = after.iter().filter(|(id, room)| before.get(id).is_some_and(|before| before.assigned != room.assigned));
    let (ids, assigned): (Vec<Uuid>, Vec<i32>) = changed.map(|(id, room)| (*id, room.assigned.max(0))).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE ar.edge_load l SET current_connections = c.assigned, updated_at = now()
         FROM unnest($1::uuid[], $2::int[]) AS c(id, assigned) WHERE l.edge_server_id = c.id",
        &ids,
        &assigned
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// What is written of devices that were placed, one array a column.
#[derive(Default)]
struct Rows {
    device_ids: Vec<String>,
    edge_ids: Vec<Option<Uuid>>,
    reasons: Vec<Option<String>>,
    handed_over: Vec<bool>,
    notices: Notices,
}

impl Rows {
    fn push(&mut self, device_id: &str, asking: &Asking, edge_id: Option<Uuid>, handed_over: bool) {
        self.device_ids.push(device_id.to_owned());
        self.edge_ids.push(edge_id);
        self.reasons.push(asking.reason.clone());
        self.handed_over.push(handed_over);
        if edge_id != asking.wish.held {
            self.notices.add(asking.wish.held, device_id, false);
            self.notices.add(edge_id, device_id, true);
        }
    }

    async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.device_ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "UPDATE ar.device_connections d SET edge_server_id = p.edge_server_id, edge_reason = p.reason, handed_over = p.handed_over,
                 edge_chosen_at = now(), edge_chosen_cell = d.h3_r9
             FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bool[]) AS p(device_id, edge_server_id, reason, handed_over)
             WHERE d.device_id = p.device_id",
            &self.device_ids,
            &self.edge_ids as _,
            &self.reasons as _,
            &self.handed_over
        )
        .execute(connection)
        .await
        .map(|_| ())
    }
}

/// What edges are to be told.
#[derive(Default)]
struct Notices {
    edge_ids: Vec<Uuid>,
    device_ids: Vec<String>,
    assigned: Vec<bool>,
}

impl Notices {
    fn add(&mut self, edge_id: Option<Uuid>, device_id: &str, assigned: bool) {
        if let Some(edge_id) = edge_id {
            self.edge_ids.push(edge_id);
            self.device_ids.push(device_id.to_owned());
            self.assigned.push(assigned);
        }
    }

    /// Leaves them for those edges that are connected, and wakes whoever holds their sockets. The counters of the
    /// edges are locked, so each edge hears of them in the order in which they happened.
    async fn send(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.edge_ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"WITH added AS (
                   INSERT INTO ar.edge_device_notices (edge_server_id, device_id, assigned)
                   SELECT n.edge_server_id, n.device_id, n.assigned
                   FROM unnest($1::uuid[], $2::text[], $3::bool[]) WITH ORDINALITY AS n(edge_server_id, device_id, assigned, number)
                   WHERE EXISTS (SELECT FROM ar.edge_sessions s WHERE s.edge_server_id = n.edge_server_id AND s.lease_until > now())
                   ORDER BY n.number
                   RETURNING 1
               )
               SELECT pg_notify('ar', 'devices:00000000-0000-0000-0000-000000000000') AS told FROM added LIMIT 1"#,
            &self.edge_ids,
            &self.device_ids,
            &self.assigned
        )
        .fetch_optional(connection)
        .await
        .map(|_| ())
    }
}

/// A locked device that leaves its edge, if it has one.
pub(super) struct Leaving {
    pub(super) device_id: String,
    pub(super) edge_server_id: Option<Uuid>,
}

/// Frees the places of locked devices; their rows are the caller's to change.
pub(super) async fn free(connection: &mut PgConnection, leaving: &[Leaving]) -> Result<(), sqlx::Error> {
    let wishes: Vec<Wish> = leaving
        .iter()
        .filter(|leaving| leaving.edge_server_id.is_some())
        .map(|leaving| Wish { held: leaving.edge_server_id, may_stay: false, candidates: Vec::new() })
        .collect();
    let wishes: Vec<&Wish> = wishes.iter().collect();
    let (mut rooms, _) = lock_rooms(connection, &wishes).await?;
    let before = rooms.clone();
    grant(&wishes, &mut rooms);
    count(connection, &before, &rooms).await?;
    let mut notices = Notices::default();
    for leaving in leaving {
        notices.add(leaving.edge_server_id, &leaving.device_id, false);
    }
    notices.send(connection).await
}

/// Locked devices are connected no longer, and their places are free.
pub(super) async fn disconnect(connection: &mut PgConnection, leaving: &[Leaving]) -> Result<(), sqlx::Error> {
    if leaving.is_empty() {
        return Ok(());
    }
    free(connection, leaving).await?;
    let device_ids: Vec<String> = leaving.iter().map(|leaving| leaving.device_id.clone()).collect();
    sqlx::query!(
        "UPDATE ar.device_connections SET connection_status = 'disconnected', edge_server_id = NULL, edge_reason = NULL,
             edge_chosen_at = NULL, handed_over = false
         WHERE device_id = ANY($1)",
        &device_ids
    )
    .execute(connection)
    .await
    .map(|_| ())
}
