//! How the statements of this feature are answered, on tables with some rows.

use ar_supervisor::db::Db;
use tokio::sync::OnceCell;

use super::{database, run};
use crate::plans::{Plan, committed, plan};
use crate::support::{TestDb, config_of};

/// One of the edges.
const EDGE: &str = "00000000-0000-7000-8000-000000000007";

/// Twenty edges with a sample of each type every two minutes, of the system every minute, today and in the two days after.
async fn sampled() -> Db {
    static SAMPLED: OnceCell<TestDb> = OnceCell::const_new();
    let db = SAMPLED.get_or_init(sample).await;
    Db::new(&config_of(db.options()))
}

async fn sample() -> TestDb {
    let (db, sql) = database().await;
    run(
        &sql,
        "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_area)
         SELECT ('00000000-0000-7000-8000-0000000000' || lpad(n::text, 2, '0'))::uuid, 'e', 'eu', 'https://e', 'wss://e', p.place, gis.circle_area(p.place, 5000)
         FROM generate_series(1, 20) AS n, LATERAL (SELECT ST_MakePoint(n, n)::geography AS place) AS p;
         INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
         SELECT e.id, m, 1, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + s * interval '120 s'
         FROM ar.edge_servers e, unnest('{cpu,memory,connections,bandwidth,clock_skew}'::text[]) AS m, generate_series(0, 2159) AS s;
         INSERT INTO ar.system_metrics (metric_type, metric_value, recorded_at)
         SELECT 'sync_due', 1, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + s * interval '60 s' FROM generate_series(0, 1439) AS s;
         INSERT INTO ar.decoration_usage
         SELECT date_trunc('hour', now()) + h * interval '1 hour', gen_random_uuid(), 608533319805566975, 1 FROM generate_series(24, 71) AS h, generate_series(1, 500);
         ANALYZE;",
    )
    .await;
    db
}

/// Partitions that a plan reads, and that none is read whole.
fn partitions(plan: &Plan, of: &str) -> usize {
    let read: std::collections::BTreeSet<&str> = plan
        .nodes
        .iter()
        .filter_map(|(kind, relation, _)| {
            let relation = relation.as_deref().filter(|relation| relation.starts_with(of))?;
            assert_ne!(kind, "Seq Scan", "{relation} is read whole: {}", plan.text);
            Some(relation)
        })
        .collect();
    read.len()
}

fn uses_index(plan: &Plan, part: &str) {
    assert!(plan.nodes.iter().any(|(.., index)| index.as_deref().is_some_and(|index| index.contains(part))), "{part}: {}", plan.text);
}

#[tokio::test]
async fn an_edges_history_is_read_by_its_index_from_the_days_asked_for() {
    let (pools, query) = (sampled().await, committed("FROM ar.system_metrics\n           WHERE edge_server_id = $1"));
    let tomorrow = "(now() AT TIME ZONE 'UTC')::date + 1";
    for (types, hours, days) in [
        ("{cpu}", "interval '1 hour'", 1),
        ("{cpu,memory,connections,bandwidth,clock_skew}", "interval '2 hours'", 1),
        ("{memory}", "interval '25 hours'", 2),
    ] {
        let from = format!("({tomorrow})::timestamp AT TIME ZONE 'UTC'");
        let plan = plan(pools.shaped(), &query, &format!("'{EDGE}', '{types}', {from}, {from} + {hours}, '1 minute'")).await;
        assert_eq!(partitions(&plan, "system_metrics_"), days, "{}", plan.text);
        uses_index(&plan, "edge_server_id_metric_type_recorded");
    }
}

#[tokio::test]
async fn whether_the_system_was_sampled_is_one_look_into_todays_index() {
    let (pools, query) = (sampled().await, committed("WHERE edge_server_id IS NULL AND metric_type = $1"));
    let plan = plan(pools.shaped(), &query, "'sync_due'").await;
    uses_index(&plan, "edge_server_id_metric_type_recorded");
    partitions(&plan, "system_metrics_");
}

#[tokio::test]
async fn one_decorations_usage_is_found_by_its_index() {
    let (pools, query) = (sampled().await, committed("sum(answers)::bigint AS answers FROM ar.decoration_usage"));
    let day = "((now() AT TIME ZONE 'UTC')::date + 2)::timestamp AT TIME ZONE 'UTC'";
    let plan = plan(pools.shaped(), &query, &format!("{day}, {day} + interval '20 hours', gen_random_uuid(), 50")).await;
    uses_index(&plan, "decoration_id_hour");
    assert_eq!(partitions(&plan, "decoration_usage_"), 1, "{}", plan.text);
}
