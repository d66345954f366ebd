//! What the check found.

use std::fmt;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the check.
    pub name: &'static str,
    /// What an edge is expected to do.
    pub expected: &'static str,
    /// What it did instead, if it did; `None`: it is as it should be.
    pub found: Option<String>,
}

impl Verdict {
    /// Whether the edge did what was expected.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.found.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => write!(f, "ok      {}: {}", self.name, self.expected),
            Some(found) => write!(f, "FAILED  {}\n        expected: {}\n        found:    {found}", self.name, self.expected),
        }
    }
}

/// All verdicts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the checks.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Names of the checks that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.verdicts.iter().filter(|verdict| !verdict.is_good()).map(|verdict| verdict.name).collect()
    }

    /// Whether none did.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed().as_slice() {
            [] => write!(f, "All {} checks passed.", self.verdicts.len()),
            failed => write!(f, "{} of {} checks failed: {}.", failed.len(), self.verdicts.len(), failed.join(", ")),
        }
    }
}
