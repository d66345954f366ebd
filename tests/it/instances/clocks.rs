//! Instances whose clocks are ten minutes wrong, both ways, beside one whose clock is right (P27): what is decided by time
//! is decided by the database's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::run;
use crate::editing::content_with;
use crate::support::{
    Account, Answer, Held, HoldingEdge, PASSWORD, Process, Proof, RegisteredEdge, Socket, TestDb, edge_body, eventually, rounds, with_clock,
};
use crate::sync::delivering::{at, create, put, settled};

const SKEW_S: i64 = 600;
/// Variables of all three: so that silent devices are looked for every five seconds.
const SOON: (&str, &str) = ("DEVICE_PING_TIMEOUT", "30s");

async fn skewed(db: &TestDb, ahead_s: i64) -> Process {
    let clock = with_clock(ahead_s);
    let variables: Vec<(&str, &str)> = clock.iter().map(|(name, value)| (*name, value.as_str())).chain([SOON]).collect();
    Process::start(&db.options(), &variables).await
}

/// The database's time.
async fn now(t: &Process) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&t.sql).await.expect("reads")
}

fn claims(account: &Account) -> Value {
    let payload = account.access_token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

fn seconds(value: &Value) -> i64 {
    value.as_i64().expect("seconds")
}

/// The process's own clock is what it is said to be: it stands in every answer.
async fn own_clock_differs_by(t: &Process, ahead_s: i64) {
    let answer = Answer::of(t.client.get(t.url("/health/live"))).await;
    let date = DateTime::parse_from_rfc2822(answer.header("date").expect("a date")).expect("a time");
    let differs = (date.to_utc() - now(t).await).num_seconds();
    assert!((differs - ahead_s).abs() <= 3, "{differs} and not {ahead_s}");
}

/// Tokens made on one are good on all, live as long as they should, and are refreshed and ended anywhere.
async fn tokens_hold_everywhere(all: &[&Process]) {
    for (place, maker) in all.iter().enumerate() {
        let next = all[(place + 1) % all.len()];
        let ada = maker.user().await;
        let claims = claims(&ada);
        let [issued, from, until] = ["iat", "nbf", "exp"].map(|name| seconds(&claims[name]));
        assert!((now(maker).await.timestamp() - issued).abs() <= 3 && from <= issued, "{claims}");
        assert_eq!(until - issued, 900, "{claims}");
        for server in all {
            ada.get(server, "/api/v1/auth/profile").await.ok();
        }
        let refresh = async |server: &Process, token: &str| server.post("/api/v1/auth/refresh", json!({"refresh_token": token})).await;
        let token = |answer: &Answer| answer.json()["refresh_token"].as_str().expect("a token").to_owned();
        let second = token(&refresh(next, &ada.refresh_token).await.ok());
        assert_eq!(token(&refresh(maker, &ada.refresh_token).await.ok()), second, "a retry within 30 s, elsewhere");
        let rotated: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM expires_at - now())::float8 FROM ar.user_sessions WHERE user_id = $1 ORDER BY expires_at DESC LIMIT 1",
        )
        .bind(ada.id)
        .fetch_one(&maker.sql)
        .await
        .expect("reads");
        assert!((rotated - 168.0 * 3600.0).abs() < 60.0, "{rotated}");
        // One that has run out by the database's clock is over everywhere.
        run(
            &maker.sql,
            &format!(
                "UPDATE ar.user_sessions SET expires_at = now() + interval '1 s', access_changed_at = now() WHERE user_id = '{}'",
                ada.id
            ),
        )
        .await;
        for server in all {
            eventually("it is over", async || (ada.get(server, "/api/v1/auth/profile").await.status == 401).then_some(())).await;
            refresh(server, &second).await.problem(401, "invalid_refresh_token");
        }
    }
}

/// A phone's clock is compared with the database's.
async fn times_of_phones_are_judged_right(all: &[&Process]) {
    let user = all[0].user().await;
    for (place, server) in all.iter().enumerate() {
        for (ahead_s, status) in [(20, 200), (45, 422), (-300, 200)] {
            let at = now(server).await + TimeDelta::seconds(ahead_s);
            let body = json!({"lat": 1.0, "lng": 2.0, "recorded_at": at});
            let answer = user.send(server, Method::PUT, &format!("/api/v1/devices/p{place}{ahead_s}/location"), body).await;
            assert_eq!(answer.status, status, "{ahead_s}: {}", answer.text());
        }
    }
}

/// A ticket is made on one and used on the next; the feed of each shows whether its own clock is wrong.
async fn tickets_hold_and_wrong_clocks_are_told_of(all: &[&Process], admin: &Account, skews: &[i64]) {
    for (place, server) in all.iter().enumerate() {
        let maker = all[(place + 1) % all.len()];
        let ticket = admin.send(maker, Method::POST, "/api/v1/auth/ws-ticket", json!({"path": "/ws/admin"})).await.json();
        let protocols = format!("arsup.v1, ticket.{}", ticket["ticket"].as_str().expect("a ticket"));
        let origin = format!("http://{}", server.address);
        let mut socket =
            Socket::open(server, "/ws/admin", &[("sec-websocket-protocol", &protocols), ("origin", &origin)]).await.expect("opens");
        let snapshot = socket.data("snapshot").await;
        let alerts = snapshot["alerts"].as_array().expect("alerts").clone();
        let is_told = alerts.iter().any(|alert| alert["id"] == "clock_skew:supervisor");
        assert_eq!(is_told, skews[place] != 0, "{alerts:?}");
    }
}

/// Work for all is due for each of them, and it is written down who did it. Else, mostly the same one comes first.
const EVERYBODY_WORKS: &str = "CREATE TABLE public.begun (work text, begun_by uuid);
    CREATE FUNCTION public.note_round() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.begun VALUES (NEW.work, NEW.begun_by);
        NEW.begun_at := '-infinity';
        RETURN NEW;
    END $$;
    CREATE TRIGGER note_round BEFORE INSERT OR UPDATE ON ar.rounds FOR EACH ROW EXECUTE FUNCTION public.note_round()";

/// Waits until each of them has begun another round of some work.
async fn all_take_a_round(all: &[&Process], work: &str) {
    run(&all[0].sql, &format!("DELETE FROM public.begun WHERE work = '{work}'")).await;
    eventually("all have had a round", async || {
        let count = sqlx::query_scalar("SELECT count(DISTINCT begun_by) FROM public.begun WHERE work = $1").bind(work);
        let count: i64 = count.fetch_one(&all[0].sql).await.expect("counts");
        (usize::try_from(count) == Ok(all.len())).then_some(())
    })
    .await;
}

/// Beats by the edge's own time, which is right, count as such, and leases are as long as they should be.
async fn beats_and_leases_go_by_the_database(all: &[&Process], admin: &Account) {
    let mut sockets = Vec::new();
    for (place, server) in all.iter().enumerate() {
        let edge = RegisteredEdge::create(
            server,
            admin,
            edge_body(&format!("edge {place}"), 30.0, 40.0 + f64::from(u32::try_from(place).expect("few"))),
        )
        .await;
        let (mut socket, welcome) = edge.connect(server).await;
        let told: DateTime<Utc> = welcome["server_time"].as_str().expect("a time").parse().expect("a time");
        assert!((now(server).await - told).num_seconds().abs() <= 3, "{welcome}");
        let beat = json!({"cpu_usage": 5.0, "memory_usage": 5.0, "active_connections": 0, "timestamp": now(server).await});
        socket.send("health_update", beat).await;
        let (lease_s, skew_s) = eventually("its beat is written", async || {
            let found: Option<(f64, Option<f64>)> = sqlx::query_as(
                "SELECT extract(epoch FROM s.lease_until - clock_timestamp())::float8, e.clock_skew_s FROM ar.edge_servers e
                 JOIN ar.edge_sessions s ON s.edge_server_id = e.id WHERE e.id = $1 AND e.health_status = 'healthy'",
            )
            .bind(edge.id)
            .fetch_optional(&server.sql)
            .await
            .expect("reads");
            found
        })
        .await;
        assert!((0.0..=10.0).contains(&lease_s), "{lease_s}");
        assert!(skew_s.is_some_and(|skew_s| skew_s.abs() < 5.0), "{skew_s:?}");
        sockets.push((edge, socket));
    }
    // Nobody judges by his own clock: once all three have judged, those that beat are healthy, and their sessions live.
    all_take_a_round(all, "judge_edges").await;
    for (edge, _) in &sockets {
        let falls: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM ar.edge_health_changes WHERE edge_server_id = $1 AND health_status IN ('degraded', 'offline')",
        )
        .bind(edge.id)
        .fetch_one(&all[0].sql)
        .await
        .expect("counts");
        let live: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_sessions WHERE edge_server_id = $1 AND lease_until > now()")
            .bind(edge.id)
            .fetch_one(&all[0].sql)
            .await
            .expect("counts");
        assert_eq!((falls, live), (0, 1));
    }
}

/// What one writes after the other gets a higher number, whoever it is, and comes to edges at each of them.
async fn versions_rise_whoever_writes(all: &[&Process], admin: &Account) {
    let mut edges = Vec::new();
    for (place, server) in all.iter().enumerate() {
        let edge = RegisteredEdge::create(server, admin, edge_body(&format!("holds {place}"), 10.0, 20.0)).await;
        edges.push(HoldingEdge::live(edge, at(server.address), Held::default()));
    }
    let decoration = create(all[0], admin, "0", 10.0, 20.0).await;
    let mut last = 0;
    for round in 1..=rounds(6, 60) {
        put(all[round % all.len()], admin, &decoration, content_with(&round.to_string(), json!({"lat": 10.0, "lng": 20.0}))).await;
        let number: i64 =
            sqlx::query_scalar("SELECT min(sync_version) FROM ar.decoration_sync").fetch_one(&all[0].sql).await.expect("reads");
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    for edge in &edges {
        settled(&all[0].sql, edge).await;
        assert_eq!((edge.held().falls, edge.held().repeats), (0, 0));
    }
}

/// Sweepers find who was silent by the database's clock, and nobody else.
async fn sweepers_find_the_silent_alone(all: &[&Process]) {
    let user = all[1].user().await;
    for device in ["silent", "heard"] {
        user.send(all[1], Method::PUT, &format!("/api/v1/devices/{device}/location"), json!({"lat": 50.0, "lng": 60.0})).await.ok();
    }
    all[0].watched_for_long().await;
    run(&all[0].sql, "UPDATE ar.device_connections SET last_ping = now() - interval '61 s' WHERE device_id = 'silent'").await;
    run(&all[0].sql, "UPDATE ar.device_connections SET last_ping = now() + interval '20 s' WHERE device_id = 'heard'").await;
    let status = async |device: &str| user.get(all[2], &format!("/api/v1/devices/{device}")).await.ok().json()["connection_status"].clone();
    eventually("the silent one is found", async || (status("silent").await == "disconnected").then_some(())).await;
    all_take_a_round(all, "sweep_devices").await;
    assert_eq!(status("heard").await, "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_break_no_token_lease_beat_or_version() {
    let mut proof = Proof::of("P27", "instances, one of them right and two 10 min off");
    let db = TestDb::create().await;
    sqlx::raw_sql(EVERYBODY_WORKS).execute(&mut db.connect().await).await.expect("makes a trigger");
    let options = db.options();
    let (a, b, c) = tokio::join!(Process::start(&options, &[SOON]), skewed(&db, SKEW_S), skewed(&db, -SKEW_S));
    let (all, skews) = ([&a, &b, &c], [0, SKEW_S, -SKEW_S]);
    for (server, skew_s) in all.iter().zip(skews) {
        own_clock_differs_by(server, skew_s).await;
    }
    let admin = b.admin().await;
    tokio::join!(
        tokens_hold_everywhere(&all),
        times_of_phones_are_judged_right(&all),
        tickets_hold_and_wrong_clocks_are_told_of(&all, &admin, &skews),
        beats_and_leases_go_by_the_database(&all, &admin),
        versions_rise_whoever_writes(&all, &admin),
    );
    sweepers_find_the_silent_alone(&all).await;
    let again = Account::sign_in(&c, &admin.email, PASSWORD).await;
    again.get(&b, "/api/v1/users?limit=1").await.ok();
    proof.tried(all.len());
}
