//! Whether all three give the same answers, before any of them is timed.

use std::collections::BTreeSet;

use ar_supervisor::geo::{Geog, LatLng};
use geo_types::Point;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::COMPARED;
use super::service::Service;
use super::tools::{PATH, Pgbench, Redis};
use crate::support::Outcome;
use crate::support::random::{Random, SQUARE};

/// Redis measures on a sphere: so near the limit, as a part of the radius, the two may differ.
const SPHERE_TOLERANCE: f64 = 0.01;

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: Uuid,
}

/// Compares them at random places; a sentence about what was found.
///
/// # Errors
/// When one differs, or fails.
pub(crate) async fn compare(
    connection: &mut PgConnection,
    near: &str,
    service: &Service,
    pgbench: &Pgbench,
    redis: &Redis,
    radius_m: f64,
) -> Outcome<String> {
    let client = reqwest::Client::new();
    let mut random = Random::new(42);
    let (mut rows, mut bytes, mut on_the_edge) = (0, 0, 0);
    for _ in 0..COMPARED {
        let place = SQUARE.place(&mut random);
        let (lat, lng) = (place.lat_deg(), place.lng_deg());
        let expected = asked_as_the_service(connection, near, place, radius_m).await?;
        let url = format!("{}{PATH}?lat={lat}&lng={lng}&radius={radius_m}", service.url());
        let body = client.get(url).send().await?.error_for_status()?.bytes().await?;
        let answer: Answer = serde_json::from_slice(&body)?;
        let ids: Vec<Uuid> = answer.items.iter().map(|item| item.id).collect();
        let wanted: Vec<Uuid> = expected.iter().map(|(id, _)| *id).collect();
        if ids != wanted || answer.next_cursor.is_some() {
            return Err(format!("at {lat}, {lng}, HTTP answers {ids:?}, SQL {wanted:?}").into());
        }
        let from_pgbench: Vec<Uuid> = sqlx::query(AssertSqlSafe(pgbench.statement_at(lat, lng)))
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(|row| row.get("id!"))
            .collect();
        if from_pgbench != wanted {
            return Err(format!("at {lat}, {lng}, pgbench's statement answers {from_pgbench:?}, the service's {wanted:?}").into());
        }
        let found: BTreeSet<Uuid> = redis.search(lat, lng, radius_m)?.into_iter().collect();
        on_the_edge += differing(connection, &found, &wanted, place, radius_m).await?;
        rows += ids.len();
        bytes += body.len();
    }
    let mean = |total: usize| total / COMPARED as usize;
    Ok(format!(
        "Compared at {COMPARED} random places before timing: HTTP, the service's statement and pgbench's gave the same {rows} rows in the same order \
         ({} rows and {} bytes of JSON a mean answer); Redis, which measures on a sphere, differed in {on_the_edge}, all within 1 % of the radius's edge.",
        mean(rows),
        mean(bytes)
    ))
}

async fn asked_as_the_service(connection: &mut PgConnection, near: &str, place: LatLng, radius_m: f64) -> Outcome<Vec<(Uuid, f64)>> {
    let query = sqlx::query(AssertSqlSafe(near)).bind(Geog(Point::from(place))).bind(radius_m).bind(None::<&str>).bind(None::<&str>);
    let rows = query.bind(None::<f64>).bind(None::<Uuid>).bind(51_i64).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| (row.get("id!"), row.get("distance_m!"))).collect())
}

/// How many only one of them has; an error when one of those is not near the edge.
async fn differing(connection: &mut PgConnection, found: &BTreeSet<Uuid>, wanted: &[Uuid], place: LatLng, radius_m: f64) -> Outcome<usize> {
    let wanted: BTreeSet<Uuid> = wanted.iter().copied().collect();
    let only_one: Vec<Uuid> = found.symmetric_difference(&wanted).copied().collect();
    let distances: Vec<f64> = sqlx::query_scalar("SELECT ST_Distance(location, $1) FROM ar.decorations WHERE id = ANY($2)")
        .bind(Geog(Point::from(place)))
        .bind(&only_one)
        .fetch_all(connection)
        .await?;
    if distances.len() != only_one.len() || distances.iter().any(|distance_m| (distance_m / radius_m - 1.0).abs() > SPHERE_TOLERANCE) {
        return Err(format!("at {place:?}, Redis differs in {only_one:?}, at {distances:?} m of {radius_m}").into());
    }
    Ok(only_one.len())
}
