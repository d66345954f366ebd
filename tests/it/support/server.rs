//! The service itself, on a real port, over a database of the test's own.

use std::net::SocketAddr;

use ar_supervisor::background;
use ar_supervisor::config::{DatabaseConfig, Environment};
use ar_supervisor::db::Db;
use ar_supervisor::geo::{Cell, Geom};
use ar_supervisor::http::{ConnectionLimits, Entrance, Tls, router, serve};
use ar_supervisor::lifecycle::Lifecycle;
use ar_supervisor::state::AppState;
use ar_supervisor::telemetry::prometheus;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Account, Answer, DecorationBuilder, EdgeBuilder, RegionBuilder, TestDb};

/// Every server of the tests that sets none of its own has this `JWT_SECRET`.
pub(crate) const SECRET: &str = "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUa";

/// What a test may want to be otherwise.
pub(crate) struct Config {
    pub(crate) limits: ConnectionLimits,
    pub(crate) started: bool,
    /// Variables of the environment, before those that every test has.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self { limits: ConnectionLimits::default(), started: true, environment: Vec::new() }
    }
}

impl Config {
    /// With one variable of the environment.
    pub(crate) fn of(name: &'static str, value: impl Into<String>) -> Self {
        Self::default().and(name, value)
    }

    /// With one more.
    pub(crate) fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

/// A running service; stops with this value.
pub(crate) struct TestServer {
    /// For looking into the database, past the service.
    pub(crate) sql: PgPool,
    pub(crate) address: SocketAddr,
    /// Where its metrics are, if `METRICS_PORT` was set.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) serving: Option<JoinHandle<()>>,
    /// What happens inside.
    pub(crate) state: AppState,
    pub(crate) client: reqwest::Client,
    /// Sent with every request that brings no token of its own.
    bearer: Option<String>,
    /// Last, so that it is dropped after those who use it.
    db: Option<TestDb>,
}

/// A few connections to one database.
pub(crate) fn config_of(primary: PgConnectOptions) -> DatabaseConfig {
    DatabaseConfig::without_replica(primary, 16)
}

fn pool(database: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(3).connect_lazy_with(database)
}

fn client() -> reqwest::Client {
    // Compression costs a debug build most of its time; one test asks for it by itself.
    reqwest::Client::builder().no_gzip().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

impl TestServer {
    /// The service over a fresh, migrated database.
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    /// The same, otherwise configured.
    pub(crate) async fn start_with(config: Config) -> Self {
        let db = TestDb::create().await;
        let mut server = Self::on(db.options(), config).await;
        server.db = Some(db);
        server
    }

    /// The service over a database that the test takes care of.
    pub(crate) async fn on(database: PgConnectOptions, config: Config) -> Self {
        let mut variables: Vec<(&str, &str)> = config.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend([
            ("JWT_SECRET", SECRET),
            ("SERVER_HOST", "127.0.0.1"),
            ("SERVER_PORT", "0"),
            ("METRICS_PORT", "off"),
            ("RATE_LIMIT", "off"),
        ]);
        let server = Environment::of(&variables).server().expect("configured");
        let listener = TcpListener::bind((server.host, server.port)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let lifecycle = Lifecycle::new();
        let state = AppState::new(Db::new(&config_of(database.clone())), &server, lifecycle.clone());
        state.instance.listens_at(address);
        if config.started {
            lifecycle.mark_started();
            background::start(&state);
        }
        let metrics = match server.metrics {
            Some(address) => {
                let listener = TcpListener::bind(address).await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                let (state, lifecycle) = (state.clone(), lifecycle.clone());
                // It ends with the rest, here.
                tokio::spawn(async move { prometheus::serve(listener, state, &lifecycle).await });
                Some(address)
            }
            None => None,
        };
        let tls = server.http.tls.as_ref().map(|files| Tls::load(files).expect("certificate and key"));
        let serving = tokio::spawn({
            let (state, lifecycle) = (state.clone(), lifecycle.clone());
            let entrance = Entrance::of(&state, tls);
            async move { serve(listener, router(state), config.limits, entrance, &lifecycle).await }
        });
        let (sql, client) = (pool(database), client());
        Self { sql, address, metrics, lifecycle, serving: Some(serving), state, client, bearer: None, db: None }
    }

    /// A service that runs elsewhere, as far as it can be seen from outside.
    pub(crate) fn elsewhere(address: SocketAddr, database: PgConnectOptions) -> Self {
        let server = Environment::of(&[("JWT_SECRET", SECRET)]).server().expect("configured");
        let lifecycle = Lifecycle::new();
        // Nothing runs on it.
        let state = AppState::new(Db::new(&config_of(database.clone())), &server, lifecycle.clone());
        let (sql, client) = (pool(database), client());
        Self { sql, address, metrics: None, lifecycle, serving: None, state, client, bearer: None, db: None }
    }

    /// The clone that it runs on.
    pub(crate) fn db(&self) -> &TestDb {
        self.db.as_ref().expect("has a database of its own")
    }

    /// Its address and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request that a test wants to shape itself.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends every request from now on in an account's name.
    pub(crate) fn act_as(&mut self, account: &Account) {
        self.bearer = Some(account.access_token.clone());
    }

    /// A new admin, signed in.
    pub(crate) async fn admin(&self) -> Account {
        Account::create(self, "admin").await
    }

    /// A new user, signed in.
    pub(crate) async fn user(&self) -> Account {
        Account::create(self, "user").await
    }

    /// POST of JSON, without a token but the server's own.
    pub(crate) async fn post(&self, path: &str, body: serde_json::Value) -> Answer {
        Answer::of(self.request(reqwest::Method::POST, path).json(&body)).await
    }

    /// GET of a path below the root.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(reqwest::Method::GET, path)).await
    }

    /// GET of a path below the root, as GeoJSON.
    pub(crate) async fn get_geo_json(&self, path: &str) -> Answer {
        Answer::of(self.request(reqwest::Method::GET, path).header("accept", "application/geo+json")).await
    }

    /// What is near; the numbers are written as given.
    pub(crate) async fn nearby(&self, lat: f64, lng: f64, radius: f64) -> Answer {
        self.get(&format!("/api/v1/decorations/nearby?lat={lat}&lng={lng}&radius={radius}&limit=500")).await.ok()
    }

    /// What is in a box: south, west, north, east.
    pub(crate) async fn bounds(&self, [south, west, north, east]: [f64; 4]) -> Answer {
        self.get(&format!("/api/v1/decorations/bounds?min_lat={south}&min_lng={west}&max_lat={north}&max_lng={east}&limit=1000")).await.ok()
    }

    /// What is in a region.
    pub(crate) async fn region(&self, region: &str) -> Answer {
        let region: String = url::form_urlencoded::byte_serialize(region.as_bytes()).collect();
        self.get(&format!("/api/v1/decorations/region?region={region}&limit=1000")).await
    }

    /// All pages of a list: follows `next_cursor` to the end.
    pub(crate) async fn all_pages(&self, path: &str) -> Vec<Answer> {
        let mut pages = vec![self.get(path).await.ok()];
        while let Some(cursor) = pages.last().and_then(Answer::next_cursor) {
            assert!(pages.len() < 10_000, "the pages do not end");
            pages.push(self.get(&format!("{path}&cursor={cursor}")).await.ok());
        }
        pages
    }

    /// A decoration to put in by SQL.
    pub(crate) fn decoration(&self, name: &str) -> DecorationBuilder<'_> {
        DecorationBuilder::new(&self.sql, name)
    }

    /// An edge server to put in by SQL.
    pub(crate) fn edge(&self, region: &str) -> EdgeBuilder<'_> {
        EdgeBuilder::new(&self.sql, region)
    }

    /// A region to put in.
    pub(crate) fn new_region(&self, code: &str, name: &str) -> RegionBuilder<'_> {
        RegionBuilder::new(&self.sql, code, name)
    }

    /// As if edges and devices had been watched for a day: what was silent since then was silent.
    pub(crate) async fn watched_for_long(&self) {
        super::eventually("somebody watches", async || {
            let begun = sqlx::query(
                "UPDATE ar.supervision SET watched_from = now() - interval '1 day' WHERE watched_at > now() - interval '5 seconds'",
            );
            (begun.execute(&self.sql).await.expect("moves time").rows_affected() == 1).then_some(())
        })
        .await;
    }

    /// Puts in the outlines of all counted cells, as those who write decorations by the API do.
    pub(crate) async fn draw_cells(&self) {
        let cells: Vec<i64> =
            sqlx::query_scalar("SELECT DISTINCT cell FROM ar.decoration_counts").fetch_all(&self.sql).await.expect("reads the cells");
        let outlines: Vec<_> = cells.iter().map(|&cell| Geom(Cell::from_db(cell).expect("a cell").outline())).collect();
        let draw = sqlx::query(
            "INSERT INTO ar.h3_cells (cell, resolution, boundary) SELECT cell, (cell >> 52) & 15, boundary
             FROM unnest($1::bigint[], $2::geometry[]) AS c (cell, boundary) ON CONFLICT DO NOTHING",
        );
        draw.bind(cells).bind(outlines).execute(&self.sql).await.expect("the outlines go in");
    }

    /// Folds what writers left for the counts by cell. The service folds by itself, too, and one at a time does.
    pub(crate) async fn fold_counts(&self) {
        super::eventually("all is folded", async || {
            ar_supervisor::decorations::fold_counts(&self.sql).await.expect("folds");
            let left: i64 =
                sqlx::query_scalar("SELECT count(*) FROM ar.decoration_count_deltas").fetch_one(&self.sql).await.expect("counts");
            (left == 0).then_some(())
        })
        .await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}
