//! The programs whose tests prove something, as cargo builds them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Error;
use crate::promises::{Part, Promise};

/// The tests of `tests/it` and of the library, as programs.
pub(crate) struct Programs {
    pub(crate) it: PathBuf,
    unit: PathBuf,
}

/// The folder of this checkout.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

impl Programs {
    /// Has cargo build them, in the profile `soak` or the one that `SOAK_PROFILE` names; what it says goes to the terminal.
    pub(crate) fn build() -> Result<Self, Error> {
        let profile = std::env::var("SOAK_PROFILE").unwrap_or_else(|_| "soak".to_owned());
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--locked", "--no-run", "--profile", &profile, "--lib", "--test", "it"]);
        cargo.arg("--message-format=json-render-diagnostics");
        let output = cargo.current_dir(ROOT).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("cargo: {}", output.status).into());
        }
        let messages: Vec<Value> =
            output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let program = |name: &str, kind: &str| {
            let is_it = |message: &&Value| {
                let kinds = message["target"]["kind"].as_array();
                message["target"]["name"] == name
                    && message["profile"]["test"] == true
                    && kinds.is_some_and(|kinds| kinds.contains(&kind.into()))
            };
            let path = messages.iter().find(is_it).and_then(|message| message["executable"].as_str());
            path.map(PathBuf::from).ok_or_else(|| Error::from(format!("cargo built no tests of {name}")))
        };
        Ok(Self { it: program("it", "test")?, unit: program("ar_supervisor", "lib")? })
    }

    /// The program that a part is a test of, and that test's name; none: it is a program itself.
    pub(crate) fn of(&self, part: Part) -> Option<(&Path, &'static str)> {
        match part {
            Part::It(test) | Part::Pinned(test) => Some((&self.it, test)),
            Part::Unit(test) => Some((&self.unit, test)),
            Part::Program(_) => None,
        }
    }

    /// Makes sure that all tests exist: one that was renamed would prove nothing for ever.
    pub(crate) fn have(&self, promises: &[&Promise]) -> Result<(), Error> {
        let list = |program: &Path| -> Result<Vec<String>, Error> {
            let output = Command::new(program).args(["--list", "--format", "terse"]).output()?;
            let text = String::from_utf8(output.stdout)?;
            Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
        };
        let (it, unit) = (list(&self.it)?, list(&self.unit)?);
        let missing = |part: &Part| match part {
            Part::It(test) | Part::Pinned(test) => !it.iter().any(|name| name == test),
            Part::Unit(test) => !unit.iter().any(|name| name == test),
            Part::Program(path) => !Path::new(ROOT).join(path).exists(),
        };
        let missing: Vec<&Part> = promises.iter().flat_map(|promise| promise.parts).filter(|part| missing(part)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("there is no {missing:?}").into()) }
    }
}
