//! Reads the command line and runs the command.

use std::process::ExitCode;

use ar_supervisor::commands::{self, CommandLine};
use clap::Parser;

/// Answers are built of many small allocations; this allocator is quick at them on all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(CommandLine::parse())
}
