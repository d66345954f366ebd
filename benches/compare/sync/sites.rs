//! Where things are: a town full of decorations, where edge servers are new; a village with a crowd of edge servers that
//! hold what is edited; and a stadium with a great crowd. Far from each other, so that what one edge server should hold is
//! what its rows say.

use ar_supervisor::geo::LatLng;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::sockets::edge::{Edge, give_keys};
use crate::support::random::Area;
use crate::support::{Outcome, fleet, load};

const TOWN: Area = Area { name: "town", lat_deg: (0.0, 0.2), lng_deg: (0.0, 0.2), by_cell: true };
/// Enough for all of the town, in kilometres.
const RADIUS_KM: f64 = 30.0;

/// Edge servers around one place.
pub(super) struct Site {
    lat_deg: f64,
    lng_deg: f64,
    /// Their identities begin here.
    first: u128,
}

pub(super) const VILLAGE: Site = Site { lat_deg: 5.0, lng_deg: 5.0, first: 0x2000_0000 };
pub(super) const STADIUM: Site = Site { lat_deg: 8.0, lng_deg: 8.0, first: 0x3000_0000 };
const NEW: Site = Site { lat_deg: 0.1, lng_deg: 0.1, first: 0x1000_0000 };

impl Site {
    pub(super) fn place(&self) -> LatLng {
        LatLng::new(self.lat_deg, self.lng_deg).expect("on Earth")
    }
}

/// Puts the town's decorations in.
pub(super) async fn fill(sql: &mut PgConnection, decorations: u64) -> Outcome<()> {
    load::fill(sql, &TOWN, decorations).await
}

/// Puts in edge servers that hold nothing yet.
pub(super) async fn add_crowd(sql: &mut PgConnection, site: &Site, count: u64) -> Outcome<Vec<Edge>> {
    let mut transaction = sql.begin().await?;
    let mut edges = Vec::new();
    for number in 0..count {
        let id = Uuid::from_u128(site.first + u128::from(number));
        fleet::add_edge(&mut transaction, id, site.place(), 1.0).await?;
        edges.push(Edge { id });
    }
    give_keys(&mut transaction).await?;
    transaction.commit().await?;
    run(sql, "VACUUM ANALYZE").await?;
    Ok(edges)
}

/// Puts in an edge server of the town, all of whose decorations are due.
pub(super) async fn add_newcomer(sql: &mut PgConnection, number: u64) -> Outcome<Edge> {
    let edge = Edge { id: Uuid::from_u128(NEW.first + u128::from(number)) };
    let mut transaction = sql.begin().await?;
    fleet::add_edge(&mut transaction, edge.id, NEW.place(), RADIUS_KM).await?;
    give_keys(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status)
         SELECT $1, id, 'pending' FROM ar.decorations d WHERE ST_DWithin(d.location, (SELECT location FROM ar.edge_servers WHERE id = $1), $2) ORDER BY id",
    )
    .bind(edge.id)
    .bind(RADIUS_KM * 1000.0)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    run(sql, "VACUUM ANALYZE ar.decoration_sync; CHECKPOINT").await?;
    Ok(edge)
}

/// Takes it out again, with its rows.
pub(super) async fn remove_newcomer(sql: &mut PgConnection, edge: Edge) -> Outcome<()> {
    run(sql, &format!("DELETE FROM ar.edge_servers WHERE id = '{}'", edge.id)).await
}

async fn run(sql: &mut PgConnection, statements: &str) -> Outcome<()> {
    for statement in statements.split(';') {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *sql).await?;
    }
    Ok(())
}
