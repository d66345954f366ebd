//! Several instances on one database, each a process of its own: they act as one, and go on without each other.

mod acting_as_one;
mod clocks;
mod dying;
mod migrating;
mod pausing;
mod registering;
mod replica;
mod revoking;
mod sharing_work;

use sqlx::PgPool;

use crate::support::{Process, TestDb};

/// Two processes on a database of their own, which is dropped after them.
pub(super) struct Two {
    pub(super) a: Process,
    pub(super) b: Process,
    _db: TestDb,
}

impl Two {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let db = TestDb::create().await;
        let options = db.options();
        let (a, b) = tokio::join!(Process::start(&options, variables), Process::start(&options, variables));
        Self { a, b, _db: db }
    }
}

async fn run(sql: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(sql).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
