//! Backups, by `pg_dump` and of the whole cluster, and what comes after a restore: a new epoch, with which edges that
//! know of more than the backup does come to hold what it has.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::commands::{run, text, url_of};
use crate::editing::{content_with, path_of};
use crate::support::{
    Account, Answer, Config, Held, HoldingEdge, OwnCluster, PASSWORD, RegisteredEdge, SECRET, TestServer, edge_body, eventually,
};
use crate::sync::{every_pair_is_right, holds_its_books};

/// Runs one of PostgreSQL's programs on a cluster; what it prints.
async fn pg(cluster: &OwnCluster, name: &str, arguments: &[&str], from: Stdio) -> Vec<u8> {
    let options = cluster.options();
    let socket = options.get_socket().expect("a Unix socket");
    let mut program = cluster.program(name);
    program.arg("--host").arg(socket).args(["--username", "ar_supervisor"]).args(arguments).stdin(from);
    let output = program.output().await.expect("it runs");
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    output.stdout
}

/// Ten decorations at an edge, one of them edited; the edge has all of it.
async fn content(t: &TestServer) -> (Account, HoldingEdge, Vec<String>) {
    let admin = t.admin().await;
    let mut paths = Vec::new();
    for n in 0..10 {
        let body = content_with(&format!("before {n}"), json!({"lat": 10.0, "lng": 20.0 + f64::from(n) * 0.001}));
        let created = admin.send(t, reqwest::Method::POST, "/api/v1/decorations", body).await;
        assert_eq!(created.status, 201, "{}", created.text());
        paths.push(path_of(&created.json()));
    }
    let edge = RegisteredEdge::create(t, &admin, edge_body("edge", 10.0, 20.0)).await;
    let address = t.address;
    let edge = HoldingEdge::live(edge, move || address, Held::default());
    eventually("the edge has it all", async || (edge.held().items.len() == 10).then_some(())).await;
    (admin, edge, paths)
}

/// Goes on after the backup: the edge learns of edits, of new ones and of removals that the backup does not know.
async fn go_on(t: &TestServer, admin: &Account, edge: HoldingEdge, paths: &[String]) -> (RegisteredEdge, Held) {
    for path in &paths[..4] {
        let body = content_with("after the backup", json!({"lat": 10.0, "lng": 20.0}));
        let edited = Answer::of(admin.request(t, reqwest::Method::PUT, path).header("if-match", "*").json(&body)).await;
        assert_eq!(edited.status, 200, "{}", edited.text());
    }
    for path in &paths[4..6] {
        assert_eq!(admin.ask(t, reqwest::Method::DELETE, path).await.status, 204);
    }
    for n in 0..5 {
        let body = content_with(&format!("new {n}"), json!({"lat": 10.0, "lng": 20.0}));
        assert_eq!(admin.send(t, reqwest::Method::POST, "/api/v1/decorations", body).await.status, 201);
    }
    eventually("the edge has heard of it", async || {
        let held = edge.held();
        let names =
            |wanted: &str| held.items.values().filter(|(_, item)| item["name"].as_str().expect("a name").starts_with(wanted)).count();
        (held.items.len() == 13 && names("after") == 4 && names("new") == 5).then_some(())
    })
    .await;
    let registered = edge.edge.clone();
    (registered, edge.kill().await)
}

/// Doctor, as the handbook says after a restore.
async fn begin_epoch(options: &PgConnectOptions) {
    let url = url_of(options);
    let said = tokio::task::spawn_blocking(move || {
        let output = run(&["doctor", "--after-restore"], &[("DATABASE_URL", &url), ("JWT_SECRET", SECRET)]);
        (output.status.success(), text(&output.stdout))
    });
    let (good, said) = said.await.expect("ends");
    assert!(good && said.contains("ok    restored: the epoch is"), "{said}");
}

/// A service on the restored database: accounts, analysts and content are as they were, and the edge comes to hold it.
async fn is_as_before(options: PgConnectOptions, admin: &Account, edge: RegisteredEdge, held: Held) {
    assert!(held.items.len() == 13, "it knows of more than the backup");
    let t = TestServer::on(options, Config::default()).await;
    let admin = Account::sign_in(&t, &admin.email, PASSWORD).await;
    let listed = admin.get(&t, "/api/v1/decorations?limit=100").await.ok();
    let mut names = listed.names();
    names.sort();
    assert_eq!(names, (0..10).map(|n| format!("before {n}")).collect::<Vec<_>>());
    let may: bool =
        sqlx::query_scalar("SELECT has_table_privilege('ar_analyst', 'gis.decorations', 'SELECT')").fetch_one(&t.sql).await.expect("asks");
    assert!(may, "analysts read as before");
    let address = t.address;
    let edge = HoldingEdge::live(edge, move || address, held);
    eventually("the edge holds what the backup has", async || {
        let held = edge.held();
        (held.items.len() == 10 && held.items.values().all(|(_, item)| item["name"].as_str().expect("a name").starts_with("before")))
            .then_some(())
    })
    .await;
    eventually("the books agree", async || holds_its_books(&t.sql, &edge).await.then_some(())).await;
    every_pair_is_right(&t.sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_restored_and_edges_converge_to_it() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let (admin, edge, paths) = content(&t).await;
    let dump = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(dump.path(), pg(&cluster, "pg_dump", &["--format=custom", "postgres"], Stdio::null()).await).expect("writes");
    let (edge, held) = go_on(&t, &admin, edge, &paths).await;
    sqlx::raw_sql("CREATE DATABASE restored").execute(&t.sql).await.expect("makes one");
    let read = File::open(dump.path()).expect("reads").into();
    pg(&cluster, "pg_restore", &["--exit-on-error", "--single-transaction", "--dbname=restored"], read).await;
    let options = cluster.options().database("restored");
    // A dump has no statistics for the planner.
    let mut connection = options.connect().await.expect("connects");
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.expect("analyzes");
    begin_epoch(&options).await;
    is_as_before(options, &admin, edge, held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_is_started_and_edges_converge_to_it() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let (admin, edge, paths) = content(&t).await;
    let copy = cluster.copy().await;
    let (edge, held) = go_on(&t, &admin, edge, &paths).await;
    // The one that was backed up is gone.
    cluster.stop("immediate").await;
    begin_epoch(&copy.options()).await;
    is_as_before(copy.options(), &admin, edge, held).await;
}
