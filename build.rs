//! The admin page and its libraries are built in: what `npm ci` brought since is to be taken in by the next build. And
//! what the build was made of is told to the metric `ar_build_info`; what is not known here is `unknown`.

#[path = "build/statements.rs"]
mod statements;

use std::path::Path;
use std::process::Command;

/// The commit, for builds that have no repository beside them, as in a container.
const COMMIT: &str = "AR_BUILD_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    statements::write();
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let unknown = || "unknown".to_owned();
    let rustc = printed(&variable("RUSTC").unwrap_or_else(|| "rustc".to_owned()), &["--version"]);
    println!("cargo::rustc-env={COMMIT}={}", commit().unwrap_or_else(unknown));
    println!("cargo::rustc-env=AR_BUILD_RUSTC={}", rustc.unwrap_or_else(unknown));
    println!("cargo::rustc-env=AR_BUILD_FEATURES={}", variable("CARGO_CFG_FEATURE").unwrap_or_default());
}

/// The commit that is built. Not looked for in builds for development, which would begin anew with every commit.
fn commit() -> Option<String> {
    if let Some(commit) = variable(COMMIT) {
        return Some(commit);
    }
    if variable("PROFILE").as_deref() != Some("release") {
        return None;
    }
    let log = printed("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    printed("git", &["rev-parse", "--short=12", "HEAD"])
}

/// What a program prints, in one line; none when it is not there, or fails.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the settings of a build, not of the service")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
