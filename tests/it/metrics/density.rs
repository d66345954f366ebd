//! What is published of presence.

use ar_supervisor::metrics::publish_density;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{database, make_past, number, r7, run};
use crate::support::TestDb;

/// A database in which nothing of the last day is published.
struct Unpublished {
    sql: PgPool,
    /// Start of the quarter-hour that was running when the test began.
    running: DateTime<Utc>,
    _db: TestDb,
}

impl Unpublished {
    async fn new() -> Self {
        let (db, sql) = database().await;
        for days_ago in [1, 2] {
            make_past(&sql, "device_presence", days_ago).await;
        }
        run(
            &sql,
            r#"UPDATE ar.meta SET value = to_char(date_bin('15 minutes', now(), 'epoch') AT TIME ZONE 'UTC' - interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
               WHERE key = 'density_published_until'"#,
        )
        .await;
        let running = sqlx::query_scalar("SELECT date_bin('15 minutes', now(), 'epoch')").fetch_one(&sql).await.expect("a time");
        Self { sql, running, _db: db }
    }

    /// People were in a cell, so many quarter-hours before the one that was running.
    async fn seen(&self, quarters_ago: i32, cell: i64, people: impl IntoIterator<Item = u128>) {
        let people: Vec<Uuid> = people.into_iter().map(Uuid::from_u128).collect();
        sqlx::query("INSERT INTO ar.device_presence SELECT $1, $2, p FROM unnest($3::uuid[]) AS p ON CONFLICT DO NOTHING")
            .bind(self.running - TimeDelta::minutes(15) * quarters_ago)
            .bind(cell)
            .bind(people)
            .execute(&self.sql)
            .await
            .expect("they are seen");
    }

    /// Publishes; how many quarter-hours.
    async fn publish(&self) -> u32 {
        publish_density(&self.sql).await.expect("publishes")
    }

    /// What is published: quarter-hours before the one that was running, cell, number.
    async fn published(&self) -> Vec<(i32, i64, i32)> {
        sqlx::query_as("SELECT (extract(epoch FROM $1 - bucket_start) / 900)::int, cell, users FROM gis.device_density ORDER BY 1, 2")
            .bind(self.running)
            .fetch_all(&self.sql)
            .await
            .expect("reads")
    }
}

#[tokio::test]
async fn nine_people_are_left_out_and_ten_are_published_with_an_outline() {
    let t = Unpublished::new().await;
    let (nine, ten, eleven) = (r7(48.1, 11.5), r7(52.5, 13.4), r7(-17.8, 180.0));
    t.seen(5, nine, 0..9).await;
    t.seen(5, ten, 0..10).await;
    t.seen(5, eleven, 0..11).await;
    // Nine others in another quarter-hour do not make the nine ten.
    t.seen(6, nine, 100..109).await;
    assert_eq!(t.publish().await, 2);
    let mut expected = [(5, ten, 10), (5, eleven, 11)];
    expected.sort_unstable();
    assert_eq!(t.published().await, expected);
    assert_eq!(number(&t.sql, "SELECT count(*) FROM gis.device_density_cells WHERE ST_IsValid(boundary)").await, 2);
}

#[tokio::test]
async fn what_was_published_is_never_corrected() {
    let t = Unpublished::new().await;
    let cell = r7(48.1, 11.5);
    t.seen(5, cell, 0..10).await;
    t.seen(7, cell, 0..9).await;
    assert_eq!(t.publish().await, 2);
    // Too late: an eleventh, the tenth of a quarter-hour that had nine, and all of one in which nobody was.
    t.seen(5, cell, 10..11).await;
    t.seen(7, cell, 9..10).await;
    t.seen(6, cell, 0..20).await;
    assert_eq!(t.publish().await, 0);
    assert_eq!(t.published().await, [(5, cell, 10)]);
}

#[tokio::test]
async fn many_instances_publish_each_quarter_hour_once() {
    let t = Unpublished::new().await;
    let cell = r7(48.1, 11.5);
    for quarters_ago in 3..20 {
        t.seen(quarters_ago, cell, 0..12).await;
    }
    let outcomes = futures_util::future::join_all((0..6).map(|_| t.publish())).await;
    // Those whose turn it was not left it to the others; what they all left is done by the next look.
    let rest = t.publish().await;
    assert_eq!(outcomes.into_iter().sum::<u32>() + rest, 17);
    assert_eq!(t.published().await.len(), 17);
}

#[tokio::test]
async fn a_quarter_hour_is_published_two_minutes_after_its_end() {
    let t = Unpublished::new().await;
    let cell = r7(48.1, 11.5);
    for quarters_ago in 0..3 {
        t.seen(quarters_ago, cell, 0..10).await;
    }
    let closed_until = async || -> DateTime<Utc> {
        let query = sqlx::query_scalar("SELECT date_bin('15 minutes', now() - interval '2 minutes', 'epoch')");
        query.fetch_one(&t.sql).await.expect("a time")
    };
    let before = closed_until().await;
    t.publish().await;
    let after = closed_until().await;
    let until: DateTime<Utc> = sqlx::query_scalar("SELECT value::timestamptz FROM ar.meta WHERE key = 'density_published_until'")
        .fetch_one(&t.sql)
        .await
        .expect("a mark");
    assert!(before <= until && until <= after, "{before} {until} {after}");
    let expected: Vec<i32> = (0..3).filter(|quarters_ago| t.running - TimeDelta::minutes(15) * *quarters_ago < until).collect();
    let published: Vec<i32> = t.published().await.into_iter().map(|(quarters_ago, ..)| quarters_ago).collect();
    assert_eq!(published, expected);
    assert!(!expected.is_empty());
}

#[tokio::test]
async fn without_a_mark_nothing_of_the_past_is_published() {
    let t = Unpublished::new().await;
    run(&t.sql, "DELETE FROM ar.meta WHERE key = 'density_published_until'").await;
    t.seen(5, r7(48.1, 11.5), 0..10).await;
    assert_eq!((t.publish().await, t.publish().await), (0, 0));
    assert_eq!(t.published().await, []);
    assert_eq!(number(&t.sql, "SELECT count(*) FROM ar.meta WHERE key = 'density_published_until'").await, 1);
}
