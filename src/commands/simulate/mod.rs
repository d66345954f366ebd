//! `ar-supervisor simulate`: edge servers over real sockets and phones over real HTTP against a running server.
//!
//! Nothing here looks behind the server's published interface. [`run`] is the whole simulation, for whoever
//! wants one in their own process; the command line's part is in `command`, what people read in `report`.
//!
//! sign in → find real places → make edges, or take over those that are there → edges connect and get their content →
//! phones move → phones go → what edges hold is compared with what they should → edges go → what was made is taken
//! away.

mod account;
mod api;
mod check;
mod command;
pub(crate) mod content;
mod content_file;
mod digest;
mod edge;
mod farewell;
mod fingerprint;
mod fleet;
mod inspection;
mod keeping;
mod phone;
mod places;
pub(crate) mod protocol;
pub(crate) mod random;
mod report;
mod session;
mod stage;
mod tally;
mod travel;
mod trip;
mod world;

pub use check::{EdgeCheck, Report, Verdict};
pub(super) use command::{Args, random_seed, run as run_command};
pub(super) use report::line;
pub use report::{Cast, Reporter, Silent, Summary};
pub use tally::{Count, Snapshot, Unexpected};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use account::Account;
use api::{Api, Failure};
use stage::{Company, Stage};
use tally::Tally;
use world::{Fix, World};

/// What is simulated, and against which server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the server, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// E-mail of an admin.
    pub email: String,
    /// The admin's password.
    pub password: SecretString,
    /// Edge servers; with `adopt` at most so many.
    pub edges: usize,
    /// Phones at a time.
    pub devices: usize,
    /// How long; `None`: until it is stopped.
    pub duration: Option<Duration>,
    /// Time between two locations of a phone.
    pub every: Duration,
    /// Drive the edge servers that are there, instead of making some.
    pub adopt: bool,
    /// Share of the edges and of the phones that something happens to each minute, in percent.
    pub churn_pct_per_minute: f64,
    /// Repeats paths and pauses.
    pub seed: u64,
    /// Leave behind what was made.
    pub keep: bool,
    /// Folder in which edges keep their content, for a later simulation; `None`: in memory.
    pub content_dir: Option<PathBuf>,
}

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
    /// Nobody answers.
    #[error("no server answers at {url} ({reason}); `ar-supervisor dev` starts one, --url names another")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// Somebody else answers.
    #[error("what answers at {url} is no ar-supervisor ({reason}); --url names another")]
    Stranger {
        /// Where.
        url: String,
        /// What it answered.
        reason: String,
    },
    /// The admin cannot sign in.
    #[error(
        "{email} cannot sign in with this password; `ar-supervisor dev` prints its admin's password at the start and keeps it in \
         the file admin-password of its data folder (~/.local/share/ar-supervisor, unless --data-dir named another): \
         --password-file takes that file"
    )]
    WrongPassword {
        /// Whose password.
        email: String,
    },
    /// The account is no admin's.
    #[error("{email} is no admin; --email names another account, and `ar-supervisor admin create` makes an admin")]
    NotAdmin {
        /// Whose account.
        email: String,
    },
    /// There are not enough decorations to put edges at.
    #[error(
        "{wanted} edge servers need as many places, and the server has decorations at {found}; `ar-supervisor dev --demo small` loads \
         some, `ar-supervisor import` yours, and --edges {} takes what is there", (*found).max(1)
    )]
    TooFewPlaces {
        /// Places with decorations.
        found: usize,
        /// Edges that were asked for.
        wanted: usize,
    },
    /// No edge servers to take over.
    #[error(
        "there is no active edge server to adopt{}; without --adopt the simulation makes its own",
        if *running > 0 { format!(" but {running} that run already") } else { String::new() }
    )]
    NothingToAdopt {
        /// Edges that are connected already.
        running: usize,
    },
    /// The server did not do what the simulation needs to begin.
    #[error("the simulation cannot begin: {0}")]
    Failed(String),
}

impl From<Failure> for SimulateError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

/// Simulates until the settings' time is over or `stop` is cancelled, and takes away what it made, also when
/// something failed.
///
/// # Errors
/// When it could not begin. What goes wrong later is in the summary.
pub async fn run(settings: Settings, stop: &CancellationToken, reporter: &mut dyn Reporter) -> Result<Summary, SimulateError> {
    if settings.edges == 0 || settings.every.is_zero() {
        return Err(SimulateError::Settings("a simulation has at least one edge server, and some time between updates".to_owned()));
    }
    let api = Arc::new(Api::new(&settings.url).map_err(SimulateError::Settings)?);
    let ending = stop.child_token();
    let admin = Arc::new(sign_in(&api, &settings, &ending).await?);
    let tally = Arc::new(Tally::new());
    let mut company = Company::default();
    let stage = Stage { settings: Arc::new(settings), api, admin, tally, ending };
    let played = stage.play(&mut company, reporter).await;
    stage.ending.cancel();
    let cast = Cast::new(&stage.settings, company.edges());
    let all = stage.tally.snapshot();
    let snapshot = match company.at_the_end.take() {
        Some(then) => all.standing_as(&then),
        None => all,
    };
    let differences = std::mem::take(&mut company.differences);
    let leftovers = if stage.settings.keep { Vec::new() } else { farewell::take_away(&stage, company, reporter).await };
    if let Err(failure) = stage.admin.sign_out(&stage.api).await {
        tracing::debug!(%failure, "the simulation's admin");
    }
    if played.is_err() && !leftovers.is_empty() {
        reporter.tell(&leftovers.join("\n"));
    }
    played.map(|()| Summary::new(cast, snapshot, differences, leftovers))
}

async fn sign_in(api: &Api, settings: &Settings, ending: &CancellationToken) -> Result<Account, SimulateError> {
    let (url, email) = (|| api.base().to_owned(), || settings.email.clone());
    let account = Account::sign_in_patiently(api, &settings.email, settings.password.clone(), ending).await.map_err(|failure| {
        let reason = failure.to_string();
        match failure.status() {
            None if matches!(failure, Failure::Unreadable { .. }) => SimulateError::Stranger { url: url(), reason },
            None | Some(StatusCode::SERVICE_UNAVAILABLE) => SimulateError::Unreachable { url: url(), reason },
            Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => SimulateError::Stranger { url: url(), reason },
            Some(StatusCode::UNAUTHORIZED) => SimulateError::WrongPassword { email: email() },
            Some(_) => failure.into(),
        }
    })?;
    if account.is_admin() { Ok(account) } else { Err(SimulateError::NotAdmin { email: email() }) }
}

/// The time by this machine's clock, as edges and phones have one of their own.
#[expect(clippy::disallowed_methods, reason = "simulated edges and phones tell the time by their own clock, as real ones do")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}
