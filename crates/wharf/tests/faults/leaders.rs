//! Several servers on one etcd: leaders killed and frozen, etcd killed and started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::world::client::Failure;
use crate::world::etcd::{Etcd, etcd};
use crate::world::ledger::{Ledger, found};
use crate::world::server::{Server, Setup};
use crate::world::{PATIENCE, rounds, wait_for};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

/// Servers that share a state, each with a folder of its own.
struct Team {
    setups: Vec<Setup>,
    servers: Vec<Option<Server>>,
    _folder: TempDir,
}

impl Team {
    fn start(etcd: &Etcd, size: usize) -> Team {
        let folder = TempDir::new().unwrap();
        let setup = |n: usize| {
            Setup::on(&folder.path().join(n.to_string()))
                .with("--state", &etcd.url())
                .with("--leader-timeout", "3")
                // So often that leadership is lost in the middle of a snapshot as well.
                .with("--snapshot-after", "16384")
        };
        let setups: Vec<Setup> = (0..size).map(setup).collect();
        let servers = setups.iter().map(|setup| Some(setup.start())).collect();
        Team { setups, servers, _folder: folder }
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    fn server(&self, n: usize) -> &Server {
        self.servers[n].as_ref().unwrap()
    }

    /// Which of these leads, as it says itself.
    fn leader(&self, among: &[usize]) -> usize {
        wait_for("one of them leads", PATIENCE, || {
            let leads = |n: &&usize| self.servers[**n].as_ref().is_some_and(Server::leads);
            among.iter().find(leads).copied()
        })
    }

    /// Writers go on all the while, at whichever server answers; `work` is done meanwhile.
    fn under_load(&mut self, ledger: &Ledger, work: impl FnOnce(&mut Team)) {
        let stop = AtomicBool::new(false);
        // A server that is started again has another port: the list is what may change.
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let (stop, addresses) = (&stop, ledger.addresses());
                scope.spawn(move || ledger.write_anywhere(writer, &addresses, stop));
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
            stop.store(true, Ordering::Relaxed);
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn tell_addresses(&self, ledger: &Ledger) {
        ledger.set_addresses(self.running().map(Server::address).collect());
    }

    /// Every server knows everything, as soon as it is asked.
    fn check(&self, ledger: &Ledger) {
        self.running().for_each(|server| ledger.check(&mut server.client()));
    }
}

/// Some more writes are acknowledged.
fn progress(ledger: &Ledger) {
    let goal = ledger.acknowledged() + 20;
    wait_for("writes are acknowledged", PATIENCE, || (ledger.acknowledged() >= goal).then_some(()));
}

#[test]
fn another_leads_when_the_leader_is_killed() {
    let Some(etcd) = etcd(1) else { return };
    let mut team = Team::start(&etcd, 3);
    let ledger = Ledger::default();
    for _ in 0..rounds(2, 10) {
        team.tell_addresses(&ledger);
        let leader = team.leader(&[0, 1, 2]);
        team.under_load(&ledger, |team| {
            progress(&ledger);
            team.servers[leader].as_mut().unwrap().kill();
            team.servers[leader] = None;
            let others: Vec<usize> = (0..3).filter(|n| *n != leader).collect();
            team.leader(&others);
            progress(&ledger);
        });
        team.check(&ledger);
        team.servers[leader] = Some(team.setups[leader].start());
    }
    team.check(&ledger);
    let told = |server: &Server| server.client().figure("wharf_snapshots_total");
    assert!(team.running().filter_map(told).sum::<u64>() > 0, "no snapshot was written");
    let checked = team.setups[0].run(&["check", "--state", &etcd.url()]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_leader_that_was_frozen_is_fenced_and_tells_nothing_stale() {
    let Some(etcd) = etcd(1) else { return };
    let team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    let old = team.leader(&[0, 1]);
    let new = 1 - old;
    ledger.create_cluster(&mut team.server(old).client()).unwrap();
    team.server(old).signal(Signal::STOP);
    team.leader(&[new]);
    let name = ledger.create_cluster(&mut team.server(new).client()).unwrap();
    // Both wait in the frozen server's sockets, and are the first things that it sees.
    let (reads, writes) = std::thread::scope(|scope| {
        let asked = || {
            let (mut reader, mut writer) = (team.server(old).client(), team.server(old).client());
            let (ledger, name) = (&ledger, &name);
            (
                scope.spawn(move || found(&mut reader, name)),
                scope.spawn(move || ledger.create_cluster(&mut writer)),
            )
        };
        let asked: Vec<_> = (0..8).map(|_| asked()).collect();
        team.server(old).wait_for_bytes(16);
        team.server(old).signal(Signal::CONT);
        let (reads, writes): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let reads: Vec<_> = reads.into_iter().map(|read| read.join().unwrap()).collect();
        let writes: Vec<_> = writes.into_iter().map(|write| write.join().unwrap()).collect();
        (reads, writes)
    });
    for read in reads {
        match read {
            Ok(found) => assert!(found, "a read that began after a write did not see it"),
            Err(failure) => assert!(failure.is_retryable(), "{failure:?}"),
        }
    }
    for write in writes {
        // Acknowledged ones were passed on to the new leader: the check below finds them.
        assert!(
            write.as_ref().is_ok() || write.as_ref().is_err_and(Failure::is_retryable),
            "{write:?}"
        );
    }
    wait_for("the old leader follows", PATIENCE, || team.server(old).follows().then_some(()));
    team.check(&ledger);
    assert!(team.server(new).leads());
}

/// A write that was passed on to a leader which then fell silent is answered when that leader is
/// deposed, not when patience with its connection ends.
#[test]
fn a_frozen_leader_leaves_nobody_waiting() {
    let Some(etcd) = etcd(1) else { return };
    let team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    let old = team.leader(&[0, 1]);
    let mut client = team.server(1 - old).client();
    ledger.create_cluster(&mut client).unwrap();
    team.server(old).signal(Signal::STOP);
    // The lease's three seconds, and time to spare on a busy machine.
    client.timeout = Duration::from_secs(20);
    let asked = ledger.create_cluster(&mut client);
    assert!(
        asked.as_ref().is_ok() || asked.as_ref().is_err_and(Failure::is_retryable),
        "{asked:?}"
    );
    wait_for("the other takes it", PATIENCE, || ledger.create_cluster(&mut client).ok());
    team.server(old).signal(Signal::CONT);
    wait_for("the old leader follows", PATIENCE, || team.server(old).follows().then_some(()));
    team.check(&ledger);
}

#[test]
fn etcd_may_be_killed_and_come_back() {
    let Some(mut etcd) = etcd(1) else { return };
    let mut team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    for _ in 0..rounds(2, 8) {
        team.tell_addresses(&ledger);
        team.under_load(&ledger, |team| {
            progress(&ledger);
            etcd.kill(0);
            wait_for("writes are refused", PATIENCE, || {
                let mut client = team.server(0).client();
                let failure = ledger.create_cluster(&mut client).err()?;
                assert!(failure.is_retryable(), "{failure:?}");
                Some(())
            });
            let (status, _) = team.server(0).client().get("/healthz").unwrap();
            assert_eq!(status, 200);
            etcd.restart(0);
            team.leader(&[0, 1]);
            progress(&ledger);
        });
    }
    team.check(&ledger);
}

#[test]
fn etcd_may_lose_its_own_leader() {
    let Some(mut etcd) = etcd(3) else { return };
    let mut team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    for _ in 0..rounds(2, 8) {
        team.tell_addresses(&ledger);
        let killed = etcd.leader();
        team.under_load(&ledger, |team| {
            progress(&ledger);
            etcd.kill(killed);
            // The two that are left elect; a write that was on its way is asked for again.
            etcd.leader();
            team.leader(&[0, 1]);
            progress(&ledger);
        });
        etcd.restart(killed);
    }
    team.check(&ledger);
}

/// With etcd gone there is nothing to hand over, and nothing to wait for.
#[test]
fn a_server_stops_without_etcd_too() {
    let Some(mut etcd) = etcd(1) else { return };
    let mut team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    team.tell_addresses(&ledger);
    team.under_load(&ledger, |team| {
        progress(&ledger);
        etcd.kill(0);
        for server in team.servers.iter_mut().flatten() {
            let asked = Instant::now();
            let status = server.stop();
            assert!(status.success(), "{status}: {}", server.told());
            // A write may be on its way for the lease's time; its client then still gets an answer.
            println!("stopped in {:?}", asked.elapsed());
        }
    });
    etcd.restart(0);
    team.servers = team.setups.iter().map(|setup| Some(setup.start())).collect();
    team.check(&ledger);
}

/// A stop is no failure: the next one leads at once, not when a lease has run out.
#[test]
fn a_leader_that_is_stopped_hands_over() {
    let Some(etcd) = etcd(1) else { return };
    let mut team = Team::start(&etcd, 2);
    let ledger = Ledger::default();
    team.tell_addresses(&ledger);
    let leader = team.leader(&[0, 1]);
    team.under_load(&ledger, |team| {
        progress(&ledger);
        let mut server = team.servers[leader].take().unwrap();
        let status = server.stop();
        assert!(status.success(), "{status}: {}", server.told());
        team.leader(&[1 - leader]);
        progress(&ledger);
    });
    team.check(&ledger);
    let answer = team.server(1 - leader).client().ecs("ListClusters", &json!({}));
    assert!(answer.is_ok(), "{answer:?}");
}
