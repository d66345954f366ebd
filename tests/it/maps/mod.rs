//! Maps and GIS tools: vector tiles, and OGC API – Features.

mod ogc;
mod tiles;

use std::process::{Command, Output};

/// Runs one of GDAL's programs, away from the runtime that serves it.
async fn gdal(program: &'static str, arguments: Vec<String>) -> Output {
    let run = move || {
        let command = Command::new(program)
            .args(arguments)
            .env("GDAL_HTTP_TIMEOUT", "60")
            .env("NO_PROXY", "127.0.0.1")
            .env("CPL_DEBUG", "HTTP")
            .output();
        command.unwrap_or_else(|error| {
            panic!("{program}: {error}; on Debian or Ubuntu, type: sudo apt-get install -y --no-install-recommends gdal-bin")
        })
    };
    tokio::task::spawn_blocking(run).await.expect("it runs")
}

/// What a program printed, and the addresses it asked for.
fn printed(output: &Output) -> (String, Vec<String>) {
    let (text, log) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{text}{log}");
    assert!(!log.contains("ERROR"), "{log}");
    (text, log.lines().filter_map(|line| line.strip_prefix("HTTP: Fetch(")?.strip_suffix(')').map(str::to_owned)).collect())
}
