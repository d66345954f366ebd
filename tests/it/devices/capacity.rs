//! However many ask at once, wherever they ask: no edge gets more devices than it takes, and nobody is refused while
//! there is a place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{HERE, check_places, edge, number, put, run};
use crate::support::{Account, Config, Random, TestServer, eventually, rounds};

/// Two instances on one database, and an account that both know.
async fn two() -> (Arc<TestServer>, Arc<TestServer>, Account) {
    let a = TestServer::start().await;
    let b = TestServer::on(a.db().options(), Config::default()).await;
    let user = a.user().await;
    for server in [&a, &b] {
        eventually("the token is known", async || {
            user.get(server, "/api/v1/auth/profile").await.ok();
            server.state.accounts.seen(&user.access_token)
        })
        .await;
    }
    (Arc::new(a), Arc::new(b), user)
}

/// Looks at the counters all the time; what it saw must always hold.
fn watch(t: &Arc<TestServer>) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u32>) {
    let done = Arc::new(AtomicBool::new(false));
    let (t, is_done) = (Arc::clone(t), Arc::clone(&done));
    let watching = tokio::spawn(async move {
        let mut looks = 0;
        while !is_done.load(Ordering::Acquire) {
            check_places(&t.sql).await;
            looks += 1;
        }
        looks
    });
    (done, watching)
}

/// 2,000 phones, room for 1,500, two instances.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_as_many_places_are_given_as_there_are() {
    let (a, b, user) = two().await;
    let phones = rounds(200, 2000);
    let third = i32::try_from(phones / 4).expect("small");
    for offset in [0.0, 0.001, 0.002] {
        edge(&a, (HERE.0 + offset, HERE.1), third).await;
    }
    let (done, watching) = watch(&a);
    let asking = (0..phones).map(|i| {
        let (t, user) = (if i % 2 == 0 { &a } else { &b }, &user);
        async move {
            loop {
                let answer = put(t, user, &format!("phone-{i}"), json!({"lat": HERE.0, "lng": HERE.1})).await;
                if answer.status == 200 {
                    return answer.json();
                }
                // Too many at once for one instance's places: come back, as it says.
                assert_eq!(answer.status, 503, "{}", answer.text());
                assert!(answer.header("retry-after").is_some());
            }
        }
    });
    let told = join_all(asking).await;
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for told in &told {
        *count.entry(if told["edge_server"].is_null() { told["reason"].to_string() } else { "placed".to_owned() }).or_default() += 1;
    }
    done.store(true, Ordering::Release);
    println!("{phones} phones: {count:?}; {} looks at the counters", watching.await.expect("holds at every instant"));
    let places = 3 * usize::try_from(third).expect("small");
    assert_eq!(count, BTreeMap::from([("placed".to_owned(), places), ("\"all_full\"".to_owned(), phones - places)]));
    assert_eq!(
        number(&a, "SELECT count(*) FROM ar.device_connections WHERE edge_server_id IS NOT NULL").await,
        i64::try_from(places).expect("small")
    );
    check_places(&a.sql).await;
}

/// Phones that come, move about and go, on two instances, while edges come, drain and fall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_while_everything_moves() {
    let (a, b, user) = two().await;
    let mut edges = Vec::new();
    for i in 0..5 {
        edges.push(edge(&a, (HERE.0 + f64::from(i) * 0.01, HERE.1), 8).await);
    }
    let (done, watching) = watch(&a);
    let steps = rounds(25, 400);
    let seed = Random::seeded("moving devices").bits();
    let phones = (0..30_u64).map(|i| {
        let (t, user) = (if i % 2 == 0 { &a } else { &b }, &user);
        async move {
            let mut random = Random::of(seed ^ i);
            let mut answered = 0;
            for _ in 0..steps {
                // Some share a name, so that batches of both instances meet on a row.
                let device_id = format!("phone-{}", if random.below(4) == 0 { 0 } else { i });
                if random.below(6) == 0 {
                    let answer = user.ask(t, Method::DELETE, &format!("/api/v1/devices/{device_id}")).await;
                    assert!([204, 404, 503].contains(&answer.status), "{}", answer.text());
                } else {
                    let body = json!({"lat": HERE.0 + random.between(-0.02, 0.06), "lng": HERE.1 + random.between(-0.02, 0.02)});
                    let answer = put(t, user, &device_id, body).await;
                    assert!([200, 503].contains(&answer.status), "{}", answer.text());
                    answered += usize::from(answer.status == 200);
                }
            }
            answered
        }
    });
    let upheaval = async {
        let mut random = Random::of(seed);
        for _ in 0..steps {
            let edge_id = random.one_of(&edges);
            let what = random.one_of(&[
                "draining = NOT draining",
                "health_status = 'offline'",
                "health_status = 'healthy', draining = false",
                "is_active = NOT is_active",
            ]);
            run(&a.sql, &format!("UPDATE ar.edge_servers SET {what} WHERE id = '{edge_id}'")).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let (answered, ()) = tokio::join!(join_all(phones), upheaval);
    done.store(true, Ordering::Release);
    let looks = watching.await.expect("holds at every instant");
    println!("{} positions written, {looks} looks at the counters", answered.iter().sum::<usize>());
    assert!(answered.iter().sum::<usize>() > 30 * steps / 2);
    check_places(&a.sql).await;
}

/// A place that somebody leaves is found by whoever asks next.
#[tokio::test]
async fn a_place_left_is_given_again() {
    let t = TestServer::start().await;
    let user = t.user().await;
    edge(&t, HERE, 1).await;
    for i in 0..10 {
        let told = put(&t, &user, &format!("p{i}"), json!({"lat": HERE.0, "lng": HERE.1})).await.ok().json();
        assert_ne!(told["edge_server"], Value::Null, "{i}");
        assert_eq!(user.ask(&t, Method::DELETE, &format!("/api/v1/devices/p{i}")).await.status, 204);
    }
    check_places(&t.sql).await;
}
