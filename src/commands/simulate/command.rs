//! The command line of the simulation: who signs in, what is asked for, and where its progress is shown.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::report::{line, table};
use super::{Cast, Reporter, Settings, Snapshot, check};
use crate::commands::{Outcome, password};
use crate::keys;
use crate::lifecycle::stop_signal;

/// How far back rates and times on a terminal reach.
const WINDOW: usize = 10;
/// Seconds between lines elsewhere.
const LINES: u64 = 5;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Args {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Edge servers
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    edges: u16,
    /// Phones at a time
    #[arg(long, value_name = "N", default_value_t = 200)]
    devices: u32,
    /// How long, such as 60s or 10m
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Time between two locations of a phone, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// E-mail of an admin
    #[arg(long, default_value = "admin@example.org")]
    email: String,
    /// File whose first line is the admin's password [default: asked for, or read from standard input]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Drive the edge servers that are there and not connected, with new keys, instead of making some
    #[arg(long)]
    adopt: bool,
    /// Share of the edges and of the phones, in percent, that something happens to each minute: edges restart,
    /// fall silent, read slowly, have a full disk, lose their content or get an old one back, phones are switched off
    /// and on
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    churn: f64,
    /// Repeats the paths and the troubles of a simulation [default: by chance, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Leave the edges, devices and accounts that were made
    #[arg(long)]
    keep: bool,
    /// Folder in which edges keep their decorations, a file each, so that the same edges (--adopt) go on from there
    /// [default: in memory]
    #[arg(long, value_name = "DIR")]
    content_dir: Option<PathBuf>,
    /// Check an edge server of your own instead: be the supervisor that it connects to, and say what it does wrong
    #[arg(long, conflicts_with_all = ["url", "edges", "devices", "duration", "adopt", "keep", "content_dir", "password_file"])]
    check_edge: bool,
    /// With --check-edge: where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", requires = "check_edge")]
    listen: SocketAddr,
    /// With --check-edge: time that the edge has for every answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, requires = "check_edge")]
    timeout: Duration,
}

fn percent(text: &str) -> Result<f64, String> {
    let wanted = || format!("{text} is not a number from 0 to 1000");
    text.parse().ok().filter(|pct| (0.0..=1000.0).contains(pct)).ok_or_else(wanted)
}

/// A seed that people can type.
pub(in crate::commands) fn random_seed() -> u64 {
    u64::from(u32::from_le_bytes(keys::random())) % 1_000_000
}

pub(in crate::commands) async fn run(args: &Args) -> Outcome {
    if args.check_edge {
        return check::run_command(args.listen, args.timeout).await;
    }
    let password_file = args.password_file.clone();
    let password = tokio::task::spawn_blocking(move || password::known(password_file.as_deref())).await??;
    let settings = Settings {
        url: args.url.clone(),
        email: args.email.clone(),
        password,
        edges: args.edges.into(),
        devices: usize::try_from(args.devices)?,
        duration: Some(args.duration),
        every: args.every,
        adopt: args.adopt,
        churn_pct_per_minute: args.churn,
        seed: args.seed.unwrap_or_else(random_seed),
        keep: args.keep,
        content_dir: args.content_dir.clone(),
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let signal = stop_signal()?;
    tasks.spawn({
        let stop = stop.clone();
        async move {
            signal.await;
            stop.cancel();
        }
    });
    println!("Simulating with seed {}.", settings.seed);
    let summary = if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        let mut live = LiveTable::new();
        let outcome = super::run(settings, &stop, &mut live).await;
        live.bar.finish_and_clear();
        outcome?
    } else {
        super::run(settings, &stop, &mut Lines { earlier: None }).await?
    };
    println!("{summary}");
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On a terminal: a table that is drawn anew every second, with what the last ten seconds were like.
struct LiveTable {
    bar: ProgressBar,
    window: VecDeque<Snapshot>,
}

impl LiveTable {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::no_length().with_style(style), window: VecDeque::with_capacity(WINDOW) }
    }
}

impl Reporter for LiveTable {
    fn tell(&mut self, text: &str) {
        self.bar.println(text);
    }

    fn show(&mut self, cast: &Cast, snapshot: &Snapshot) {
        self.bar.set_message(table(cast, snapshot, self.window.front()));
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(snapshot.clone());
    }
}

/// Elsewhere: a line now and then.
struct Lines {
    earlier: Option<Snapshot>,
}

impl Reporter for Lines {
    fn tell(&mut self, text: &str) {
        println!("{text}");
    }

    fn show(&mut self, cast: &Cast, snapshot: &Snapshot) {
        let shown = self.earlier.as_ref().map_or(0, |earlier| earlier.elapsed().as_secs());
        if snapshot.elapsed().as_secs() >= shown + LINES {
            println!("{}", line(cast, snapshot, self.earlier.as_ref()));
            self.earlier = Some(snapshot.clone());
        }
    }
}
