//! Requests that the plane itself sends: to the leader, and from the command line to a server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_protocol::event_stream;
use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::reply::ReplyBody;

#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the CA certificate {path} cannot be used: {reason}")]
    Ca { path: String, reason: String },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{to} cannot be reached: {reason}")]
    Unreachable { to: String, reason: String },
    #[error("{to} did not answer within {} s", after.as_secs())]
    Late { to: String, after: Duration },
    #[error("the answer of {to} broke off: {reason}")]
    Broken { to: String, reason: String },
}

/// What an answer may weigh: more than any reply of ours.
const ANSWER: usize = 256 << 20;

/// A client that keeps connections.
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
}

impl Outbound {
    /// `ca`: whom to trust in place of the system's store.
    pub fn new(ca: Option<&Path>, patience: Duration) -> Result<Outbound, OutboundError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = ca {
            let bad =
                |reason: String| OutboundError::Ca { path: path.display().to_string(), reason };
            let all = CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))?;
            for cert in all {
                let cert = cert.map_err(|e| bad(e.to_string()))?;
                roots.add(cert).map_err(|e| bad(e.to_string()))?;
            }
        }
        // Read only where it may be needed: the system's store takes a megabyte.
        if ca.is_none() {
            for cert in rustls_native_certs::load_native_certs().certs {
                // One odd certificate in the system's store is not our concern.
                let _ = roots.add(cert);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(3)));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Outbound { client, patience })
    }

    /// Dial a websocket. What is said on it, beginning with masks and frames, is the caller's matter.
    pub async fn websocket(&self, uri: Uri) -> Result<crate::Stream, OutboundError> {
        let to = origin(&uri);
        let broken = |reason: String| OutboundError::Broken { to: to.clone(), reason };
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| broken(error.to_string()))?;
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let request = Request::get(uri)
            .header(http::header::CONNECTION, "Upgrade")
            .header(http::header::UPGRADE, "websocket")
            .header(http::header::SEC_WEBSOCKET_VERSION, "13")
            .header(http::header::SEC_WEBSOCKET_KEY, key)
            .body(Bytes::new())
            .map_err(|error| broken(error.to_string()))?;
        let mut answer = self.open(request).await?;
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(broken(format!("no websocket, but {}", answer.status())));
        }
        let upgraded = hyper::upgrade::on(&mut answer).await;
        Ok(TokioIo::new(upgraded.map_err(|error| broken(error.to_string()))?))
    }

    /// Send a request to upgrade; the answer's head is all that is waited for.
    pub(crate) async fn open(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, OutboundError> {
        let to = origin(request.uri());
        self.in_time(&to, self.ask(&to, request)).await
    }

    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let to = origin(request.uri());
        self.in_time(&to, async { whole(&to, self.ask(&to, request).await?).await }).await
    }

    /// Like `send`, but a stream of events is handed on as it comes.
    pub(crate) async fn pass(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<ReplyBody>, OutboundError> {
        let to = origin(request.uri());
        let passing = async {
            let answer = self.ask(&to, request).await?;
            let kind = answer.headers().get(http::header::CONTENT_TYPE);
            match kind.is_some_and(|kind| kind == event_stream::CONTENT_TYPE) {
                true => Ok(answer.map(ReplyBody::flowing)),
                false => Ok(whole(&to, answer).await?.map(ReplyBody::from)),
            }
        };
        self.in_time(&to, passing).await
    }

    async fn ask(
        &self,
        to: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, OutboundError> {
        let answer = self.client.request(request.map(Full::new)).await;
        answer.map_err(|e| OutboundError::Unreachable { to: to.to_owned(), reason: chain(&e) })
    }

    async fn in_time<T>(
        &self,
        to: &str,
        asking: impl Future<Output = Result<T, OutboundError>>,
    ) -> Result<T, OutboundError> {
        let after = self.patience;
        match tokio::time::timeout(after, asking).await {
            Ok(done) => done,
            Err(_) => Err(OutboundError::Late { to: to.to_owned(), after }),
        }
    }
}

async fn whole(to: &str, answer: Response<Incoming>) -> Result<Response<Bytes>, OutboundError> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER).collect().await;
    let body =
        body.map_err(|e| OutboundError::Broken { to: to.to_owned(), reason: e.to_string() })?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    format!("{}://{authority}", uri.scheme_str().unwrap_or("http"))
}

/// An error with all its causes: the outermost alone says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
