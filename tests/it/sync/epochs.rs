//! What edges do when a database was restored from a backup: with a new epoch, as an operator should have it, and without.

use serde_json::json;
use uuid::Uuid;

use super::delivering::{create, import, live, put, settled};
use super::routes::run;
use crate::commands::{self, url_of};
use crate::editing::{content_with, path_of};
use crate::support::{Config, HoldingEdge, SECRET, Talk, TestServer, eventually};

const MANY: usize = 300;

/// Takes a backup of what the sync is about.
async fn back_up(t: &TestServer) {
    run(
        t,
        "CREATE SCHEMA saved;
         CREATE TABLE saved.decorations AS SELECT * FROM ar.decorations;
         CREATE TABLE saved.decoration_sync AS SELECT * FROM ar.decoration_sync;
         CREATE TABLE saved.number AS SELECT last_value FROM ar.sync_version_seq",
    )
    .await;
}

/// Puts it back, numbers included, as a restore does; no trigger sees it.
async fn restore(t: &TestServer) {
    run(
        t,
        "BEGIN;
             SET LOCAL session_replication_role = replica;
             DO $$ DECLARE c text; t text; BEGIN
                 FOREACH t IN ARRAY ARRAY['decorations', 'decoration_sync'] LOOP
                     SELECT string_agg(quote_ident(column_name), ', ') INTO c FROM information_schema.columns
                     WHERE table_schema = 'ar' AND table_name = t AND is_generated = 'NEVER';
                     EXECUTE format('DELETE FROM ar.%I', t);
                     EXECUTE format('INSERT INTO ar.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM saved.%I', t, c, c, t);
                 END LOOP;
             END $$;
             SELECT setval('ar.sync_version_seq', last_value) FROM saved.number;
             COMMIT",
    )
    .await;
}

/// An edge's world, backed up, and gone on from there: edits, removals and news, which the edge holds.
async fn backed_up_and_gone_on() -> (TestServer, HoldingEdge, Vec<Uuid>) {
    let t = TestServer::start_with(Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let admin = t.admin().await;
    let edge = live(&t, &admin, "a", 10.0, 20.0).await;
    let ids = import(&t, &admin, MANY, "old", "a place").await;
    settled(&t.sql, &edge).await;
    back_up(&t).await;
    for id in &ids[..20] {
        put(&t, &admin, &json!({"id": id}), content_with("lost edit", json!({"lat": 10.0, "lng": 20.0}))).await;
    }
    for id in &ids[20..30] {
        admin.ask(&t, reqwest::Method::DELETE, &path_of(&json!({"id": id}))).await;
    }
    for n in 0..10 {
        create(&t, &admin, &format!("lost {n}"), 10.0, 20.0).await;
    }
    settled(&t.sql, &edge).await;
    assert_eq!(edge.held().items.len(), MANY);
    (t, edge, ids)
}

async fn holds_the_old(edge: &HoldingEdge) {
    eventually("it holds what is restored", async || {
        let held = edge.held();
        let old = held.items.values().all(|(_, content)| content["name"].as_str().is_some_and(|name| name.starts_with("old ")));
        (held.items.len() == MANY && old).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_epoch_ends_the_sockets_and_everything_comes_under_its_numbers() {
    let (t, edge, _) = backed_up_and_gone_on().await;
    let admin = t.admin().await;
    let watcher = live(&t, &admin, "elsewhere", -10.0, 20.0).await;
    eventually("it has an epoch", async || watcher.held().epoch).await;
    let (registered, held) = (watcher.edge.clone(), watcher.kill().await);
    let mut talk = Talk::begin(&t, &registered, held).await;
    let (before, snapshots) = (edge.held().epoch, edge.held().snapshots);
    restore(&t).await;
    let url = url_of(&t.db().options());
    let doctor = tokio::task::spawn_blocking(move || {
        commands::run(&["doctor", "--after-restore"], &[("DATABASE_URL", &url), ("JWT_SECRET", SECRET)])
    });
    doctor.await.expect("doctor ends");
    let began = std::time::Instant::now();
    let (code, reason) = talk.socket.closed().await;
    assert!(code == 1012 && reason.contains("retry_after_ms"), "{code} {reason}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    holds_the_old(&edge).await;
    settled(&t.sql, &edge).await;
    let held = edge.held();
    let epoch: String = sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_one(&t.sql).await.expect("reads");
    eventually("it has the new epoch", async || (edge.held().epoch.as_ref() == Some(&epoch)).then_some(())).await;
    assert_ne!(held.epoch, before);
    assert_eq!((held.snapshots - snapshots, held.modes.last().map(String::as_str)), (1, Some("snapshot")));
    // From now on all is as ever.
    create(&t, &admin, "old friend", 10.0, 20.0).await;
    settled(&t.sql, &edge).await;
    assert_eq!((edge.held().items.len(), edge.held().snapshots), (MANY + 1, held.snapshots));
}

#[tokio::test]
async fn a_restore_that_nobody_told_of_is_found_by_the_edges_numbers() {
    let (t, edge, ids) = backed_up_and_gone_on().await;
    let admin = t.admin().await;
    let (sessions, snapshots) = (edge.held().modes.len(), edge.held().snapshots);
    restore(&t).await;
    holds_the_old(&edge).await;
    settled(&t.sql, &edge).await;
    assert_eq!((edge.held().modes.len(), edge.held().snapshots), (sessions, snapshots), "the socket is the same, and nothing was in vain");
    // Numbers are ahead of all that was ever given.
    put(&t, &admin, &json!({"id": ids[0]}), content_with("new", json!({"lat": 10.0, "lng": 20.0}))).await;
    settled(&t.sql, &edge).await;
    assert_eq!(edge.held().items[&ids[0]].1["name"], "new");
    // One that was away meanwhile, too.
    let registered = edge.edge.clone();
    let mut held = edge.kill().await;
    restore(&t).await;
    held.items.insert(Uuid::now_v7(), (1_000_000, json!({"name": "stray"})));
    let edge = HoldingEdge::live(registered, super::delivering::at(t.address), held);
    holds_the_old(&edge).await;
    settled(&t.sql, &edge).await;
}
