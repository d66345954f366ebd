//! `ar-supervisor serve`: the service itself; `dev` uses its parts.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;

use super::{Outcome, systemd};
use crate::accounts;
use crate::background;
use crate::config::{DatabaseConfig, Environment, ServerConfig};
use crate::db::{self, Db, MigrateFailure};
use crate::http::{self, ConnectionLimits, Entrance, Tls};
use crate::lifecycle::{Lifecycle, stop_signal};
use crate::state::AppState;
use crate::telemetry::prometheus;

/// Time between attempts to reach a database that is not there.
const RETRY: Duration = Duration::from_millis(500);
/// Time that connections to the database and to the page of metrics get to close; and, after them, the last spans.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// When, after a stop began, what still runs is cut off: sockets that are sent away, and writers that flush.
const HARD_STOP: Duration = Duration::from_secs(28);
/// When, after a stop began, the process is gone at the latest. Who stops it should wait `STOP_DELAY` and that long.
pub const STOPS_WITHIN: Duration = Duration::from_secs(HARD_STOP.as_secs() + 2 * CLOSE_TIMEOUT.as_secs());

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not touch the schema; it must be up to date
    #[arg(long)]
    no_migrate: bool,
}

/// Address and port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; is another server running there? {advice}")]
struct ListenError {
    address: SocketAddr,
    advice: &'static str,
    source: std::io::Error,
}

/// What is listened on.
pub(super) struct Listeners {
    /// The API's.
    pub(super) api: TcpListener,
    /// The one where Prometheus reads metrics, if any does.
    pub(super) metrics: Option<TcpListener>,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    prometheus::install();
    // All faults of the environment at once.
    let (database, server) = (environment.database(), environment.server());
    if let (Err(a), Err(b)) = (&database, &server) {
        return Err(format!("{a}\n{b}").into());
    }
    let (database, server) = (database?, server?);
    let api = listen(&server).await?;
    tracing::info!(address = %api.local_addr()?, "listening on {}", api.local_addr()?);
    let metrics = match server.metrics {
        Some(address) => Some(listen_for_metrics(address).await?),
        None => None,
    };
    if let Some(metrics) = &metrics {
        tracing::info!(address = %metrics.local_addr()?, "metrics are at http://{}/metrics", metrics.local_addr()?);
    }
    // From here on it lives, as it does while its database is away: who starts it should not wait for that one.
    systemd::tell(&[NotifyState::Ready, NotifyState::Status("waiting for the database and its schema")]);
    let start = async |lifecycle: &Lifecycle| {
        if !args.no_migrate {
            migrate_when_there(&database.primary, lifecycle).await?;
        }
        systemd::tell(&[NotifyState::Status("serving")]);
        Ok(())
    };
    let signal = stop_signal()?;
    let stopped = async {
        signal.await;
        systemd::tell(&[NotifyState::Stopping, NotifyState::Status("stopping: what is under way comes to its end")]);
    };
    tokio::select! {
        outcome = serve(Listeners { api, metrics }, &database, &server, start, stopped) => outcome,
        never = systemd::keep_telling() => match never {},
    }
}

/// New connections that the kernel keeps while we come to accept them, instead of the usual 128: of a crowd that comes
/// while others have the processor, those beyond would be dropped in silence, and try again after seconds. Not many
/// more, because who is kept waits.
const UNACCEPTED: i32 = 1024;

/// Opens the port.
///
/// # Errors
/// When it is taken, or the address is not ours.
pub(super) async fn listen(server: &ServerConfig) -> Result<TcpListener, Box<dyn std::error::Error + Send + Sync>> {
    let address = SocketAddr::new(server.host, server.port);
    let advice = "SERVER_PORT takes another port, for example SERVER_PORT=8081";
    let listener = TcpListener::bind(address).await.map_err(|source| ListenError { address, advice, source })?;
    rustix::net::listen(&listener, UNACCEPTED)?;
    Ok(listener)
}

/// Opens the port of metrics.
///
/// # Errors
/// When it is taken, or the address is not ours.
pub(super) async fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, Box<dyn std::error::Error + Send + Sync>> {
    let advice = "it is for metrics: METRICS_PORT takes another port, for example METRICS_PORT=9091, or off";
    TcpListener::bind(address).await.map_err(|source| ListenError { address, advice, source }.into())
}

/// Serves until `stopped` resolves; `start` is what must be done before requests can be served. Health is answered
/// meanwhile, so that an orchestrator sees a live process.
pub(super) async fn serve(
    Listeners { api, metrics }: Listeners,
    database: &DatabaseConfig,
    server: &ServerConfig,
    start: impl AsyncFnOnce(&Lifecycle) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    stopped: impl Future<Output = ()>,
) -> Outcome {
    let tls = server.http.tls.as_ref().map(Tls::load).transpose()?;
    let lifecycle = Lifecycle::new();
    let db = Db::new(database);
    let state = AppState::new(db.clone(), server, lifecycle.clone());
    state.instance.listens_at(api.local_addr()?);
    let router = http::router(state.clone());
    let entrance = Entrance::of(&state, tls.clone());
    // Told to stop last of all, so that a drain can be watched to its end.
    let watching = Lifecycle::new();
    if let Some(metrics) = metrics {
        let (state, of) = (state.clone(), watching.clone());
        watching.spawn(async move { prometheus::serve(metrics, state, &of).await });
    }
    if let Some(tls) = tls.clone() {
        lifecycle.spawn(tls.keep_fresh(lifecycle.clone()));
    }

    let started = async {
        start(&lifecycle).await?;
        accounts::read_clock_first(&state).await;
        lifecycle.mark_started();
        background::start(&state);
        // Never resolves by itself: what ends the service is a signal, or a failed start.
        std::future::pending::<Result<std::convert::Infallible, Box<dyn std::error::Error + Send + Sync>>>().await
    };
    let stop = async {
        let failure = tokio::select! {
            () = stopped => None,
            failure = started => failure.err(),
        };
        if failure.is_none() && !server.stop_delay.is_zero() {
            lifecycle.mark_leaving();
            tracing::info!("not ready any more; stopping in {:?}", server.stop_delay);
            tokio::time::sleep(server.stop_delay).await;
        }
        tracing::info!("stopping");
        lifecycle.stop();
        (failure, tokio::time::Instant::now())
    };
    let ((failure, stop_began), ()) = tokio::join!(stop, http::serve(api, router, ConnectionLimits::default(), entrance, &lifecycle));
    if tokio::time::timeout_at(stop_began + HARD_STOP, lifecycle.tasks_ended()).await.is_err() {
        tracing::warn!("background tasks cut off");
    }
    watching.stop();
    // Work that was cut off may hold a connection for ever.
    let closing = async { tokio::join!(db.close(), watching.tasks_ended()) };
    if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::warn!("connections cut off");
    }
    tracing::info!("stopped");
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Migrates as soon as the database can be reached, and again when it goes away meanwhile.
async fn migrate_when_there(options: &PgConnectOptions, lifecycle: &Lifecycle) -> Result<(), MigrateFailure> {
    let mut told = false;
    loop {
        match db::migrate(options).await {
            Err(failure) if failure.is_unavailable() && !lifecycle.stopping().is_cancelled() => {
                if !told {
                    let error = &failure as &dyn std::error::Error;
                    tracing::warn!(error, "{failure}: the database is not there yet; trying again every half second");
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(failure) => return Err(failure),
            Ok(migrated) => {
                tracing::info!(migrations = migrated.migrations, sql_layer = migrated.sql_layer, "schema is up to date");
                return Ok(());
            }
        }
    }
}
