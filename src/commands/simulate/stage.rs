//! Who takes part: accounts, edges and phones come, play until the end, and go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::account::{self, Account};
use super::api::{Api, Failure};
use super::content_file::ContentFile;
use super::edge::{Edge, Kept};
use super::fleet::{EdgeServer, Fleet};
use super::inspection::{Inspected, Inspection, PATIENCE};
use super::phone::Phone;
use super::places;
use super::random::Random;
use super::report::{Cast, Reporter};
use super::tally::{Snapshot, Tally};
use super::world::World;
use super::{Settings, SimulateError};
use crate::keys;

/// Most accounts; phones share them.
const MAX_OWNERS: usize = 25;
/// How long phones wait for the edges to be connected.
const EDGES_FIRST: Duration = Duration::from_secs(10);
/// Time between two looks at how it goes.
const LOOK: Duration = Duration::from_secs(1);
/// Time that edges and phones get to end: a request's own limit and some more.
const GOODBYE: Duration = Duration::from_secs(20);
/// Which sequences of random numbers belong to edges, and which to phones.
const PLACES_SEQUENCE: u64 = 0;
const EDGES_SEQUENCE: u64 = 1 << 32;
const PHONES_SEQUENCE: u64 = 2 << 32;
const INSPECTION_SEQUENCE: u64 = 3 << 32;

/// What a simulation has made so far, and must take away.
#[derive(Default)]
pub(super) struct Company {
    pub(super) edges: Vec<EdgeServer>,
    pub(super) owners: Vec<Arc<Account>>,
    pub(super) devices: Vec<(Arc<Account>, String)>,
    /// What edges hold and should not, or should hold and do not, in words.
    pub(super) differences: Vec<String>,
    /// How it stood before everybody left.
    pub(super) at_the_end: Option<Snapshot>,
}

impl Company {
    /// How many edges there are.
    pub(super) fn edges(&self) -> usize {
        self.edges.len()
    }
}

/// Where it all happens.
pub(super) struct Stage {
    pub(super) settings: Arc<Settings>,
    pub(super) api: Arc<Api>,
    pub(super) admin: Arc<Account>,
    pub(super) tally: Arc<Tally>,
    pub(super) ending: CancellationToken,
}

impl Stage {
    /// Plays to the end; whatever was made is in `company`, also after an error.
    pub(super) async fn play(&self, company: &mut Company, reporter: &mut dyn Reporter) -> Result<(), SimulateError> {
        let settings = &self.settings;
        let fleet = Fleet { api: &self.api, admin: &self.admin, ending: &self.ending };
        let sites = if settings.adopt {
            let (edges, sites) = fleet.adopt(settings.edges).await?;
            reporter.tell(&format!("Took over {} edge servers; each has a new key, and its old one works for another day.", edges.len()));
            company.edges = edges;
            sites
        } else {
            places::find(&self.api, settings.edges, &mut Random::new(settings.seed, PLACES_SEQUENCE)).await?
        };
        let (prefix, first) = self.first_owner().await?;
        company.owners.push(Arc::clone(&first));
        if !settings.adopt {
            let room = (settings.devices * 3).div_ceil(settings.edges).max(50);
            fleet.make(&prefix, &sites, room, &mut company.edges).await?;
            reporter.tell(&format!("Made {} edge servers named {prefix}-…, at real places.", company.edges.len()));
        }
        if self.ending.is_cancelled() {
            return Ok(());
        }

        let (owners, signed_in) = watch::channel(vec![first]);
        let world = Arc::new(World {
            settings: Arc::clone(settings),
            api: Arc::clone(&self.api),
            tally: Arc::clone(&self.tally),
            ending: self.ending.clone(),
            leaving: CancellationToken::new(),
            prefix,
            sites,
            board: DashMap::new(),
            owners: signed_in.clone(),
            devices: Mutex::new(Vec::new()),
        });
        let mut actors = JoinSet::new();
        let mut inspected = Vec::with_capacity(company.edges());
        for (n, server) in (EDGES_SEQUENCE..).zip(&company.edges) {
            let kept = self.kept(server).await?;
            inspected.push(Inspected { id: server.id, name: server.name.clone(), content: Arc::clone(&kept.content) });
            actors.spawn(Edge::new(Arc::clone(&world), server, Random::new(settings.seed, n), kept).live());
        }
        actors.spawn(sign_up_others(Arc::clone(&world), owners));
        self.wait_for_edges(company.edges()).await;
        for (number, sequence) in (1..=settings.devices).zip(PHONES_SEQUENCE..) {
            actors.spawn(Phone { world: Arc::clone(&world), number, random: Random::new(settings.seed, sequence) }.live());
        }

        let cast = Cast::new(settings, company.edges());
        let end = settings.duration.map(|duration| Instant::now() + duration);
        loop {
            let look = Instant::now() + LOOK;
            let next = end.map_or(look, |end| end.min(look));
            if !world.sleep_until(next).await || end.is_some_and(|end| end <= Instant::now()) {
                break;
            }
            reporter.show(&cast, &self.tally.snapshot());
        }
        company.at_the_end = Some(self.tally.snapshot());
        self.ending.cancel();
        let inspection = Inspection { api: &self.api, admin: &self.admin, patience: PATIENCE };
        company.differences = inspection.differences(inspected, &mut Random::new(settings.seed, INSPECTION_SEQUENCE)).await;
        world.leaving.cancel();
        self.see_off(actors).await;
        company.owners.clone_from(&signed_in.borrow());
        company.devices = std::mem::take(&mut *world.devices.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// What an edge kept of its content.
    async fn kept(&self, server: &EdgeServer) -> Result<Kept, SimulateError> {
        let Some(folder) = &self.settings.content_dir else { return Ok(Kept::default()) };
        let failed = |error| SimulateError::Settings(format!("--content-dir {}: {error}, at the file of {}", folder.display(), server.id));
        let (content, file) = ContentFile::open(folder, server.id).await.map_err(failed)?;
        Ok(Kept { content: Arc::new(Mutex::new(content)), file: Some(file) })
    }

    /// Registers the first account, which also settles what everything is named: the seed, and something more
    /// when a simulation with this seed was here before.
    async fn first_owner(&self) -> Result<(String, Arc<Account>), SimulateError> {
        let mut prefix = format!("sim-{}", self.settings.seed);
        let owner = match sign_up(&self.api, &prefix, 1, &self.ending).await {
            Err(failure) if failure.is("email_taken") => {
                let [a, b] = keys::random::<2>();
                prefix = format!("{prefix}-{a:02x}{b:02x}");
                sign_up(&self.api, &prefix, 1, &self.ending).await?
            }
            outcome => outcome?,
        };
        Ok((prefix, Arc::new(owner)))
    }

    /// Phones that come before their edges would be told that there are none.
    async fn wait_for_edges(&self, edges: usize) {
        let connected = async {
            while usize::try_from(self.tally.edges_connected()).unwrap_or(0) < edges {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = self.ending.cancelled() => {}
            _ = tokio::time::timeout(EDGES_FIRST, connected) => {}
        }
    }

    /// Waits until all have ended by themselves.
    async fn see_off(&self, mut actors: JoinSet<()>) {
        let all = async {
            while let Some(ended) = actors.join_next().await {
                if let Err(error) = ended {
                    self.tally.unexpected("simulation: a part of it broke".to_owned(), error);
                }
            }
        };
        if tokio::time::timeout(GOODBYE, all).await.is_err() {
            self.tally.unexpected("simulation: it could not end in time".to_owned(), format_args!("{} parts cut off", actors.len()));
            actors.shutdown().await;
        }
    }
}

/// Registers an account and signs it in; nobody, this process included, knows its password afterwards.
async fn sign_up(api: &Api, prefix: &str, number: usize, ending: &CancellationToken) -> Result<Account, Failure> {
    let email = format!("{prefix}-{number}@example.org");
    let password = SecretString::from(URL_SAFE_NO_PAD.encode(keys::random::<24>()));
    account::register(api, &email, &password, ending).await?;
    Account::sign_in_patiently(api, &email, password, ending).await
}

/// Signs the other accounts up, one after the other, while phones are moving already: a server that limits
/// sign-ups lets one in every few seconds.
async fn sign_up_others(world: Arc<World>, owners: watch::Sender<Vec<Arc<Account>>>) {
    for number in 2..=world.settings.devices.min(MAX_OWNERS) {
        if world.ending.is_cancelled() {
            return;
        }
        match sign_up(&world.api, &world.prefix, number, &world.ending).await {
            Ok(owner) => owners.send_modify(|owners| owners.push(Arc::new(owner))),
            Err(failure) => {
                if !world.sleep(world.failed(&failure)).await {
                    return;
                }
            }
        }
    }
}
