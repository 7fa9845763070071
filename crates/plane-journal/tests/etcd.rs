//! The journal in a real etcd: the common suite, then leaders that die, sleep or are cut off.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plane_journal::{EtcdJournal, Journal, JournalError, Role};
use proptest::prelude::*;
use suite::server::{Etcd, etcd, etcd_with, etcd_with_tls, options};
use suite::{
    CHILD, Child, Model, World, append, append_until_killed, batch, lead, noise, plain,
    plain_model, put, snapshot, start, wait_for,
};

macro_rules! suite {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            if let Some(mut world) = etcd() {
                suite::$name(&mut world);
            }
        }
    )* };
}

suite! {
    an_empty_journal_starts_at_zero_and_terms_rise
    what_was_appended_comes_back
    snapshots_take_the_place_of_the_log
    appends_go_on_while_a_snapshot_is_written
    the_next_snapshot_waits_until_one_is_installed
    a_snapshot_falls_due_as_the_log_grows
    an_unfinished_snapshot_costs_nothing
    large_groups_are_whole
    wrong_orders_of_calls_are_refused
}

/// One etcd for all cases, a prefix for each.
struct Prefixed<'a>(&'a Etcd, usize);

impl World for Prefixed<'_> {
    fn open(&mut self) -> Box<dyn Journal> {
        let url = format!("{}/{}", self.0.url(), self.1);
        Box::new(EtcdJournal::open(options(&url, "only")).unwrap())
    }
}

#[test]
fn lives_like_the_model() {
    let Some(etcd) = etcd() else { return };
    let cases = AtomicUsize::new(0);
    let config = ProptestConfig { cases: 6, failure_persistence: None, ..Default::default() };
    proptest!(config, |(acts in suite::acts())| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        suite::lives_like_the_model(&mut Prefixed(&etcd, case), &acts);
    });
}

fn recovered(etcd: &Etcd, name: &str) -> (EtcdJournal, Model) {
    let mut journal = etcd.journal(name);
    let mut model = Model::default();
    journal.recover(&mut model).unwrap();
    (journal, model)
}

/// Follows until this one leads.
fn take_over(journal: &mut EtcdJournal, model: &mut Model) -> Duration {
    let started = Instant::now();
    wait_for("leadership", || {
        journal.try_lead(model, Duration::from_millis(50)).unwrap().is_some()
    });
    model.check();
    started.elapsed()
}

#[test]
fn a_follower_applies_serves_and_takes_over() {
    let Some(etcd) = etcd() else { return };
    let (mut first, mut model) = recovered(&etcd, "http://first");
    let term = lead(&mut first, &mut model);
    let (mut second, mut copy) = recovered(&etcd, "http://second");
    let reader = second.follower();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 0..20 {
        let from = model.rev + 1;
        let group: Vec<_> = (from..from + round % 3 + 1).map(plain).collect();
        append(&mut first, &mut model, &group);
        let head = tokio.block_on(reader.linearizable_head()).unwrap();
        assert_eq!(head, model.rev, "a read that starts now must see the append");
        wait_for("the follower has reached the head", || {
            assert_eq!(second.try_lead(&mut copy, Duration::from_millis(20)).unwrap(), None);
            copy.rev >= head
        });
        assert_eq!(copy, model);
    }
    let leader = reader.leader().unwrap();
    assert_eq!((leader.address.as_str(), leader.term), ("http://first", term.0));
    assert_eq!((first.follower().role(), reader.role()), (Role::Leader, Role::Follower));
    assert!(matches!(second.append(&[plain(model.rev + 1)]), Err(JournalError::Fenced { .. })));
    first.resign();
    let waited = take_over(&mut second, &mut copy);
    assert!(waited < Duration::from_secs(2), "resigning hands over at once, not in {waited:?}");
    assert!(second.status().term > term.0);
    assert_eq!(reader.leader().unwrap().address, "http://second");
    append(&mut second, &mut copy, &[plain(model.rev + 1)]);
    // The first follows now, from where it was.
    assert_eq!(first.try_lead(&mut model, Duration::from_millis(300)).unwrap(), None);
    assert_eq!(model, copy);
}

#[test]
fn a_killed_leader_loses_nothing_that_it_acknowledged() {
    let name = "a_killed_leader_loses_nothing_that_it_acknowledged";
    if let Ok(url) = std::env::var(CHILD) {
        let journal = EtcdJournal::open(options(&url, "child")).unwrap();
        return append_until_killed(Box::new(journal));
    }
    let Some(etcd) = etcd() else { return };
    let (mut journal, mut model) = recovered(&etcd, "heir");
    for round in 1..4u64 {
        let mut child = Child::start(name, &etcd.url());
        child.next("leads").unwrap();
        wait_for("some appends", || child.acked().unwrap() > round * 150);
        let acked = child.kill();
        let waited = take_over(&mut journal, &mut model);
        assert!(model.rev >= acked, "{acked} was acknowledged, {} is there", model.rev);
        assert_eq!(model, plain_model(model.rev));
        assert!(waited < Duration::from_secs(12), "{waited:?}");
        let next = model.rev + 1;
        append(&mut journal, &mut model, &[plain(next)]);
        journal.resign();
    }
}

#[test]
fn a_stopped_leader_is_fenced_when_it_wakes() {
    let name = "a_stopped_leader_is_fenced_when_it_wakes";
    if let Ok(url) = std::env::var(CHILD) {
        let journal = EtcdJournal::open(options(&url, "child")).unwrap();
        return append_until_killed(Box::new(journal));
    }
    let Some(etcd) = etcd() else { return };
    let mut child = Child::start(name, &etcd.url());
    wait_for("some appends", || child.acked().unwrap() > 40);
    suite::signal(child.pid(), "-STOP");
    let (mut journal, mut model) = recovered(&etcd, "heir");
    take_over(&mut journal, &mut model);
    let taken_at = model.rev;
    append(&mut journal, &mut model, &[batch(taken_at + 1, vec![put("mine", "k", "v")])]);
    suite::signal(child.pid(), "-CONT");
    let mut acked = 0;
    let refused = loop {
        let line = child.next("").expect("it says why it ended");
        if let Some((_, rev)) = line.split_once("acked ") {
            acked = rev.parse().unwrap();
        } else if line.contains("no longer the leader") {
            break line;
        }
    };
    assert!(acked <= taken_at, "{acked} acknowledged after the takeover at {taken_at}: {refused}");
    append(&mut journal, &mut model, &[plain(taken_at + 2)]);
    drop(journal);
    assert_eq!(recovered(&etcd, "later").1, model);
}

#[test]
fn a_leader_cut_off_from_etcd_gives_up_and_comes_back() {
    let Some(etcd) = etcd() else { return };
    let (mut journal, mut model) = recovered(&etcd, "only");
    let term = lead(&mut journal, &mut model);
    append(&mut journal, &mut model, &[plain(1), plain(2)]);
    let told = Arc::new(AtomicUsize::new(0));
    let seen = told.clone();
    journal.follower().on_change(move |role| {
        seen.fetch_add(usize::from(role == Role::Follower), Ordering::Relaxed);
    });
    for round in 0..2 {
        etcd.signal("-STOP");
        let error = journal.append(&[plain(model.rev + 1)]).unwrap_err();
        assert!(matches!(error, JournalError::Fenced { .. }), "{error}");
        assert_eq!(journal.follower().role(), Role::Follower);
        assert_eq!(told.load(Ordering::Relaxed), round + 1);
        assert!(journal.append(&[]).is_err());
        let waiting = journal.try_lead(&mut model, Duration::from_millis(100)).unwrap();
        assert_eq!(waiting, None, "and it waits rather than fails");
        assert!(journal.status().refused.is_some());
        etcd.signal("-CONT");
        take_over(&mut journal, &mut model);
        assert!(journal.status().term > term.0);
        // The undecided write landed or did not; either way the model has heard of it.
        let next = model.rev + 1;
        append(&mut journal, &mut model, &[plain(next)]);
    }
    drop(journal);
    assert_eq!(recovered(&etcd, "later").1, model);
}

#[test]
fn etcd_killed_and_restarted_keeps_every_acknowledged_batch() {
    let Some(mut etcd) = etcd() else { return };
    let (mut journal, mut model) = recovered(&etcd, "only");
    lead(&mut journal, &mut model);
    for _ in 0..2 {
        for _ in 0..20 {
            let next = model.rev + 1;
            append(&mut journal, &mut model, &[plain(next), plain(next + 1)]);
        }
        etcd.kill();
        etcd.restart();
        // The lease outlives a short absence: either we still lead or we lead again.
        let next = plain(model.rev + 1);
        match journal.append(std::slice::from_ref(&next)) {
            Ok(()) => model.apply(&next),
            Err(JournalError::Fenced { .. }) => {
                take_over(&mut journal, &mut model);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(model.rev >= 80);
    drop(journal);
    assert_eq!(recovered(&etcd, "later").1, model);
}

#[test]
fn a_follower_left_behind_by_the_trimmed_log_starts_over_from_the_snapshot() {
    let Some(etcd) = etcd() else { return };
    let (mut first, mut model) = recovered(&etcd, "first");
    lead(&mut first, &mut model);
    append(&mut first, &mut model, &[plain(1), plain(2)]);
    let (mut second, mut copy) = recovered(&etcd, "second");
    assert_eq!(copy.rev, 2);
    for _ in 0..4 {
        let next = model.rev + 1;
        append(&mut first, &mut model, &[plain(next)]);
        append(&mut first, &mut model, &[batch(next + 1, vec![put("n", "k", noise(next, 9000))])]);
        snapshot(&mut first, &model);
    }
    let next = model.rev + 1;
    append(&mut first, &mut model, &[plain(next)]);
    assert!(first.status().segments <= 4, "{:?}", first.status());
    wait_for("the follower has the head", || {
        second.try_lead(&mut copy, Duration::from_millis(50)).unwrap();
        copy.rev == model.rev
    });
    assert_eq!(copy, model);
}

#[test]
fn a_removed_leader_key_is_noticed_without_a_write() {
    let Some(etcd) = etcd() else { return };
    let (mut journal, mut model) = recovered(&etcd, "only");
    lead(&mut journal, &mut model);
    append(&mut journal, &mut model, &[plain(1)]);
    let told = Arc::new(AtomicUsize::new(0));
    let seen = told.clone();
    journal.follower().on_change(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
    });
    // "/test/now/leader/" up to "/test/now/leader0".
    let body = r#"{"key":"L3Rlc3Qvbm93L2xlYWRlci8=","range_end":"L3Rlc3Qvbm93L2xlYWRlcjA="}"#;
    let answer = etcd.post("/v3/kv/deleterange", body);
    assert!(answer.contains("\"deleted\":\"1\""), "{answer}");
    wait_for("the news", || told.load(Ordering::Relaxed) == 1);
    assert_eq!(journal.follower().role(), Role::Follower);
    assert!(matches!(journal.append(&[plain(2)]), Err(JournalError::Fenced { .. })));
    take_over(&mut journal, &mut model);
    append(&mut journal, &mut model, &[plain(2)]);
}

#[test]
fn a_full_etcd_refuses_clearly_and_serves_again_after_the_alarm() {
    let Some(mut etcd) = etcd_with(&["--quota-backend-bytes=4194304"]) else { return };
    let (mut journal, mut model) = recovered(&etcd, "only");
    lead(&mut journal, &mut model);
    let error = loop {
        let next = batch(model.rev + 1, vec![put("big", "k", noise(model.rev, 400_000))]);
        match journal.append(std::slice::from_ref(&next)) {
            Ok(()) => model.apply(&next),
            Err(error) => break error,
        }
        assert!(model.rev < 100);
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(error.to_string().contains("etcdctl alarm disarm"), "{error}");
    assert_eq!(recovered(&etcd, "reader").1, model, "reads go on, the refused one is not there");
    assert!(journal.append(&[plain(model.rev + 1)]).is_err(), "still full");
    // What an operator does by hand: room is made, then the alarm is taken off.
    etcd.kill();
    etcd.restart_with(&[]);
    let alarm = etcd.post("/v3/maintenance/alarm", r#"{"action":"GET"}"#);
    let member = alarm.split("\"memberID\":\"").nth(1).unwrap().split('"').next().unwrap();
    let off = format!(r#"{{"action":"DEACTIVATE","memberID":"{member}","alarm":"NOSPACE"}}"#);
    etcd.post("/v3/maintenance/alarm", &off);
    wait_for("a write is taken", || {
        let next = plain(model.rev + 1);
        match journal.append(std::slice::from_ref(&next)) {
            Ok(()) => model.apply(&next),
            Err(JournalError::Fenced { .. }) => {
                take_over(&mut journal, &mut model);
            }
            Err(error) => panic!("{error}"),
        }
        model.rev == next.rev
    });
    drop(journal);
    assert_eq!(recovered(&etcd, "later").1, model);
    let (_, again, _) = start(&mut Prefixed(&etcd, 0));
    assert_eq!(again.rev, 0, "another prefix is another journal");
}

#[test]
fn users_sign_in_and_a_dead_member_is_passed_over() {
    let Some(etcd) = etcd() else { return };
    for (path, body) in [
        ("user/add", r#"{"name":"root","password":"very:secret"}"#),
        ("role/add", r#"{"name":"root"}"#),
        ("user/grant", r#"{"user":"root","role":"root"}"#),
        ("enable", "{}"),
    ] {
        let answer = etcd.post(&format!("/v3/auth/{path}"), body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let port = etcd.port();
    let stranger = options(&format!("etcd://127.0.0.1:{port}"), "only");
    let refused = EtcdJournal::open(stranger).unwrap().recover(&mut Model::default()).unwrap_err();
    assert!(matches!(refused, JournalError::Etcd { .. }), "{refused}");
    // Nobody listens on port 1.
    let url = format!("etcd://root:very:secret@127.0.0.1:1,127.0.0.1:{port}");
    let mut journal = EtcdJournal::open(options(&url, "only")).unwrap();
    let mut model = Model::default();
    journal.recover(&mut model).unwrap();
    lead(&mut journal, &mut model);
    append(&mut journal, &mut model, &[plain(1)]);
    drop(journal);
    let mut again = Model::default();
    EtcdJournal::open(options(&url, "only")).unwrap().recover(&mut again).unwrap();
    assert_eq!(again, model);
}

#[test]
fn an_etcd_that_is_not_there_is_named() {
    let mut journal = EtcdJournal::open(options("etcd://127.0.0.1:1", "only")).unwrap();
    let error = journal.recover(&mut Model::default()).unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("refused"), "{error}");
}

#[test]
fn over_tls_with_a_client_certificate() {
    let Some(mut etcd) = etcd_with_tls() else { return };
    suite::what_was_appended_comes_back(&mut etcd);
    let anonymous = etcd.url().split("&cert=").next().unwrap().to_owned();
    let mut journal = EtcdJournal::open(options(&anonymous, "only")).unwrap();
    assert!(journal.recover(&mut Model::default()).is_err(), "etcd wants a certificate");
}
