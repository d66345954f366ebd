//! `ar-supervisor dev`: everything by one command, for a first look and for development.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, Connection};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::serve::Listeners;
use super::simulate::{self, Cast, Reporter, SimulateError, Snapshot};
use super::{Outcome, serve};
use crate::accounts::{self, CreateAdminError};
use crate::config::{DatabaseConfig, Environment};
use crate::dashboard;
use crate::db::{self, ClusterSettings, Db, PrivateCluster};
use crate::demo::{self, Size};
use crate::keys;
use crate::lifecycle::stop_signal;
use crate::telemetry::prometheus;

/// E-mail of the admin that is there from the start.
const ADMIN: &str = "admin@example.org";
/// Name of the database in the private cluster.
const DATABASE: &str = "ar_supervisor";
/// Phones of the simulation, and seconds between two lines about it.
const SIMULATED_DEVICES: usize = 1000;
const SIMULATION_LINES_S: u64 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the database, the secret and the admin's password; kept between runs [default: the user's data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How much demo data to load, if it is not there yet
    #[arg(long, value_name = "SIZE", default_value = "full")]
    demo: Size,
    /// Simulate the edge servers that are there and 1,000 phones, until Ctrl-C
    #[arg(long)]
    simulate: bool,
}

pub(super) async fn run(environment: &Environment, args: &Args) -> Outcome {
    prometheus::install();
    let wished = args.data_dir.clone().unwrap_or_else(|| default_data_dir(environment));
    let wished = std::path::absolute(&wished)?;
    let data_dir = db::reachable_dir(&wished)?;
    if data_dir != wished {
        println!("The database runs as user postgres, who cannot reach {}; using {}.", wished.display(), data_dir.display());
    }
    fs::create_dir_all(&data_dir)?;
    // The port first: it is what most often goes wrong, and it costs nothing.
    let server = environment.dev_server(kept_random::<48>(&data_dir.join("secret"))?)?;
    let api = serve::listen(&server).await?;
    let address = api.local_addr()?;
    let metrics = match server.metrics {
        Some(address) => Some(listen_for_metrics(address).await?),
        None => None,
    };
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;

    let settings = ClusterSettings {
        data_dir: data_dir.join("postgres"),
        durable: true,
        settings: ["shared_buffers=256MB", "work_mem=16MB", "maintenance_work_mem=128MB", "max_wal_size=2GB", "random_page_cost=1.1"]
            .map(str::to_owned)
            .to_vec(),
    };
    let cluster = tokio::task::spawn_blocking(move || PrivateCluster::start(&settings)).await??;
    ensure_database(&cluster).await?;
    let database = DatabaseConfig::without_replica(cluster.options(DATABASE), 20);
    db::migrate(&database.primary).await?;
    let loading = Db::bulk(&database);
    let bar = progress_bar();
    if let Some(loaded) = demo::load(&loading, args.demo, &bar).await? {
        println!("Loaded {} decorations, {} regions and {} edge servers.", loaded.decorations, loaded.regions, loaded.edge_servers);
        println!("{}", demo::ATTRIBUTION);
    }
    loading.close().await;

    let password_file = data_dir.join("admin-password");
    let password = admin(&database, &password_file).await?;
    let scheme = if server.http.tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{address}");
    greet(&base, metrics_address, &cluster, &password, &password_file);
    if !dashboard::is_whole() {
        println!("\nThis build has no live map: its libraries come from npm (make run brings them; {base}/dashboard/ says more).");
    }
    let signal = stop_signal()?;
    let stopped = async {
        if args.simulate {
            simulate_until(signal, base, password, &password_file).await;
        } else {
            signal.await;
        }
    };
    let outcome = serve::serve(Listeners { api, metrics }, &database, &server, async |_| Ok(()), Box::pin(stopped)).await;
    tokio::task::spawn_blocking(move || drop(cluster)).await?;
    outcome
}

/// The port of metrics, or a free one: nobody who wants a first look is kept from it by another server's.
async fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, Box<dyn std::error::Error + Send + Sync>> {
    match serve::listen_for_metrics(address).await {
        Ok(listener) => Ok(listener),
        Err(_taken) => serve::listen_for_metrics(SocketAddr::new(address.ip(), 0)).await,
    }
}

fn default_data_dir(environment: &Environment) -> PathBuf {
    let base = environment.folder("XDG_DATA_HOME").or_else(|| Some(environment.folder("HOME")?.join(".local/share")));
    base.unwrap_or_else(std::env::temp_dir).join("ar-supervisor")
}

/// Lets the edge servers of the demo connect and phones move until the signal, and ends before the service does,
/// so that it can take away what it made. Whatever goes wrong with it, the service goes on.
async fn simulate_until(signal: impl Future<Output = ()>, url: String, password: SecretString, password_file: &Path) {
    let settings = simulate::Settings {
        url,
        email: ADMIN.to_owned(),
        password,
        edges: usize::MAX,
        devices: SIMULATED_DEVICES,
        duration: None,
        every: Duration::from_secs(5),
        adopt: true,
        churn_pct_per_minute: 10.0,
        seed: simulate::random_seed(),
        keep: false,
        content_dir: None,
    };
    let stop = CancellationToken::new();
    let simulated = async {
        match simulate::run(settings, &stop, &mut LogLines { earlier: None }).await {
            Ok(summary) => println!("{summary}"),
            Err(SimulateError::WrongPassword { .. }) => println!(
                "Nothing is simulated: the admin has another password than the one in {}.\n\
                 In another terminal, ar-supervisor simulate --adopt --edges 60 --devices {SIMULATED_DEVICES} --for 10m asks for it.",
                password_file.display()
            ),
            Err(error) => println!("Nothing is simulated: {error}"),
        }
    };
    let stopped = async {
        signal.await;
        stop.cancel();
    };
    tokio::join!(simulated, stopped);
}

/// The simulation between the service's own log lines.
struct LogLines {
    earlier: Option<Snapshot>,
}

impl Reporter for LogLines {
    fn tell(&mut self, text: &str) {
        tracing::info!("simulation: {text}");
    }

    fn show(&mut self, cast: &Cast, snapshot: &Snapshot) {
        let shown = self.earlier.as_ref().map_or(0, |earlier| earlier.elapsed().as_secs());
        if snapshot.elapsed().as_secs() >= shown + SIMULATION_LINES_S {
            tracing::info!("simulation: {}", simulate::line(cast, snapshot, self.earlier.as_ref()));
            self.earlier = Some(snapshot.clone());
        }
    }
}

/// A random text in a file that nobody else reads, made at the first start and kept.
fn kept_random<const BYTES: usize>(path: &Path) -> std::io::Result<SecretString> {
    if !path.exists() {
        // Whole or not at all: half a secret would be one that can be guessed.
        let draft = path.with_extension("new");
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(URL_SAFE_NO_PAD.encode(keys::random::<BYTES>()).as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
    }
    Ok(SecretString::from(fs::read_to_string(path)?))
}

/// Makes the admin with a generated password, unless somebody has that account already; the password, as long
/// as it is the account's.
async fn admin(database: &DatabaseConfig, path: &Path) -> Result<SecretString, Box<dyn std::error::Error + Send + Sync>> {
    let password = kept_random::<15>(path)?;
    let mut connection = database.primary.clone().connect().await?;
    match accounts::create_admin(&mut connection, ADMIN, "Admin of the demo", &password, false).await {
        Ok(_) | Err(CreateAdminError::Exists) => {}
        Err(error) => return Err(error.into()),
    }
    connection.close().await?;
    Ok(password)
}

async fn ensure_database(cluster: &PrivateCluster) -> Result<(), sqlx::Error> {
    let mut connection = cluster.options("postgres").connect().await?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(DATABASE).fetch_one(&mut connection).await?;
    if !exists {
        sqlx::raw_sql("CREATE DATABASE ar_supervisor").execute(&mut connection).await?;
    }
    connection.close().await
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {per_sec} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn greet(base: &str, metrics: Option<SocketAddr>, cluster: &PrivateCluster, password: &SecretString, password_file: &Path) {
    let metrics = metrics.map_or_else(|| "off (METRICS_PORT)".to_owned(), |address| format!("http://{address}/metrics"));
    println!(
        "
ar-supervisor is ready at {base}
  the live map        {base}/dashboard/
  the API to browse   {base}/docs/
  for Prometheus      {metrics}
  the database        psql -h {socket} -U ar_analyst {DATABASE}
  other commands      export DATABASE_URL='postgres:///{DATABASE}?host={socket}&user=ar_supervisor'
  the admin           {ADMIN}, password {password} (as long as you set no other)

What is around the Brandenburg Gate, nearest first?
  curl '{base}/api/v1/decorations/nearby?lat=52.5163&lng=13.3777&radius=50000&limit=3'
What is in a box across the antimeridian?
  curl '{base}/api/v1/decorations/bounds?min_lat=-50&max_lat=-10&min_lng=165&max_lng=-165&limit=3'
What is in a country, as GeoJSON?
  curl -H 'Accept: application/geo+json' '{base}/api/v1/decorations/region?region=germany&limit=3'
Sign in as the admin; the access_token opens the rest of the API
  curl -s '{base}/api/v1/auth/login' --json '{{\"email\": \"{ADMIN}\", \"password\": \"{password}\"}}'
Let edge servers connect and phones move about, from another terminal (or start with ar-supervisor dev --simulate)
  ar-supervisor simulate --url {base} --adopt --devices {SIMULATED_DEVICES} --for 10m --password-file '{password_file}'

Ctrl-C stops it; the data stays.",
        socket = cluster.socket_dir().display(),
        password = password.expose_secret(),
        password_file = password_file.display(),
    );
}
