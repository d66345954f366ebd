//! Which edge server is best for a place: contract §4, "Selection".

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Random, TestServer, geodesic, position};

fn distance_m(from: [f64; 2], to: [f64; 2]) -> f64 {
    geodesic(position(from[0], from[1]), position(to[0], to[1])).0
}

async fn best(t: &TestServer, lat: f64, lng: f64) -> Value {
    t.get(&format!("/api/v1/edge-servers/best?lat={lat}&lng={lng}&limit=20")).await.ok().json()
}

fn ids(best: &Value) -> Vec<String> {
    best["items"].as_array().expect("items").iter().map(|item| item["edge_server"]["id"].as_str().expect("an id").to_owned()).collect()
}

async fn set(t: &TestServer, id: Uuid, what: &str) {
    sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE ar.edge_servers SET {what} WHERE id = $1")))
        .bind(id)
        .execute(&t.sql)
        .await
        .expect("sets");
}

/// Makes an edge so, and so that whoever judges it anew says the same.
async fn be(t: &TestServer, id: Uuid, health: &str) {
    let heard = match health {
        "healthy" => "last_ping = now() + interval '1 hour', cpu_usage = NULL",
        "degraded" => "last_ping = now() + interval '1 hour', cpu_usage = 95",
        "offline" => "last_ping = now() - interval '1 day'",
        _ => "last_ping = NULL",
    };
    set(t, id, &format!("health_status = '{health}', {heard}")).await;
}

async fn load(t: &TestServer, id: Uuid, assigned: i32, reported: i32) {
    let load = sqlx::query("UPDATE ar.edge_load SET current_connections = $2, reported_connections = $3 WHERE edge_server_id = $1");
    load.bind(id).bind(assigned).bind(reported).execute(&t.sql).await.expect("sets");
}

#[tokio::test]
async fn the_score_is_what_the_contract_says() {
    let t = TestServer::start().await;
    let id = t.edge("r").at(0.0, 0.0).radius_km(20.0).insert().await;
    for (health, score) in [("healthy", 1.0), ("degraded", 0.5), ("unknown", 0.25)] {
        be(&t, id, health).await;
        load(&t, id, 25, 40).await;
        let best = best(&t, 0.0, 0.1).await;
        let item = &best["items"][0];
        let distance_m = distance_m([0.0, 0.0], [0.0, 0.1]);
        assert!((item["distance_meters"].as_f64().expect("a number") - distance_m).abs() < 0.01, "{item}");
        let number = |value: &Value| value.as_f64().expect("a number");
        let scores = &item["scores"];
        let expected = [1.0 - distance_m / 50_000.0, 0.6, score];
        for (name, expected) in ["distance", "load", "health"].into_iter().zip(expected) {
            assert!((number(&scores[name]) - expected).abs() < 1e-6, "{name}: {scores}");
        }
        let sum = 0.5 * expected[0] + 0.3 * expected[1] + 0.2 * expected[2];
        assert!((number(&item["score"]) - sum).abs() < 1e-6);
        assert_eq!(
            (&item["load"], &item["in_service_area"], &item["health_status"], &best["reason"]),
            (&json!(0.4), &json!(true), &json!(health), &Value::Null)
        );
    }
}

#[tokio::test]
async fn reasons_say_why_the_list_is_empty_or_second_choice() {
    let t = TestServer::start().await;
    assert_eq!(best(&t, 0.0, 0.0).await, json!({"items": [], "reason": "no_edges"}));
    let covering = t.edge("r").at(0.0, 0.0).radius_km(10.0).insert().await;
    let near = t.edge("r").at(0.0, 0.3).radius_km(10.0).insert().await;
    let [covers, is_near] = [covering, near].map(|id| id.to_string());
    assert_eq!(ids(&best(&t, 0.0, 0.0).await), std::slice::from_ref(&covers), "one that covers is enough");
    load(&t, covering, 0, 100).await;
    let second = best(&t, 0.0, 0.0).await;
    assert_eq!((ids(&second), &second["reason"]), (vec![is_near.clone()], &json!("all_full")));
    assert_eq!(second["items"][0]["in_service_area"], false);
    load(&t, covering, 0, 0).await;
    be(&t, covering, "offline").await;
    let second = best(&t, 0.0, 0.0).await;
    assert_eq!((ids(&second), &second["reason"]), (vec![is_near.clone()], &json!("none_healthy")));
    be(&t, near, "offline").await;
    assert_eq!(best(&t, 0.0, 0.0).await, json!({"items": [], "reason": "none_healthy"}));
    be(&t, covering, "healthy").await;
    set(&t, covering, "draining = true").await;
    be(&t, near, "healthy").await;
    let second = best(&t, 0.0, 0.0).await;
    assert_eq!((ids(&second), &second["reason"]), (vec![is_near], &json!("outside_service_areas")), "a draining one is no candidate");
    set(&t, near, "is_active = false").await;
    assert_eq!(best(&t, 0.0, 0.0).await, json!({"items": [], "reason": "no_edges"}));
}

#[tokio::test]
async fn ties_go_by_id_and_places_on_seams_are_found() {
    let t = TestServer::start().await;
    let mut twins = Vec::new();
    for _ in 0..3 {
        twins.push(t.edge("r").at(10.0, 180.0).radius_km(5.0).insert().await.to_string());
    }
    twins.sort();
    for lng in ["180", "-180", "-179.99", "179.99"] {
        assert_eq!(ids(&t.get(&format!("/api/v1/edge-servers/best?lat=10&lng={lng}&limit=20")).await.ok().json()), twins, "{lng}");
    }
    let pole = t.edge("r").at(90.0, 0.0).radius_km(50.0).insert().await.to_string();
    assert_eq!(ids(&best(&t, 89.8, 123.0).await), [pole]);
}

/// The definition once more, by brute force: every edge measured by the geodesic.
#[tokio::test]
async fn the_choice_equals_brute_force() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("choices");
    let mut edges = Vec::new();
    for _ in 0..120 {
        let (lat, lng) = (random.between(-1.0, 1.0), random.between(178.5, 181.5));
        let (lng, radius_km) = (if lng > 180.0 { lng - 360.0 } else { lng }, (random.between(1.0, 30.0) * 100.0).round() / 100.0);
        let id = t.edge("r").at(lat, lng).radius_km(radius_km).insert().await;
        let taken = i32::try_from(random.below(110)).expect("fits");
        load(&t, id, taken, 0).await;
        let health = *random.one_of(&["healthy", "degraded", "unknown", "offline"]);
        be(&t, id, health).await;
        edges.push((id.to_string(), [lat, lng], radius_km * 1000.0, f64::from(taken) / 100.0, health));
    }
    let (mut covered, mut fallen_back) = (0, 0);
    for _ in 0..200 {
        let at = [random.between(-1.2, 1.2), random.between(178.3, 180.0)];
        let answer = best(&t, at[0], at[1]).await;
        let fit = |edge: &&(String, [f64; 2], f64, f64, &str)| edge.3 < 1.0 && edge.4 != "offline";
        let inside: Vec<_> = edges.iter().filter(|edge| distance_m(edge.1, at) <= edge.2).collect();
        let mut expected: Vec<_> = inside.iter().copied().filter(fit).collect();
        let reason = if expected.is_empty() {
            fallen_back += 1;
            let reach: Vec<_> = edges.iter().filter(|edge| distance_m(edge.1, at) <= 50_000.0).collect();
            expected = reach.iter().copied().filter(fit).collect();
            match () {
                () if inside.iter().any(|edge| edge.4 != "offline") => json!("all_full"),
                () if !inside.is_empty() => json!("none_healthy"),
                () if !reach.is_empty() => json!("outside_service_areas"),
                () => json!("no_edges"),
            }
        } else {
            covered += 1;
            Value::Null
        };
        let score = |edge: &(String, [f64; 2], f64, f64, &str)| {
            let health = match edge.4 {
                "healthy" => 1.0,
                "degraded" => 0.5,
                _ => 0.25,
            };
            0.5 * (1.0 - distance_m(edge.1, at) / 50_000.0).max(0.0) + 0.3 * (1.0 - edge.3) + 0.2 * health
        };
        expected.sort_by(|a, b| score(b).total_cmp(&score(a)).then_with(|| a.0.cmp(&b.0)));
        let expected: Vec<String> = expected.into_iter().take(20).map(|edge| edge.0.clone()).collect();
        assert_eq!((ids(&answer), &answer["reason"]), (expected, &reason), "{at:?}");
    }
    assert!(covered > 20 && fallen_back > 20, "{covered} {fallen_back}");
}

#[tokio::test]
async fn sql_for_analysts_and_the_api_say_the_same() {
    let t = TestServer::start().await;
    for (lat, lng) in [(48.0, 2.0), (48.02, 2.01), (48.1, 2.3)] {
        t.edge("r").at(lat, lng).radius_km(10.0).insert().await;
    }
    let rows: Vec<(Uuid, f64)> =
        sqlx::query_as("SELECT edge_server_id, score FROM gis.edge_choice(2.0, 48.01) ORDER BY score DESC, edge_server_id")
            .fetch_all(&t.sql)
            .await
            .expect("answers");
    let answer = best(&t, 48.01, 2.0).await;
    assert_eq!(ids(&answer), rows.iter().map(|row| row.0.to_string()).collect::<Vec<_>>());
    assert_eq!(answer["items"][0]["score"], json!(rows[0].1));
}
