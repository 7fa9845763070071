//! The server's certificate: from files that may be replaced while the server runs, or handed in.
//!
//! Certificates are renewed more often than servers are restarted, so a connection asks at most
//! once a second whether the files have changed. A pair that does not load leaves the old one in
//! use: it is likely half written.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} holds no {kind} in PEM form")]
    Pem { what: String, kind: &'static str },
    #[error("the certificate and its key do not work: {0}")]
    Unusable(#[from] rustls::Error),
}

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate in use.
pub struct Tls {
    current: ArcSwap<ServerConfig>,
    files: Option<Files>,
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
    seen: Mutex<(Instant, Stamp)>,
}

/// What changes when a file is replaced or written.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// A certificate chain and its key from PEM files, which are read again when they change.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Arc<Tls>, TlsError> {
        let stamp = stamp(cert, key);
        let config = load(cert, key)?;
        let (cert, key) = (cert.to_owned(), key.to_owned());
        let files = Files { cert, key, seen: Mutex::new((Instant::now(), stamp)) };
        Ok(Arc::new(Tls { current: ArcSwap::new(config), files: Some(files) }))
    }

    /// A certificate chain and its key as PEM text.
    pub fn from_pem(cert: &str, key: &str) -> Result<Arc<Tls>, TlsError> {
        let config = config(cert.as_bytes(), "the certificate", key.as_bytes(), "the key")?;
        Ok(Arc::new(Tls { current: ArcSwap::new(config), files: None }))
    }

    /// New connections get this certificate from now on.
    pub fn replace(&self, cert: &str, key: &str) -> Result<(), TlsError> {
        let config = config(cert.as_bytes(), "the certificate", key.as_bytes(), "the key")?;
        self.current.store(config);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        if let Some(files) = &self.files
            && files.changed()
        {
            match load(&files.cert, &files.key) {
                Ok(config) => {
                    self.current.store(config);
                    tracing::info!(cert = %files.cert.display(), "a new certificate is in use");
                }
                Err(error) => tracing::warn!("the old certificate stays in use: {error}"),
            }
        }
        TlsAcceptor::from(self.current.load_full())
    }
}

impl Files {
    fn changed(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0.elapsed() < LOOK_EVERY {
            return false;
        }
        let now = stamp(&self.cert, &self.key);
        let changed = now != seen.1;
        *seen = (Instant::now(), now);
        changed
    }
}

fn stamp(cert: &Path, key: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    [cert, key].map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        // A file put in another's place has another inode, whatever its time says.
        Some((meta.modified().ok()?, meta.ino() ^ meta.len().rotate_left(32)))
    })
}

fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
    };
    let (cert_name, key_name) = (cert.display().to_string(), key.display().to_string());
    config(&read(cert)?, &cert_name, &read(key)?, &key_name)
}

fn config(
    cert: &[u8],
    cert_name: &str,
    key: &[u8],
    key_name: &str,
) -> Result<Arc<ServerConfig>, TlsError> {
    let bad = |what: &str, kind| TlsError::Pem { what: what.to_owned(), kind };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|_| bad(cert_name, "certificate"))?;
    if chain.is_empty() {
        return Err(bad(cert_name, "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad(key_name, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
