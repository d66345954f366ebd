//! `make soak`: proves every promise at its full number, one after the other, and prints what was tried and how often it
//! failed. `SOAK=P4,P9` proves some; `SOAK_PROFILE=dev` takes what `make test` has built. The table is also in
//! `target/promises/table.txt`, and each part's output beside it.
//!
//! It stops by itself: every part has an end of its own and a time after which it is ended. A promise of which nothing
//! was tried counts as a failure, and so does a part that tells nothing.
#![expect(clippy::disallowed_methods, reason = "a program of its own, which is told by variables what to do")]

mod build;
mod parts;
mod promises;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use rustix::process::Resource;

use crate::build::Programs;
use crate::parts::Outcome;
use crate::promises::{PROMISES, Promise};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Those that `SOAK` names, or all.
fn chosen() -> Result<Vec<&'static Promise>, Error> {
    let Ok(wished) = std::env::var("SOAK") else { return Ok(PROMISES.iter().collect()) };
    let find = |name: &str| {
        let found = PROMISES.iter().find(|promise| promise.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::from(format!("{name} is no promise; they are P1 to P27, as in SOAK=P4,P9")))
    };
    wished.split([',', ' ']).filter(|name| !name.is_empty()).map(find).collect()
}

/// Thousands of sockets need more descriptors than a shell gives by itself; those who prove inherit them.
fn raise_descriptors() -> Result<(), Error> {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

async fn soak() -> Result<bool, Error> {
    let chosen = chosen()?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("promises");
    std::fs::create_dir_all(&folder)?;
    raise_descriptors()?;
    let programs = Programs::build()?;
    programs.have(&chosen)?;
    let began = Instant::now();
    let mut stopped = Box::pin(ar_supervisor::lifecycle::stop_signal()?);
    let (mut outcomes, mut interrupted) = (Vec::new(), false);
    'all: for promise in chosen {
        if promise.parts.is_empty() {
            outcomes.push(Outcome::without_parts(promise));
        }
        for (number, part) in promise.parts.iter().enumerate() {
            tokio::select! {
                outcome = parts::run(&programs, &folder, promise, number, *part) => outcomes.push(outcome?),
                () = &mut stopped => {
                    interrupted = true;
                    break 'all;
                }
            }
        }
    }
    let text = table::text(&outcomes, began.elapsed(), interrupted);
    println!("{text}");
    std::fs::write(folder.join("table.txt"), &text)?;
    Ok(!interrupted && outcomes.iter().all(Outcome::is_good))
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(soak()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
