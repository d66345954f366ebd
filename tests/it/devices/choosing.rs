//! Which edge a phone gets, when it is chosen anew, and what the phone is told of it.

use serde_json::{Value, json};

use super::{HERE, check_places, edge, locate, number, put, run, session, set_device, set_edge};
use crate::support::TestServer;

/// Some 500 m and 1.5 km from [`HERE`], each in another r9 cell.
const NEAR: (f64, f64) = (52.524, 13.41);
const FARTHER: (f64, f64) = (52.53, 13.42);

#[tokio::test]
async fn the_reason_says_why_there_is_none_or_only_a_second_choice() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let told = async |device_id: &str, place| {
        let told = locate(&t, &user, device_id, place).await;
        (told["edge_server"]["id"].clone(), told["reason"].clone())
    };
    assert_eq!(told("a", HERE).await, (Value::Null, json!("no_edges")));
    let first = edge(&t, HERE, 1).await;
    assert_eq!(told("b", HERE).await, (json!(first), Value::Null));
    assert_eq!(told("c", HERE).await, (Value::Null, json!("all_full")));
    // 20 km away: it covers nobody here, but is in reach.
    let second = edge(&t, (52.7, 13.405), 1).await;
    assert_eq!(told("d", HERE).await, (json!(second), json!("all_full")));
    assert_eq!(told("e", (52.61, 13.405)).await, (Value::Null, json!("outside_service_areas")));
    set_edge(&t, second, "max_connections = 5").await;
    assert_eq!(told("f", (52.61, 13.405)).await, (json!(second), json!("outside_service_areas")));
    set_edge(&t, first, "health_status = 'offline'").await;
    assert_eq!(told("g", HERE).await, (json!(second), json!("none_healthy")));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn whoever_got_none_is_tried_again_after_five_seconds_or_in_another_cell() {
    let t = TestServer::start().await;
    let user = t.user().await;
    assert_eq!(locate(&t, &user, "p", HERE).await["reason"], "no_edges");
    let edge_id = edge(&t, HERE, 10).await;
    let told = locate(&t, &user, "p", HERE).await;
    assert_eq!((&told["edge_server"], &told["reason"]), (&Value::Null, &json!("no_edges")), "as it was a moment ago");
    set_device(&t, "p", "edge_chosen_at = now() - interval '5 s'").await;
    let told = locate(&t, &user, "p", HERE).await;
    // It had none before, so it is not handed over.
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(edge_id), &json!(false)));
    locate(&t, &user, "q", (0.0, 0.0)).await;
    assert_eq!(locate(&t, &user, "q", HERE).await["edge_server"]["id"], json!(edge_id));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_device_keeps_its_edge_unless_another_scores_fifteen_per_cent_better() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let first = edge(&t, HERE, 100).await;
    assert_eq!(locate(&t, &user, "p", HERE).await["edge_server"]["id"], json!(first));
    // As near, and healthy where the first is of unknown health: 0.95 and 0.8, which is 19 % better.
    let second = edge(&t, HERE, 100).await;
    set_edge(&t, second, "health_status = 'healthy'").await;
    let stays = locate(&t, &user, "p", HERE).await;
    assert_eq!(stays["edge_server"]["id"], json!(first), "nothing is chosen in between");
    set_device(&t, "p", "edge_chosen_at = now() - interval '30 s'").await;
    let told = locate(&t, &user, "p", HERE).await;
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(second), &json!(true)));
    assert_eq!(locate(&t, &user, "p", HERE).await["handover"], false, "told once");
    // Now the first is healthy as well and emptier: better, but not by 15 %.
    set_edge(&t, first, "health_status = 'healthy'").await;
    let told = locate(&t, &user, "p", NEAR).await;
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(second), &json!(false)));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn an_edge_that_is_unfit_or_left_behind_is_changed_at_once() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let (a, b) = (edge(&t, HERE, 100).await, edge(&t, FARTHER, 100).await);
    // Held where it is, so that no mover is quicker than the phone.
    for (what, back) in [
        ("draining = true", "draining = false"),
        ("is_active = false", "is_active = true"),
        ("deleted_at = now()", "deleted_at = NULL"),
        ("health_status = 'offline'", "health_status = 'unknown'"),
        (
            "service_radius_km = 0.5, location = ST_MakePoint(13.6, 52.6)::geography",
            "service_radius_km = 5, location = ST_MakePoint(13.405, 52.52)::geography",
        ),
        (
            "service_area_given = true, service_area = ST_Multi(ST_MakeEnvelope(13.5, 52.5, 13.6, 52.6, 4326))::geography",
            "service_area_given = false, service_area = gis.circle_area(location, 5000)",
        ),
    ] {
        assert_eq!(locate(&t, &user, "p", HERE).await["edge_server"]["id"], json!(a), "{back}");
        set_edge(&t, a, what).await;
        let told = locate(&t, &user, "p", HERE).await;
        assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(b), &json!(true)), "{what}");
        set_edge(&t, a, back).await;
        set_device(&t, "p", "edge_chosen_at = now() - interval '31 s'").await;
        set_edge(&t, b, "health_status = 'offline'").await;
        locate(&t, &user, "p", HERE).await;
        set_edge(&t, b, "health_status = 'unknown'").await;
        locate(&t, &user, "p", HERE).await;
    }
    // It walks away from the first into what only the second covers.
    let told = locate(&t, &user, "p", (52.57, 13.43)).await;
    assert_eq!((&told["edge_server"]["id"], &told["reason"], &told["handover"]), (&json!(b), &Value::Null, &json!(true)));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_draining_edge_keeps_those_whom_nobody_else_takes() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    locate(&t, &user, "p", HERE).await;
    set_edge(&t, edge_id, "draining = true").await;
    let told = locate(&t, &user, "p", HERE).await;
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(edge_id), &json!(false)));
    assert_eq!(locate(&t, &user, "q", HERE).await["reason"], "no_edges", "it gets no new ones");
    let other = edge(&t, NEAR, 10).await;
    let told = locate(&t, &user, "p", NEAR).await;
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(other), &json!(true)));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn connections_that_an_edge_reports_take_places_too() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    run(&t.sql, "UPDATE ar.edge_load SET reported_connections = 10").await;
    assert_eq!(locate(&t, &user, "p", HERE).await["reason"], "all_full");
    run(&t.sql, "UPDATE ar.edge_load SET reported_connections = 9").await;
    assert_eq!(locate(&t, &user, "q", HERE).await["edge_server"]["id"], json!(edge_id));
    // What one edge reports and another has assigned do not add up.
    assert_eq!(number(&t, "SELECT greatest(current_connections, reported_connections)::bigint FROM ar.edge_load").await, 9);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn connected_edges_are_told_who_comes_and_goes_in_order() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let (a, silent) = (edge(&t, HERE, 10).await, edge(&t, (0.0, 0.0), 10).await);
    session(&t, a, 7).await;
    let mut listener = sqlx::postgres::PgListener::connect_with(&t.sql).await.expect("connects");
    listener.listen("ar").await.expect("listens");
    locate(&t, &user, "p", HERE).await;
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), listener.recv()).await.expect("in time").expect("a notice");
    assert_eq!(told.payload(), "devices:00000000-0000-0000-0000-000000000000");
    // To an edge that is not connected, and back.
    assert_eq!(locate(&t, &user, "p", (0.0, 0.0)).await["edge_server"]["id"], json!(silent));
    assert_eq!(locate(&t, &user, "p", HERE).await["edge_server"]["id"], json!(a));
    let notices: Vec<(uuid::Uuid, String, bool)> =
        sqlx::query_as("SELECT edge_server_id, device_id, assigned FROM ar.edge_device_notices ORDER BY number")
            .fetch_all(&t.sql)
            .await
            .expect("reads");
    assert_eq!(notices, [true, false, true].map(|assigned| (a, "p".to_owned(), assigned)));
    // Whose lease is over is connected no longer.
    run(&t.sql, "UPDATE ar.edge_sessions SET lease_until = now() - interval '1 s'").await;
    locate(&t, &user, "q", HERE).await;
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices").await, 3);
    put(&t, &user, "q", json!({"lat": 52.52, "lng": 13.405})).await.ok();
    check_places(&t.sql).await;
}
