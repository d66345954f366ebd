//! Phones say where they are and get the edge they should have; nobody gets a place that is not there.

mod capacity;
mod choosing;
mod locating;
mod looking;
mod moving;
mod reporting;
mod writing;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Account, Answer, TestServer};

/// A place in Berlin; edges of these tests reach 5 km unless told otherwise.
const HERE: (f64, f64) = (52.52, 13.405);

fn location_path(device_id: &str) -> String {
    let device_id: String = url::form_urlencoded::byte_serialize(device_id.as_bytes()).collect::<String>().replace('+', "%20");
    format!("/api/v1/devices/{device_id}/location")
}

async fn put(t: &TestServer, account: &Account, device_id: &str, body: Value) -> Answer {
    account.send(t, Method::PUT, &location_path(device_id), body).await
}

/// Says that a device is at a place; what it is told.
async fn locate(t: &TestServer, account: &Account, device_id: &str, (lat, lng): (f64, f64)) -> Value {
    put(t, account, device_id, json!({"lat": lat, "lng": lng})).await.ok().json()
}

/// An edge with so many places.
async fn edge(t: &TestServer, (lat, lng): (f64, f64), places: i32) -> Uuid {
    let id = t.edge("test").at(lat, lng).insert().await;
    set_edge(t, id, &format!("max_connections = {places}")).await;
    id
}

async fn set_edge(t: &TestServer, id: Uuid, what: &str) {
    run(&t.sql, &format!("UPDATE ar.edge_servers SET {what} WHERE id = '{id}'")).await;
}

async fn set_device(t: &TestServer, device_id: &str, what: &str) {
    run(&t.sql, &format!("UPDATE ar.device_connections SET {what} WHERE device_id = '{device_id}'")).await;
}

async fn run(sql: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(sql).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// An open session of an edge, as the hub leaves it.
async fn session(t: &TestServer, edge_id: Uuid, generation: i64) {
    run(
        &t.sql,
        &format!(
            "WITH key AS (INSERT INTO ar.edge_keys (edge_server_id, key_hash) VALUES ('{edge_id}', sha256(gen_random_uuid()::text::bytea)) RETURNING id)
             INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
             SELECT '{edge_id}', gen_random_uuid(), gen_random_uuid(), {generation}, now() + interval '1 min', id FROM key
             ON CONFLICT (edge_server_id) DO UPDATE SET generation = excluded.generation, lease_until = excluded.lease_until"
        ),
    )
    .await;
}

async fn number(t: &TestServer, query: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&t.sql).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// What must hold at every instant: each edge counts the devices that it has and never more than it takes, and whoever
/// is disconnected has no place.
async fn check_places(sql: &PgPool) {
    let wrong: Vec<(Uuid, i32, i64, i32)> = sqlx::query_as(
        "SELECT e.id, l.current_connections, count(d.device_id), e.max_connections
         FROM ar.edge_servers e JOIN ar.edge_load l ON l.edge_server_id = e.id LEFT JOIN ar.device_connections d ON d.edge_server_id = e.id
         GROUP BY e.id, l.current_connections HAVING count(d.device_id) <> l.current_connections OR l.current_connections > e.max_connections",
    )
    .fetch_all(sql)
    .await
    .expect("counts");
    assert!(wrong.is_empty(), "edge, counted, there, most: {wrong:?}");
    let placed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM ar.device_connections WHERE connection_status = 'disconnected' AND edge_server_id IS NOT NULL",
    )
    .fetch_one(sql)
    .await
    .expect("counts");
    assert_eq!(placed, 0, "disconnected devices have no place");
}
