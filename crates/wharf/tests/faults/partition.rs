//! Servers that are cut off from etcd while others are not: packets vanish, connections stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::client::{Client, Failure};
use crate::world::etcd::{Etcd, etcd};
use crate::world::ledger::{Ledger, found};
use crate::world::proxy::Proxy;
use crate::world::server::{Server, Setup};
use crate::world::{PATIENCE, rounds, wait_for};

/// Two servers, each with a wire of its own to etcd.
struct Pair {
    servers: [Server; 2],
    wires: [Proxy; 2],
    _folders: [TempDir; 2],
}

impl Pair {
    fn start(etcd: &Etcd) -> Pair {
        let wires = [Proxy::to(etcd.port(0)), Proxy::to(etcd.port(0))];
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let start = |n: usize| {
            let url = Etcd::url_of(&[wires[n].port()]);
            let setup = Setup::on(folders[n].path());
            setup.with("--state", &url).with("--leader-timeout", "3").start()
        };
        Pair { servers: [start(0), start(1)], wires, _folders: folders }
    }

    fn leader(&self) -> usize {
        wait_for("one of them leads", PATIENCE, || (0..2).find(|n| self.servers[*n].leads()))
    }
}

/// A read that began after `name` was acknowledged sees it, or fails in words.
fn never_stale(server: &Server, name: &str) {
    let mut client = server.client();
    match found(&mut client, name) {
        Ok(found) => assert!(found, "{name} was acknowledged before this read began"),
        Err(failure) => assert!(failure.is_retryable(), "{failure:?}"),
    }
}

/// Writes at one server only, whatever it says; each answer must come within `limit`.
fn insist(ledger: &Ledger, client: Client, limit: Duration, stop: &AtomicBool) {
    let mut client = client;
    client.timeout = limit;
    while !stop.load(Ordering::Relaxed) {
        match ledger.create_cluster(&mut client) {
            Ok(_) => {}
            Err(refused @ Failure::Refused { .. }) => {
                assert!(refused.is_retryable(), "{refused:?}");
            }
            Err(Failure::Lost(error)) => panic!("no answer within {limit:?}: {error}"),
        }
    }
}

#[test]
fn a_leader_that_is_cut_off_stops_and_follows_later() {
    let Some(etcd) = etcd(1) else { return };
    let pair = Pair::start(&etcd);
    let ledger = Ledger::default();
    for _ in 0..rounds(2, 8) {
        let old = pair.leader();
        let (cut_off, other) = (&pair.servers[old], &pair.servers[1 - old]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                // The lease's time, and what a follower may take to find out that it is alone.
                let limit = Duration::from_secs(15);
                let (ledger, client, stop) = (&ledger, cut_off.client(), &stop);
                scope.spawn(move || insist(ledger, client, limit, stop));
            }
            let goal = ledger.acknowledged() + 20;
            wait_for("writes are acknowledged", PATIENCE, || {
                (ledger.acknowledged() >= goal).then_some(())
            });
            pair.wires[old].cut();
            wait_for("the other leads", PATIENCE, || other.leads().then_some(()));
            assert!(!cut_off.leads(), "two lead at once");
            let name = ledger.create_cluster(&mut other.client()).unwrap();
            never_stale(cut_off, &name);
            never_stale(other, &name);
            let (healthy, _) = cut_off.client().get("/healthz").unwrap();
            assert_eq!(healthy, 200);
            pair.wires[old].heal();
            wait_for("the old one follows", PATIENCE, || cut_off.follows().then_some(()));
            wait_for("it passes writes on", PATIENCE, || {
                ledger.create_cluster(&mut cut_off.client()).ok()
            });
            stop.store(true, Ordering::Relaxed);
        });
        pair.servers.iter().for_each(|server| ledger.check(&mut server.client()));
    }
}

#[test]
fn a_follower_that_is_cut_off_says_so_and_catches_up() {
    let Some(etcd) = etcd(1) else { return };
    let pair = Pair::start(&etcd);
    let ledger = Ledger::default();
    let leader = pair.leader();
    let (leads, follows) = (&pair.servers[leader], &pair.servers[1 - leader]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (ledger, stop, mut client) = (&ledger, &stop, leads.client());
        scope.spawn(move || ledger.write(&mut client, "shared", stop));
        pair.wires[1 - leader].cut();
        // No failure of a follower holds the leader up.
        let goal = ledger.acknowledged() + 100;
        wait_for("writes go on", PATIENCE, || (ledger.acknowledged() >= goal).then_some(()));
        for _ in 0..3 {
            let name = ledger.create_cluster(&mut leads.client()).unwrap();
            never_stale(follows, &name);
        }
        assert!(leads.leads());
        pair.wires[1 - leader].heal();
        let name = ledger.create_cluster(&mut leads.client()).unwrap();
        wait_for("the follower has caught up", PATIENCE, || {
            found(&mut follows.client(), &name).is_ok_and(|found| found).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
    pair.servers.iter().for_each(|server| ledger.check(&mut server.client()));
}
