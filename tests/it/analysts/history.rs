//! Health over time: every change is kept, whichever statement made it, and old ones go.

use ar_supervisor::config::Environment;
use ar_supervisor::metrics::forget_old;

use super::{pool, run};
use crate::support::{Answer, RegisteredEdge, SECRET, TestDb, TestServer, edge_body};

const EDGE: &str = "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_area)
     VALUES ('00000000-0000-7000-8000-000000000001', 'e', 'r', 'https://e', 'wss://e', ST_MakePoint(1, 1), gis.circle_area(ST_MakePoint(1, 1)::geography, 5000));";

type Change = (Option<String>, String, Option<String>);

async fn changes(sql: &sqlx::PgPool) -> Vec<Change> {
    sqlx::query_as("SELECT was, health_status, health_reason FROM gis.edge_health_changes ORDER BY changed_at, gid")
        .fetch_all(sql)
        .await
        .expect("reads")
}

fn change(was: Option<&str>, is: &str, why: Option<&str>) -> Change {
    (was.map(str::to_owned), is.to_owned(), why.map(str::to_owned))
}

#[tokio::test]
async fn beats_and_silence_leave_their_changes_and_nothing_else_does() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("e", 1.0, 2.0)).await;
    let ping = async |cpu: f64| {
        let ping = t.client.post(t.url(&format!("/api/v1/edge-servers/{}/ping", edge.id))).bearer_auth(&edge.key);
        Answer::of(ping.json(&serde_json::json!({"cpu_usage": cpu, "memory_usage": 10.0}))).await.ok();
    };
    for cpu in [10.0, 20.0, 95.0, 96.0, 10.0, 10.0] {
        ping(cpu).await;
    }
    let expected = [
        change(None, "unknown", Some("never_heard")),
        change(Some("unknown"), "healthy", None),
        change(Some("healthy"), "degraded", Some("cpu_high")),
        change(Some("degraded"), "healthy", None),
    ];
    assert_eq!(changes(&t.sql).await, expected);
    run(&t.sql, "UPDATE ar.edge_servers SET cpu_usage = 50, draining = true, health_status = 'healthy'").await;
    assert_eq!(changes(&t.sql).await.len(), 4);
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM gis.edge_health_changes WHERE until IS NULL AND health_status = 'healthy'")
        .fetch_one(&t.sql)
        .await
        .expect("counts");
    assert_eq!(open, 1, "the last one lasts");
}

#[tokio::test]
async fn old_changes_and_old_usage_go_but_not_how_an_edge_still_is() {
    let db = TestDb::create().await;
    let sql = pool(&db);
    run(
        &sql,
        &format!(
            "{EDGE} DELETE FROM ar.edge_health_changes;
             INSERT INTO ar.edge_health_changes (edge_server_id, changed_at, health_status)
             SELECT id, now() - d * interval '1 day', 'healthy' FROM ar.edge_servers, unnest(ARRAY[50, 40, 35, 20]) AS d;
             INSERT INTO ar.published_usage (hour, decoration_id, h3_r7, answers)
             SELECT now() - d * interval '1 day', gen_random_uuid(), 608533319805566975, 10 FROM unnest(ARRAY[31, 40, 29]) AS d;"
        ),
    )
    .await;
    let config = Environment::of(&[("JWT_SECRET", SECRET), ("METRICS_RETENTION", "30d")]).server().expect("configured").supervision;
    assert_eq!(forget_old(&sql, &config).await.expect("forgets"), 3 + 2);
    assert_eq!(forget_old(&sql, &config).await.expect("forgets"), 0);
    run(&sql, "UPDATE ar.edge_health_changes SET changed_at = changed_at - interval '30 days'").await;
    assert_eq!(forget_old(&sql, &config).await.expect("forgets"), 0, "it is so still");
    assert_eq!(changes(&sql).await.len(), 1);
}

#[tokio::test]
async fn a_history_in_buckets_is_the_mean_and_the_most_of_its_samples() {
    let db = TestDb::create().await;
    let sql = pool(&db);
    run(
        &sql,
        &format!(
            "{EDGE} INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
             SELECT e.id, m.kind, m.value, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '25 hours' + m.minute * interval '1 minute'
             FROM ar.edge_servers e, (VALUES ('cpu', 10, 0), ('cpu', 30, 1), ('cpu', 50, 60), ('memory', 5, 1), ('sync_lag', 90, 2), ('sync_due', 7, 2)) AS m (kind, value, minute)"
        ),
    )
    .await;
    let rows: Vec<(i64, Option<f64>, Option<f64>, Option<f64>, Option<i64>, Option<f64>)> = sqlx::query_as(
        "SELECT samples, cpu_pct, cpu_max_pct, memory_pct, sync_due_max, sync_lag_max_s FROM gis.edge_history(now(), now() + interval '3 days', interval '1 hour') ORDER BY at",
    )
    .fetch_all(&sql)
    .await
    .expect("reads");
    assert_eq!(rows, [(3, Some(20.0), Some(30.0), Some(5.0), Some(7), Some(90.0)), (1, Some(50.0), Some(50.0), None, None, None)]);
}
