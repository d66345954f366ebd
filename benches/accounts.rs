//! What it costs to know who is asking: a token that was seen before, and one that is new and is asked of the
//! database. Run by `cargo bench --bench accounts`.

mod support;

use std::time::{Duration, Instant};

use ar_supervisor::accounts::create_admin;
use ar_supervisor::background;
use ar_supervisor::config::{DatabaseConfig, Environment};
use ar_supervisor::db::Db;
use ar_supervisor::http::router;
use ar_supervisor::lifecycle::Lifecycle;
use ar_supervisor::state::AppState;
use axum::body::Body;
use axum::http::Request;
use criterion::Criterion;
use secrecy::SecretString;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use support::database::BenchCluster;
use support::measure::{median, time_text};
use support::random::SQUARE;
use support::{Outcome, report};
use tower::ServiceExt;
use uuid::Uuid;

const SECRET: &str = "Only-for-Measuring-on-Loopback-0123456789";
const PASSWORD: &str = "seven brass gears turn";
/// Rows of the smallest database of the benches; how many there are does not matter here.
const ROWS: u64 = 10_000;
/// Turns of the comparison, and questions of a turn.
const TURNS: usize = 50;
const SEEN_OF_A_TURN: u32 = 2_000;
const NEW_OF_A_TURN: u32 = 20;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let cluster = BenchCluster::start()?;
    let database = runtime.block_on(cluster.database(&SQUARE, ROWS))?;
    let options = cluster.options(&database);

    // One that hears of changes, and so may remember; and one that does not, and asks each time.
    let (remembering, asking) = (state(&options)?, state(&options)?);
    background::start(&remembering);
    let token = runtime.block_on(sign_in(&options, &remembering))?;
    runtime.block_on(async {
        for _ in 0..200 {
            drop(remembering.accounts.verify(&remembering.db, &token).await);
            if remembering.accounts.seen(&token).is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("a token that was seen is still asked for")
    })?;

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("authenticate/seen", |b| {
        b.to_async(&runtime).iter(async || remembering.accounts.seen(&token).is_some());
    });
    criterion.bench_function("authenticate/new", |b| {
        b.to_async(&runtime).iter(async || asking.accounts.verify(&asking.db, &token).await.is_ok());
    });
    criterion.final_summary();

    let (mut seen, mut new) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for _ in 0..TURNS {
            seen.push(mean(SEEN_OF_A_TURN, async || remembering.accounts.seen(&token).is_some()).await?);
            new.push(mean(NEW_OF_A_TURN, async || asking.accounts.verify(&asking.db, &token).await.is_ok()).await?);
        }
        Outcome::Ok(())
    })?;
    let table = report::table(
        &["token", "median", "of the database asked"],
        &[
            vec!["seen before: no SQL".to_owned(), time_text(median(&seen)), format!("{:.4}", median(&seen) / median(&new))],
            vec!["new: signature and one statement".to_owned(), time_text(median(&new)), "1".to_owned()],
        ],
    );
    println!("{table}");
    let machine = runtime.block_on(async { report::machine(&mut cluster.connect(&database, "auto").await?).await })?;
    remembering.lifecycle.stop();
    runtime.block_on(clean(&cluster, &database))?;
    let intro = format!("`cargo bench --bench accounts`: who a bearer token speaks for, {TURNS} turns; the database on a Unix socket.");
    report::write_section("Knowing who asks", &format!("{intro}\n\n{machine}.\n\n{table}"))
}

/// The data is kept for the next run, without the account.
async fn clean(cluster: &BenchCluster, database: &str) -> Outcome<()> {
    let mut connection = cluster.connect(database, "auto").await?;
    sqlx::query("DELETE FROM ar.users WHERE starts_with(email, 'bench-')").execute(&mut connection).await?;
    Ok(())
}

/// Mean seconds of a question in a turn.
async fn mean(count: u32, ask: impl AsyncFn() -> bool) -> Outcome<f64> {
    let started = Instant::now();
    for _ in 0..count {
        if !ask().await {
            return Err("a good token was refused".into());
        }
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(count))
}

fn config(primary: PgConnectOptions) -> DatabaseConfig {
    DatabaseConfig::without_replica(primary, 14)
}

fn state(options: &PgConnectOptions) -> Outcome<AppState> {
    let server = Environment::of(&[("JWT_SECRET", SECRET), ("RATE_LIMIT", "off")]).server()?;
    Ok(AppState::new(Db::new(&config(options.clone())), &server, Lifecycle::new()))
}

/// Makes an account and signs it in over HTTP; its access token.
async fn sign_in(options: &PgConnectOptions, state: &AppState) -> Outcome<String> {
    let email = format!("bench-{}@example.org", Uuid::now_v7().simple());
    let mut connection = options.connect().await?;
    create_admin(&mut connection, &email, "Bench", &SecretString::from(PASSWORD), false).await?;
    let body = serde_json::json!({"email": email, "password": PASSWORD}).to_string();
    let request = Request::post("/api/v1/auth/login").header("content-type", "application/json").body(Body::from(body))?;
    let answer = router(state.clone()).oneshot(request).await?;
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16).await?;
    let answer: serde_json::Value = serde_json::from_slice(&bytes)?;
    answer["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {answer}").into())
}
