//! How often decorations were answered: counted, written, listed.

use std::collections::BTreeMap;

use ar_supervisor::geo::Cells;
use serde_json::json;
use uuid::Uuid;

use super::run;
use crate::support::{Config, TestServer, position};

/// Answers by decoration, as they were written.
async fn written(t: &TestServer) -> BTreeMap<Uuid, i64> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("SELECT decoration_id, sum(answers)::bigint FROM ar.decoration_usage GROUP BY 1")
        .fetch_all(&t.sql)
        .await
        .expect("reads");
    rows.into_iter().collect()
}

#[tokio::test]
async fn what_two_servers_answered_in_parallel_is_counted_to_the_last_one() {
    let mut a = TestServer::start().await;
    let mut b = TestServer::on(a.db().options(), Config::default()).await;
    for n in 0..30 {
        a.decoration("d").at(48.0 + f64::from(n) * 1e-4, 11.0).insert().await;
    }
    let mut expected: BTreeMap<Uuid, i64> = BTreeMap::new();
    let asking = (0..200).map(|n| {
        let server = if n % 2 == 0 { &a } else { &b };
        // Around different decorations, and in pages.
        let path = format!("/api/v1/decorations/nearby?lat={}&lng=11&radius=300&limit={}", 48.0 + f64::from(n % 30) * 1e-4, 5 + n % 40);
        async move { server.get(&path).await.ok().texts("id") }
    });
    for ids in futures_util::future::join_all(asking).await {
        for id in ids {
            *expected.entry(id.parse().expect("an id")).or_default() += 1;
        }
    }
    // Both at once, over the same rows in the same order; then what a stop finds.
    let (first, second) = tokio::join!(a.state.metrics.usage.write(&a.sql), b.state.metrics.usage.write(&b.sql));
    first.and(second).expect("both are written");
    for server in [&mut a, &mut b] {
        server.lifecycle.stop();
        server.serving.take().expect("it serves").await.expect("serving ends");
        server.lifecycle.tasks_ended().await;
    }
    assert!(expected.len() == 30 && expected.values().sum::<i64>() > 2_000, "{expected:?}");
    assert_eq!(written(&a).await, expected);
}

#[tokio::test]
async fn a_decoration_is_counted_in_its_own_cell_and_hour() {
    let t = TestServer::start().await;
    let id = t.decoration("far").at(48.0, 11.0).insert().await;
    // The viewer is in another cell.
    assert_ne!(Cells::of(position(48.3, 11.3)).r7, Cells::of(position(48.0, 11.0)).r7);
    assert_eq!(t.nearby(48.3, 11.3, 50_000.0).await.names(), ["far"]);
    assert_eq!(t.nearby(48.3, 11.3, 0.0).await.names(), [""; 0]);
    t.get("/api/v1/decorations/bounds?min_lat=47&max_lat=49&min_lng=10&max_lng=12").await.ok();
    t.state.metrics.usage.write(&t.sql).await.expect("writes");
    let row: (Uuid, i64, i64, bool, bool) = sqlx::query_as(
        "SELECT decoration_id, h3_r7, answers, date_trunc('hour', hour) = hour, hour BETWEEN now() - interval '61 minutes' AND now() FROM ar.decoration_usage",
    )
    .fetch_one(&t.sql)
    .await
    .expect("one row");
    assert_eq!(row, (id, Cells::of(position(48.0, 11.0)).r7.to_db(), 1, true, true));
}

#[tokio::test]
async fn what_cannot_be_written_is_counted_on_and_written_later() {
    let t = TestServer::start().await;
    let id = t.decoration("here").at(0.0, 0.0).insert().await;
    run(&t.sql, "ALTER TABLE ar.decoration_usage RENAME TO decoration_usage_away").await;
    t.nearby(0.0, 0.0, 10.0).await;
    assert!(t.state.metrics.usage.write(&t.sql).await.is_err());
    t.nearby(0.0, 0.0, 10.0).await;
    run(&t.sql, "ALTER TABLE ar.decoration_usage_away RENAME TO decoration_usage").await;
    assert_eq!(t.state.metrics.usage.write(&t.sql).await.expect("writes"), 1);
    assert_eq!(written(&t).await, BTreeMap::from([(id, 2)]));
    assert_eq!(t.state.metrics.usage.write(&t.sql).await.expect("nothing to write"), 0);
}

#[tokio::test]
async fn the_most_answered_come_first_within_whole_hours() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let (often, seldom) = (t.decoration("often").insert().await, t.decoration("seldom").insert().await);
    let cell = super::r7(0.0, 0.0);
    let gone = Uuid::now_v7();
    for (id, hour, cell, answers) in
        [(often, 10, cell, 5), (often, 11, cell, 7), (often, 11, super::r7(1.0, 1.0), 1), (seldom, 10, cell, 9), (gone, 12, cell, 100)]
    {
        run(
            &t.sql,
            &format!(
                "INSERT INTO ar.decoration_usage VALUES ((date_trunc('day', now() AT TIME ZONE 'UTC') + interval '24 hours' + interval '{hour} hours') AT TIME ZONE 'UTC', '{id}', {cell}, {answers})"
            ),
        )
        .await;
    }
    let day: String = sqlx::query_scalar("SELECT to_char(date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day', 'YYYY-MM-DD')")
        .fetch_one(&t.sql)
        .await
        .expect("a day");
    let ask = async |from: &str, to: &str, rest: &str| {
        let path = format!("/api/v1/metrics/decorations?from={day}T{from}:00Z&to={day}T{to}:00Z{rest}");
        admin.get(&t, &path).await.ok().json()["items"].clone()
    };
    let item = |id: Uuid, name: Option<&str>, answers: i64| json!({"decoration_id": id.to_string(), "name": name, "answers": answers});
    assert_eq!(ask("10:00", "12:00", "").await, json!([item(often, Some("often"), 13), item(seldom, Some("seldom"), 9)]));
    assert_eq!(ask("10:00", "12:00", "&limit=1").await, json!([item(often, Some("often"), 13)]));
    assert_eq!(ask("10:01", "12:00", "").await, json!([item(often, Some("often"), 8)]));
    assert_eq!(ask("10:00", "12:01", "").await[0], item(gone, None, 100));
    assert_eq!(ask("10:00", "12:01", &format!("&decoration_id={seldom}")).await, json!([item(seldom, Some("seldom"), 9)]));
    let now = admin.get(&t, "/api/v1/metrics/decorations").await.ok().json();
    assert_eq!(now["items"], json!([]));
}
