//! Clients that behave badly: halves of requests, connections by the thousand that say nothing,
//! replies that nobody reads. The others do not notice, and nothing stays behind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::world::PATIENCE;
use crate::world::client::Client;
use crate::world::ledger::Ledger;
use crate::world::server::{Server, Setup};
use crate::world::wait_for;

/// What the gateway takes at most.
const PLACES: usize = 4096;

struct Scene {
    server: Server,
    ledger: Ledger,
    /// A well-behaved client with a connection of its own from the beginning.
    good: Client,
    files: usize,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let folder = TempDir::new().unwrap();
        let server = Setup::on(folder.path()).start();
        let (ledger, mut good) = (Ledger::default(), server.client());
        for _ in 0..100 {
            ledger.create_cluster(&mut good).unwrap();
        }
        let files = server.open_files();
        Scene { server, ledger, good, files, _folder: folder }
    }

    /// Both kinds of connection, old and new, write and read as if nobody else were there: within a
    /// client's patience.
    fn others_do_not_notice(&mut self) {
        for _ in 0..10 {
            self.ledger.create_cluster(&mut self.good).unwrap();
            self.ledger.register(&mut self.server.client(), "family").unwrap();
        }
    }

    fn nothing_stays_behind(mut self) {
        wait_for("its files are closed", PATIENCE, || {
            // One may be opened for a segment meanwhile, never more.
            (self.server.open_files() <= self.files + 1).then_some(())
        });
        self.ledger.check(&mut self.good);
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

#[test]
fn halves_of_requests_hold_nobody_up() {
    let mut scene = Scene::new();
    let whole = scene.good.request("CreateCluster", r#"{"clusterName":"half"}"#);
    let head = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let halves: Vec<TcpStream> = (0..400)
        .map(|n| {
            let mut stream = connect(scene.server.address());
            let end = [0, 1, head / 2, head - 1, head, head + 5, whole.len() - 1][n % 7];
            stream.write_all(&whole[..end]).unwrap();
            stream
        })
        .collect();
    scene.others_do_not_notice();
    // Half of them end politely, half are gone without a word.
    let (politely, abruptly): (Vec<_>, Vec<_>) =
        halves.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
    drop(abruptly);
    for (_, stream) in &politely {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    for (_, mut stream) in politely {
        let mut told = Vec::new();
        // An answer or none, but an end.
        let ended = stream.read_to_end(&mut told);
        assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock));
    }
    // `check` would find it: nobody made a cluster of that name.
    scene.nothing_stays_behind();
}

#[test]
fn replies_that_nobody_reads_are_dropped() {
    let mut scene = Scene::new();
    let list = scene.good.request("ListClusters", "{}");
    let before = scene.server.resident();
    // A reply has begun: whoever closes now, with bytes unread, resets the connection.
    for _ in 0..200 {
        let mut stream = connect(scene.server.address());
        stream.write_all(&list).unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    // Others send request after request and take no reply at all.
    let deaf: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = connect(scene.server.address());
            stream.set_nonblocking(true).unwrap();
            while stream.write(&list).is_ok_and(|written| written == list.len()) {}
            stream
        })
        .collect();
    scene.others_do_not_notice();
    let grown = scene.server.resident().saturating_sub(before);
    assert!(grown < 100 << 10, "{grown} KiB more for 50 clients that do not listen");
    drop(deaf);
    scene.nothing_stays_behind();
}

#[test]
fn idle_connections_by_the_thousand_cost_a_place_each_and_no_more() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    if limit.maximum.is_some_and(|most| most < 2 * PLACES as u64) {
        println!("skipped: this user may open only {:?} files", limit.maximum);
        return;
    }
    let mut scene = Scene::new();
    let address = scene.server.address();
    let mut idle: Vec<TcpStream> = (0..PLACES - 100).map(|_| connect(address)).collect();
    scene.others_do_not_notice();
    // Now every place is taken: whoever has one goes on, whoever comes waits.
    let open = |scene: &mut Scene| scene.good.figure("wharf_open_connections").unwrap() as usize;
    wait_for("only the idle and the good one are left", PATIENCE, || {
        (open(&mut scene) == idle.len() + 1).then_some(())
    });
    idle.extend((idle.len() + 1..PLACES).map(|_| connect(address)));
    wait_for("all are accepted", PATIENCE, || (open(&mut scene) == PLACES).then_some(()));
    scene.ledger.create_cluster(&mut scene.good).unwrap();
    let mut late = scene.server.client();
    late.timeout = Duration::from_millis(300);
    assert!(scene.ledger.create_cluster(&mut late).is_err(), "there was no place");
    late.timeout = PATIENCE;
    idle.truncate(PLACES / 2);
    scene.ledger.create_cluster(&mut late).unwrap();
    scene.others_do_not_notice();
    drop((idle, late));
    scene.nothing_stays_behind();
}
