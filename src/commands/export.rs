//! `ar-supervisor export`

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::TryStreamExt;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::Outcome;
use crate::config::Environment;
use crate::db::Db;
use crate::decorations::export::export;
use crate::decorations::import::Format;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How the rows are written [default: what the file's name says, else ndjson]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let database = environment.database()?;
    let format = args.format.or_else(|| Format::of_path(args.output.as_deref()?)).unwrap_or(Format::NdJson);
    // Beside the file until it is whole: a broken export is not to take the place of the last good one. Pipes and
    // devices are written to as they are.
    let is_file = |path: &PathBuf| path.symlink_metadata().map_or(true, |meta| meta.is_file());
    let draft = args.output.as_ref().filter(|path| is_file(path)).map(|path| path.with_added_extension("part"));
    let mut output: Box<dyn Write> = match draft.as_ref().or(args.output.as_ref()) {
        Some(path) => Box::new(std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    // A bar between the rows of a terminal would be in the way.
    let bar = if args.output.is_none() && std::io::stdout().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
    let pool = Db::bulk(&database);
    let mut pieces = Box::pin(export(pool.clone(), format));
    let mut bytes = 0;
    while let Some(piece) = pieces.try_next().await? {
        match output.write_all(&piece) {
            // The reader of a pipe has what it wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written?,
        }
        bytes += piece.len() as u64;
        bar.set_message(format!("{} written", HumanBytes(bytes)));
        bar.tick();
    }
    output.flush()?;
    if let (Some(draft), Some(path)) = (&draft, &args.output) {
        std::fs::rename(draft, path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    bar.finish_and_clear();
    pool.close().await;
    Ok(ExitCode::SUCCESS)
}
