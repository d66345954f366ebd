//! Daily partitions: made when they are missing, dropped when they are old.

use ar_supervisor::config::{Environment, SupervisionConfig};
use ar_supervisor::metrics::{keep_partitions, sample_system};
use sqlx::PgPool;

use super::{database, make_past, number, r7, run};
use crate::support::{Config, SECRET, TestServer, eventually};

const TABLES: [&str; 3] = ["system_metrics", "decoration_usage", "device_presence"];

fn config(variables: &[(&str, &str)]) -> SupervisionConfig {
    Environment::of(&[&[("JWT_SECRET", SECRET)], variables].concat()).server().expect("configured").supervision
}

/// Days, counted from today (UTC), for which a table has partitions.
async fn days(sql: &PgPool, table: &str) -> Vec<i32> {
    sqlx::query_scalar(
        "SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - (now() AT TIME ZONE 'UTC')::date
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ('ar.' || $1)::regclass ORDER BY 1",
    )
    .bind(table)
    .fetch_all(sql)
    .await
    .expect("reads the catalog")
}

async fn drop_all(sql: &PgPool, table: &str) {
    run(
        sql,
        &format!(
            "DO $$ DECLARE part regclass; BEGIN
                 FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'ar.{table}'::regclass LOOP EXECUTE 'DROP TABLE ' || part; END LOOP;
             END $$"
        ),
    )
    .await;
}

#[tokio::test]
async fn old_partitions_go_and_those_of_the_week_ahead_come() {
    let (_db, sql) = database().await;
    for table in TABLES {
        for days_ago in [1, 2, 3, 4, 29, 30, 31, 32] {
            make_past(&sql, table, days_ago).await;
        }
        run(
            &sql,
            &format!("DO $$ BEGIN EXECUTE 'DROP TABLE ar.{table}_' || to_char((now() AT TIME ZONE 'UTC')::date + 5, 'YYYYMMDD'); END $$"),
        )
        .await;
    }
    let config = config(&[("METRICS_RETENTION", "30d"), ("LOCATION_RETENTION", "48h")]);
    // Many instances at once: none fails.
    let outcomes = futures_util::future::join_all((0..6).map(|_| keep_partitions(&sql, &config))).await;
    let dropped: i32 = outcomes.into_iter().map(|outcome| outcome.expect("no fault")).sum();
    let rest = keep_partitions(&sql, &config).await.expect("keeps");
    // A day goes once its last moment is too old.
    assert_eq!(dropped + rest, 2 + 2 + 6);
    let ahead = [0, 1, 2, 3, 4, 5, 6, 7];
    for table in ["system_metrics", "decoration_usage"] {
        assert_eq!(days(&sql, table).await, [[-30, -29, -4, -3, -2, -1].as_slice(), &ahead].concat(), "{table}");
    }
    assert_eq!(days(&sql, "device_presence").await, [[-2, -1].as_slice(), &ahead].concat());
}

/// However short positions are kept, a quarter-hour is published before it goes.
#[tokio::test]
async fn presence_is_kept_until_it_can_be_published() {
    let (_db, sql) = database().await;
    make_past(&sql, "device_presence", 1).await;
    make_past(&sql, "device_presence", 2).await;
    keep_partitions(&sql, &config(&[("LOCATION_RETENTION", "1m")])).await.expect("keeps");
    let in_first_half_hour =
        number(&sql, "SELECT extract(epoch FROM now() - date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')::bigint / 1800")
            .await
            == 0;
    let expected = if in_first_half_hour { -1 } else { 0 };
    assert_eq!(days(&sql, "device_presence").await.first(), Some(&expected));
}

#[tokio::test]
async fn a_sample_whose_partition_is_missing_makes_it() {
    let (_db, sql) = database().await;
    drop_all(&sql, "system_metrics").await;
    assert!(sample_system(&sql).await.expect("samples"));
    assert_eq!(number(&sql, "SELECT count(*) FROM ar.system_metrics").await, 6);
    assert_eq!(days(&sql, "system_metrics").await, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn answers_whose_partition_is_missing_make_it_on_many_instances_at_once() {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    a.decoration("here").at(0.0, 0.0).insert().await;
    for server in [&a, &b] {
        server.nearby(0.0, 0.0, 10.0).await;
    }
    drop_all(&a.sql, "decoration_usage").await;
    let (first, second) = tokio::join!(a.state.metrics.usage.write(&a.sql), b.state.metrics.usage.write(&b.sql));
    first.and(second).expect("both are written");
    // What a tick of the servers' own took is being written, too.
    eventually("both answers are counted", async || {
        let count = number(&a.sql, "SELECT coalesce(sum(answers), 0)::bigint FROM ar.decoration_usage").await;
        (count == 2).then_some(())
    })
    .await;
}

/// Nobody waits for hours whose days were dropped: they would fail for ever.
#[tokio::test]
async fn answers_of_a_day_that_is_gone_are_given_up() {
    let t = TestServer::start_with(Config { started: false, ..Config::default() }).await;
    let cell = ar_supervisor::geo::Cell::from_db(r7(0.0, 0.0)).expect("a cell");
    t.state.metrics.usage.answered(1_000_000_000, std::net::Ipv4Addr::LOCALHOST.into(), std::iter::once((uuid::Uuid::nil(), cell)));
    assert!(t.state.metrics.usage.write(&t.sql).await.is_err());
    assert_eq!(t.state.metrics.usage.write(&t.sql).await.expect("nothing is left"), 0);
}

#[tokio::test]
async fn a_service_makes_what_is_missing_when_it_starts() {
    let (db, sql) = database().await;
    for table in TABLES {
        drop_all(&sql, table).await;
    }
    let _t = TestServer::on(db.options(), Config::default()).await;
    eventually("partitions and samples are there", async || {
        let samples = number(&sql, "SELECT count(*) FROM ar.system_metrics").await;
        let mut complete = samples == 6;
        for table in TABLES {
            complete &= days(&sql, table).await.len() == 8;
        }
        complete.then_some(())
    })
    .await;
}
