//! `PUT /devices/{device_id}/location`: what is written and what is told.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{HERE, check_places, edge, locate, location_path, number, put, run, set_device};
use crate::support::{Answer, TestServer, eventually};

#[tokio::test]
async fn the_first_call_registers_a_device_and_names_its_edge() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    let body = json!({"lat": 52.52, "lng": 13.405, "accuracy_meters": 7.5, "app_version": "3.1", "device_info": {"model": "P\u{e4}d\n2", "ram": 8}});
    let answer = put(&t, &user, "phone 1/ä🎨", body).await.ok();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    let members: Vec<&str> = told.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["device", "edge_server", "handover", "reason", "stale"]);
    let edge_server = json!({"id": edge_id, "api_url": "https://edge.example.org", "websocket_url": "wss://edge.example.org"});
    assert_eq!((&told["edge_server"], &told["reason"]), (&edge_server, &Value::Null));
    assert_eq!((&told["handover"], &told["stale"]), (&json!(false), &json!(false)));
    let device = &told["device"];
    let mut expected = json!({
        "device_id": "phone 1/ä🎨", "user_id": user.id, "edge_server_id": edge_id, "lat": 52.52, "lng": 13.405, "accuracy_meters": 7.5,
        "h3_r9": "891f1d48947ffff", "connection_status": "connected", "app_version": "3.1", "device_info": {"model": "P\u{e4}d\n2", "ram": 8}
    });
    for time in ["connected_at", "last_ping"] {
        assert!(device[time].as_str().is_some_and(|text| text.ends_with('Z')), "{device}");
        expected[time] = device[time].clone();
    }
    assert_eq!(device, &expected);
    // What is left out stays; the accuracy is the fix's own.
    let again = put(&t, &user, "phone 1/ä🎨", json!({"lat": 52.5201, "lng": 13.405})).await.ok().json();
    let again = &again["device"];
    assert_eq!((&again["app_version"], &again["device_info"]["ram"]), (&json!("3.1"), &json!(8)));
    assert_eq!(
        (&again["lat"], &again["accuracy_meters"], &again["connected_at"]),
        (&json!(52.5201), &Value::Null, &device["connected_at"])
    );
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE cell_centre IS NOT NULL AND recorded_at = last_ping").await, 1);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn the_spelling_of_a_position_is_one() {
    let t = TestServer::start().await;
    let user = t.user().await;
    for (place, (lat, lng)) in [((10.0, -180.0), (10.0, 180.0)), ((90.0, 77.0), (90.0, 0.0)), ((-0.0, -0.0), (0.0, 0.0))] {
        let told = locate(&t, &user, "p", place).await;
        assert_eq!((told["device"]["lat"].as_f64(), told["device"]["lng"].as_f64()), (Some(lat), Some(lng)));
        assert_eq!(told["reason"], "no_edges");
    }
}

#[tokio::test]
async fn an_older_fix_is_kept_out_and_is_a_sign_of_life_all_the_same() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    let at = |lat: f64, time: &str| json!({"lat": lat, "lng": 13.405, "recorded_at": time, "app_version": time});
    put(&t, &user, "p", at(52.52, "2026-01-02T12:00:00.1234567Z")).await.ok();
    set_device(&t, "p", "last_ping = now() - interval '50 s'").await;
    let told = put(&t, &user, "p", at(0.0, "2026-01-02T13:00:00.123455+01:00")).await.ok().json();
    assert_eq!((&told["stale"], &told["device"]["lat"], &told["edge_server"]["id"]), (&json!(true), &json!(52.52), &json!(edge_id)));
    assert_eq!(told["device"]["app_version"], "2026-01-02T12:00:00.1234567Z");
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE last_ping > now() - interval '20 s'").await, 1);
    // The same moment again, to the microsecond, is no older one: a retry has the effect of the first.
    let told = put(&t, &user, "p", at(52.521, "2026-01-02T12:00:00.123456Z")).await.ok().json();
    assert_eq!((&told["stale"], &told["device"]["lat"]), (&json!(false), &json!(52.521)));
    // Without a time it is now.
    let told = put(&t, &user, "p", json!({"lat": 52.522, "lng": 13.405})).await.ok().json();
    assert_eq!((&told["stale"], &told["device"]["lat"]), (&json!(false), &json!(52.522)));
    // Another device's times are another matter, and so are another user's.
    let told = put(&t, &user, "q", at(52.52, "2026-01-01T00:00:00Z")).await.ok().json();
    assert_eq!(told["stale"], false);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_fix_of_the_future_is_refused() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let ahead = async |seconds: i64| {
        let time: String = sqlx::query_scalar(
            "SELECT to_char((clock_timestamp() + make_interval(secs => $1)) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
        )
        .bind(f64::from(i32::try_from(seconds).expect("small")))
        .fetch_one(&t.sql)
        .await
        .expect("a time");
        put(&t, &user, "p", json!({"lat": 1, "lng": 2, "recorded_at": time})).await
    };
    ahead(25).await.ok();
    assert_eq!(ahead(35).await.faulty_fields(422), ["recorded_at"]);
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let bad = json!({"lat": 95, "lng": 200, "accuracy_meters": -1, "recorded_at": "2026-01-01T00:00:00", "app_version": "x".repeat(51), "device_info": {"a": "\u{0}"}});
    let fields = ["accuracy_meters", "app_version", "device_id", "device_info", "lat", "lng", "recorded_at"];
    assert_eq!(put(&t, &user, &"x".repeat(256), bad).await.faulty_fields(422), fields);
    let unreadable = json!({"lat": "1", "accuracy_meters": "1", "recorded_at": 5, "app_version": 5, "device_info": []});
    assert_eq!(put(&t, &user, "a\u{1}", unreadable).await.faulty_fields(400), fields);
    let good = json!({"lat": 1, "lng": 2});
    for device_id in ["a\u{0}b", "\u{7f}", "\u{85}", &"é".repeat(256)] {
        assert_eq!(put(&t, &user, device_id, good.clone()).await.faulty_fields(422), ["device_id"], "{device_id:?}");
    }
    for device_id in [&"é".repeat(255), "a/b", "location", "%", "'; --", " "] {
        put(&t, &user, device_id, good.clone()).await.ok();
    }
    let not_utf_8 = Answer::of(user.request(&t, Method::PUT, "/api/v1/devices/%FF/location").json(&good)).await;
    assert_eq!(not_utf_8.faulty_fields(400), ["device_id"]);
    let info = |bytes: usize| json!({"lat": 1, "lng": 2, "device_info": {"a": "x".repeat(bytes - 8)}});
    put(&t, &user, "p", info(4096)).await.ok();
    assert_eq!(put(&t, &user, "p", info(4097)).await.faulty_fields(422), ["device_info"]);
    for info in [json!({"a\u{0}": 1}), json!({"a": [{"b": "\u{1b}"}]})] {
        assert_eq!(put(&t, &user, "p", json!({"lat": 1, "lng": 2, "device_info": info})).await.faulty_fields(422), ["device_info"]);
    }
}

#[tokio::test]
async fn a_device_in_use_is_its_users_alone() {
    let t = TestServer::start().await;
    let (ann, bob, admin) = (t.user().await, t.user().await, t.admin().await);
    edge(&t, HERE, 10).await;
    let body = json!({"lat": 52.52, "lng": 13.405, "accuracy_meters": 3, "app_version": "ann's", "device_info": {"owner": "ann"}});
    put(&t, &ann, "p", body).await.ok();
    for other in [&bob, &admin] {
        put(&t, other, "p", json!({"lat": 52.52, "lng": 13.405})).await.problem(409, "device_in_use");
    }
    bob.get(&t, "/api/v1/devices/p").await.problem(404, "unknown_device");
    bob.ask(&t, Method::DELETE, "/api/v1/devices/p").await.problem(404, "unknown_device");
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_disconnected_device_is_taken_over_as_a_new_one() {
    let t = TestServer::start().await;
    let (ann, bob) = (t.user().await, t.user().await);
    let edge_id = edge(&t, HERE, 10).await;
    let recorded = json!({"lat": 52.52, "lng": 13.405, "accuracy_meters": 3, "app_version": "1", "device_info": {"owner": "ann"}});
    put(&t, &ann, "p", recorded).await.ok();
    let id = "SELECT ('x' || left(replace(id::text, '-', ''), 15))::bit(60)::bigint FROM ar.device_connections";
    let first_id = number(&t, id).await;
    run(&t.sql, "UPDATE ar.device_connections SET connection_status = 'disconnected', edge_server_id = NULL, connected_at = now() - interval '1 h'; UPDATE ar.edge_load SET current_connections = 0").await;
    // His clock is behind, and it is his device now all the same.
    let told = put(&t, &bob, "p", json!({"lat": 52.521, "lng": 13.405, "recorded_at": "2020-01-01T00:00:00Z"})).await.ok().json();
    let device = &told["device"];
    assert_eq!((&told["stale"], &told["handover"], &told["edge_server"]["id"]), (&json!(false), &json!(false), &json!(edge_id)));
    assert_eq!((&device["user_id"], &device["lat"]), (&json!(bob.id), &json!(52.521)));
    assert_eq!((&device["accuracy_meters"], &device["app_version"], &device["device_info"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE connected_at > now() - interval '1 min'").await, 1);
    assert_ne!(number(&t, id).await, first_id);
    ann.get(&t, "/api/v1/devices/p").await.problem(404, "unknown_device");
    put(&t, &ann, "p", json!({"lat": 1, "lng": 2})).await.problem(409, "device_in_use");
    check_places(&t.sql).await;
}

#[tokio::test]
async fn ones_own_device_is_connected_again() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let edge_id = edge(&t, HERE, 10).await;
    put(&t, &user, "p", json!({"lat": 52.52, "lng": 13.405, "app_version": "7"})).await.ok();
    run(&t.sql, "UPDATE ar.device_connections SET connection_status = 'disconnected', edge_server_id = NULL, edge_chosen_at = NULL, connected_at = now() - interval '1 h'; UPDATE ar.edge_load SET current_connections = 0").await;
    let told = locate(&t, &user, "p", HERE).await;
    assert_eq!((&told["device"]["connection_status"], &told["device"]["app_version"]), (&json!("connected"), &json!("7")));
    assert_eq!((&told["edge_server"]["id"], &told["handover"]), (&json!(edge_id), &json!(false)));
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections WHERE connected_at > now() - interval '1 min'").await, 1);
    check_places(&t.sql).await;
}

/// Of what one device says at the same time, the newest counts; whoever sent the others is told so.
#[tokio::test]
async fn of_many_at_once_the_newest_counts() {
    let t = TestServer::start().await;
    let user = t.user().await;
    edge(&t, HERE, 10).await;
    let sent = (0..40).map(|i| {
        let body = json!({"lat": 52.5 + f64::from(i) / 1000.0, "lng": 13.405, "recorded_at": format!("2026-01-01T00:00:{i:02}Z")});
        let (t, user) = (&t, &user);
        async move { put(t, user, "p", body).await.ok().json() }
    });
    let told = join_all(sent).await;
    let newest = user.get(&t, "/api/v1/devices/p").await.ok().json();
    assert_eq!(newest["lat"], 52.539);
    for told in &told {
        let own = told["stale"] == false;
        assert!(own || told["device"]["lat"].as_f64() > Some(52.5), "{told}");
    }
    assert_eq!(told[39]["stale"], false, "the newest is not kept out");
    check_places(&t.sql).await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_keeps_nothing_out() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let ahead: String =
        sqlx::query_scalar("SELECT to_char((now() + interval '25 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            .fetch_one(&t.sql)
            .await
            .expect("a time");
    put(&t, &user, "p", json!({"lat": 1, "lng": 2, "recorded_at": ahead})).await.ok();
    let next = put(&t, &user, "p", json!({"lat": 3, "lng": 4})).await.ok().json();
    assert_eq!((&next["stale"], &next["device"]["lat"]), (&json!(false), &json!(3.0)));
}

#[tokio::test]
async fn two_users_who_want_the_same_device_at_once_do_not_share_it() {
    let t = TestServer::start().await;
    let (ann, bob) = (t.user().await, t.user().await);
    edge(&t, HERE, 100).await;
    for round in 0..5 {
        let device_id = format!("p{round}");
        let sent = (0..20).map(|i| put(&t, if i % 2 == 0 { &ann } else { &bob }, &device_id, json!({"lat": 52.52, "lng": 13.405})));
        let answers = join_all(sent).await;
        let owners: Vec<Value> =
            answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.json()["device"]["user_id"].clone()).collect();
        assert!(owners.len() == 10 && owners.iter().all(|owner| *owner == owners[0]), "{owners:?}");
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)));
    }
    check_places(&t.sql).await;
}

/// Without an account, the row cannot be written: it fails alone, and whoever shares its batch does not notice.
#[tokio::test]
async fn a_row_that_cannot_be_written_fails_alone() {
    let t = TestServer::start().await;
    let (ann, gone) = (t.user().await, t.user().await);
    edge(&t, HERE, 100).await;
    eventually("the token is known, and not asked for again", async || {
        gone.get(&t, "/api/v1/auth/profile").await.ok();
        t.state.accounts.seen(&gone.access_token)
    })
    .await;
    run(&t.sql, &format!("DELETE FROM ar.users WHERE id = '{}'", gone.id)).await;
    let sent = (0..30).map(|i| {
        let account = if i == 17 { &gone } else { &ann };
        let (t, device_id) = (&t, format!("p{i:02}"));
        async move { put(t, account, &device_id, json!({"lat": 52.52, "lng": 13.405})).await }
    });
    for (i, answer) in join_all(sent).await.iter().enumerate() {
        if i == 17 {
            answer.problem(401, "invalid_token");
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections").await, 29);
    check_places(&t.sql).await;
}

#[tokio::test]
async fn only_json_of_the_right_shape_is_taken() {
    let t = TestServer::start().await;
    let user = t.user().await;
    for body in [json!({"lat": 1}), json!({"lat": 1, "lng": 2, "user_id": user.id})] {
        assert_eq!(put(&t, &user, "p", body).await.status, 400);
    }
    let path = location_path("p");
    let asked = Answer::of(user.request(&t, Method::PUT, &format!("{path}?lat=1")).json(&json!({"lat": 1, "lng": 2}))).await;
    assert_eq!(asked.faulty_fields(400), ["lat"]);
    assert_eq!(number(&t, "SELECT count(*) FROM ar.device_connections").await, 0);
}
