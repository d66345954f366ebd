//! Who serves is known to all: while he does, when he says goodbye, and when he does not.

use serde_json::{Value, json};

use super::{Two, run};
use crate::support::{Process, RegisteredEdge, Socket, edge_body, eventually};

async fn instances(t: &Process, admin: &crate::support::Account) -> Vec<Value> {
    admin.get(t, "/api/v1/metrics/system").await.ok().json()["instances"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_listed_with_their_sockets_and_leave_with_a_word_or_are_missed() {
    let mut two = Two::start(&[]).await;
    let admin = two.a.admin().await;
    let (a, b) = (two.a.id().await, two.b.id().await);
    let edge = RegisteredEdge::create(&two.a, &admin, edge_body("a", 1.0, 2.0)).await;
    let (_socket, _) = edge.connect(&two.b).await;
    let bearer = format!("Bearer {}", admin.access_token);
    let mut feed = Socket::open(&two.a, "/ws/admin", &[("authorization", &bearer)]).await.expect("opens");
    feed.data("snapshot").await;
    let of = |all: &[Value], id: uuid::Uuid| all.iter().find(|one| one["id"] == json!(id)).cloned();
    eventually("the sockets are shown", async || {
        let all = instances(&two.a, &admin).await;
        let sockets = |id| of(&all, id).map(|one| (one["edge_sockets"].clone(), one["admin_sockets"].clone()));
        (sockets(a) == Some((json!(0), json!(1))) && sockets(b) == Some((json!(1), json!(0)))).then_some(())
    })
    .await;
    let shown = of(&instances(&two.b, &admin).await, b).expect("it is there");
    assert_eq!(
        (&shown["state"], &shown["address"], &shown["fits_schema"]),
        (&json!("serving"), &json!(two.b.address.to_string()), &json!(true))
    );
    let own = admin.get(&two.b, "/api/v1/metrics/system").await.ok().json()["process"].clone();
    assert_eq!((&own["instance_id"], &own["replica"]), (&json!(b), &Value::Null));

    // Killed, it is missed once its lease has run out.
    two.b.kill();
    two.a.watched_for_long().await;
    run(&two.a.sql, &format!("UPDATE ar.instances SET lease_until = now() - interval '1 s' WHERE id = '{b}'")).await;
    let alert = loop {
        let alert = feed.data("alert").await;
        if alert["kind"] == "instance_lost" {
            break alert;
        }
    };
    assert_eq!((&alert["state"], &alert["subject"]), (&json!("raised"), &json!(b)));
    assert!(alert["message"].as_str().is_some_and(|text| text.contains(&two.b.address.to_string())), "{alert}");
    eventually("it is shown as lost", async || (of(&instances(&two.a, &admin).await, b)?["state"] == "lost").then_some(())).await;
    run(&two.a.sql, &format!("UPDATE ar.instances SET lease_until = now() - interval '1 hour' WHERE id = '{b}'")).await;
    let cleared = loop {
        let alert = feed.data("alert").await;
        if alert["kind"] == "instance_lost" {
            break alert;
        }
    };
    assert_eq!((&cleared["state"], &cleared["subject"]), (&json!("cleared"), &json!(b)), "and not for ever");

    // With a word, it is gone.
    two.a.running.signal("-TERM");
    assert_eq!(two.a.running.end(), Some(0));
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.instances").fetch_one(&two.a.sql).await.expect("counts");
    assert_eq!(left, 0);
}
