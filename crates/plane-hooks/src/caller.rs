//! One call: a POST to an address that was looked at before it is dialled, answered in time and in
//! few bytes. No redirect is followed and no connection kept: each would lead past what was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::targets::Targets;

/// What an answer may weigh.
const ANSWER: usize = 256 << 10;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0} is no http or https URL")]
    Url(String),
    #[error("{host} cannot be found: {source}")]
    Name { host: String, source: io::Error },
    #[error("{host} is at {address}, which may not be called")]
    NotAllowed { host: String, address: IpAddr },
    #[error("{host} cannot be reached: {source}")]
    Unreachable { host: String, source: io::Error },
    #[error("{host} cannot be spoken to: {reason}")]
    Broken { host: String, reason: String },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{host} did not answer within {} seconds", after.as_secs())]
    Late { host: String, after: Duration },
    #[error("{host} answered with HTTP status {status}")]
    Status { host: String, status: StatusCode },
}

impl CallError {
    /// Whether another try may do better.
    pub fn passes(&self) -> bool {
        match self {
            CallError::Url(_) | CallError::NotAllowed { .. } | CallError::Tls(_) => false,
            CallError::Name { .. }
            | CallError::Unreachable { .. }
            | CallError::Broken { .. }
            | CallError::Late { .. } => true,
            CallError::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT
                            | StatusCode::TOO_EARLY
                            | StatusCode::TOO_MANY_REQUESTS
                    )
            }
        }
    }
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub connect: Duration,
    /// For all of a call.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(60) }
    }
}

/// Calls webhooks.
#[derive(Default)]
pub struct Caller {
    pub targets: Targets,
    pub patience: Patience,
    /// The system's roots, read when they are first needed.
    tls: OnceLock<TlsConnector>,
}

impl Caller {
    pub fn new(targets: Targets, patience: Patience) -> Caller {
        Caller { targets, patience, tls: OnceLock::new() }
    }

    /// The body of an answer that says success.
    pub async fn call(&self, url: &str, body: Bytes) -> Result<Bytes, CallError> {
        let bad = || CallError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.host().map(|host| host.trim_matches(['[', ']']).to_owned());
        let host = host.filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let after = self.patience.answer;
        let calling = self.exchange(&uri, &host, secure, body);
        match tokio::time::timeout(after, calling).await {
            Ok(done) => done,
            Err(_) => Err(CallError::Late { host, after }),
        }
    }

    async fn exchange(
        &self,
        uri: &Uri,
        host: &str,
        secure: bool,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = self.dial(host, port).await?;
        if !secure {
            return self.speak(uri, host, tcp, body).await;
        }
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| CallError::Url(uri.to_string()))?;
        let tls = self.tls()?.connect(name, tcp).await;
        let tls = tls.map_err(|source| CallError::Unreachable { host: host.to_owned(), source })?;
        self.speak(uri, host, tls, body).await
    }

    /// The name is looked up once: what was found allowed is what is dialled.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, CallError> {
        let host_of = || host.to_owned();
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found
            .map_err(|source| CallError::Name { host: host_of(), source })?
            .take(ADDRESSES)
            .collect();
        if let Some(bad) = found.iter().find(|address| !self.targets.may_be(address.ip())) {
            return Err(CallError::NotAllowed { host: host_of(), address: bad.ip() });
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in found {
            match tokio::time::timeout(self.patience.connect, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(CallError::Unreachable { host: host_of(), source: last })
    }

    async fn speak<S>(
        &self,
        uri: &Uri,
        host: &str,
        stream: S,
        body: Bytes,
    ) -> Result<Bytes, CallError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let broken = |reason: String| CallError::Broken { host: host.to_owned(), reason };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let connection = tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let request = Request::post(path)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|_| CallError::Url(uri.to_string()))?;
        let answered = async {
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|error| broken(error.to_string()))?;
            let status = answer.status();
            if !status.is_success() {
                return Err(CallError::Status { host: host.to_owned(), status });
            }
            let body = Limited::new(answer.into_body(), ANSWER).collect().await;
            Ok(body.map_err(|error| broken(error.to_string()))?.to_bytes())
        };
        let answered = answered.await;
        connection.abort();
        answered
    }

    fn tls(&self) -> Result<TlsConnector, CallError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let mut roots = RootCertStore::empty();
        for cert in rustls_native_certs::load_native_certs().certs {
            // One odd certificate in the system's store is not our concern.
            let _ = roots.add(cert);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
    }
}
