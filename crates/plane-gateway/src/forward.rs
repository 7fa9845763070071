//! Followers pass writes on to the leader: body, path and signed headers unaltered, so that the
//! caller's signature still holds there.
//!
//! The leader must know the true caller's address (policies may ask for it), but must not believe
//! everyone who names one. So the header that tells it is sealed with a secret that all servers of
//! one state share, over the request's own signature. A request that carries the header, sealed
//! well or not, is never passed on again: two servers that take each other for the leader would
//! send it back and forth.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_protocol::ApiError;
use bytes::Bytes;
use core_state::State;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use plane_engine::{Engine, LeaderInfo};
use sha2::Sha256;
use tokio::sync::watch;

use crate::outbound::{Outbound, OutboundError};
use crate::phases::Peer;
use crate::reply::ReplyBody;
use crate::socket::{Conversation, SocketRefused};

const FORWARDED: HeaderName = HeaderName::from_static("x-wharf-forwarded");

/// How long the leader may take. Well below the 60 s that clients of AWS wait, so that the caller of
/// a server that is cut off from the leader and from etcd alike is told, and may turn to another.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the leader's refusal of a socket may weigh.
const REFUSAL: usize = 64 << 10;

/// Headers that belong to one hop.
const OF_THE_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// The way to the leader.
pub struct Forward {
    /// A secret that every server of this state finds in it.
    pub secret: fn(&State) -> Option<&[u8]>,
    /// The CA to trust, where other servers' certificates are not the system's matter.
    pub ca: Option<PathBuf>,
    /// Made at the first request that needs it.
    client: OnceLock<Outbound>,
    /// Who leads, as one task looks; for the tunnels, of which there may be thousands.
    leader: OnceLock<watch::Receiver<Option<LeaderInfo>>>,
    complained: Mutex<Option<Instant>>,
}

impl Forward {
    pub fn new(secret: fn(&State) -> Option<&[u8]>, ca: Option<PathBuf>) -> Forward {
        Forward {
            secret,
            ca,
            client: OnceLock::new(),
            leader: OnceLock::new(),
            complained: Mutex::default(),
        }
    }

    fn client(&self) -> Result<&Outbound, OutboundError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Outbound::new(self.ca.as_deref(), PATIENCE)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Let the leader answer.
    pub async fn send(
        &self,
        engine: &Engine,
        parts: &Parts,
        body: &Bytes,
        peer: Peer,
    ) -> Result<Response<ReplyBody>, ApiError> {
        if parts.headers.contains_key(FORWARDED) {
            return Err(no_leader());
        }
        let leader = engine.leader().ok_or_else(no_leader)?;
        let request = self.request(engine, &leader.address, parts, body, peer)?;
        let answer = match self.client() {
            Ok(client) => tokio::select! {
                answer = client.pass(request) => answer,
                () = deposed(engine, &leader) => {
                    // Whether it was written nobody knows; the caller's retry will find out.
                    return Err(no_leader());
                }
            },
            Err(error) => Err(error),
        };
        let mut answer = answer.map_err(|error| {
            self.complain(&error);
            ApiError::service_unavailable("The leader of the control plane cannot be reached.")
        })?;
        OF_THE_HOP.iter().for_each(|name| drop(answer.headers_mut().remove(name)));
        answer.headers_mut().remove(header::DATE);
        Ok(answer)
    }

    /// Thousands of writes a second may fail until another leads: the log is told once a second.
    fn complain(&self, error: &OutboundError) {
        let mut told = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            *told = Some(Instant::now());
            tracing::warn!("writes cannot be passed on: {error}");
        }
    }

    /// Carry a websocket to the leader, byte by byte, for as long as it leads. The agent's signature
    /// holds there, and the answer is the leader's own.
    pub(crate) async fn tunnel(
        &self,
        engine: &Engine,
        parts: &Parts,
        peer: Peer,
    ) -> Result<(Response<Bytes>, Option<Conversation>), SocketRefused> {
        let away = |text: &str| {
            SocketRefused::new(StatusCode::SERVICE_UNAVAILABLE, "ServerException", text)
        };
        let nobody = || away("No server leads the control plane at the moment.");
        let leader = engine.leader().filter(|_| !parts.headers.contains_key(FORWARDED));
        let leader = leader.ok_or_else(nobody)?;
        let request = self.request(engine, &leader.address, parts, &Bytes::new(), peer);
        let mut request = request.map_err(|_| nobody())?;
        let upgrade = HeaderValue::from_static("upgrade");
        request.headers_mut().insert(header::CONNECTION, upgrade);
        let websocket = HeaderValue::from_static("websocket");
        request.headers_mut().insert(header::UPGRADE, websocket);
        let unreachable = |error: OutboundError| {
            tracing::warn!("a socket could not be passed on: {error}");
            away("The leader of the control plane cannot be reached.")
        };
        let client = self.client().map_err(unreachable)?;
        let mut answer = client.open(request).await.map_err(unreachable)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (mut head, body) = answer.into_parts();
            OF_THE_HOP.iter().for_each(|name| drop(head.headers.remove(name)));
            let body = Limited::new(body, REFUSAL).collect().await;
            let body = body.map_err(|_| away("The leader's answer broke off."))?.to_bytes();
            return Ok((Response::from_parts(head, body), None));
        }
        let there = hyper::upgrade::on(&mut answer);
        let mut leads = self.leader(engine);
        let tunnel: Conversation = Box::new(move |mut here| {
            Box::pin(async move {
                let Ok(there) = there.await else { return };
                let mut there = TokioIo::new(there);
                let copied = tokio::io::copy_bidirectional(&mut here, &mut there);
                // A leader that fell silent leaves its sockets open: the agent must dial anew.
                tokio::select! {
                    _ = copied => {}
                    _ = leads.wait_for(|now| now.as_ref() != Some(&leader)) => {}
                }
            })
        });
        Ok((answer.map(|_| Bytes::new()), Some(tunnel)))
    }

    /// Who leads, looked at by one task for all tunnels.
    fn leader(&self, engine: &Engine) -> watch::Receiver<Option<LeaderInfo>> {
        let look = || {
            let (tell, told) = watch::channel(engine.leader());
            let engine = engine.clone();
            tokio::spawn(async move {
                while !tell.is_closed() {
                    tokio::time::sleep(LOOK).await;
                    let leader = engine.leader();
                    tell.send_if_modified(|known| {
                        let new = *known != leader;
                        known.clone_from(&leader);
                        new
                    });
                }
            });
            told
        };
        self.leader.get_or_init(look).clone()
    }

    fn request(
        &self,
        engine: &Engine,
        leader: &str,
        parts: &Parts,
        body: &Bytes,
        peer: Peer,
    ) -> Result<Request<Bytes>, ApiError> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{}{path}", leader.trim_end_matches('/')).parse().map_err(|_| {
            tracing::error!(leader, "the leader's address is no URL");
            no_leader()
        })?;
        let mut request = Request::new(body.clone());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = parts.headers.clone();
        OF_THE_HOP.iter().for_each(|name| drop(headers.remove(name)));
        // HTTP/2 has the signed host in the URI; the leader is asked in HTTP/1.1.
        if let (false, Some(authority)) =
            (headers.contains_key(header::HOST), parts.uri.authority())
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            headers.insert(header::HOST, host);
        }
        let view = engine.view();
        let seal = seal((self.secret)(&view.state), parts, peer);
        headers.insert(FORWARDED, seal);
        Ok(request)
    }

    /// The caller's own peer, if the request came through a server of ours.
    pub fn true_peer(&self, state: &State, parts: &Parts) -> Option<Peer> {
        let told = parts.headers.get(FORWARDED)?.to_str().ok()?;
        let (text, tag) = told.rsplit_once(';')?;
        let tag = hex::decode(tag).ok()?;
        mac((self.secret)(state)?, text, parts).verify_slice(&tag).ok()?;
        let (scheme, ip) = text.split_once(';')?;
        let ip: Option<IpAddr> = ip.parse().ok();
        let address = ip.map(|ip| SocketAddr::new(ip, 0));
        Some(Peer { address, secure: scheme == "https" })
    }
}

/// How often a request that waits for the leader looks whether it still is the leader.
const LOOK: Duration = Duration::from_millis(250);

/// Until another leads, or nobody. A leader that fell silent (a frozen machine, a cut network) keeps
/// its connections open, so nothing else would tell before our patience ends.
async fn deposed(engine: &Engine, leader: &LeaderInfo) {
    while engine.leader().as_ref() == Some(leader) {
        tokio::time::sleep(LOOK).await;
    }
}

fn seal(secret: Option<&[u8]>, parts: &Parts, peer: Peer) -> HeaderValue {
    let scheme = if peer.secure { "https" } else { "http" };
    let ip = peer.address.map(|address| address.ip().to_canonical().to_string());
    let text = format!("{scheme};{}", ip.unwrap_or_default());
    let Some(secret) = secret else { return HeaderValue::from_static("unsealed") };
    let tag = hex::encode(mac(secret, &text, parts).finalize().into_bytes());
    HeaderValue::from_str(&format!("{text};{tag}")).expect("addresses and hex digits are ASCII")
}

fn mac(secret: &[u8], text: &str, parts: &Parts) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(b"wharf-forwarded\n");
    mac.update(text.as_bytes());
    mac.update(b"\n");
    // Bound to this request: the header is of no use with another one.
    if let Some(signature) = parts.headers.get(header::AUTHORIZATION) {
        mac.update(signature.as_bytes());
    }
    mac.update(b"\n");
    mac.update(parts.uri.query().unwrap_or_default().as_bytes());
    mac
}

fn no_leader() -> ApiError {
    ApiError::service_unavailable(
        "No server leads the control plane at the moment; reads go on, writes may be retried.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(authorization: &'static str) -> Parts {
        Request::builder().header("authorization", authorization).body(()).unwrap().into_parts().0
    }

    fn peer() -> Peer {
        Peer { address: Some("10.1.2.3:4".parse().unwrap()), secure: true }
    }

    fn opened(secret: fn(&State) -> Option<&[u8]>, sealed: HeaderValue, to: Parts) -> Option<Peer> {
        let mut to = to;
        to.headers.insert(FORWARDED, sealed);
        let state = core_state::SchemaBuilder::default().build();
        Forward::new(secret, None).true_peer(&state, &to)
    }

    #[test]
    fn a_sealed_peer_is_believed_and_no_other() {
        let sealed = seal(Some(b"shared"), &parts("one"), peer());
        let told = opened(|_| Some(b"shared"), sealed.clone(), parts("one")).unwrap();
        assert_eq!(told.address.unwrap().ip(), peer().address.unwrap().ip());
        assert!(told.secure);
        assert!(opened(|_| Some(b"shared"), sealed.clone(), parts("two")).is_none());
        assert!(opened(|_| Some(b"other"), sealed.clone(), parts("one")).is_none());
        assert!(opened(|_| None, sealed, parts("one")).is_none());
        for forged in ["unsealed", "https;1.2.3.4;", "https;1.2.3.4;00", ";;", "", "x;y;zz"] {
            let forged = HeaderValue::from_static(forged);
            assert!(opened(|_| Some(b"shared"), forged, parts("one")).is_none());
        }
    }

    proptest! {
        #[test]
        fn nobody_guesses_a_seal(text in "[ -~]{0,80}", tail in "[0-9a-f]{0,70}") {
            let forged = format!("{text};{tail}");
            let Ok(forged) = HeaderValue::from_str(&forged) else { return Ok(()) };
            prop_assert!(opened(|_| Some(b"shared"), forged, parts("one")).is_none());
        }
    }
}
