//! kill -9 at random moments, over and over on one folder, while many connections write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::world::client::{Client, Failure};
use crate::world::ledger::Ledger;
use crate::world::server::{Server, Setup};
use crate::world::{Chance, rounds, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

/// Writers at work on a server until `end` ends it; the number of answers they got.
fn write_until(
    ledger: &Ledger,
    server: &mut Server,
    writers: usize,
    end: impl FnOnce(&mut Server),
) -> usize {
    let stop = AtomicBool::new(false);
    let address = server.address();
    std::thread::scope(|scope| {
        let work = |writer: usize| {
            let (stop, mut client) = (&stop, Client::new(address));
            // Half of them race for the numbers of one family.
            let family =
                if writer.is_multiple_of(2) { "shared".into() } else { format!("own-{writer}") };
            scope.spawn(move || ledger.write(&mut client, &family, stop))
        };
        let running: Vec<_> = (0..writers).map(work).collect();
        end(server);
        stop.store(true, Ordering::Relaxed);
        running.into_iter().map(|writer| writer.join().unwrap()).sum()
    })
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::on(folder.path());
    let (mut chance, ledger) = (Chance::new(), Ledger::default());
    let mut answered = 0;
    let mut starts = Vec::new();
    for _ in 0..rounds(16, 100) {
        let asked = Instant::now();
        let mut server = setup.start();
        starts.push(asked.elapsed());
        let (before, few) = (ledger.acknowledged(), chance.below(8) as usize);
        let moment = Duration::from_micros(chance.below(150_000));
        answered += write_until(&ledger, &mut server, 12, |server| {
            // Some die over their first writes, some later.
            wait_for("some writes are acknowledged", Duration::from_secs(30), || {
                (ledger.acknowledged() >= before + few).then_some(())
            });
            std::thread::park_timeout(moment);
            server.kill();
        });
    }
    let server = setup.start();
    ledger.check(&mut server.client());
    drop(server);
    let checked = setup.run(&["check"]);
    assert!(checked.status.success(), "{checked:?}");
    starts.sort();
    println!(
        "{} writes acknowledged, {answered} answers, slowest start {:?}",
        ledger.acknowledged(),
        starts.last().unwrap()
    );
}

/// Snapshots are written all the time: some of the kills come in the middle of one.
#[test]
fn a_snapshot_may_be_killed_at_any_moment() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::on(folder.path()).with("--snapshot-after", "4096");
    let (mut chance, ledger) = (Chance::new(), Ledger::default());
    for _ in 0..rounds(10, 80) {
        let mut server = setup.start();
        let moment = Duration::from_micros(chance.below(30_000));
        write_until(&ledger, &mut server, 6, |server| {
            let mut client = server.client();
            wait_for("a snapshot is installed", Duration::from_secs(30), || {
                (client.figure("wharf_snapshots_total")? > 0).then_some(())
            });
            std::thread::park_timeout(moment);
            server.kill();
        });
    }
    let server = setup.start();
    ledger.check(&mut server.client());
    drop(server);
    let checked = setup.run(&["check"]);
    assert!(checked.status.success(), "{checked:?}");
}

/// Killed while it recovers, again and again: recovery itself must bear it.
#[test]
fn a_start_may_be_killed_at_any_moment() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::on(folder.path());
    let (mut chance, ledger) = (Chance::new(), Ledger::default());
    for _ in 0..rounds(4, 20) {
        let mut server = setup.start();
        write_until(&ledger, &mut server, 4, |server| {
            let goal = ledger.acknowledged() + 20;
            wait_for("writes are acknowledged", Duration::from_secs(30), || {
                (ledger.acknowledged() >= goal).then_some(())
            });
            server.kill();
        });
        for _ in 0..4 {
            let mut starting = setup.launch();
            std::thread::park_timeout(Duration::from_micros(chance.below(80_000)));
            starting.kill();
        }
    }
    let server = setup.start();
    ledger.check(&mut server.client());
}

/// SIGTERM under load: every answer that was given holds, and nobody is left without one for long.
#[test]
fn a_stop_under_load_answers_everybody() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::on(folder.path());
    let ledger = Ledger::default();
    for _ in 0..rounds(3, 20) {
        let mut server = setup.start();
        let goal = ledger.acknowledged() + 50;
        write_until(&ledger, &mut server, 12, |server| {
            wait_for("writes are acknowledged", Duration::from_secs(30), || {
                (ledger.acknowledged() >= goal).then_some(())
            });
            // Requests are running, idle connections are open: it waits for neither.
            let status = server.stop();
            assert!(status.success(), "{status}: {}", server.told());
        });
    }
    let server = setup.start();
    ledger.check(&mut server.client());
}

/// Stopped by the kernel for a while (a suspended machine, a debugger) it just goes on.
#[test]
fn a_server_that_was_frozen_goes_on() {
    let folder = TempDir::new().unwrap();
    let ledger = Ledger::default();
    let mut server = Setup::on(folder.path()).start();
    write_until(&ledger, &mut server, 4, |server| {
        wait_for("writes are acknowledged", Duration::from_secs(30), || {
            (ledger.acknowledged() >= 20).then_some(())
        });
        server.signal(Signal::STOP);
        let mut impatient = server.client();
        impatient.timeout = Duration::from_millis(500);
        let asked = ledger.create_cluster(&mut impatient);
        assert!(matches!(asked, Err(Failure::Lost(_))), "{asked:?}");
        let before = ledger.acknowledged();
        server.signal(Signal::CONT);
        wait_for("it writes again", Duration::from_secs(30), || {
            (ledger.acknowledged() >= before + 20).then_some(())
        });
    });
    ledger.check(&mut server.client());
}
