//! What GIS analysts read, as role `ar_analyst`, on a small copy of the demo with a day of traffic.

mod examples;
mod history;
mod layers;
mod plans;
mod privacy;
mod project;
mod publishing;

use ar_supervisor::demo::{self, Size};
use indicatif::ProgressBar;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::support::{TestDb, migrated_apart};

/// Every view with rows: the demo's places by the fiftieth, its countries and edge servers, and `traffic.sql`. Made once;
/// nobody writes to it.
async fn populated() -> &'static TestDb {
    static POPULATED: OnceCell<TestDb> = OnceCell::const_new();
    POPULATED
        .get_or_init(|| async {
            let db = migrated_apart().await;
            let pool = pool(&db);
            demo::load(&pool, Size::Small, &ProgressBar::hidden()).await.expect("the demo goes in");
            run(&pool, include_str!("traffic.sql")).await;
            pool.close().await;
            db
        })
        .await
}

fn pool(db: &TestDb) -> PgPool {
    sqlx::postgres::PgPoolOptions::new().max_connections(4).connect_lazy_with(db.options())
}

fn as_analyst(db: &TestDb) -> PgConnectOptions {
    db.options().username("ar_analyst")
}

async fn analyst(db: &TestDb) -> PgConnection {
    as_analyst(db).connect().await.expect("the analyst connects")
}

async fn run(sql: &PgPool, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(sql).await.unwrap_or_else(|error| panic!("{script}: {error}"));
}

/// A column of texts that a query gives to an analyst.
async fn texts(connection: &mut PgConnection, query: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(connection).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}
