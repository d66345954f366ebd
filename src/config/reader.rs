//! How variables are read: one by one, each with its form and an example for whoever got it wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::{
    ChoiceConfig, ConfigError, ContentConfig, Dialable, Environment, HttpConfig, SECRET_VARIABLES, ServerConfig, SupervisionConfig,
    TlsFiles, TokenConfig, WELL_KNOWN_SECRETS,
};
use crate::geo::Metres;
use crate::http::RateLimits;

/// Form and example of a secret.
pub(super) const SECRET_FORM: (&str, &str) = ("at least 32 bytes that nobody else knows", "the output of `openssl rand -base64 48`");

/// An origin as browsers write it: scheme, host and port, nothing after.
fn origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    (text.trim().trim_end_matches('/').eq_ignore_ascii_case(&origin)).then(|| HeaderValue::from_str(&origin).ok())?
}

/// A network, or a single address.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network: Option<IpNet> = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    // Whoever trusts everybody believes the client itself.
    network.filter(|network| network.prefix_len() > 0)
}

/// A network or an address, else a host's name.
fn dialable(text: &str) -> Option<Dialable> {
    let text = text.trim();
    if let Some(network) = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
        return Some(Dialable::Network(network));
    }
    url::Host::parse(text).ok().map(|host| Dialable::Host(host.to_string()))
}

fn is_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let one_word_repeated = WELL_KNOWN_SECRETS.iter().any(|known| lower.replace(known, "").chars().all(|c| !c.is_alphanumeric()));
    let distinct = lower.bytes().collect::<std::collections::HashSet<_>>().len();
    text.len() >= 32 && !one_word_repeated && distinct >= 8
}

/// Reads variables one by one, and keeps what is wrong with each.
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    pub(super) faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, faults: Vec::new() }
    }

    /// An empty variable counts as not set, as in most compose files.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let set = |name: &str| (self.environment.0)(name).filter(|value| !value.is_empty());
        let value = set(name);
        if !SECRET_VARIABLES.contains(&name) {
            return value;
        }
        let file = format!("{name}_FILE");
        let Some(path) = set(&file) else { return value };
        let form = ("the path of a file that the service may read", "/run/secrets/jwt_secret");
        if value.is_some() {
            self.fault(&file, &format!("is set, and {name} too: which one is meant?"), form);
            return value;
        }
        // The line's end is the editor's, not the secret's.
        match std::fs::read_to_string(&path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()) {
            Ok(text) if !text.is_empty() => return Some(text),
            Ok(_) => self.fault(&file, &format!("names {path}, which is empty"), form),
            Err(error) => self.fault(&file, &format!("names {path}, which cannot be read ({error})"), form),
        }
        None
    }

    pub(super) fn read<T>(&mut self, name: &str, form: (&str, &str), read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.fault(name, "cannot be used", form);
        }
        value
    }

    pub(super) fn fault(&mut self, name: &str, what: &str, (form, example): (&str, &str)) {
        // The value is left out: it may be a secret.
        self.faults.push(format!("  {name} {what}: it takes {form}, for example: {example}"));
    }

    pub(super) fn server(&mut self, host: IpAddr, secret: SecretString, rate_limits: RateLimits) -> ServerConfig {
        ServerConfig {
            host: self.host(host),
            port: self.port(),
            metrics: self.metrics(),
            tokens: self.tokens(secret),
            http: self.http(rate_limits),
            content: self.content(),
            supervision: self.supervision(),
            stop_delay: self.duration("STOP_DELAY", "0s", 0, 60),
        }
    }

    pub(super) fn host(&mut self, default: IpAddr) -> IpAddr {
        self.read("SERVER_HOST", ("an IP address", "0.0.0.0"), |text| text.parse().ok()).unwrap_or(default)
    }

    pub(super) fn port(&mut self) -> u16 {
        self.read("SERVER_PORT", ("a port, 0 to 65535", "8080"), |text| text.parse().ok()).unwrap_or(8080)
    }

    /// Who reads metrics needs no password, so nobody from elsewhere reads them unless that is wished.
    pub(super) fn metrics(&mut self) -> Option<SocketAddr> {
        let host = self.read("METRICS_HOST", ("an IP address", "127.0.0.1"), |text| text.parse().ok());
        let port = self.read("METRICS_PORT", ("a port, 0 to 65535, or off", "9090"), |text| match text {
            "off" => Some(None),
            port => port.parse().ok().map(Some),
        });
        Some(SocketAddr::new(host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port.unwrap_or(Some(9090))?))
    }

    pub(super) fn duration(&mut self, name: &str, default: &str, least_s: u64, most_s: u64) -> Duration {
        let form = format!("a duration of {least_s}s to {most_s}s");
        let duration = self.read(name, (&form, default), |text| {
            let duration = humantime::parse_duration(text).ok()?;
            (least_s..=most_s).contains(&duration.as_secs()).then_some(duration)
        });
        duration.unwrap_or_else(|| humantime::parse_duration(default).expect("defaults can be read"))
    }

    pub(super) fn supervision(&mut self) -> SupervisionConfig {
        let hosts = ("hosts or networks, comma-separated", "edge.internal,10.20.0.0/16");
        let allow = self.read("HEALTH_CHECK_ALLOW", hosts, |text| text.split(',').map(dialable).collect::<Option<Vec<_>>>());
        let buffer = |text: &str| text.parse().ok().filter(|bytes| (128..=1_048_576).contains(bytes));
        let bytes = ("a number of bytes, 128 to 1048576", "1024");
        let margin = |text: &str| text.parse().ok().filter(|metres| (0.0..=100_000.0).contains(metres));
        let attempts = |text: &str| text.parse().ok().filter(|number| (1..=100).contains(number));
        SupervisionConfig {
            health_interval: self.duration("EDGE_HEALTH_CHECK_INTERVAL", "30s", 1, 3600),
            sync_interval: self.duration("EDGE_SYNC_INTERVAL", "5m", 1, 86_400),
            sync_margin: Metres(self.read("EDGE_SYNC_MARGIN_METERS", ("metres, 0 to 100000", "500"), margin).unwrap_or(500.0)),
            sync_max_attempts: self.read("SYNC_MAX_ATTEMPTS", ("a number, 1 to 100", "5"), attempts).unwrap_or(5),
            choice: self.choice(),
            health_check_allow: allow.unwrap_or_default(),
            device_ping_timeout: self.duration("DEVICE_PING_TIMEOUT", "60s", 1, 86_400),
            metrics_retention: self.duration("METRICS_RETENTION", "30d", 86_400, 3650 * 86_400),
            location_retention: self.duration("LOCATION_RETENTION", "24h", 60, 365 * 86_400),
            socket_buffers: ["WS_READ_BUFFER", "WS_WRITE_BUFFER"].map(|name| self.read(name, bytes, buffer).unwrap_or(1024)),
        }
    }

    pub(super) fn choice(&mut self) -> ChoiceConfig {
        let within = |least: f64, most: f64| move |text: &str| text.parse().ok().filter(|number| (least..=most).contains(number));
        let radius_km = self.read("EDGE_SEARCH_RADIUS_KM", ("kilometres, 1 to 20000", "50"), within(1.0, 20_000.0)).unwrap_or(50.0);
        let weights = [("EDGE_WEIGHT_DISTANCE", 0.5), ("EDGE_WEIGHT_LOAD", 0.3), ("EDGE_WEIGHT_HEALTH", 0.2)];
        let weights =
            weights.map(|(name, default)| self.read(name, ("a weight, 0 to 1000", "0.5"), within(0.0, 1000.0)).unwrap_or(default));
        ChoiceConfig { search_radius: Metres(radius_km * 1000.0), weights }
    }

    pub(super) fn tokens(&mut self, secret: SecretString) -> TokenConfig {
        TokenConfig {
            secret,
            previous_secret: self.secret("JWT_SECRET_PREVIOUS"),
            issuer: self.text("JWT_ISSUER").unwrap_or_else(|| "ar-supervisor".to_owned()),
            audience: self.text("JWT_AUDIENCE").unwrap_or_else(|| "ar-supervisor".to_owned()),
            access_ttl: self.duration("JWT_EXPIRY", "15m", 60, 86_400),
            refresh_ttl: self.duration("REFRESH_TOKEN_EXPIRY", "168h", 600, 365 * 86_400),
        }
    }

    pub(super) fn http(&mut self, rate_limits: RateLimits) -> HttpConfig {
        let origins = ("origins, comma-separated", "https://admin.example.com,https://app.example.com");
        let allowed_origins = self.read("ALLOWED_ORIGINS", origins, |text| text.split(',').map(origin).collect::<Option<Vec<_>>>());
        let networks = ("networks or addresses, comma-separated", "10.0.0.0/8,192.0.2.7");
        let trusted_proxies = self.read("TRUSTED_PROXIES", networks, |text| text.split(',').map(network).collect::<Option<Vec<_>>>());
        let require_https = self.read("REQUIRE_HTTPS", ("true or false", "true"), |text| text.parse().ok());
        let limits = ("off, or requests per s, m or h by class", "public=50/s,auth=10/m,user=20/s,admin=50/s,edge=100/s,tiles=300/s");
        let rate_limits = self.read("RATE_LIMIT", limits, RateLimits::from_text).unwrap_or(rate_limits);
        let tls = match (self.text("TLS_CERT_FILE"), self.text("TLS_KEY_FILE")) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.into(), key: key.into() }),
            (None, None) => None,
            (certificate, _) => {
                let missing = if certificate.is_none() { "TLS_CERT_FILE" } else { "TLS_KEY_FILE" };
                self.fault(missing, "is not set, though its counterpart is", ("the path of a PEM file", "/etc/ar-supervisor/tls.pem"));
                None
            }
        };
        HttpConfig {
            allowed_origins: allowed_origins.unwrap_or_default(),
            trusted_proxies: trusted_proxies.unwrap_or_default(),
            require_https: require_https.unwrap_or(false),
            tls,
            rate_limits,
        }
    }

    pub(super) fn content(&mut self) -> ContentConfig {
        let cdn_base_url = self.read("CDN_BASE_URL", ("an https URL", "https://cdn.example.com/ar-assets"), |text| {
            Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.host().is_some() && url.query().is_none())
        });
        ContentConfig { cdn_base_url }
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.read(name, SECRET_FORM, |text| is_secret(text).then(|| SecretString::from(text.to_owned())))
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.faults.is_empty() { Ok(value) } else { Err(ConfigError(self.faults)) }
    }
}
