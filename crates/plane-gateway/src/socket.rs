//! Websockets on the ports that serve everything else: agents' connections and exec sessions.
//!
//! A request to upgrade passes the same gate as any other: it is found by its path, passed on to the
//! leader, and its signature is verified over an empty body. Only then is the connection handed over. What
//! is said on it is not the gateway's matter.
//!
//! AWS: an agent reads a refusal as `{"<exception>": "<text>"}`; that is what one gets here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_protocol::{ApiError, Protocol};
use base64::Engine as _;
use bytes::Bytes;
use core_step::{Call, Origin, View};
use core_types::Time;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use plane_engine::{Engine, Role};
use sha1::{Digest, Sha1};
use tokio::sync::Semaphore;

use crate::phases::{Gateway, Incoming, Peer, clock, origin, sigv4_request};
use crate::request_id;

/// The connection after its upgrade.
pub type Stream = TokioIo<Upgraded>;

/// Who may dial a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Whoever signs for this service.
    Signed(&'static str),
    /// Anyone: the first frame tells who it is.
    Open,
}

/// A request to open a socket, let in by its gate.
pub struct Opening<'a> {
    pub engine: &'a Engine,
    pub parts: &'a Parts,
    pub origin: Arc<Origin>,
    /// The caller by its signature, where the gate asks for one.
    pub call: Option<Call>,
}

/// Carries a socket on until it ends.
pub type Conversation = Box<dyn FnOnce(Stream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Why a socket is not opened: an exception's name and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRefused {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
}

impl SocketRefused {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        SocketRefused { status, code: code.to_owned(), message: message.into() }
    }

    fn response(&self) -> Response<Bytes> {
        let escaped = |text: &str| {
            let quote = |c: char| match c {
                '"' | '\\' => format!("\\{c}"),
                c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            };
            text.chars().map(quote).collect::<String>()
        };
        let body = format!("{{\"{}\":\"{}\"}}", escaped(&self.code), escaped(&self.message));
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Whoever carries on the conversations.
pub trait Sockets: Send + Sync {
    /// The gate of a path that is upgraded here.
    fn gate(&self, path: &str) -> Option<Gate>;

    /// Lets a socket in, or refuses it while the answer can still say why.
    fn open(&self, opening: Opening<'_>) -> Result<Conversation, SocketRefused>;
}

/// The sockets that a gateway serves, and how many it may at once.
pub(crate) struct Door {
    pub sockets: Arc<dyn Sockets>,
    pub places: Arc<Semaphore>,
}

impl Door {
    /// The gate that a request asks for, if it is one to upgrade.
    pub fn gate<B>(&self, request: &http::Request<B>) -> Option<Gate> {
        let asks = is_upgrade(request.method(), request.headers());
        if asks { self.sockets.gate(request.uri().path()) } else { None }
    }
}

impl Gateway {
    /// Open a websocket: here if this server leads, else there, by a tunnel.
    pub(crate) async fn open_socket<B>(
        &self,
        door: &Door,
        gate: Gate,
        mut request: http::Request<B>,
        peer: Peer,
    ) -> Response<Bytes> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let opened = match door.places.clone().try_acquire_owned() {
            Ok(place) => self.find_conversation(door, gate, &parts, peer).await.map(|o| (o, place)),
            Err(_) => Err(away("This server has as many sockets as it may.")),
        };
        match opened {
            Ok(((response, Some(conversation)), place)) => {
                carry_on(upgrade, conversation, place);
                response
            }
            Ok(((response, None), _)) => response,
            Err(refused) => {
                let path = parts.uri.path();
                tracing::debug!(path, code = refused.code, "a socket was refused");
                refused.response()
            }
        }
    }

    async fn find_conversation(
        &self,
        door: &Door,
        gate: Gate,
        parts: &Parts,
        peer: Peer,
    ) -> Result<(Response<Bytes>, Option<Conversation>), SocketRefused> {
        if self.engine.role() == Role::Follower {
            let forward = self.forward.as_ref();
            let forward = forward.ok_or_else(|| away("This server does not lead."))?;
            return forward.tunnel(&self.engine, parts, peer).await;
        }
        let published = self.engine.view();
        let clock = clock();
        let view = View::new(&published.state, Time(clock.as_millis() as i64));
        let true_peer = self.forward.as_ref().and_then(|f| f.true_peer(&view, parts));
        let origin = Arc::new(origin(parts, true_peer.unwrap_or(peer)));
        let call = match gate {
            Gate::Open => None,
            Gate::Signed(name) => {
                let (signature, id) = (sigv4_request(parts), request_id::next());
                let body = &Bytes::new();
                let incoming = Incoming { parts, body, signature, peer, id: &id };
                let protocol = Protocol::AwsJson11;
                let known = self.authenticate(&incoming, &view, clock, name, protocol)?;
                let (caller, region) = (known.caller, known.region);
                Some(Call { caller, region, request_id: id, origin: origin.clone() })
            }
        };
        let response = agreed(&parts.headers)?;
        let opening = Opening { engine: &self.engine, parts, origin, call };
        Ok((response, Some(door.sockets.open(opening)?)))
    }
}

/// The control plane is not to be had here and now.
fn away(text: &str) -> SocketRefused {
    SocketRefused::new(StatusCode::SERVICE_UNAVAILABLE, "ServerException", text)
}

impl From<ApiError> for SocketRefused {
    fn from(error: ApiError) -> Self {
        let protocol = Protocol::AwsJson11;
        let status = StatusCode::from_u16(error.status_in(protocol));
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        SocketRefused::new(status, error.code_in(protocol), &*error.message)
    }
}

/// Whether a request asks for a websocket.
fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    let names = |name: HeaderName, word: &str| {
        let values = headers.get_all(name);
        let mut words = values.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        words.any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    *method == Method::GET
        && names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
}

/// The answer that agrees to the upgrade.
fn agreed(headers: &HeaderMap) -> Result<Response<Bytes>, SocketRefused> {
    let bad =
        |text: &str| Err(SocketRefused::new(StatusCode::BAD_REQUEST, "BadRequestException", text));
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return bad("The websocket must be of version 13.");
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() <= 64) else {
        return bad("The websocket has no key.");
    };
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    // RFC 6455, 1.3: this text, so that only who knows of websockets can answer.
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = base64::engine::general_purpose::STANDARD.encode(hash.finalize());
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept).expect("base64 is ASCII");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Carry the conversation on once the answer is sent. `place` is given back when it ends.
fn carry_on(
    upgrade: OnUpgrade,
    conversation: Conversation,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => conversation(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!("a socket broke off before it was open: {error}"),
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_rfc_6455s_own_example() {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        let answer = agreed(&headers).unwrap();
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.remove(header::SEC_WEBSOCKET_VERSION);
        assert_eq!(agreed(&headers).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn only_a_get_that_asks_for_a_websocket_is_an_upgrade() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(!is_upgrade(&Method::GET, &headers));
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(is_upgrade(&Method::GET, &headers));
        assert!(!is_upgrade(&Method::POST, &headers));
    }

    #[test]
    fn a_refusal_is_an_exception_by_its_name() {
        let refused =
            SocketRefused::new(StatusCode::FORBIDDEN, "AccessDeniedException", "no \"you\"\n");
        let response = refused.response();
        assert_eq!(response.status(), 403);
        assert_eq!(&response.body()[..], br#"{"AccessDeniedException":"no \"you\"\u000a"}"#);
    }
}
