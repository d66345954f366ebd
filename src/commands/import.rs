//! `ar-supervisor import`

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sqlx::PgPool;

use super::Outcome;
use crate::audit::Actor;
use crate::config::Environment;
use crate::db::{self, Db};
use crate::decorations::import::{Format, Options, Report, import};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files ending in .geojson, .json, .ndjson, .jsonl or .csv, also with .gz
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check everything, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Row errors to print of each file; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    show_errors: usize,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    let (database, content) = (environment.database()?, environment.content()?);
    // Before anything is written: a wrong name should not be found out after the first file.
    let inputs: Vec<(&PathBuf, Format, File)> = args.files.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    db::migrate(&database.primary).await?;
    let pool = Db::bulk(&database);
    let options = Options { cdn_base_url: content.cdn_base_url, dry_run: args.dry_run, actor: Some(Actor::command_line()) };
    let mut any_rejected = false;
    for (path, format, file) in inputs {
        let report = import_file(&pool, path, format, file, &options).await?;
        any_rejected |= report.rejected > 0;
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print(&report, args);
        }
    }
    pool.close().await;
    Ok(if any_rejected { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn open(path: &PathBuf) -> Result<(&PathBuf, Format, File), String> {
    let format = Format::of_path(path)
        .ok_or_else(|| format!("{}: the name ends in none of .geojson, .json, .ndjson, .jsonl, .csv (and .gz)", path.display()))?;
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path, format, file))
}

async fn import_file(
    pool: &PgPool,
    path: &Path,
    format: Format,
    file: File,
    options: &Options,
) -> Result<Report, Box<dyn std::error::Error + Send + Sync>> {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {msg} {eta} left")?;
    let bar = ProgressBar::new(file.metadata()?.len()).with_style(style).with_prefix(path.display().to_string());
    let started = Instant::now();
    // The bar counts bytes of the file as it lies on disk, compressed or not.
    let file: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(256 * 1024, bar.wrap_read(file)));
    let input: Box<dyn BufRead + Send> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(BufReader::with_capacity(256 * 1024, Box::new(MultiGzDecoder::new(file)) as Box<dyn Read + Send>))
    } else {
        file
    };
    let report = import(pool, input, format, options.clone(), |progress| {
        let rate = rate(progress.rows, started);
        bar.set_message(format!("{} rows, {} rows/s", HumanCount(progress.rows), HumanCount(rate)));
    })
    .await?;
    bar.finish_and_clear();
    let rows = report.created + report.updated + report.unchanged + report.rejected;
    eprintln!(
        "{}: {} rows in {:.1} s ({} rows/s)",
        path.display(),
        HumanCount(rows),
        started.elapsed().as_secs_f64(),
        HumanCount(rate(rows, started))
    );
    Ok(report)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(rows: u64, since: Instant) -> u64 {
    (rows as f64 / since.elapsed().as_secs_f64().max(1e-3)) as u64
}

fn print(report: &Report, args: &Args) {
    for error in report.errors.iter().take(args.show_errors) {
        let field = if error.field.is_empty() { String::new() } else { format!("{}: ", error.field) };
        println!("  row {}: {field}{} ({})", error.row, error.detail, error.code);
    }
    if report.errors.len() > args.show_errors {
        println!("  … and {} more; --show-errors {} prints them all", report.errors.len() - args.show_errors, report.errors.len());
    }
    for warning in &report.warnings {
        println!("  warning: {warning}");
    }
    let would = if args.dry_run { "dry run, nothing was changed: " } else { "" };
    println!("  {would}{}", report.counts());
}
