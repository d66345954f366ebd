//! Made-up edges and phones: as many as asked for, evenly over an area, each phone with an edge that has room.

use ar_supervisor::edges::circle_cells;
use ar_supervisor::geo::{Cell, Cells, LatLng, Metres};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::Outcome;
use super::random::{Area, Random};

/// Edges that cover a place, on average.
const COVERING: f64 = 3.0;

/// Puts in edges with circles so large that some three cover each place.
///
/// # Errors
/// When the database fails.
pub(crate) async fn add_edges(connection: &mut PgConnection, area: &Area, count: u64) -> Outcome<Vec<(Uuid, LatLng)>> {
    let radius_km = (area.radius_m_for(COVERING, count) / 10.0).round() / 100.0;
    let mut random = Random::new(count);
    let mut edges = Vec::new();
    for number in 0..count {
        let place = area.place(&mut random);
        let id = Uuid::from_u128(u128::from(number) + 1);
        add_edge(connection, id, place, radius_km).await?;
        edges.push((id, place));
    }
    Ok(edges)
}

/// Puts in an edge.
///
/// # Errors
/// When the database fails.
pub(crate) async fn add_edge(connection: &mut PgConnection, id: Uuid, place: LatLng, radius_km: f64) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_radius_km, service_area, max_connections, health_status)
         SELECT $1, 'edge', 'bench', 'https://edge.example.com', 'wss://edge.example.com', p.place, $4, gis.circle_area(p.place, $4 * 1000), 100000, 'healthy'
         FROM (SELECT ST_SetSRID(ST_MakePoint($2, $3), 4326)::geography AS place) AS p",
    )
    .bind(id)
    .bind(place.lng_deg())
    .bind(place.lat_deg())
    .bind(radius_km)
    .execute(&mut *connection)
    .await?;
    let cells: Vec<i64> = circle_cells(place, Metres(radius_km * 1000.0 + 500.0)).into_iter().map(Cell::to_db).collect();
    sqlx::query("INSERT INTO ar.edge_coverage (h3_cell, edge_server_id) SELECT cell, $2 FROM unnest($1::bigint[]) AS cell")
        .bind(cells)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Opens a session of each edge, with this generation.
///
/// # Errors
/// When the database fails.
pub(crate) async fn open_sessions(connection: &mut PgConnection, generation: i64) -> Outcome<()> {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "INSERT INTO ar.edge_keys (edge_server_id, key_hash) SELECT id, sha256(id::text::bytea) FROM ar.edge_servers;
         INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
         SELECT edge_server_id, id, id, {generation}, now() + interval '1 day', id FROM ar.edge_keys"
    )))
    .execute(connection)
    .await?;
    Ok(())
}

/// Name of a phone.
pub(crate) fn phone(number: usize) -> String {
    format!("phone-{number:06}")
}

/// Puts in phones, each near its edge; phone `n` has edge `n` modulo the number of edges.
///
/// # Errors
/// When the database fails.
pub(crate) async fn add_phones(
    connection: &mut PgConnection,
    edges: &[(Uuid, LatLng)],
    user_id: Uuid,
    count: usize,
) -> Outcome<Vec<LatLng>> {
    let places: Vec<LatLng> = (0..count).map(|number| edges[number % edges.len()].1).collect();
    let cells: Vec<Cells> = places.iter().map(|place| Cells::of(*place)).collect();
    let centres: Vec<LatLng> = cells.iter().map(|cells| cells.r9.centre()).collect();
    let of = |places: &[LatLng], degrees: fn(LatLng) -> f64| places.iter().map(|place| degrees(*place)).collect::<Vec<f64>>();
    sqlx::query(
        "INSERT INTO ar.device_connections (device_id, user_id, edge_server_id, position, cell_centre, h3_r7, h3_r9, recorded_at, edge_chosen_at, edge_chosen_cell)
         SELECT p.device_id, $1, p.edge_id, ST_SetSRID(ST_MakePoint(p.lng, p.lat), 4326)::geography, ST_SetSRID(ST_MakePoint(p.centre_lng, p.centre_lat), 4326)::geography,
             p.h3_r7, p.h3_r9, now() - interval '1 day', now(), p.h3_r9
         FROM unnest($2::text[], $3::uuid[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $8::bigint[], $9::bigint[])
             AS p(device_id, edge_id, lng, lat, centre_lng, centre_lat, h3_r7, h3_r9)",
    )
    .bind(user_id)
    .bind((0..count).map(phone).collect::<Vec<_>>())
    .bind((0..count).map(|number| edges[number % edges.len()].0).collect::<Vec<_>>())
    .bind(of(&places, LatLng::lng_deg))
    .bind(of(&places, LatLng::lat_deg))
    .bind(of(&centres, LatLng::lng_deg))
    .bind(of(&centres, LatLng::lat_deg))
    .bind(cells.iter().map(|cells| cells.r7.to_db()).collect::<Vec<_>>())
    .bind(cells.iter().map(|cells| cells.r9.to_db()).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql(
        "UPDATE ar.edge_load l SET current_connections = (SELECT count(*) FROM ar.device_connections d WHERE d.edge_server_id = l.edge_server_id)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(connection).await?;
    Ok(places)
}

/// A place some metres from another.
pub(crate) fn a_step_from(place: LatLng, random: &mut Random) -> LatLng {
    LatLng::new(place.lat_deg() + random.between(-5e-5, 5e-5), place.lng_deg() + random.between(-5e-5, 5e-5)).expect("still on Earth")
}

/// A direct write of positions in arrays, with as many columns as the service writes and nothing else: no phone is
/// kept from overwriting another's, no order of fixes, no edge. Parameters: names, positions, centres of their cells,
/// cells at resolution 7 and 9, times.
pub(crate) const DIRECT_UNNEST: &str =
    "UPDATE ar.device_connections d SET position = p.position, cell_centre = p.cell_centre, h3_r7 = p.h3_r7, h3_r9 = p.h3_r9,
    recorded_at = p.recorded_at, last_ping = now()
FROM unnest($1::text[], $2::geography[], $3::geography[], $4::bigint[], $5::bigint[], $6::timestamptz[])
    AS p(device_id, position, cell_centre, h3_r7, h3_r9, recorded_at)
WHERE d.device_id = p.device_id";
