//! Metrics: every figure against what was put in by SQL.

mod density;
mod devices;
mod edge_history;
mod load_distribution;
mod partitions;
mod plans;
mod stopping;
mod system;
mod usage;

use ar_supervisor::geo::Cells;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{TestDb, position};

/// A database without a service on it, and connections to it.
async fn database() -> (TestDb, PgPool) {
    let db = TestDb::create().await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(8).connect_lazy_with(db.options());
    (db, pool)
}

async fn run(sql: &PgPool, script: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned())).execute(sql).await.unwrap_or_else(|error| panic!("{script}: {error}"));
}

async fn number(sql: &PgPool, query: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(sql).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The r7 cell of a place, as the database has it.
fn r7(lat_deg: f64, lng_deg: f64) -> i64 {
    Cells::of(position(lat_deg, lng_deg)).r7.to_db()
}

/// New users.
async fn users(sql: &PgPool, count: usize) -> Vec<Uuid> {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query("INSERT INTO ar.users (id, email, password_hash, full_name, role) SELECT id, id || '@example.org', 'x', 'U', 'user' FROM unnest($1::uuid[]) AS id")
        .bind(&ids)
        .execute(sql)
        .await
        .expect("the users go in");
    ids
}

/// A device for each of these users, who may be named more than once.
async fn devices(sql: &PgPool, users: &[Uuid], edge: Option<Uuid>, cell: Option<i64>, status: &str) {
    sqlx::query(
        "INSERT INTO ar.device_connections (device_id, user_id, edge_server_id, h3_r7, connection_status)
         SELECT gen_random_uuid()::text, id, $2, $3, $4 FROM unnest($1::uuid[]) AS id",
    )
    .bind(users)
    .bind(edge)
    .bind(cell)
    .bind(status)
    .execute(sql)
    .await
    .expect("the devices go in");
}

/// Makes the partition of a day past, which the template has when it is older than midnight.
async fn make_past(sql: &PgPool, table: &str, days_ago: i32) {
    run(
        sql,
        &format!(
            "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {days_ago}; BEGIN
                 EXECUTE format('CREATE TABLE IF NOT EXISTS ar.{table}_%s PARTITION OF ar.{table} FOR VALUES FROM (%L) TO (%L)',
                     to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
             END $$"
        ),
    )
    .await;
}
