//! `ar-supervisor serve`: the service itself; `dev` uses its parts.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;

use super::Outcome;
use crate::background;
use crate::config::{DatabaseConfig, Environment, ServerConfig};
use crate::db::{self, Db, MigrateFailure};
use crate::http::{self, ConnectionLimits, Tls};
use crate::lifecycle::{Lifecycle, stop_signal};
use crate::state::AppState;

/// Time between attempts to reach a database that is not there.
const RETRY: Duration = Duration::from_millis(500);
/// Time that connections to the database get to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// When, after a stop began, what still runs is cut off: sockets that are sent away, and writers that flush.
const HARD_STOP: Duration = Duration::from_secs(28);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not touch the schema; it must be up to date
    #[arg(long)]
    no_migrate: bool,
}

/// Address and port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; is another server running there? SERVER_PORT takes another port, for example SERVER_PORT=8081")]
struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    // All faults of the environment at once.
    let (database, server) = (environment.database(), environment.server());
    if let (Err(a), Err(b)) = (&database, &server) {
        return Err(format!("{a}\n{b}").into());
    }
    let (database, server) = (database?, server?);
    let listener = listen(&server).await?;
    tracing::info!(address = %listener.local_addr()?, "listening on {}", listener.local_addr()?);
    let start = async |lifecycle: &Lifecycle| {
        if !args.no_migrate {
            migrate_when_there(&database.primary, lifecycle).await?;
        }
        Ok(())
    };
    serve(listener, &database, &server, start, stop_signal()?).await
}

/// Opens the port.
///
/// # Errors
/// When it is taken, or the address is not ours.
pub(super) async fn listen(server: &ServerConfig) -> Result<TcpListener, Box<dyn std::error::Error + Send + Sync>> {
    let address = SocketAddr::new(server.host, server.port);
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source }.into())
}

/// Serves until `stopped` resolves; `start` is what must be done before requests can be served. Health is answered
/// meanwhile, so that an orchestrator sees a live process.
pub(super) async fn serve(
    listener: TcpListener,
    database: &DatabaseConfig,
    server: &ServerConfig,
    start: impl AsyncFnOnce(&Lifecycle) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    stopped: impl Future<Output = ()>,
) -> Outcome {
    let tls = server.http.tls.as_ref().map(Tls::load).transpose()?;
    let lifecycle = Lifecycle::new();
    let db = Db::new(database);
    let state = AppState::new(db.clone(), server, lifecycle.clone());
    let router = http::router(state.clone());
    if let Some(tls) = tls.clone() {
        lifecycle.spawn(tls.keep_fresh(lifecycle.clone()));
    }

    let started = async {
        start(&lifecycle).await?;
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
        tracing::info!("stopping");
        lifecycle.stop();
        (failure, tokio::time::Instant::now())
    };
    let ((failure, stop_began), ()) = tokio::join!(stop, http::serve(listener, router, ConnectionLimits::default(), tls, &lifecycle));
    if tokio::time::timeout_at(stop_began + HARD_STOP, lifecycle.tasks_ended()).await.is_err() {
        tracing::warn!("background tasks cut off");
    }
    // Work that was cut off may hold a connection for ever.
    if tokio::time::timeout(CLOSE_TIMEOUT, db.close()).await.is_err() {
        tracing::warn!("connections to the database cut off");
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
