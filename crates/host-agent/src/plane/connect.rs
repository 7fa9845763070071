//! Connections to the control plane: plain or TLS, for requests and for sockets alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// AWS: dialling and the handshake may take this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0} is no URL that can be dialled")]
    Url(String),
    #[error("{to} cannot be reached: {source}")]
    Unreachable { to: String, source: std::io::Error },
    #[error("{to} did not answer within {} s", PATIENCE.as_secs())]
    Late { to: String },
    #[error("the CA certificate {path} cannot be used: {reason}")]
    Ca { path: String, reason: String },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How the control plane is dialled. TLS is set up when it is first needed: the system's store of
/// certificates takes a megabyte.
pub struct Connector {
    ca: Option<std::path::PathBuf>,
    tls: std::sync::OnceLock<TlsConnector>,
}

impl Connector {
    pub fn new(ca: Option<&Path>) -> Connector {
        Connector { ca: ca.map(Path::to_owned), tls: std::sync::OnceLock::new() }
    }

    pub async fn dial(&self, uri: &Uri) -> Result<Box<dyn Stream>, ConnectError> {
        let to = uri.to_string();
        let late = ConnectError::Late { to: to.clone() };
        tokio::time::timeout(PATIENCE, self.connect(uri, to)).await.unwrap_or(Err(late))
    }

    async fn connect(&self, uri: &Uri, to: String) -> Result<Box<dyn Stream>, ConnectError> {
        let secure = matches!(uri.scheme_str(), Some("https" | "wss"));
        let host = uri.host().ok_or_else(|| ConnectError::Url(to.clone()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let failed = |source| ConnectError::Unreachable { to: to.clone(), source };
        let tcp = TcpStream::connect((host, port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        if !secure {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| ConnectError::Url(to.clone()))?;
        let tls = self.tls()?.connect(name, tcp).await.map_err(failed)?;
        Ok(Box::new(tls))
    }

    fn tls(&self) -> Result<TlsConnector, ConnectError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                let bad =
                    |reason: String| ConnectError::Ca { path: path.display().to_string(), reason };
                let all = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
                for cert in all {
                    let cert = cert.map_err(|e| bad(e.to_string()))?;
                    roots.add(cert).map_err(|e| bad(e.to_string()))?;
                }
            }
            None => {
                for cert in rustls_native_certs::load_native_certs().certs {
                    // One odd certificate in the system's store is not our concern.
                    let _ = roots.add(cert);
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
    }
}
