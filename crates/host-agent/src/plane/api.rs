//! Calls of the ECS API: JSON 1.1, signed. A call goes over a connection of its own or over the one
//! that the last call left open.

use std::sync::Arc;
use std::time::Duration;

use aws_sigv4::{SignBody, Signer, Style};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::Mutex;

use super::connect::{ConnectError, Connector, PATIENCE};
use super::credentials::{Chain, Credentials, CredentialsError};

/// An answer of the ECS API is far smaller.
const LARGEST_ANSWER: usize = 4 << 20;
/// Connections that are kept.
const KEPT: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{code}: {message}")]
    Refused { status: u16, code: String, message: String },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the connection to {to} broke off: {reason}")]
    Broken { to: String, reason: String },
}

impl CallError {
    /// AWS's name of the error, where the plane gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            CallError::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may be answered otherwise later.
    pub fn passes(&self) -> bool {
        match self {
            CallError::Refused { status, code, .. } => {
                // AWS: keys are rotated under a running agent; it waits for working ones.
                *status >= 500
                    || matches!(
                        code.as_str(),
                        "ThrottlingException"
                            | "ServerException"
                            | "LimitExceededException"
                            | "ExpiredTokenException"
                            | "InvalidSignatureException"
                            | "UnrecognizedClientException"
                    )
            }
            _ => true,
        }
    }
}

pub struct Api {
    endpoint: Uri,
    region: String,
    chain: Chain,
    pub connector: Arc<Connector>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    user_agent: HeaderValue,
}

/// AWS: the agent names itself so.
pub fn user_agent() -> String {
    format!("Amazon ECS Agent - v{} ({}) (linux; LINUX)", crate::VERSION, crate::HASH)
}

impl Api {
    pub fn new(
        endpoint: &str,
        region: &str,
        chain: Chain,
        connector: Arc<Connector>,
    ) -> Result<Api, ConnectError> {
        let bad = || ConnectError::Url(endpoint.to_owned());
        Ok(Api {
            endpoint: endpoint.parse().map_err(|_| bad())?,
            region: region.to_owned(),
            chain,
            connector,
            idle: Mutex::default(),
            user_agent: HeaderValue::from_str(&user_agent()).map_err(|_| bad())?,
        })
    }

    pub fn credentials(&self) -> Result<Credentials, CredentialsError> {
        self.chain.current()
    }

    /// A session that was fetched for this host.
    pub fn lend(&self, credentials: Credentials) {
        self.chain.lend(credentials);
    }

    pub fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Calls an operation; what is absent in `input` is left out.
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        let credentials = self.credentials()?;
        self.call_as(&credentials, operation, input).await
    }

    pub async fn call_as(
        &self,
        credentials: &Credentials,
        operation: &str,
        input: &Value,
    ) -> Result<Value, CallError> {
        let body = Bytes::from(input.to_string());
        let mut headers = HeaderMap::new();
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let text = |text: &str| HeaderValue::from_str(text).map_err(|e| self.broken(e));
        headers.insert("x-amz-target", text(&target)?);
        headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        headers.insert("user-agent", self.user_agent.clone());
        sign(&self.endpoint, "POST", &self.region, credentials, &mut headers, &body)
            .map_err(|e| self.broken(e))?;
        let answer = tokio::time::timeout(PATIENCE, self.send(headers, body)).await;
        let late = || ConnectError::Late { to: self.endpoint.to_string() };
        let (status, body) = answer.map_err(|_| late())??;
        let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            return Ok(json);
        }
        let code = json["__type"].as_str().unwrap_or("UnknownError");
        let message = json["message"].as_str().or(json["Message"].as_str()).unwrap_or_default();
        Err(CallError::Refused {
            status,
            code: code.rsplit('#').next().unwrap_or(code).to_owned(),
            message: message.to_owned(),
        })
    }

    fn broken(&self, error: impl std::fmt::Display) -> CallError {
        CallError::Broken { to: self.endpoint.to_string(), reason: error.to_string() }
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> Result<(u16, Bytes), CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers;
        // A kept connection may have been closed by the other side just now: then a new one is tried.
        while let Some(mut kept) = { self.idle.lock().await.pop() } {
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(request).await {
                Ok(answer) => return self.finish(kept, answer).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.broken(error.into_error())),
                },
            }
        }
        let stream = self.connector.dial(&self.endpoint).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.broken(e))?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let answer = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        self.finish(sender, answer).await
    }

    async fn finish(
        &self,
        sender: SendRequest<Full<Bytes>>,
        answer: http::Response<hyper::body::Incoming>,
    ) -> Result<(u16, Bytes), CallError> {
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|e| self.broken(e))?.to_bytes();
        let mut idle = self.idle.lock().await;
        if idle.len() < KEPT {
            idle.push(sender);
        }
        Ok((status, body))
    }
}

/// Signs in the headers, `Host` included, for service `ecs`.
pub fn sign(
    uri: &Uri,
    method: &str,
    region: &str,
    credentials: &Credentials,
    headers: &mut HeaderMap,
    body: &[u8],
) -> Result<(), aws_sigv4::SignError> {
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    let host = HeaderValue::from_str(authority);
    headers.insert("host", host.map_err(|_| aws_sigv4::SignError::NoHost)?);
    let signer = Signer {
        access_key: &credentials.access_key,
        secret: &credentials.secret,
        token: credentials.token.as_deref(),
        region,
        service: "ecs",
        style: Style::General,
        now: crate::clock::wall().seconds(),
    };
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    signer.sign(method, path, uri.query().unwrap_or_default(), headers, SignBody::Bytes(body))?;
    Ok(())
}

/// Growing waits with jitter, between two bounds.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    factor: f64,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, last: Duration, factor: f64) -> Backoff {
        Backoff { first, last, factor, next: first }
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// AWS: the jitter is up to a fifth on top.
    pub fn wait(&mut self) -> Duration {
        let base = self.next;
        self.next = base.mul_f64(self.factor).min(self.last);
        base + base.mul_f64(0.2 * chance())
    }
}

/// A number from 0 to 1.
pub fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all agents come at once, which is the lesser evil.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
