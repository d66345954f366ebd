//! TLS by rustls, with a certificate that may be renewed on disk while we run.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::TlsFiles;
use crate::lifecycle::Lifecycle;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// When certificate and key were last written.
type ChangedAt = [Option<SystemTime>; 2];

/// Certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("{variable}: {path} cannot be used as PEM: {cause}")]
    File {
        /// The variable that names it.
        variable: &'static str,
        /// Its path.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The two do not belong together, or the key is of no use.
    #[error("TLS_CERT_FILE and TLS_KEY_FILE cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// Accepts TLS connections; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { files: files.clone(), config: Arc::new(RwLock::new(read(files)?)) })
    }

    /// Takes a renewed certificate into use, until the service stops; one that cannot be used is left alone.
    pub async fn keep_fresh(self, lifecycle: Lifecycle) {
        let stopping = lifecycle.stopping();
        let mut seen = self.changed_at();
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.renew(&mut seen);
        }
    }

    /// Reads the files when they changed since they were seen; half-written ones are looked at again next time.
    fn renew(&self, seen: &mut ChangedAt) {
        let now = self.changed_at();
        if now == *seen {
            return;
        }
        match read(&self.files) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!("renewed certificate taken into use");
                *seen = now;
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the renewed certificate cannot be used"),
        }
    }

    fn changed_at(&self) -> ChangedAt {
        [&self.files.certificate, &self.files.key].map(|path| path.metadata().and_then(|meta| meta.modified()).ok())
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the client does not.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> std::io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let file_error = |variable: &'static str, path: &Path| {
        let path = path.display().to_string();
        move |cause: String| TlsError::File { variable, path, cause }
    };
    let certificate_error = file_error("TLS_CERT_FILE", &files.certificate);
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = match chain {
        Ok(chain) if chain.is_empty() => return Err(certificate_error("it holds no certificate".to_owned())),
        Ok(chain) => chain,
        Err(error) => return Err(certificate_error(error.to_string())),
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| file_error("TLS_KEY_FILE", &files.key)(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    fn write_pair(files: &TlsFiles) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&files.certificate, cert.pem()).expect("written");
        std::fs::write(&files.key, signing_key.serialize_pem()).expect("written");
    }

    #[test]
    fn a_renewed_certificate_is_taken_into_use_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        assert!(matches!(Tls::load(&files), Err(TlsError::File { variable: "TLS_CERT_FILE", .. })));
        write_pair(&files);
        let tls = Tls::load(&files).expect("loads");
        let in_use = || Arc::as_ptr(&tls.config.read().unwrap_or_else(PoisonError::into_inner));
        let (first, mut seen) = (in_use(), tls.changed_at());
        tls.renew(&mut seen);
        assert_eq!(in_use(), first, "nothing changed");

        // The certificate of one pair with the key of another: as it is between two writes.
        let old_key = std::fs::read(&files.key).expect("reads");
        write_pair(&files);
        let new_key = std::fs::read(&files.key).expect("reads");
        std::fs::write(&files.key, old_key).expect("written");
        assert!(matches!(Tls::load(&files), Err(TlsError::Pair(_))));
        tls.renew(&mut seen);
        assert_eq!(in_use(), first, "the old one goes on");
        std::fs::write(&files.key, new_key).expect("written");
        tls.renew(&mut seen);
        assert_ne!(in_use(), first, "the new one is in use");
    }
}
