//! What is published of usage: of hours that are over, and of crowds.

use ar_supervisor::geo::Cells;
use ar_supervisor::metrics::publish_usage;
use uuid::Uuid;

use super::{pool, run};
use crate::support::{TestDb, TestServer, position};

/// Hours back, decoration and answers of what is published.
async fn published(sql: &sqlx::PgPool) -> Vec<(i32, Uuid, i64)> {
    sqlx::query_as("SELECT (extract(epoch FROM date_trunc('hour', now()) - hour) / 3600)::int, decoration_id, answers FROM gis.decoration_usage ORDER BY 1, 2")
        .fetch_all(sql)
        .await
        .expect("reads")
}

#[tokio::test]
async fn only_closed_hours_with_ten_askers_are_published_and_each_once() {
    let db = TestDb::create().await;
    let sql = pool(&db);
    let cell = Cells::of(position(48.0, 11.0)).r7.to_db();
    let [crowd, lone, nine] = [1, 2, 3].map(Uuid::from_u128);
    let far = "date_trunc('hour', now())";
    let put = |hours: i32, id: Uuid, answers: i64, askers: u64| {
        let askers = askers.cast_signed();
        format!(
            "INSERT INTO ar.decoration_usage VALUES ({far} - {hours} * interval '1 hour', '{id}', {cell}, {answers}, ({askers})::bigint::bit(64));"
        )
    };
    // Whatever day it is in.
    run(
        &sql,
        "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - 1; BEGIN
             EXECUTE format('CREATE TABLE IF NOT EXISTS ar.decoration_usage_%s PARTITION OF ar.decoration_usage FOR VALUES FROM (%L) TO (%L)',
                 to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
         END $$",
    )
    .await;
    run(&sql, r#"UPDATE ar.meta SET value = to_char(now() AT TIME ZONE 'UTC' - interval '6 hours', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') WHERE key = 'usage_published_until'"#).await;
    let ten = 0x3ff;
    let rows =
        [put(0, crowd, 90, ten), put(3, crowd, 40, ten), put(3, lone, 5_000, 1), put(3, nine, 70, 0x1ff), put(4, lone, 12, u64::MAX)];
    run(&sql, &rows.concat()).await;
    // Six at once, and what they left to each other.
    let outcomes = futures_util::future::join_all((0..6).map(|_| publish_usage(&sql))).await;
    let hours: u32 = outcomes.into_iter().map(|outcome| outcome.expect("publishes")).sum();
    assert_eq!(hours + publish_usage(&sql).await.expect("publishes"), 2);
    let expected = [(3, crowd, 40), (4, lone, 12)];
    assert_eq!(published(&sql).await, expected);
    // Too late: what was decided stays.
    run(&sql, &[put(5, crowd, 77, ten), "UPDATE ar.decoration_usage SET answers = 1000, askers = ~0::bit(64);".to_owned()].concat()).await;
    publish_usage(&sql).await.expect("publishes");
    assert_eq!(published(&sql).await, expected);
}

/// One phone that asks often is one asker, at two instances too.
#[tokio::test]
async fn a_phone_alone_is_one_asker_however_often_it_asks() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), crate::support::Config::default()).await;
    a.decoration("alone").at(48.0, 11.0).insert().await;
    for _ in 0..15 {
        a.nearby(48.0, 11.0, 100.0).await;
        b.nearby(48.0, 11.0, 100.0).await;
    }
    for server in [&a, &b] {
        server.state.metrics.usage.write(&a.sql).await.expect("writes");
    }
    let (answers, askers): (i64, i64) = sqlx::query_as("SELECT sum(answers)::bigint, max(bit_count(askers)) FROM ar.decoration_usage")
        .fetch_one(&a.sql)
        .await
        .expect("reads");
    assert_eq!(answers, 30);
    // Two when the hour changed meanwhile, in two rows of which each has one.
    assert_eq!(askers, 1);
}
