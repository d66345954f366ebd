//! The command line: one file a command.

mod admin;
mod dev;
mod doctor;
mod export;
mod health;
mod import;
mod log_level;
mod migrate;
mod password;
mod serve;
pub mod simulate;
mod systemd;

use std::error::Error;
use std::process::ExitCode;

pub use serve::STOPS_WITHIN;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::config::{Environment, LogFormat};

/// Supervisor server of a distributed augmented-reality system, on PostGIS.
///
/// New here? `ar-supervisor dev` starts everything, with demo data and a database of its own.
#[derive(Debug, Parser)]
#[command(name = "ar-supervisor", version, arg_required_else_help = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service on the database named by `DATABASE_URL` or the `DB_*` variables
    Serve(serve::Args),
    /// Run everything for a first look or for development: a private PostgreSQL, demo data, the service
    Dev(dev::Args),
    /// Bring the database's schema up to date
    Migrate,
    /// Make an admin, the first one for example
    Admin(admin::Args),
    /// Import decorations from GeoJSON, NDJSON or CSV files
    Import(import::Args),
    /// Export all decorations as NDJSON, GeoJSON or CSV, for `import` to read
    Export(export::Args),
    /// Simulate edge servers and phones against a running server, and say how it bears them
    Simulate(simulate::Args),
    /// Write other log lines on all running instances, for a while
    LogLevel(log_level::Args),
    /// Check the configuration and the database, and say how to cure what is wrong
    Doctor(doctor::Args),
    /// Ask the server on this machine whether it lives, or is ready: exit status 0 or 1, for health checks
    Health(health::Args),
    /// Print the OpenAPI document of the HTTP interface
    Openapi,
    /// Print the AsyncAPI document of the sockets
    Asyncapi,
}

/// What a command ends with.
type Outcome = Result<ExitCode, Box<dyn Error + Send + Sync>>;

/// Runs a command and says what went wrong, with its causes.
#[must_use]
pub fn run(CommandLine { command }: CommandLine) -> ExitCode {
    let environment = Environment::of_process();
    let log_format = if matches!(command, Command::Serve(_)) { LogFormat::Json } else { LogFormat::Pretty };
    let started = environment.log(log_format).map_err(Into::into).and_then(|log| crate::telemetry::start(&log));
    // Kept until the command has ended.
    let outcome = started.and_then(|_telemetry| match command {
        Command::Openapi => print(&crate::http::openapi()),
        Command::Asyncapi => print(&crate::hub::asyncapi()),
        Command::Serve(args) => block_on(serve::run(&environment, &args)),
        Command::Dev(args) => block_on(dev::run(&environment, &args)),
        Command::Migrate => block_on(migrate::run(&environment)),
        Command::Admin(args) => block_on(admin::run(&environment, &args)),
        Command::Export(args) => block_on(export::run(&environment, &args)),
        Command::Import(args) => block_on(import::run(&environment, &args)),
        Command::Simulate(args) => block_on(simulate::run_command(&args)),
        Command::LogLevel(args) => block_on(log_level::run(&environment, &args)),
        Command::Doctor(args) => block_on(doctor::run(&environment, &args)),
        Command::Health(args) => block_on(health::run(&environment, &args)),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
        ExitCode::FAILURE
    })
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}

fn print(document: &impl Serialize) -> Outcome {
    println!("{}", serde_json::to_string_pretty(document)?);
    Ok(ExitCode::SUCCESS)
}
