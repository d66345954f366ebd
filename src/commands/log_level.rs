//! `ar-supervisor log-level`: other log lines for a while, for whoever has a shell and no token at hand.

use std::process::ExitCode;
use std::time::Duration;

use sqlx::ConnectOptions;

use super::Outcome;
use crate::config::Environment;
use crate::telemetry::{self, LogFilter};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A level (off, error, warn, info, debug, trace), or levels by module, such as `info,ar_supervisor::sync=debug`
    #[arg(value_parser = filter, required_unless_present = "reset")]
    filter: Option<LogFilter>,
    /// For how long, a day at most; then it goes back by itself
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = duration)]
    wanted: Duration,
    /// Go back to each instance's own `LOG_LEVEL`
    #[arg(long, conflicts_with = "filter")]
    reset: bool,
}

fn filter(text: &str) -> Result<LogFilter, String> {
    if text.chars().count() > LogFilter::MAX_CHARS {
        return Err(format!("it takes {} characters at the most", LogFilter::MAX_CHARS));
    }
    LogFilter::read(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let within = Duration::from_secs(1)..=Duration::from_hours(24);
    if within.contains(&read) { Ok(read) } else { Err("it takes 1s to 24h; what is to stay is set by LOG_LEVEL".to_owned()) }
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let database = environment.database()?;
    let mut connection = database.primary.clone().application_name("ar-supervisor log-level").connect().await?;
    let until = telemetry::set_by_command_line(&mut connection, args.filter.as_ref(), args.wanted).await?;
    match (&args.filter, until) {
        (Some(filter), Some(until)) => println!("All instances write {} until {}.", filter.as_str(), until.format("%Y-%m-%d %H:%M:%S UTC")),
        _ => println!("All instances write what their own LOG_LEVEL says."),
    }
    Ok(ExitCode::SUCCESS)
}
