//! A part of a proof: it runs as a process of its own, is ended when it takes too long, and tells in a file what it tried.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::Command;

use crate::Error;
use crate::build::{Programs, ROOT};
use crate::promises::{Part, Promise};

/// A part that takes longer is ended, and has failed.
const LONGEST: Duration = Duration::from_hours(1);
/// Core of the load, where service and load have one each; the service takes the other (`tests/it/support/service.rs`).
const LOAD_CORE: &str = "1";

/// What a proof tells of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) what: String,
    pub(crate) tries: u64,
    pub(crate) failures: u64,
    pub(crate) seed: Option<String>,
    pub(crate) measured: String,
}

/// What became of a part.
pub(crate) struct Outcome {
    pub(crate) promise: &'static Promise,
    /// Whether it ended well, and if not, how it did.
    pub(crate) ended: Result<(), String>,
    pub(crate) records: Vec<Record>,
    pub(crate) took: Duration,
}

impl Outcome {
    /// A promise that nothing proves yet.
    pub(crate) fn without_parts(promise: &'static Promise) -> Self {
        Self { promise, ended: Err("nothing proves it".to_owned()), records: Vec::new(), took: Duration::ZERO }
    }

    /// Whether something was tried, and nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        self.ended.is_ok() && !self.records.is_empty() && self.records.iter().all(|record| record.tries > 0 && record.failures == 0)
    }
}

/// Ends what it began, and all that those began, when it is dropped before they ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended just now.
            let _gone = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs one.
pub(crate) async fn run(
    programs: &Programs,
    folder: &Path,
    promise: &'static Promise,
    number: usize,
    part: Part,
) -> Result<Outcome, Error> {
    let name = format!("{}-{}", promise.name, number + 1);
    let (log, told) = (folder.join(format!("{name}.log")), folder.join(format!("{name}.jsonl")));
    let output = std::fs::File::create(&log)?;
    std::fs::File::create(&told)?;
    let (mut command, title) = match (programs.of(part), part) {
        (Some((program, test)), _) => {
            let mut command = if matches!(part, Part::Pinned(_)) {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", LOAD_CORE]).arg(program).env("AR_TEST_PIN", "1");
                pinned
            } else {
                Command::new(program)
            };
            command.args([test, "--exact", "--nocapture"]);
            (command, test)
        }
        (None, Part::Program(path) | Part::It(path) | Part::Pinned(path) | Part::Unit(path)) => {
            (Command::new(Path::new(ROOT).join(path)), path)
        }
    };
    command.env("AR_TEST_FULL", "1").env("AR_PROMISES", &told).current_dir(ROOT).process_group(0);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")?);
    bar.set_message(format!("{:4}{title}", promise.name));
    bar.enable_steady_tick(Duration::from_millis(200));
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{title}: {error}"))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let ended = match tokio::time::timeout(LONGEST, child.wait()).await {
        Ok(status) => {
            group.0 = None;
            let status = status?;
            let how = || status.signal().map_or_else(|| "failed".to_owned(), |signal| format!("ended by signal {signal}"));
            if status.success() { Ok(()) } else { Err(how()) }
        }
        Err(_elapsed) => Err(format!("ended after {LONGEST:?}")),
    };
    drop(group);
    let mut records = Vec::new();
    for line in std::fs::read_to_string(&told)?.lines() {
        records.push(serde_json::from_str(line)?);
    }
    let outcome = Outcome { promise, ended, records, took: began.elapsed() };
    bar.finish_and_clear();
    let how = if outcome.is_good() { "kept".to_owned() } else { format!("NOT KEPT, see {}", log.display()) };
    println!("{:4}{title}: {how}, {:.1?}", promise.name, outcome.took);
    Ok(outcome)
}
