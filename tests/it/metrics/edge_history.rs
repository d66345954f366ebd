//! `GET /metrics/edge/{edge_id}`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{make_past, run};
use crate::support::{Account, Answer, TestServer};

struct Asked {
    t: TestServer,
    admin: Account,
    edge: Uuid,
}

impl Asked {
    async fn new() -> Self {
        let t = TestServer::start().await;
        let (admin, edge) = (t.admin().await, t.edge("eu").insert().await);
        Self { t, admin, edge }
    }

    /// Puts in samples: seconds after midday (UTC) of tomorrow, for which there is a partition.
    async fn samples(&self, metric_type: &str, samples: &[(f64, f64)]) {
        let (seconds, values): (Vec<f64>, Vec<f64>) = samples.iter().copied().unzip();
        sqlx::query(
            "INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
             SELECT $1, $2, value, (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '36 hours' + make_interval(secs => s)) AT TIME ZONE 'UTC'
             FROM unnest($3::float8[], $4::float8[]) AS v (s, value)",
        )
        .bind(self.edge)
        .bind(metric_type)
        .bind(seconds)
        .bind(values)
        .execute(&self.t.sql)
        .await
        .expect("the samples go in");
    }

    /// Midday of tomorrow and some seconds, in the form of the API.
    async fn time(&self, seconds: f64) -> String {
        sqlx::query_scalar(
            r#"SELECT to_char(date_trunc('day', now() AT TIME ZONE 'UTC') + interval '36 hours' + make_interval(secs => $1), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#,
        )
        .bind(seconds)
        .fetch_one(&self.t.sql)
        .await
        .expect("a time")
    }

    async fn get(&self, query: &str) -> Answer {
        self.admin.get(&self.t, &format!("/api/v1/metrics/edge/{}?{query}", self.edge)).await
    }

    async fn between(&self, from: f64, to: f64, rest: &str) -> Answer {
        self.get(&format!("from={}&to={}{rest}", self.time(from).await, self.time(to).await)).await
    }
}

/// Points as `[seconds since midday, avg, min, max, count]`.
fn points(series: &Value) -> Vec<Value> {
    let seconds = |at: &Value| {
        let time: chrono::DateTime<chrono::Utc> = at.as_str().expect("a text").parse().expect("a time");
        time.timestamp() - (time.timestamp() / 86_400 * 86_400 + 43_200)
    };
    let points = series["points"].as_array().expect("points");
    points.iter().map(|point| json!([seconds(&point["at"]), point["avg"], point["min"], point["max"], point["count"]])).collect()
}

#[tokio::test]
async fn a_sample_on_a_border_belongs_to_the_bucket_that_begins_there() {
    let asked = Asked::new().await;
    asked.samples("cpu", &[(-0.000_001, 1.0), (0.0, 10.0), (59.999_999, 30.0), (60.0, 50.0), (119.0, 70.0), (120.0, 99.0)]).await;
    asked.samples("memory", &[(30.0, 7.0)]).await;
    let answer = asked.between(0.0, 120.0, "&bucket=1m&metric_type=cpu").await.ok().json();
    assert_eq!(answer["edge_server_id"], asked.edge.to_string());
    assert_eq!(answer["bucket_seconds"], 60);
    let series = answer["series"].as_array().expect("series");
    assert_eq!(series.len(), 1);
    assert_eq!(series[0]["metric_type"], "cpu");
    assert_eq!(points(&series[0]), [json!([0, 20.0, 10.0, 30.0, 2]), json!([60, 60.0, 50.0, 70.0, 2])]);
}

#[tokio::test]
async fn the_first_and_the_last_bucket_are_cut_by_what_was_asked_for() {
    let asked = Asked::new().await;
    asked.samples("bandwidth", &[(0.0, 1.0), (90.0, 2.0), (150.0, 4.0), (299.0, 8.0), (301.0, 16.0)]).await;
    let answer = asked.between(60.0, 301.0, "&bucket=5m&metric_type=bandwidth").await.ok().json();
    let expected = json!([0, 14.0 / 3.0, 2.0, 8.0, 3]);
    assert_eq!(points(&answer["series"][0]), [expected]);
    let answer = asked.between(60.0, 301.000_001, "&bucket=5m&metric_type=bandwidth").await.ok().json();
    assert_eq!(points(&answer["series"][0])[1], json!([300, 16.0, 16.0, 16.0, 1]));
}

#[tokio::test]
async fn every_type_has_its_series_also_an_empty_one() {
    let asked = Asked::new().await;
    asked.samples("clock_skew", &[(1.0, -0.5)]).await;
    asked.samples("devices_connected", &[(1.0, 5.0)]).await;
    let answer = asked.between(0.0, 60.0, "").await.ok().json();
    let series = answer["series"].as_array().expect("series");
    let types: Vec<&str> = series.iter().map(|series| series["metric_type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["cpu", "memory", "connections", "bandwidth", "clock_skew", "sync_due", "sync_lag"]);
    let counts: Vec<usize> = series.iter().map(|series| points(series).len()).collect();
    assert_eq!(counts, [0, 0, 0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn without_times_it_is_the_last_hour_by_the_databases_clock() {
    let asked = Asked::new().await;
    // An hour ago may have been yesterday.
    make_past(&asked.t.sql, "system_metrics", 1).await;
    for (age, value) in [("61 minutes", 1), ("59 minutes", 2), ("1 second", 3)] {
        run(
            &asked.t.sql,
            &format!("INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at) VALUES ('{}', 'connections', {value}, now() - interval '{age}')", asked.edge),
        )
        .await;
    }
    let answer = asked.get("metric_type=connections").await.ok().json();
    assert_eq!(answer["bucket_seconds"], 60);
    let values: Vec<f64> =
        answer["series"][0]["points"].as_array().expect("points").iter().map(|point| point["avg"].as_f64().expect("a number")).collect();
    assert_eq!(values, [2.0, 3.0]);
}

#[tokio::test]
async fn what_makes_too_many_points_is_refused_and_what_makes_two_thousand_is_not() {
    let asked = Asked::new().await;
    asked.between(0.0, 2000.0, "&bucket=1s").await.ok();
    asked.between(0.0, 2001.0, "&bucket=1s").await.problem(422, "too_many_points");
    let longest = "from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z";
    asked.get(longest).await.ok();
    asked.get(&format!("{longest}&bucket=1d")).await.problem(422, "too_many_points");
}

#[tokio::test]
async fn a_time_that_ends_before_it_begins_is_refused() {
    let asked = Asked::new().await;
    for (from, to) in [(5.0, 5.0), (5.0, 4.0)] {
        assert_eq!(asked.between(from, to, "").await.faulty_fields(422), ["from"]);
    }
    // It ends now.
    assert_eq!(asked.get("from=9999-01-01T00:00:00Z").await.faulty_fields(422), ["from"]);
    assert_eq!(
        asked.between(5.0, 4.0, "&bucket=x&metric_type=devices_connected").await.faulty_fields(400),
        ["bucket", "from", "metric_type"]
    );
}

#[tokio::test]
async fn the_history_of_a_deleted_edge_stays_and_an_unknown_edge_has_none() {
    let asked = Asked::new().await;
    asked.samples("cpu", &[(1.0, 50.0)]).await;
    run(&asked.t.sql, "UPDATE ar.edge_servers SET deleted_at = now(), is_active = false").await;
    let answer = asked.between(0.0, 60.0, "&metric_type=cpu").await.ok().json();
    assert_eq!(points(&answer["series"][0]).len(), 1);
    for id in ["01890000-0000-7000-8000-00000000000f", "nonsense"] {
        let path = format!("/api/v1/metrics/edge/{id}");
        asked.admin.get(&asked.t, &path).await.problem(404, "unknown_edge_server");
        // 422 comes first.
        asked.admin.get(&asked.t, &format!("{path}?from=9999-01-01T00:00:00Z")).await.problem(422, "invalid_input");
    }
}
