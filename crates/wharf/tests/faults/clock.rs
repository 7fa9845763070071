//! The system's clock jumps ahead and back under load, and is back at the next start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tempfile::TempDir;

use crate::world::client::{Client, Failure};
use crate::world::ledger::Ledger;
use crate::world::server::{Server, Setup};
use crate::world::{PATIENCE, has, wait_for};

/// A clock that a process reads in place of the system's, moved by writing a file.
struct Clock {
    file: PathBuf,
    ahead: AtomicI64,
}

impl Clock {
    fn set(&self, seconds: i64) {
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(fresh, &self.file).unwrap();
        self.ahead.store(seconds, Ordering::SeqCst);
    }
}

fn library() -> Option<String> {
    if !has("faketime", "faketime") {
        return None;
    }
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let path = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    folders.map(path).find(|path| path.exists()).map(|path| path.display().to_string())
}

/// Writes with signatures of the server's time, whatever that is, until told to stop.
fn write(ledger: &Ledger, client: Client, clock: &Clock, family: &str, stop: &AtomicBool) {
    let mut client = client;
    while !stop.load(Ordering::Relaxed) {
        client.ahead = clock.ahead.load(Ordering::SeqCst);
        let done = ledger.create_cluster(&mut client).map(drop);
        match done.and_then(|()| ledger.register(&mut client, family).map(drop)) {
            Ok(()) => {}
            // The clock jumped between signing and judging.
            Err(Failure::Refused { code, .. }) if code.contains("Signature") => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn start(folder: &Path, library: &str, clock: &Clock) -> Server {
    Setup::on(folder)
        .environment("LD_PRELOAD", library)
        .environment("FAKETIME_TIMESTAMP_FILE", clock.file.to_str().unwrap())
        .environment("FAKETIME_NO_CACHE", "1")
        // A step of the system's clock leaves the monotonic one alone.
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start()
}

#[test]
fn jumps_of_the_clock_lose_nothing_and_turn_no_time_back() {
    let Some(library) = library() else { return };
    let folder = TempDir::new().unwrap();
    let clock = Clock { file: folder.path().join("clock"), ahead: AtomicI64::new(0) };
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    clock.set(0);
    let mut server = start(&data, &library, &clock);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (ledger, client, clock, stop) = (&ledger, server.client(), &clock, &stop);
            let family = format!("family-{}", writer % 2);
            scope.spawn(move || write(ledger, client, clock, &family, stop));
        }
        for ahead in [0, 7200, -7200, 7200, 0, -86_400] {
            clock.set(ahead);
            let goal = ledger.acknowledged() + 40;
            wait_for("writes go on", PATIENCE, || (ledger.acknowledged() >= goal).then_some(()));
            let (status, _) = server.client().get("/healthz").unwrap();
            assert_eq!(status, 200);
        }
        stop.store(true, Ordering::Relaxed);
    });
    server.kill();
    // A day back, after times two hours ahead were written.
    let mut server = start(&data, &library, &clock);
    let mut client = server.client();
    client.ahead = -86_400;
    ledger.check(&mut client);
    // The ledger compares its time with all before it.
    ledger.register(&mut client, "family-0").unwrap();
    server.kill();
    clock.set(0);
    let server = start(&data, &library, &clock);
    ledger.check(&mut server.client());
    ledger.register(&mut server.client(), "family-0").unwrap();
}
