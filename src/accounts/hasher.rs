//! Hashing passwords (argon2id), and judging new ones, on threads of their own, which give way to every other
//! thread: a flood of logins uses what the service leaves over, and what does not fit the queue is shed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use super::password::{self, Weakness};
use crate::http::ApiError;
use crate::keys;
use crate::telemetry::meters;
use crate::telemetry::prometheus::elapsed;

/// Memory of a hash in KiB, passes over it, and lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
const HASH_LEN: usize = 32;
/// Hashes that may wait for a thread.
const QUEUE: usize = 32;
/// Threads at most: what a flood may take of a large machine.
const MAX_THREADS: usize = 4;
/// How nice the threads are: the scheduler gives them what nobody else wants.
const NICENESS: i32 = 19;

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The queue to the hashing threads, which end with it.
pub(super) struct Hasher {
    jobs: SyncSender<Job>,
    done: Arc<AtomicU64>,
    /// Jobs that no thread has taken yet.
    waiting: Arc<AtomicUsize>,
    /// The hash of nobody's password: what an unknown account is checked against.
    nobodys: String,
}

/// What comparing a password with a hash gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) matches: bool,
    /// The hash was made with less effort than we take now.
    pub(super) outdated: bool,
}

impl Hasher {
    pub(super) fn start() -> Self {
        let (jobs, waiting) = sync_channel::<Job>(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS);
        for number in 0..threads {
            let waiting = Arc::clone(&waiting);
            let started = std::thread::Builder::new().name(format!("hash-{number}")).spawn(move || work(&waiting));
            if let Err(error) = started {
                tracing::error!(%error, "starting a hashing thread");
            }
        }
        // Nobody's password has a salt and a hash of its own; that no password gives the hash is what matters.
        let nobodys = phc(&keys::random::<16>(), &keys::random::<HASH_LEN>()).to_string();
        Self { jobs, done: Arc::default(), waiting: Arc::default(), nobodys }
    }

    /// Hashes made so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How many jobs wait for a thread, and how many may.
    pub(super) fn queue(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed).min(QUEUE), QUEUE)
    }

    /// Hashes a new password with a salt of its own, as PHC text.
    ///
    /// # Errors
    /// 503 when the queue is full.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, ApiError> {
        let done = Arc::clone(&self.done);
        self.run(move |memory| {
            done.fetch_add(1, Ordering::Relaxed);
            let salt = keys::random::<16>();
            phc(&salt, &digest(&argon2(), &password, &salt, memory)).to_string()
        })
        .await
    }

    /// Compares a password with a stored hash; without one, with nobody's, which takes as long and never matches.
    ///
    /// # Errors
    /// 503 when the queue is full.
    pub(super) async fn verify(&self, password: SecretString, stored: Option<&str>) -> Result<Verdict, ApiError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.nobodys).to_owned();
        let done = Arc::clone(&self.done);
        self.run(move |memory| {
            done.fetch_add(1, Ordering::Relaxed);
            let verdict = compare(&password, &stored, memory).unwrap_or_else(|| {
                tracing::error!("a stored password hash cannot be read");
                Verdict { matches: false, outdated: false }
            });
            Verdict { matches: verdict.matches && known, ..verdict }
        })
        .await
    }

    /// Why a new password is too weak, if it is; `own` are the account's e-mail and name.
    ///
    /// # Errors
    /// 503 when the queue is full.
    pub(super) async fn judge(&self, password: SecretString, own: Vec<String>) -> Result<Option<Weakness>, ApiError> {
        self.run(move |_| password::weakness(password.expose_secret(), &own)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Arc::clone(&self.waiting);
        let job: Job = Box::new(move |memory| {
            waiting.fetch_sub(1, Ordering::Relaxed);
            // Whoever left while waiting costs nothing.
            if !answer.is_closed() {
                drop(answer.send(work(memory)));
            }
        });
        let busy = || ApiError::unavailable("hashing_busy", "too many people are signing in; try again");
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.jobs.try_send(job).map_err(|_full| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            meters().accounts.hashes_refused.increment(1);
            busy()
        })?;
        answered.await.map_err(|_dropped| busy())
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    give_way();
    let mut memory = Vec::new();
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic is that one job's end, and its asker is told.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut memory))).is_err() {
            tracing::error!("hashing a password panicked");
        }
    }
}

/// Lets the scheduler prefer every other thread. On Linux a thread has a niceness of its own.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "hashing threads keep the usual priority");
    }
}

fn argon2() -> Argon2<'static> {
    let (memory_kib, passes, lanes) = COST;
    let params = Params::new(memory_kib, passes, lanes, Some(HASH_LEN)).expect("the cost is within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn digest(argon2: &Argon2<'_>, password: &SecretString, salt: &[u8], memory: &mut Vec<Block>) -> [u8; HASH_LEN] {
    let began = Instant::now();
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        // Kept by the thread: fresh pages would cost a third of the hash again.
        memory.resize(blocks, Block::default());
    }
    let mut digest = [0; HASH_LEN];
    let password = password.expose_secret().as_bytes();
    argon2.hash_password_into_with_memory(password, salt, &mut digest, &mut memory[..blocks]).expect("lengths are within argon2's limits");
    elapsed(&meters().accounts.hash_seconds, began);
    digest
}

/// `None` when the stored text is no hash of ours.
fn compare(password: &SecretString, stored: &str, memory: &mut Vec<Block>) -> Option<Verdict> {
    let stored = PasswordHash::new(stored).ok()?;
    let (salt, hash) = (stored.salt?, stored.hash?);
    let params = Params::try_from(&stored).ok()?;
    let version = Version::try_from(stored.version?).ok()?;
    let outdated = (params.m_cost(), params.t_cost()) < (COST.0, COST.1);
    let algorithm: Algorithm = stored.algorithm.as_str().parse().ok()?;
    let digest = digest(&Argon2::new(algorithm, version, params), password, salt.as_ref(), memory);
    let matches = aws_lc_rs::constant_time::verify_slices_are_equal(&digest, hash.as_bytes()).is_ok();
    Some(Verdict { matches, outdated })
}

fn phc(salt: &[u8], digest: &[u8]) -> PasswordHash {
    let argon2 = argon2();
    PasswordHash {
        algorithm: Ident::new("argon2id").expect("a name of an algorithm"),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).expect("our parameters can be written"),
        salt: Some(Salt::new(salt).expect("a salt of 16 bytes")),
        hash: Some(Output::new(digest).expect("a hash of 32 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hasher = Hasher::start();
        let hash = hasher.hash(secret("correct horse battery")).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        // The library's own way of checking agrees.
        let parsed = PasswordHash::new(&hash).expect("PHC");
        assert!(Argon2::default().verify_password(b"correct horse battery", &parsed).is_ok());
        let verdict = |password: &'static str, stored: Option<String>| {
            let hasher = &hasher;
            async move { hasher.verify(secret(password), stored.as_deref()).await.expect("compared") }
        };
        assert_eq!(verdict("correct horse battery", Some(hash.clone())).await, Verdict { matches: true, outdated: false });
        assert!(!verdict("correct horse batterz", Some(hash.clone())).await.matches);
        assert!(!verdict("correct horse battery", None).await.matches);
        assert!(!verdict("correct horse battery", Some("x".to_owned())).await.matches);
        assert_eq!(hasher.done(), 5);
    }

    #[tokio::test]
    async fn a_weaker_hash_is_told_from_ours() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).expect("allowed"));
        let salt = [7; 16];
        let mut digest = [0; 32];
        weak.hash_password_into(b"old password", &salt, &mut digest).expect("hashed");
        let mut stored = phc(&salt, &digest);
        stored.params = ParamsString::try_from(weak.params()).expect("written");
        let verdict = Hasher::start().verify(secret("old password"), Some(&stored.to_string())).await.expect("compared");
        assert_eq!(verdict, Verdict { matches: true, outdated: true });
    }
}
