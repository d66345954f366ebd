//! Backups, by `pg_dump` and of the whole cluster, and what comes after a restore: a new epoch, with which edges that
//! know of more than the backup does come to hold what it has.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use crate::commands::{run, text, url_of};
use crate::editing::content_with;
use crate::support::{Account, Config, Held, HoldingEdge, OwnCluster, RegisteredEdge, SECRET, TestDb, TestServer, edge_body, eventually, programs};
use crate::sync::{every_pair_is_right, holds_its_books};

fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `-h` and `-U`, as PostgreSQL's programs want to be told.
fn where_it_is(options: &PgConnectOptions) -> [String; 2] {
    [format!("--host={}", options.get_socket().expect("a Unix socket").display()), "--username=ar_supervisor".to_owned()]
}

/// Ten decorations at an edge, one of them edited; the edge has all of it.
async fn content(t: &TestServer) -> (Account, HoldingEdge, Vec<String>) {
    let admin = t.admin().await;
    let mut paths = Vec::new();
    for n in 0..10 {
        let body = content_with(&format!("before {n}"), json!({"lat": 10.0, "lng": 20.0 + f64::from(n) * 0.001}));
        let created = admin.send(t, reqwest::Method::POST, "/api/v1/decorations", body).await;
        assert_eq!(created.status, 201, "{}", created.text());
        paths.push(crate::editing::path_of(&created.json()));
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
        let edited = admin.send(t, reqwest::Method::PUT, path, body).await;
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
        let names = |wanted: &str| held.items.values().filter(|(_, item)| item["name"].as_str().expect("a name").starts_with(wanted)).count();
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
    let admin = Account::sign_in(&t, &admin.email, crate::support::PASSWORD).await;
    let listed = admin.get(&t, "/api/v1/decorations?limit=100").await.ok();
    let mut names = listed.names();
    names.sort();
    assert_eq!(names, (0..10).map(|n| format!("before {n}")).collect::<Vec<_>>());
    let may: bool = sqlx::query_scalar("SELECT has_table_privilege('ar_analyst', 'gis.decorations', 'SELECT')")
        .fetch_one(&t.sql)
        .await
        .expect("asks");
    assert!(may, "analysts read as before");
    let address = t.address;
    let edge = HoldingEdge::live(edge, move || address, held);
    eventually("the edge holds what the backup has", async || {
        let held = edge.held();
        (held.items.len() == 10 && held.items.values().all(|(_, item)| item["name"].as_str().expect("a name").starts_with("before"))).then_some(())
    })
    .await;
    eventually("the books agree", async || holds_its_books(&t.sql, &edge).await.then_some(())).await;
    every_pair_is_right(&t.sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_restored_and_edges_converge_to_it() {
    let t = TestServer::start().await;
    let (admin, edge, paths) = content(&t).await;
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("ar.dump");
    let database = |options: &PgConnectOptions| format!("--dbname={}", options.get_database().expect("a database"));
    let options = t.db().options();
    must(Command::new(programs().join("pg_dump")).args(where_it_is(&options)).arg("--format=custom").arg("--file").arg(&dump).arg(database(&options)));
    let (edge, held) = go_on(&t, &admin, edge, &paths).await;
    let restored = TestDb::empty().await;
    let options = restored.options();
    let mut restore = Command::new(programs().join("pg_restore"));
    must(restore.args(where_it_is(&options)).args(["--exit-on-error", "--single-transaction"]).arg(database(&options)).arg(&dump));
    // So that plans are those of the database that was dumped.
    let mut connection: PgConnection = restored.connect().await;
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.expect("analyzes");
    begin_epoch(&options).await;
    is_as_before(options, &admin, edge, held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_is_started_and_edges_converge_to_it() {
    let cluster = OwnCluster::start().await;
    let t = TestServer::on(cluster.options(), Config::default()).await;
    let (admin, edge, paths) = content(&t).await;
    let copy = OwnCluster::copy_of(&cluster, base_backup).await;
    let (edge, held) = go_on(&t, &admin, edge, &paths).await;
    // The one that was backed up is gone.
    cluster.stop("immediate").await;
    begin_epoch(&copy.options()).await;
    is_as_before(copy.options(), &admin, edge, held).await;
}

/// As the handbook has it, into an empty folder.
fn base_backup(options: &PgConnectOptions, folder: &Path, owner: Option<(u32, u32)>) {
    use std::os::unix::process::CommandExt;
    let mut backup = Command::new(programs().join("pg_basebackup"));
    backup.args(where_it_is(options)).args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--pgdata"]).arg(folder).current_dir("/");
    if let Some((user, group)) = owner {
        backup.uid(user).gid(group);
    }
    must(&mut backup);
}
