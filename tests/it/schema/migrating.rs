//! Bringing a database up to date: once, by one instance, and all or nothing.

use ar_supervisor::db::{MIGRATOR, MigrateFailure, Migrated, migrate, sql_layer_digest};

use crate::support::{TestDb, migrated_apart};

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let db = TestDb::empty().await;
    let first = migrate(&db.options()).await.expect("migrates");
    assert_eq!(first, Migrated { migrations: MIGRATOR.iter().count(), sql_layer: true });
    let oids = "SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relnamespace IN ('ar'::regnamespace, 'gis'::regnamespace)";
    let mut connection = db.connect().await;
    let before: Vec<sqlx::postgres::types::Oid> = sqlx::query_scalar(oids).fetch_one(&mut connection).await.expect("reads");
    assert_eq!(migrate(&db.options()).await.expect("migrates"), Migrated { migrations: 0, sql_layer: false });
    let after: Vec<sqlx::postgres::types::Oid> = sqlx::query_scalar(oids).fetch_one(&mut connection).await.expect("reads");
    assert_eq!(before, after);
}

#[tokio::test]
async fn four_instances_at_once_migrate_once() {
    let db = TestDb::empty().await;
    let options = db.options();
    let (a, b, c, d) = tokio::join!(migrate(&options), migrate(&options), migrate(&options), migrate(&options));
    let mut outcomes: Vec<usize> = [a, b, c, d].map(|outcome| outcome.expect("migrates").migrations).to_vec();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [0, 0, 0, MIGRATOR.iter().count()]);
    let mut connection = db.connect().await;
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ar.schema_migrations WHERE success").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(usize::try_from(applied).expect("small"), MIGRATOR.iter().count());
}

#[tokio::test]
async fn a_changed_sql_layer_is_made_anew_with_its_grants() {
    let db = migrated_apart().await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("UPDATE ar.meta SET value = 'older' WHERE key = 'sql_layer'; DROP FUNCTION gis.edges_in_reach; CREATE VIEW gis.left_over AS SELECT 1 AS one")
        .execute(&mut connection)
        .await
        .expect("changes the layer");
    assert_eq!(migrate(&db.options()).await.expect("migrates"), Migrated { migrations: 0, sql_layer: true });
    let digest: String =
        sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'sql_layer'").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(digest, sql_layer_digest());
    let (made, left, readable): (bool, bool, bool) = sqlx::query_as(
        "SELECT to_regproc('gis.edges_in_reach') IS NOT NULL, to_regclass('gis.left_over') IS NOT NULL, has_table_privilege('ar_analyst', 'gis.decorations', 'SELECT')",
    )
    .fetch_one(&mut connection)
    .await
    .expect("reads");
    assert_eq!((made, left, readable), (true, false, true));
}

#[tokio::test]
async fn an_operators_own_view_is_named_and_not_dropped() {
    let db = migrated_apart().await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("CREATE VIEW public.mine AS SELECT id FROM gis.decorations; UPDATE ar.meta SET value = 'older' WHERE key = 'sql_layer'")
        .execute(&mut connection)
        .await
        .expect("makes a view");
    let failure = migrate(&db.options()).await.expect_err("cannot");
    assert!(matches!(failure, MigrateFailure::Dependents(_)), "{failure:?}");
    let whole: bool = sqlx::query_scalar("SELECT to_regclass('public.mine') IS NOT NULL AND to_regclass('gis.decorations') IS NOT NULL AND to_regproc('gis.edges_in_reach') IS NOT NULL")
        .fetch_one(&mut connection)
        .await
        .expect("reads");
    assert!(whole, "nothing was changed");
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let db = migrated_apart().await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("INSERT INTO ar.schema_migrations (version, description, success, checksum, execution_time) VALUES (29991231235959, 'from the future', true, '', 0)")
        .execute(&mut connection)
        .await
        .expect("pretends");
    let failure = migrate(&db.options()).await.expect_err("cannot");
    assert!(matches!(failure, MigrateFailure::Newer(29_991_231_235_959)), "{failure:?}");
}

#[tokio::test]
async fn partitions_are_made_ahead_and_only_once() {
    let db = TestDb::create().await;
    let mut connection = db.connect().await;
    let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ar.system_metrics'::regclass";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.expect("reads");
    assert!(before >= 8, "today and seven days ahead: {before}");
    let made: i32 =
        sqlx::query_scalar("SELECT ar.make_daily_partitions('ar.system_metrics', 9)").fetch_one(&mut connection).await.expect("makes");
    let again: i32 =
        sqlx::query_scalar("SELECT ar.make_daily_partitions('ar.system_metrics', 9)").fetch_one(&mut connection).await.expect("makes");
    assert!((2..=3).contains(&made) && again == 0, "{made} then {again}");
    sqlx::raw_sql("INSERT INTO ar.system_metrics (metric_type, metric_value) VALUES ('cpu', 1)")
        .execute(&mut connection)
        .await
        .expect("has a partition");
    let far = sqlx::raw_sql("INSERT INTO ar.system_metrics (metric_type, metric_value, recorded_at) VALUES ('cpu', 1, '2100-01-01Z')")
        .execute(&mut connection)
        .await;
    assert!(far.is_err(), "no default partition takes what has none");
}
