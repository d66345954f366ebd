//! What the test of a promise tells of itself: what it tried, how often that failed, from which seed and for how long.
//!
//! `make soak` names a file in `AR_PROMISES`. Every proof adds one line of JSON to it when it ends, also when its test
//! fails; without the variable nothing is written. The library's own tests include this file by its path.
//!
//! ```ignore
//! let mut proof = Proof::of("P24", "questions in three worlds").seeded(random.seed());
//! for … { …; proof.tried(1); }
//! proof.measured(format!("slowest {slowest:?}"));
//! ```

use std::io::Write;
use std::time::Instant;

use serde_json::json;

/// A proof under way. It is written down when it is dropped.
pub(crate) struct Proof {
    promise: &'static str,
    what: &'static str,
    seed: Option<u64>,
    tries: usize,
    failures: usize,
    measured: String,
    began: Instant,
}

impl Proof {
    /// Begins to prove a promise, `P1` to `P27`; `what` is tried, in a few words and in the plural.
    pub(crate) fn of(promise: &'static str, what: &'static str) -> Self {
        Self { promise, what, seed: None, tries: 0, failures: 0, measured: String::new(), began: Instant::now() }
    }

    /// Says which seed makes it do the same again.
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// So many more tries, whatever came of them. A proof that tried nothing counts as none.
    pub(crate) fn tried(&mut self, tries: usize) {
        self.tries += tries;
    }

    /// So many of the tries failed. A test that panics has failed once at least, and need not say so.
    pub(crate) fn failed(&mut self, failures: usize) {
        self.failures += failures;
    }

    /// What was measured beside that, or why nothing could be tried; replaces what was said before.
    pub(crate) fn measured(&mut self, measured: impl Into<String>) {
        self.measured = measured.into();
    }

    fn line(&self) -> String {
        let failures = if std::thread::panicking() { self.failures.max(1) } else { self.failures };
        let record = json!({
            "promise": self.promise,
            "what": self.what,
            "tries": self.tries,
            "failures": failures,
            // As text: not every reader of JSON takes 64 bits.
            "seed": self.seed.map(|seed| seed.to_string()),
            "seconds": self.began.elapsed().as_secs_f64(),
            "measured": self.measured,
        });
        format!("{record}\n")
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "tests read their own variables")]
        let Ok(path) = std::env::var("AR_PROMISES") else { return };
        // One write of one short line at the end of a file: lines of several tests do not mix.
        let written = std::fs::File::options().create(true).append(true).open(&path);
        if let Err(error) = written.and_then(|mut file| file.write_all(self.line().as_bytes())) {
            eprintln!("{path}: {error}");
        }
    }
}
