//! Clients that are slow, greedy or many: what each may hold, and for how long.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aws_protocol::ApiError;
use core_step::{Call, CredentialError, Credentials, Demand, Identity, Registry, View};
use plane_engine::{Engine, Options};
use plane_gateway::{Gateway, Limits, Parts, Serving};
use plane_journal::{EmbeddedJournal, EmbeddedOptions};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(30);

/// An installation without accounts.
struct Nobody;

impl Identity for Nobody {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, _: &[Demand]) -> Result<(), ApiError> {
        Err(ApiError::access_denied("nobody may do anything"))
    }
}

struct Served {
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    serving: Option<Serving>,
    engine: Engine,
    _dir: tempfile::TempDir,
}

fn serve(limits: Limits) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let journal = EmbeddedJournal::open(EmbeddedOptions::new(dir.path())).unwrap();
    let registry = Registry::new(&[], Box::new(Nobody));
    let engine = Engine::start(registry, Box::new(journal), Options::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serving = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Gateway::new(engine.clone(), Parts { limits, ..Parts::default() });
        Serving::start(gateway, listener, None).unwrap()
    });
    Served { address: serving.address, runtime, serving: Some(serving), engine, _dir: dir }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            self.runtime.block_on(serving.stop());
        }
        self.engine.stop();
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// All that comes until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8(all).unwrap()
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// One answer of `/healthz` on a connection that stays open.
fn ask(stream: &mut TcpStream) {
    stream.write_all(HEALTH).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok\n") {
        let mut piece = [0; 512];
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..n]);
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let limits = Limits { head_time: Duration::from_millis(50), ..Limits::default() };
    let served = serve(limits);
    assert_eq!(rest(served.connect()), "");
}

#[test]
fn half_a_head_is_waited_for_so_long_and_no_longer() {
    let limits = Limits { head_time: Duration::from_millis(50), ..Limits::default() };
    let served = serve(limits);
    let mut stream = served.connect();
    stream.write_all(&HEALTH[..20]).unwrap();
    assert_eq!(rest(stream), "");
    // Each request of a connection has its own time.
    let mut stream = served.connect();
    ask(&mut stream);
    ask(&mut stream);
    stream.write_all(&HEALTH[..20]).unwrap();
    assert_eq!(rest(stream), "");
}

#[test]
fn half_a_body_is_answered_with_a_timeout() {
    let limits = Limits { body_time: Duration::from_millis(50), ..Limits::default() };
    let served = serve(limits);
    let mut stream = served.connect();
    ask(&mut stream);
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf";
    stream.write_all(head).unwrap();
    let told = rest(stream);
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(told.contains("RequestTimeout") && told.contains("x-amzn-requestid: "), "{told}");
}

#[test]
fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let served = serve(Limits { body: 1000, ..Limits::default() });
    let mut stream = served.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n").unwrap();
    let told = rest(stream);
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");

    let mut stream = served.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
    stream.write_all(chunk.as_bytes()).unwrap();
    stream.write_all(chunk.as_bytes()).unwrap();
    let mut first = [0; 13];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 413 ");
}

#[test]
fn more_clients_than_places_wait_their_turn() {
    let served = serve(Limits { connections: 1, ..Limits::default() });
    let mut first = served.connect();
    ask(&mut first);
    let mut second = served.connect();
    second.write_all(HEALTH).unwrap();
    (0..20).for_each(|_| ask(&mut first));
    second.set_nonblocking(true).unwrap();
    assert_eq!(second.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();
    drop(first);
    let mut start = [0; 15];
    second.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let served = serve(Limits::default());
    let mut stream = served.connect();
    let unknown = b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(&[HEALTH, HEALTH, unknown].concat()).unwrap();
    let told = rest(stream);
    let starts: Vec<&str> =
        told.match_indices("HTTP/1.1 ").map(|(at, _)| &told[at + 9..at + 12]).collect();
    assert_eq!(starts[..2], ["200", "200"]);
    assert!(starts[2].starts_with('4'), "{told}");
}
