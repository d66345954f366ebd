//! `GET /metrics/system`, and the samples that are taken of it.

use ar_supervisor::metrics::sample_system;
use serde_json::json;

use super::{database, devices, make_past, number, r7, run, users};
use crate::support::{TestServer, eventually};

#[tokio::test]
async fn every_figure_is_what_the_tables_hold() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for n in 0..3 {
        t.decoration("here").at(f64::from(n), 0.0).insert().await;
    }
    t.decoration("hidden").inactive().insert().await;
    t.decoration("gone").deleted().insert().await;
    // The service folds, too, and who comes second does nothing.
    eventually("the counts are folded", async || {
        t.fold_counts().await;
        (number(&t.sql, "SELECT count(*) FROM ar.decoration_count_deltas").await == 0).then_some(())
    })
    .await;
    let mut edges = Vec::new();
    for health in ["healthy", "healthy", "degraded", "offline", "unknown", "unknown", "healthy"] {
        let id = t.edge("eu").insert().await;
        run(&t.sql, &format!("UPDATE ar.edge_servers SET health_status = '{health}' WHERE id = '{id}'")).await;
        edges.push(id);
    }
    run(&t.sql, &format!("UPDATE ar.edge_servers SET draining = true WHERE id = '{}'", edges[0])).await;
    run(&t.sql, &format!("UPDATE ar.edge_servers SET is_active = false WHERE id = '{}'", edges[5])).await;
    run(&t.sql, &format!("UPDATE ar.edge_servers SET deleted_at = now() WHERE id = '{}'", edges[6])).await;
    for (edge, lease) in [(edges[0], "1 minute"), (edges[1], "-1 second")] {
        run(
            &t.sql,
            &format!(
                "WITH k AS (INSERT INTO ar.edge_keys (edge_server_id, key_hash) VALUES ('{edge}', sha256('{edge}')) RETURNING id)
                 INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
                 SELECT '{edge}', gen_random_uuid(), gen_random_uuid(), 1, now() + interval '{lease}', id FROM k"
            ),
        )
        .await;
    }
    let people = users(&t.sql, 3).await;
    devices(&t.sql, &people, Some(edges[0]), Some(r7(0.0, 0.0)), "connected").await;
    devices(&t.sql, &people[..2], None, None, "disconnected").await;
    devices(&t.sql, &people[..1], None, None, "error").await;
    for (status, count) in [("pending", 1), ("outdated", 2), ("failed", 1), ("synced", 4)] {
        run(
            &t.sql,
            &format!(
                "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status)
                 SELECT e.id, d.id, '{status}' FROM ar.edge_servers e CROSS JOIN ar.decorations d
                 WHERE NOT EXISTS (SELECT FROM ar.decoration_sync s WHERE s.edge_server_id = e.id AND s.decoration_id = d.id) LIMIT {count}"
            ),
        )
        .await;
    }
    let answer = admin.get(&t, "/api/v1/metrics/system").await.ok().json();
    assert_eq!(answer["decorations"], json!({"active": 3}));
    assert_eq!(
        answer["edge_servers"],
        json!({"total": 6, "healthy": 2, "degraded": 1, "offline": 1, "unknown": 1, "draining": 1, "inactive": 1, "connected": 1})
    );
    assert_eq!(answer["devices"], json!({"total": 6, "connected": 3, "disconnected": 2, "error": 1}));
    assert_eq!(answer["sync"], json!({"pending": 1, "outdated": 2, "failed": 1, "synced": 4, "synced_is_estimate": false}));
    let database = &answer["database"];
    assert!(database["size_bytes"].as_i64().is_some_and(|bytes| bytes > 1_000_000), "{database}");
    assert!(database["connections"].as_i64().is_some_and(|count| count >= 2), "{database}");
    let epoch: String = sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_one(&t.sql).await.expect("an epoch");
    assert_eq!(database["epoch"], epoch);
    assert!(database["version"].as_str().is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())), "{database}");
    let process = &answer["process"];
    assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(process["requests_in_flight"], 1);
    assert!(process["uptime_seconds"].as_u64().is_some_and(|seconds| seconds < 600), "{process}");
    assert!(process["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{process}");
}

#[tokio::test]
async fn what_waits_is_sampled_for_each_edge_that_is_connected() {
    let t = TestServer::start_with(crate::support::Config { started: false, ..Default::default() }).await;
    let [waiting, idle, away] = [t.edge("eu").insert().await, t.edge("eu").insert().await, t.edge("eu").insert().await];
    for _ in 0..3 {
        t.decoration("here").insert().await;
    }
    for edge in [waiting, idle, away] {
        run(
            &t.sql,
            &format!(
                "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status, wanted_at)
                 SELECT '{edge}', id, CASE WHEN '{edge}' = '{idle}' THEN 'synced' ELSE 'pending' END, now() - interval '90 s' FROM ar.decorations"
            ),
        )
        .await;
    }
    // The newest is younger, and what failed is set aside.
    run(
        &t.sql,
        "UPDATE ar.decoration_sync s SET sync_status = 'failed', wanted_at = now() - interval '1 hour'
         WHERE (edge_server_id, sync_version) IN (SELECT edge_server_id, min(sync_version) FROM ar.decoration_sync WHERE sync_status = 'pending' GROUP BY 1);
         UPDATE ar.decoration_sync s SET sync_version = nextval('ar.sync_version_seq'), sync_status = 'outdated', wanted_at = now()
         WHERE (edge_server_id, sync_version) IN (SELECT edge_server_id, max(sync_version) FROM ar.decoration_sync GROUP BY 1) AND sync_status = 'pending'",
    )
    .await;
    for edge in [waiting, idle] {
        run(
            &t.sql,
            &format!(
                "WITH k AS (INSERT INTO ar.edge_keys (edge_server_id, key_hash) VALUES ('{edge}', sha256('{edge}')) RETURNING id)
                 INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
                 SELECT '{edge}', gen_random_uuid(), gen_random_uuid(), 1, now() + interval '1 min', id FROM k"
            ),
        )
        .await;
    }
    assert!(sample_system(&t.sql).await.expect("samples"));
    let samples: Vec<(Option<uuid::Uuid>, String, f64)> = sqlx::query_as(
        "SELECT edge_server_id, metric_type, metric_value FROM ar.system_metrics WHERE metric_type IN ('sync_due', 'sync_lag') ORDER BY metric_type, edge_server_id",
    )
    .fetch_all(&t.sql)
    .await
    .expect("reads");
    let of = |edge: Option<uuid::Uuid>, kind: &str| {
        samples.iter().filter(|(id, name, _)| *id == edge && name == kind).map(|(.., value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(of(None, "sync_due"), [4.0]);
    assert_eq!((of(Some(waiting), "sync_due"), of(Some(idle), "sync_due"), of(Some(away), "sync_due")), (vec![2.0], vec![0.0], vec![]));
    assert_eq!(of(Some(idle), "sync_lag"), [0.0]);
    let lag_s = of(Some(waiting), "sync_lag")[0];
    assert!((90.0..100.0).contains(&lag_s), "{lag_s}");
    assert_eq!(samples.len(), 5);
}

#[tokio::test]
async fn of_many_instances_one_samples_and_not_again_soon() {
    let (_db, sql) = database().await;
    let person = users(&sql, 1).await;
    devices(&sql, &person, None, None, "connected").await;
    let tries = (0..8).map(|_| sample_system(&sql));
    let successes = futures_util::future::join_all(tries).await.into_iter().filter(|outcome| *outcome.as_ref().expect("no fault")).count();
    assert_eq!(successes, 1);
    let samples: Vec<(String, f64)> =
        sqlx::query_as("SELECT metric_type, metric_value FROM ar.system_metrics WHERE edge_server_id IS NULL ORDER BY 1")
            .fetch_all(&sql)
            .await
            .expect("reads");
    let expected = [
        ("decorations", 0.0),
        ("devices_connected", 1.0),
        ("edges_degraded", 0.0),
        ("edges_healthy", 0.0),
        ("edges_offline", 0.0),
        ("sync_due", 0.0),
    ];
    assert_eq!(samples, expected.map(|(name, value)| (name.to_owned(), value)));
    // Half a minute ago may have been yesterday.
    make_past(&sql, "system_metrics", 1).await;
    run(&sql, "UPDATE ar.system_metrics SET recorded_at = recorded_at - interval '26 s'").await;
    assert!(sample_system(&sql).await.expect("samples"));
    assert_eq!(number(&sql, "SELECT count(*) FROM ar.system_metrics").await, 12);
}
