//! One request over a connection of its own, and its whole answer: for the few that are made once in
//! a while. A stream of calls keeps its connections (`api`, `cloud`).

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;

use super::connect::{ConnectError, Connector, PATIENCE};

/// None of these answers is nearly as large.
const LARGEST_ANSWER: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the connection to {to} broke off: {reason}")]
    Broken { to: String, reason: String },
}

/// Sends a request whose URI is the whole URL; gives status and body.
pub async fn exchange(
    connector: &Connector,
    request: Request<Bytes>,
) -> Result<(u16, Bytes), HttpError> {
    let to = request.uri().to_string();
    let late = || ConnectError::Late { to: to.clone() };
    let answer = tokio::time::timeout(PATIENCE, send(connector, request, &to)).await;
    answer.map_err(|_| late())?
}

async fn send(
    connector: &Connector,
    request: Request<Bytes>,
    to: &str,
) -> Result<(u16, Bytes), HttpError> {
    let broken = |reason: String| HttpError::Broken { to: to.to_owned(), reason };
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = HeaderValue::from_str(authority).map_err(|error| broken(error.to_string()))?;
    let stream = connector.dial(&parts.uri).await?;
    // To a server, and not to a proxy, a request names the path alone.
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|error: http::uri::InvalidUri| broken(error.to_string()))?;
    parts.headers.insert(header::HOST, host);
    let made = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = made.map_err(|error| broken(error.to_string()))?;
    let connection = tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let answer = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    connection.abort();
    Ok((status, body.map_err(|error| broken(error.to_string()))?.to_bytes()))
}
