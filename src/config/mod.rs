//! The environment, read in one place. Every variable that cannot be read is named at once, with the form
//! of its value and an example.

mod reader;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use reader::{Reader, SECRET_FORM};

use crate::geo::Metres;
use crate::http::RateLimits;
use crate::telemetry::LogFilter;

/// Where variables come from: the process environment, or a list in tests.
pub struct Environment(Box<dyn Fn(&str) -> Option<String>>);

/// Where the database is and how many connections it gives us. It does not print: it has a password.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// The primary: all writes, and reads unless there is a replica.
    pub primary: PgConnectOptions,
    /// A replica for discovery, tiles and OGC.
    pub replica: Option<PgConnectOptions>,
    /// How far the replica may be behind; beyond, the primary is read.
    pub replica_max_lag: Duration,
    /// Connections of this process to the primary, in all.
    pub max_connections: u32,
}

impl DatabaseConfig {
    /// One server, and so many connections.
    #[must_use]
    pub fn without_replica(primary: PgConnectOptions, max_connections: u32) -> Self {
        Self { primary, replica: None, replica_max_lag: Duration::from_secs(5), max_connections }
    }
}

/// Where and how to listen, and whom to let in.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address.
    pub host: IpAddr,
    /// Port of the API; 0 takes a free one.
    pub port: u16,
    /// Where Prometheus reads metrics; port 0 takes a free one, none: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Secrets and lifetimes.
    pub tokens: TokenConfig,
    /// What is asked of a request before it is looked at.
    pub http: HttpConfig,
    /// Rules for content.
    pub content: ContentConfig,
    /// How edge servers and devices are watched.
    pub supervision: SupervisionConfig,
    /// How long it goes on serving after it was told to stop, so that balancers see that it is not ready any more.
    pub stop_delay: Duration,
}

/// The service's secret, from which keys are derived, and what is said in tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Signs and seals.
    pub secret: SecretString,
    /// Tokens made with this one are good too: the old secret after a change, or the next one before it.
    pub previous_secret: Option<SecretString>,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// Life of a refresh token, and of a session that is not used.
    pub refresh_ttl: Duration,
}

/// What is asked of a request before it is looked at.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Origins whose pages may use the API.
    pub allowed_origins: Vec<HeaderValue>,
    /// Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether plain HTTP is redirected, and refused where secrets are in play.
    pub require_https: bool,
    /// Certificate and key, when we speak TLS ourselves.
    pub tls: Option<TlsFiles>,
    /// Requests a caller may make.
    pub rate_limits: RateLimits,
}

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is written to the log, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Which lines.
    pub filter: LogFilter,
    /// For machines or for people.
    pub format: LogFormat,
    /// Statements that take as long as this have a line.
    pub slow_statement: Duration,
    /// Spans for others.
    pub traces: TracesConfig,
}

/// Export of spans. All else of it is read by its library, from the variables that its standard names.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// Whether somebody is named who takes them.
    pub is_wanted: bool,
    /// Whether the service is to have another name than its own.
    pub names_service: bool,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Coloured text.
    Pretty,
}

/// Rules for decorations.
#[derive(Clone, Debug, Default)]
pub struct ContentConfig {
    /// Base under which asset URLs must lie, when set.
    pub cdn_base_url: Option<Url>,
}

/// How edge servers and devices are watched, chosen and remembered.
#[derive(Clone, Debug)]
pub struct SupervisionConfig {
    /// Time between two beats of an edge, and between two probes.
    pub health_interval: Duration,
    /// Time between two comparisons of what edges hold with what they should, and within which a change is to be there.
    pub sync_interval: Duration,
    /// How far beyond its service area an edge holds decorations, so that it has them before a phone gets there.
    pub sync_margin: Metres,
    /// Refusals by an edge after which a decoration is set aside there.
    pub sync_max_attempts: i32,
    /// How an edge is chosen for a position.
    pub choice: ChoiceConfig,
    /// Hosts and networks that may be dialled besides public addresses, also without TLS.
    pub health_check_allow: Vec<Dialable>,
    /// After this time of silence a device is disconnected.
    pub device_ping_timeout: Duration,
    /// How long samples are kept.
    pub metrics_retention: Duration,
    /// How long exact positions are kept.
    pub location_retention: Duration,
    /// First sizes of a socket's buffers in bytes: read, write.
    pub socket_buffers: [usize; 2],
}

/// How an edge is chosen for a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChoiceConfig {
    /// How far away an edge may be that does not cover the position; also the distance that scores nothing.
    pub search_radius: Metres,
    /// Weights of distance, load and health.
    pub weights: [f64; 3],
}

/// What may be dialled besides public addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialable {
    /// A host, by its name or address as it stands in a URL, whatever it resolves to.
    Host(String),
    /// Every address of a network.
    Network(IpNet),
}

/// All variables that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the environment cannot be used:\n{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// Variables that hold secrets. Each may instead be read from the file that the variable of the same name with `_FILE`
/// after it names: an environment is shown by orchestrators and printed by tools, a file has an owner.
pub const SECRET_VARIABLES: [&str; 5] = ["DATABASE_URL", "DATABASE_READ_URL", "DB_PASSWORD", "JWT_SECRET", "JWT_SECRET_PREVIOUS"];

/// Secrets that stand in examples all over the world, ours and the specification's among them.
const WELL_KNOWN_SECRETS: &[&str] =
    &["your-secret-key", "secret", "changeme", "change-me", "jwt-secret", "my-secret-key", "supersecret", "password"];

impl Environment {
    /// The environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// A fixed list.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<(String, String)> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self::from_fn(move |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    /// Whatever a function knows by name.
    #[must_use]
    pub fn from_fn(variable: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self(Box::new(variable))
    }

    /// `DATABASE_URL` or the `DB_*` variables, `DATABASE_READ_URL`, `DATABASE_READ_MAX_LAG`, `DATABASE_MAX_CONNECTIONS`. A URL without a password
    /// takes that of `DB_PASSWORD`, so that one secret does for both databases and URLs can be shown around.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn database(&self) -> Result<DatabaseConfig, ConfigError> {
        let mut reader = Reader::new(self);
        let url_form = ("a PostgreSQL URL", "postgres://ar_supervisor:secret@localhost:5432/ar_supervisor");
        let password = reader.text("DB_PASSWORD");
        let read_url = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))?;
            let options = text.parse::<PgConnectOptions>().ok()?;
            let has_password = url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password");
            Some(match &password {
                Some(password) if !has_password => options.password(password),
                _ => options,
            })
        };
        let primary = reader.read("DATABASE_URL", url_form, read_url);
        let host = reader.text("DB_HOST").unwrap_or_else(|| "localhost".to_owned());
        let port =
            reader.read("DB_PORT", ("a port, 1 to 65535", "5432"), |text| text.parse().ok().filter(|port| *port > 0)).unwrap_or(5432);
        let user = reader.text("DB_USER").unwrap_or_else(|| "ar_supervisor".to_owned());
        let name = reader.text("DB_NAME").unwrap_or_else(|| "ar_supervisor".to_owned());
        let mut parts = PgConnectOptions::new_without_pgpass().host(&host).port(port).username(&user).database(&name);
        if let Some(password) = &password {
            parts = parts.password(password);
        }
        let replica = reader.read("DATABASE_READ_URL", url_form, read_url);
        let replica_max_lag = reader.duration("DATABASE_READ_MAX_LAG", "5s", 1, 30);
        let max_connections = reader
            .read("DATABASE_MAX_CONNECTIONS", ("a number of connections, 10 to 1000", "20"), |text| {
                text.parse().ok().filter(|count| (10..=1000).contains(count))
            })
            .unwrap_or(20);
        reader.finish(DatabaseConfig { primary: primary.unwrap_or(parts), replica, replica_max_lag, max_connections })
    }

    /// Everything of the service but the database and the log.
    ///
    /// # Errors
    /// When a variable cannot be read, or the secret is missing, short or well known.
    pub fn server(&self) -> Result<ServerConfig, ConfigError> {
        let mut reader = Reader::new(self);
        let faults = reader.faults.len();
        let secret = reader.secret("JWT_SECRET");
        if secret.is_none() && reader.faults.len() == faults {
            reader.fault("JWT_SECRET", "is not set", SECRET_FORM);
        }
        let config = reader.server(IpAddr::V4(Ipv4Addr::UNSPECIFIED), secret.unwrap_or_default(), RateLimits::default());
        reader.finish(config)
    }

    /// The same for `dev`: 127.0.0.1 and no rate limits unless set, and a secret that the caller keeps.
    ///
    /// # Errors
    /// When a variable cannot be read.
    pub fn dev_server(&self, secret: SecretString) -> Result<ServerConfig, ConfigError> {
        let mut reader = Reader::new(self);
        let config = reader.server(IpAddr::V4(Ipv4Addr::LOCALHOST), secret, RateLimits::off());
        reader.finish(config)
    }

    /// Where a server with this environment is reached from its own machine.
    ///
    /// # Errors
    /// When `SERVER_HOST` or `SERVER_PORT` cannot be read.
    pub fn own_address(&self) -> Result<SocketAddr, ConfigError> {
        let mut reader = Reader::new(self);
        let (host, port) = (reader.host(IpAddr::V4(Ipv4Addr::LOCALHOST)), reader.port());
        let host = match host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        reader.finish(SocketAddr::new(host, port))
    }

    /// `CDN_BASE_URL`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self) -> Result<ContentConfig, ConfigError> {
        let mut reader = Reader::new(self);
        let config = reader.content();
        reader.finish(config)
    }

    /// `LOG_LEVEL`, `LOG_FORMAT`, `SLOW_STATEMENT`, and whether OpenTelemetry is configured; `format` is the default form.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn log(&self, format: LogFormat) -> Result<LogConfig, ConfigError> {
        let mut reader = Reader::new(self);
        let levels =
            ("error, warn, info, debug, trace, or such for modules of ours (libraries: up to info)", "info,ar_supervisor::sync=debug");
        let filter = reader.read("LOG_LEVEL", levels, |text| LogFilter::read(text).ok());
        let filter = filter.unwrap_or_else(|| LogFilter::read("info").expect("a level can be read"));
        let format = reader
            .read("LOG_FORMAT", ("json or pretty", "json"), |text| match text {
                "json" => Some(LogFormat::Json),
                "pretty" => Some(LogFormat::Pretty),
                _ => None,
            })
            .unwrap_or(format);
        let slow_statement = reader.read("SLOW_STATEMENT", ("a duration of 1ms to 1h", "250ms"), |text| {
            let duration = humantime::parse_duration(text).ok()?;
            (Duration::from_millis(1)..=Duration::from_hours(1)).contains(&duration).then_some(duration)
        });
        let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].map(|name| reader.text(name));
        let is_off = reader.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || reader.text("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        let traces = TracesConfig {
            is_wanted: endpoints.iter().any(Option::is_some) && !is_off,
            names_service: reader.text("OTEL_SERVICE_NAME").is_some()
                || reader.text("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name=")),
        };
        let slow_statement = slow_statement.unwrap_or(Duration::from_millis(250));
        reader.finish(LogConfig { filter, format, slow_statement, traces })
    }

    /// A folder variable of the XDG kind.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<std::path::PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_with_form_and_example_and_without_the_value() {
        let environment =
            Environment::of(&[("DATABASE_URL", "mysql://u:hunter2@h/d"), ("DB_PORT", "0"), ("DATABASE_MAX_CONNECTIONS", "many")]);
        let text = environment.database().err().expect("three faults").to_string();
        for part in ["DATABASE_URL", "DB_PORT", "5432", "DATABASE_MAX_CONNECTIONS", "for example"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn weak_secrets_are_refused() {
        for weak in ["", "short", "your-secret-key", "your-secret-key-your-secret-key-your-secret-key", &"a".repeat(64)] {
            assert!(Environment::of(&[("JWT_SECRET", weak)]).server().is_err(), "{weak}");
        }
        let config = Environment::of(&[("JWT_SECRET", "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUa"), ("SERVER_PORT", "0")]).server().expect("strong");
        assert_eq!((config.host.to_string(), config.port), ("0.0.0.0".to_owned(), 0));
    }

    #[test]
    fn metrics_are_read_on_this_machine_unless_set_otherwise() {
        let metrics = |variables: &[(&'static str, &'static str)]| {
            let all = [&[("JWT_SECRET", "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUa")], variables].concat();
            Environment::of(&all).server().map(|config| config.metrics.map(|address| address.to_string()))
        };
        assert_eq!(metrics(&[]).expect("reads").as_deref(), Some("127.0.0.1:9090"));
        assert_eq!(metrics(&[("METRICS_HOST", "::"), ("METRICS_PORT", "0")]).expect("reads").as_deref(), Some("[::]:0"));
        assert_eq!(metrics(&[("METRICS_PORT", "off")]).expect("reads"), None);
        for bad in [("METRICS_PORT", "on"), ("METRICS_PORT", "65536"), ("METRICS_HOST", "localhost")] {
            assert!(metrics(&[bad]).expect_err("cannot be read").to_string().contains(bad.0), "{bad:?}");
        }
    }

    #[test]
    fn secrets_come_from_files_too_and_from_one_place_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let (secret, empty) = (file("secret", "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUa\r\n"), file("empty", "\n"));
        let config = Environment::of(&[("JWT_SECRET_FILE", &secret)]).server().expect("reads");
        assert_eq!(secrecy::ExposeSecret::expose_secret(&config.tokens.secret), "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUa");

        let said = |variables: &[(&str, &str)]| Environment::of(variables).server().expect_err("a fault").to_string();
        let both = said(&[("JWT_SECRET_FILE", &secret), ("JWT_SECRET", "k3v9Qm0dX7tLw2pRz8sYb5nJ1hGf4cUb")]);
        assert!(both.contains("JWT_SECRET_FILE is set, and JWT_SECRET too") && !both.contains("k3v9"), "{both}");
        assert!(said(&[("JWT_SECRET_FILE", &empty)]).contains("which is empty"));
        let absent = said(&[("JWT_SECRET_FILE", "/nowhere/secret")]);
        assert!(absent.contains("/nowhere/secret") && absent.lines().count() == 2, "one fault, and not \"is not set\" too: {absent}");
    }

    #[test]
    fn a_url_without_a_password_takes_the_one_of_the_database() {
        let password_of = |read_url: &str| {
            let variables = [("DATABASE_URL", "postgres://ada@primary/db"), ("DATABASE_READ_URL", read_url), ("DB_PASSWORD", "gears")];
            let config = Environment::of(&variables).database().expect("reads");
            let shown = |options: PgConnectOptions| sqlx::ConnectOptions::to_url_lossy(&options).password().map(str::to_owned);
            [shown(config.primary), shown(config.replica.expect("a replica"))].map(Option::unwrap_or_default)
        };
        assert_eq!(password_of("postgres://ada@replica/db"), ["gears", "gears"]);
        assert_eq!(password_of("postgres://ada:brass@replica/db"), ["gears", "brass"]);
        assert_eq!(password_of("postgres://ada@replica/db?password=brass"), ["gears", "brass"]);
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_loopback() {
        let own = |variables: &[(&str, &str)]| Environment::of(variables).own_address().expect("reads").to_string();
        assert_eq!(own(&[]), "127.0.0.1:8080");
        assert_eq!(own(&[("SERVER_HOST", "0.0.0.0"), ("SERVER_PORT", "81")]), "127.0.0.1:81");
        assert_eq!(own(&[("SERVER_HOST", "::")]), "[::1]:8080");
        assert_eq!(own(&[("SERVER_HOST", "192.0.2.7")]), "192.0.2.7:8080");
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        let config = Environment::of(&[("DB_PORT", ""), ("DB_HOST", "db")]).database().expect("reads");
        assert_eq!((config.primary.get_host(), config.primary.get_port()), ("db", 5432));
    }
}
