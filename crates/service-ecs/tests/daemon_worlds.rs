//! Random worlds around a managed daemon: hosts come, go and drain, its tasks fail, its revision
//! and its criticality change. An auditor looks at every step: no host is to have two tasks of it,
//! a deployment closes no more hosts than it may, a host that is new takes nothing before it has
//! it, and in the end every host of its provider has what was asked for last.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::Time;
use proptest::prelude::*;
use serde_json::json;
use service_ecs::rows::container_instance::{Awaits, ContainerInstance};
use service_ecs::rows::daemon::Daemon;
use service_ecs::rows::daemon_history::{DaemonDeployment, DaemonRevision};
use service_ecs::rows::task::Task;
use world::fleet::{Fate, Fleet};
use world::managed::*;

#[derive(Clone, Debug)]
enum Happening {
    Turn,
    TurnOf(usize),
    Pass(u64),
    Version(Fate, bool),
    Same(bool),
    Crash(usize),
    Lose(usize),
    Return(usize),
    Drain(usize),
    Activate(usize),
    Host,
    Task,
    Count(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let fate = prop_oneof![
        4 => Just(Fate::Runs), 1 => Just(Fate::NeverStarts), 1 => Just(Fate::Crashes),
        1 => Just(Fate::Hangs)
    ];
    prop_oneof![
        8 => Just(Turn),
        6 => (0..5_usize).prop_map(TurnOf),
        6 => (1..20_u64).prop_map(Pass),
        1 => (61..200_u64).prop_map(Pass),
        3 => (fate, any::<bool>()).prop_map(|(fate, critical)| Version(fate, critical)),
        1 => any::<bool>().prop_map(Same),
        3 => (0..9_usize).prop_map(Crash),
        1 => (0..5_usize).prop_map(Lose),
        2 => (0..5_usize).prop_map(Return),
        1 => (0..5_usize).prop_map(Drain),
        1 => (0..5_usize).prop_map(Activate),
        1 => Just(Host),
        1 => Just(Task),
        1 => (0..4_u32).prop_map(Count),
    ]
}

fn audit(before: &State, after: &State, _: Time) {
    for host in after.all::<ContainerInstance>() {
        let of = |task: &&Task| task.host == Some(host.id) && !task.is_stopped();
        let own = after.all::<Task>().filter(of).filter(|task| task.daemon().is_some());
        assert!(own.count() <= 1, "two tasks of one daemon on {}", host.id);
        // What waits for a daemon is given nothing else.
        let known = before.get::<ContainerInstance>(&host.id);
        if host.awaits.is_some() && known.is_some_and(|known| known.awaits.is_some()) {
            let others = after.all::<Task>().filter(of).filter(|task| task.daemon().is_none());
            let new = others.filter(|task| before.get::<Task>(&task.id).is_none());
            assert_eq!(new.count(), 0, "a task on {}, which waits", host.id);
        }
    }
    let Some(daemon) = after.all::<Daemon>().next() else { return };
    let deployment =
        after.get::<DaemonDeployment>(&(daemon.key.clone(), daemon.deployment.clone())).unwrap();
    let hosts = after.all::<ContainerInstance>().count() as f64;
    let percent = deployment.configuration.drain_percent.unwrap();
    let most = ((hosts * percent / 100.0).floor() as usize).max(1);
    // What cannot be reached is not waited for, and not counted.
    let closed =
        |host: &&ContainerInstance| host.awaits == Some(Awaits::Next) && host.observed_connected;
    let is = after.all::<ContainerInstance>().filter(closed).count();
    let new = after.all::<ContainerInstance>().filter(closed).filter(|host| {
        before.get::<ContainerInstance>(&host.id).is_some_and(|known| known.awaits.is_none())
    });
    // Once it is over, hosts that lack the daemon get it without being asked how many they are.
    let under_way = !deployment.status.is_over();
    assert!(!under_way || new.count() == 0 || is <= most, "{is} hosts in hand of {most}");
    let revision = after.get::<DaemonRevision>(&(daemon.key.clone(), daemon.revision)).unwrap();
    let waits = after.all::<ContainerInstance>().any(|host| host.awaits.is_some());
    assert!(revision.critical || !waits, "a host waits for a daemon that is not critical");
}

fn state_of(fleet: &mut Fleet, host: usize, status: &str) {
    let names = json!([fleet.hosts[host % fleet.hosts.len()].to_string()]);
    let input = json!({"cluster": "c", "containerInstances": names, "status": status});
    fleet.world.call("UpdateContainerInstancesState", input);
}

fn happen(fleet: &mut Fleet, what: Happening, version: &mut u32) {
    let host = |n: usize, fleet: &Fleet| fleet.hosts[n % fleet.hosts.len()];
    match what {
        Happening::Turn => drop(fleet.turn()),
        Happening::TurnOf(n) => drop(fleet.turn_of(host(n, fleet))),
        Happening::Pass(seconds) => fleet.world.pass(Duration::from_secs(seconds)),
        Happening::Version(fate, critical) => {
            *version += 1;
            define(fleet);
            fleet.fates.insert(*version, fate);
            update(fleet, *version, json!({"critical": critical}));
        }
        Happening::Same(critical) => {
            drop(update(fleet, *version, json!({"critical": critical})));
        }
        Happening::Crash(n) => {
            if let Some(task) = tasks(fleet).get(n) {
                fleet.observe(task.id, TaskStatus::Stopped);
            }
        }
        Happening::Lose(n) => fleet.disconnect(host(n, fleet)),
        Happening::Return(n) => fleet.connect(host(n, fleet)),
        Happening::Drain(n) => state_of(fleet, n, "DRAINING"),
        Happening::Activate(n) => state_of(fleet, n, "ACTIVE"),
        Happening::Host if fleet.hosts.len() < 8 => fleet.add_host_of("mi"),
        Happening::Host => {}
        Happening::Task => {
            drop(fleet.world.call("RunTask", json!({"cluster": "c", "taskDefinition": "web"})));
        }
        Happening::Count(count) => drop(fleet.update("s", json!({"desiredCount": count}))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_more_than_it_may_at_once_and_all_of_it_in_the_end(
        hosts in 1..5_usize,
        percent in proptest::sample::select(vec![0.0, 25.0, 50.0, 100.0]),
        critical in any::<bool>(),
        happenings in proptest::collection::vec(happening(), 1..50),
    ) {
        let mut fleet = managed(hosts);
        fleet.world.auditor = Some(audit);
        // Revisions of `web` have the daemon's numbers: only the first of them runs here.
        fleet.create("s", json!({"desiredCount": 1}));
        let configuration = json!({"drainPercent": percent});
        create(&mut fleet, json!({"critical": critical, "deploymentConfiguration": configuration}));
        fleet.settle();
        let mut version = 1;
        for what in happenings {
            happen(&mut fleet, what, &mut version);
        }
        fleet.world.survives_a_restart();
        // The faults end: what was asked for last is there in the end.
        for n in 0..fleet.hosts.len() {
            state_of(&mut fleet, n, "ACTIVE");
            fleet.connect(fleet.hosts[n]);
        }
        fleet.fates.clear();
        version += 1;
        define(&mut fleet);
        update(&mut fleet, version, json!({"critical": critical}));
        for _ in 0..4 {
            fleet.settle();
            fleet.world.pass(Duration::from_secs(30 * 60));
        }
        let wanted = |task: &&Task| task.desired_status == Desired::Running;
        let all = tasks(&fleet);
        let fine = all.iter().filter(wanted).filter(|task| task.revision == version).count();
        prop_assert_eq!((fine, all.len()), (fleet.hosts.len(), fleet.hosts.len()));
        prop_assert_eq!(&deployment(&mut fleet)["status"], "SUCCESSFUL");
        prop_assert!(shown(&fleet).iter().all(|status| *status == "ACTIVE"));
        fleet.world.survives_a_restart();
    }
}
