//! HTTPS by our own certificate, or by a proxy's.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use uuid::Uuid;

use crate::support::{Answer, Config, RawConnection, TestServer};

/// A certificate for `localhost`, in files as an operator has them.
struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("ar-supervisor-tls-{}", Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), cert.pem()).expect("written");
        std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).expect("written");
        Self { folder, der: cert.der().clone() }
    }

    fn config(&self) -> Config {
        let text = |name: &str| self.folder.join(name).to_str().expect("text").to_owned();
        Config::of("TLS_CERT_FILE", text("cert.pem")).and("TLS_KEY_FILE", text("key.pem"))
    }

    /// GET over TLS by a client that trusts this certificate and no other.
    async fn get(&self, t: &TestServer, name: &'static str, path: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = Arc::new(versions.with_root_certificates(roots).with_no_client_auth());
        let stream = TcpStream::connect(t.address).await?;
        let mut stream = TlsConnector::from(config).connect(ServerName::try_from(name).expect("a name"), stream).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).expect("removed");
    }
}

#[tokio::test]
async fn the_service_speaks_tls_and_sends_others_there() {
    let certificate = Certificate::make();
    let t = TestServer::start_with(certificate.config()).await;
    let answer = certificate.get(&t, "localhost", "/api/v1/regions").await.expect("answers");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security: max-age=31536000\r\n"), "{answer}");
    // Reading in the clear is redirected; a secret is refused, so that nobody goes on sending it.
    let plain = t.get("/api/v1/regions?limit=1").await;
    let expected = format!("https://{}/api/v1/regions?limit=1", t.address);
    assert_eq!((plain.status, plain.header("location")), (308, Some(expected.as_str())));
    assert_eq!(plain.header("strict-transport-security"), None);
    Answer::of(t.request(Method::GET, "/api/v1/users").bearer_auth("x")).await.problem(403, "https_required");
    t.post("/api/v1/auth/login", serde_json::json!({})).await.problem(403, "https_required");
    // Orchestrators have no certificate.
    t.get("/health/live").await.ok();
    assert!(certificate.get(&t, "another.example.com", "/health/live").await.is_err(), "the certificate is for localhost");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_what_was_encrypted() {
    let config = Config::of("REQUIRE_HTTPS", "true").and("TRUSTED_PROXIES", "127.0.0.1");
    let t = TestServer::start_with(config).await;
    let ask = async |protocol: &str| Answer::of(t.request(Method::GET, "/api/v1/regions").header("x-forwarded-proto", protocol)).await;
    assert_eq!(ask("https").await.ok().header("strict-transport-security"), Some("max-age=31536000"));
    assert_eq!(ask("http").await.status, 308);
    assert_eq!(ask("https, http").await.status, 308, "what the proxy itself says stands last");
    let open = TestServer::start_with(Config::of("REQUIRE_HTTPS", "true")).await;
    let spoofed = Answer::of(open.request(Method::GET, "/api/v1/regions").header("x-forwarded-proto", "https")).await;
    assert_eq!(spoofed.status, 308, "anybody can write that");
}

#[tokio::test]
async fn a_strange_host_is_not_redirected_to() {
    let t = TestServer::start_with(Config::of("REQUIRE_HTTPS", "true")).await;
    for host in ["evil.example.com/x?", "a b", "x\\@evil.com"] {
        let mut connection = RawConnection::open(t.address).await;
        connection.send(&format!("GET /api/v1/regions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        let answer = connection.read_to_end().await.to_ascii_lowercase();
        assert!(!answer.contains("location: https://evil.example.com/x?"), "{answer}");
        assert!(answer.starts_with("http/1.1 4") || answer.starts_with("http/1.1 3"), "{answer}");
    }
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_is_let_go() {
    let certificate = Certificate::make();
    let limits = ar_supervisor::http::ConnectionLimits { header_timeout: std::time::Duration::from_millis(500), ..Default::default() };
    let t = TestServer::start_with(Config { limits, ..certificate.config() }).await;
    for bytes in ["", "\u{16}", "\u{16}\u{3}\u{1}nonsense", "GET / HTTP/1.1\r\n"] {
        let mut connection = RawConnection::open(t.address).await;
        connection.send(bytes).await;
        connection.read_to_end().await;
    }
    assert!(certificate.get(&t, "localhost", "/health/live").await.expect("answers").starts_with("HTTP/1.1 200"));
}
