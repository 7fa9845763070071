//! Two doors over HTTP/1.1: one for containers, one for the operator of the host.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::pace::{Buckets, Pace};
use crate::reply::{Reply, not_found, says};
use crate::{Host, credentials, introspection, metadata, protection};

/// Connections held at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// AWS: reading a request and writing its reply may take this long each.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_BODY: usize = 16 * 1024;

/// Who is answered, and what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Door {
    Containers(Pace),
    Operator,
}

/// Serve until the listener fails or the future is dropped.
pub async fn serve(listener: TcpListener, host: Arc<dyn Host>, door: Door) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let pace = match door {
        Door::Containers(pace) => pace,
        Door::Operator => Pace::default(),
    };
    let buckets = Arc::new(Mutex::new(Buckets::new(pace)));
    let started = Instant::now();
    loop {
        let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer is gone already: neither is the listener's end.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (host, buckets) = (host.clone(), buckets.clone());
        let answers = service_fn(move |request| {
            let (host, buckets) = (host.clone(), buckets.clone());
            async move {
                let from = address.ip().to_canonical();
                let admitted = buckets
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .admit(from, started.elapsed());
                Ok::<_, Infallible>(match admitted {
                    true => answer(&*host, door, from, request).await,
                    false => too_fast(),
                })
            }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answers);
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended badly: {error}");
            }
            drop(place);
        });
    }
}

fn too_fast() -> Reply {
    says(StatusCode::TOO_MANY_REQUESTS, "You have reached maximum request limit.")
}

async fn answer(host: &dyn Host, door: Door, from: IpAddr, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let reading = Limited::new(body, LARGEST_BODY).collect();
    let body = match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return says(StatusCode::PAYLOAD_TOO_LARGE, "the body cannot be read"),
        Err(_) => return says(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    let Some(path) = segments(head.uri.path()) else { return not_found() };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = pairs(head.uri.query().unwrap_or_default());
    if door == Door::Operator {
        return introspection::answer(host, &path, &query).await;
    }
    match &path[..] {
        ["api", id, "task-protection", "v1", "state"] => {
            protection::answer(host, from, &head.method, id, &body).await
        }
        _ if head.method != Method::GET => not_found(),
        ["v1", "credentials"] => {
            let id = query.get("id").map_or("", String::as_str);
            credentials::answer(host, from, 1, id)
        }
        ["v2", "credentials"] => credentials::answer(host, from, 2, ""),
        ["v2", "credentials", id] => credentials::answer(host, from, 2, id),
        path => metadata::answer(host, from, path).await,
    }
}

/// The path's parts, decoded; a slash at the end means nothing. None for what is no text.
fn segments(path: &str) -> Option<Vec<String>> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned())).collect()
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}
