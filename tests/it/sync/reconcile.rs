//! What edges should hold is compared with their rows now and then, and what differs is put right.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::books::{books, every_pair_is_right, wrong_pairs};
use crate::support::{Config, Random, RegisteredEdge, TestServer, edge_body, eventually, position};

/// Passes that ended, and when the present or the last one began, in seconds.
async fn passes(t: &TestServer) -> (i32, f64) {
    sqlx::query_as("SELECT passes::int, extract(epoch FROM begun_at)::float8 FROM ar.reconciliation")
        .fetch_one(&t.sql)
        .await
        .expect("reads")
}

/// Waits for passes that begin from now on to end.
async fn whole_pass(t: &TestServer) {
    let (begun, _) = passes(t).await;
    eventually("a pass that began later ended", async || (passes(t).await.0 >= begun + 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_repaired_and_nothing_else_is_touched() {
    let a = TestServer::start_with(Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let b = TestServer::on(a.db().options(), Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let admin = a.admin().await;
    let mut random = Random::seeded("repairs");
    // More than a page.
    let places: Vec<_> = (0..1_300).map(|_| position(random.between(52.4, 52.6), random.between(13.2, 13.6))).collect();
    a.decoration("").insert_at_each(&places).await;
    let gone = a.decoration("gone").at(52.5, 13.4).deleted().insert().await;
    let edge = RegisteredEdge::create(&a, &admin, edge_body("Berlin", 52.5, 13.4)).await.id;
    RegisteredEdge::create(&a, &admin, edge_body("beside", 52.52, 13.43)).await;
    every_pair_is_right(&a.sql).await;
    // As if all were acknowledged, so that a pair that is touched shows it.
    let acknowledge = "UPDATE ar.decoration_sync SET sync_status = 'synced', synced_version = sync_version";
    sqlx::raw_sql(acknowledge).execute(&a.sql).await.expect("acknowledges");
    whole_pass(&a).await;
    let before = books(&a.sql).await;

    let held: Vec<Uuid> = before.keys().filter(|(of, _)| *of == edge).map(|(_, decoration)| *decoration).collect();
    let elsewhere: Vec<Uuid> = sqlx::query_scalar(
        "SELECT d.id FROM ar.decorations d WHERE NOT EXISTS (SELECT FROM ar.decoration_sync s WHERE s.decoration_id = d.id) LIMIT 2",
    )
    .fetch_all(&a.sql)
    .await
    .expect("reads");
    let (lost, flipped) = (&held[..3], &held[held.len() - 3..]);
    let added: Vec<Uuid> = elsewhere.into_iter().chain([gone]).collect();
    for (statement, ids) in [
        ("DELETE FROM ar.decoration_sync WHERE edge_server_id = $1 AND decoration_id = ANY ($2)", lost),
        ("UPDATE ar.decoration_sync SET wanted = 'remove' WHERE edge_server_id = $1 AND decoration_id = ANY ($2)", flipped),
        (
            "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status, synced_version, sync_version) SELECT $1, id, 'synced', n, n
             FROM unnest($2::uuid[]) AS id, nextval('ar.sync_version_seq') AS n",
            &added,
        ),
    ] {
        sqlx::query(statement).bind(edge).bind(ids).execute(&a.sql).await.expect("goes wrong");
    }
    assert!(!wrong_pairs(&a.sql).await.is_empty());
    eventually("all is repaired", async || wrong_pairs(&a.sql).await.is_empty().then_some(())).await;
    whole_pass(&b).await;
    every_pair_is_right(&a.sql).await;

    let after = books(&a.sql).await;
    let touched: BTreeMap<_, _> = after.iter().filter(|(pair, now)| before.get(pair) != Some(now)).collect();
    let expected = lost.iter().chain(flipped).map(|id| (*id, "put")).chain(added.iter().map(|id| (*id, "remove")));
    let expected: BTreeMap<_, _> = expected.map(|(id, wanted)| ((edge, id), wanted)).collect();
    let wanted: BTreeMap<_, _> = touched.iter().map(|(pair, now)| (**pair, now.0.as_str())).collect();
    assert_eq!(wanted, expected);
    assert!(touched.iter().all(|(pair, now)| before.get(*pair).is_none_or(|then| now.1 > then.1)), "numbers rise: {touched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_make_one_pass_an_interval() {
    let a = TestServer::start_with(Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let others = [
        TestServer::on(a.db().options(), Config::of("EDGE_SYNC_INTERVAL", "1s")).await,
        TestServer::on(a.db().options(), Config::default()).await,
    ];
    let begun = eventually("a pass", async || Some(passes(&a).await).filter(|(passes, _)| *passes > 0)).await;
    let later = eventually("three more", async || Some(passes(&a).await).filter(|(passes, _)| *passes >= begun.0 + 3)).await;
    let (between_s, intervals) = (later.1 - begun.1, f64::from(later.0 - begun.0));
    assert!(between_s >= intervals - 0.001, "{intervals} passes in {between_s} s");
    drop(others);
}
