//! Instances that start at once migrate once, on nothing and on the schema of the last release (P26).

use ar_supervisor::db::MIGRATOR;
use sqlx::migrate::Migrator;

use super::run;
use crate::support::{Process, Proof, TestDb, rounds};

/// The newest migration of the last release.
const RELEASED: i64 = 20_261_127_130_000;
const INSTANCES: usize = 4;

/// A database as the last release left it, but for its SQL layer, of which one view stands for all.
async fn previous() -> TestDb {
    let db = TestDb::empty().await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("CREATE EXTENSION postgis; CREATE EXTENSION pg_trgm").execute(&mut connection).await.expect("makes extensions");
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().filter(|migration| migration.version <= RELEASED).cloned().collect());
    migrator.dangerous_set_table_name("ar.schema_migrations");
    migrator.create_schema("ar");
    migrator.run(&mut connection).await.expect("migrates");
    sqlx::raw_sql("CREATE VIEW gis.left_over AS SELECT id, name FROM ar.edge_servers; INSERT INTO ar.meta VALUES ('sql_layer', 'older')")
        .execute(&mut connection)
        .await
        .expect("makes a layer");
    db
}

/// Has so many begin at once; how many migrations were applied then.
async fn start_at_once(db: &TestDb) -> usize {
    let options = db.options();
    let beginning = (0..INSTANCES).map(|_| Process::begin(&options, &[("DATABASE_MAX_CONNECTIONS", "10")]));
    let processes = futures_util::future::join_all(beginning).await;
    for process in &processes {
        process.serves().await;
    }
    let sql = &processes[0].sql;
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.schema_migrations WHERE success").fetch_one(sql).await.expect("reads");
    assert_eq!(usize::try_from(applied).expect("few"), MIGRATOR.iter().count());
    let left: bool = sqlx::query_scalar("SELECT to_regclass('gis.left_over') IS NULL AND to_regclass('gis.decorations') IS NOT NULL")
        .fetch_one(sql)
        .await
        .expect("reads");
    assert!(left, "the layer was made anew");
    let migrations: Vec<usize> = processes
        .iter()
        .map(|process| {
            let log = process.log();
            let line = log.lines().find(|line| line.contains("schema is up to date")).expect("it said so");
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            usize::try_from(event["migrations"].as_u64().expect("a number")).expect("few")
        })
        .collect();
    assert_eq!(migrations.iter().filter(|count| **count > 0).count(), 1, "one of them migrated: {migrations:?}");
    // And what they made can be written to.
    let user = processes[INSTANCES - 1].user().await;
    user.get(&processes[0], "/api/v1/auth/profile").await.ok();
    migrations.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_at_once_migrate_once_from_nothing_and_from_the_last_release() {
    let previous = previous().await;
    let newer = MIGRATOR.iter().filter(|migration| migration.version > RELEASED).count();
    let mut proof = Proof::of("P26", "rounds of four on an empty and on the previous schema");
    for _ in 0..rounds(1, 50) {
        proof.tried(1);
        let db = TestDb::empty().await;
        assert_eq!(start_at_once(&db).await, MIGRATOR.iter().count());
        let db = TestDb::copy_of(&previous).await;
        assert_eq!(start_at_once(&db).await, newer);
    }
}

/// Upgrades go one by one: what runs already goes on, and says that it does not fit any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_instance_is_told_from_a_newer_one() {
    let db = TestDb::create().await;
    let a = Process::start(&db.options(), &[]).await;
    let admin = a.admin().await;
    let id = a.id().await;
    run(&a.sql, &format!("UPDATE ar.instances SET sql_layer = 'older', version = '0.0.9' WHERE id = '{id}'")).await;
    let b = Process::start(&db.options(), &[]).await;
    b.id().await;
    let instances = admin.get(&b, "/api/v1/metrics/system").await.ok().json()["instances"].clone();
    let shown: Vec<_> =
        instances.as_array().expect("a list").iter().map(|one| (one["version"].clone(), one["fits_schema"].clone())).collect();
    assert_eq!(shown, [("0.0.9".into(), false.into()), (env!("CARGO_PKG_VERSION").into(), true.into())]);
}
