//! Random worlds around a service: hosts come, go and drain, tasks fail, versions change, counts
//! change. An auditor looks at every step: the service itself never brings what serves under its
//! least, never starts beyond its most, and in the end all is as it was asked for.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_rollout::Bounds;
use core_state::State;
use core_task::{Desired, TaskStatus};
use core_types::Time;
use proptest::prelude::*;
use serde_json::json;
use service_ecs::rows::service::Service;
use service_ecs::rows::task::Task;
use world::fleet::{Fate, Fleet};

#[derive(Clone, Debug)]
enum Happening {
    Turn,
    TurnOf(usize),
    Pass(u64),
    Desired(u32),
    Version(Fate),
    Force,
    Crash(usize),
    Lose(usize),
    Return(usize),
    Drain(usize),
    Activate(usize),
    /// Where nothing is broken, all comes to rest, whatever hosts there are.
    Rest,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let fate = prop_oneof![
        4 => Just(Fate::Runs), 1 => Just(Fate::NeverStarts), 1 => Just(Fate::Crashes),
        1 => Just(Fate::Hangs)
    ];
    prop_oneof![
        8 => Just(Turn),
        6 => (0..4_usize).prop_map(TurnOf),
        6 => (1..20_u64).prop_map(Pass),
        1 => (61..200_u64).prop_map(Pass),
        2 => (0..9_u32).prop_map(Desired),
        2 => fate.prop_map(Version),
        1 => Just(Force),
        3 => (0..9_usize).prop_map(Crash),
        1 => (0..4_usize).prop_map(Lose),
        1 => (0..4_usize).prop_map(Return),
        1 => (0..4_usize).prop_map(Drain),
        1 => (0..4_usize).prop_map(Activate),
        1 => Just(Rest),
    ]
}

fn serves(task: &Task, now: Time) -> bool {
    task.observed_status == TaskStatus::Running
        && task.desired_status == Desired::Running
        && task.started_at.is_some_and(|at| at + Duration::from_secs(2) <= now)
}

fn audit(before: &State, after: &State, now: Time) {
    for service in after.all::<Service>() {
        let own = |task: &&Task| task.service.as_deref() == Some(service.name());
        let percent = |given: Option<i32>| given.unwrap().unsigned_abs();
        let bounds = Bounds::of(
            service.desired_count,
            percent(service.configuration.minimum_healthy_percent),
            percent(service.configuration.maximum_percent),
        );
        let present = after.all::<Task>().filter(own).filter(|task| !task.is_stopped()).count();
        let new = after.all::<Task>().filter(own);
        let new = new.filter(|task| before.get::<Task>(&task.id).is_none()).count();
        assert!(
            new == 0 || present <= bounds.most as usize,
            "{present} with {new} new: {bounds:?}"
        );
        let stopped = before.all::<Task>().filter(own).filter(|task| {
            let later = after.get::<Task>(&task.id);
            let scheduler = later.is_some_and(|later| {
                later.desired_status == Desired::Stopped
                    && later.stop_code
                        == Some(service_ecs::rows::task::StopCode::ServiceSchedulerInitiated)
            });
            serves(task, now) && scheduler
        });
        let stopped = stopped.count();
        let left = after.all::<Task>().filter(own).filter(|task| serves(task, now)).count();
        assert!(
            stopped == 0 || left >= bounds.least as usize,
            "{stopped} stopped, {left} left: {bounds:?}"
        );
    }
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
        Happening::Desired(count) => drop(fleet.update("s", json!({"desiredCount": count}))),
        Happening::Version(fate) => {
            *version += 1;
            fleet.define("web", 0);
            fleet.fates.insert(*version, fate);
            fleet.update("s", json!({"taskDefinition": "web"}));
        }
        Happening::Force => drop(fleet.update("s", json!({"forceNewDeployment": true}))),
        Happening::Crash(n) => {
            let tasks = fleet.tasks("s");
            if let Some(task) = tasks.get(n) {
                fleet.observe(task.id, TaskStatus::Stopped);
            }
        }
        Happening::Lose(n) => fleet.disconnect(host(n, fleet)),
        Happening::Return(n) => fleet.connect(host(n, fleet)),
        Happening::Drain(n) => state_of(fleet, n, "DRAINING"),
        Happening::Rest if fleet.fates.values().all(|fate| *fate == Fate::Runs) => fleet.settle(),
        Happening::Rest => {}
        Happening::Activate(n) => state_of(fleet, n, "ACTIVE"),
    }
}

fn bounds() -> impl Strategy<Value = (u32, u32)> {
    let some = [(100, 200), (50, 200), (50, 100), (0, 100), (0, 200), (100, 150), (75, 125)];
    proptest::sample::select(some.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_at_every_step_and_all_comes_to_rest(
        hosts in 1..5_usize,
        (least, most) in bounds(),
        breaks in any::<bool>(),
        early in proptest::option::of((0..=100_u32, any::<bool>())),
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let mut fleet = Fleet::new(hosts);
        fleet.world.auditor = Some(audit);
        let (percent, blocks) = early.unwrap_or_default();
        let cleanup = if blocks { "BLOCKING" } else { "DEFERRED" };
        let criteria = json!({"enable": early.is_some(), "healthyPercent": percent.max(least),
            "sourceServiceRevisionCleanup": cleanup});
        let configuration = json!({"maximumPercent": most, "minimumHealthyPercent": least,
            "deploymentCircuitBreaker": {"enable": breaks, "rollback": true},
            "earlySuccessCriteria": criteria});
        fleet.create("s", json!({"desiredCount": 3, "deploymentConfiguration": configuration}));
        fleet.settle();
        let mut version = 1;
        for what in happenings {
            happen(&mut fleet, what, &mut version);
        }
        fleet.world.survives_a_restart();
        // The faults end: what was asked for last is there in the end.
        for n in 0..hosts {
            state_of(&mut fleet, n, "ACTIVE");
            fleet.connect(fleet.hosts[n]);
        }
        fleet.fates.clear();
        fleet.update("s", json!({"desiredCount": 4, "forceNewDeployment": true}));
        for _ in 0..4 {
            fleet.settle();
            fleet.world.pass(Duration::from_secs(30 * 60));
        }
        prop_assert_eq!(fleet.counts("s"), (4, 0, 4));
        let service = fleet.service("s");
        prop_assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
        prop_assert_eq!(&service["deployments"][0]["rolloutState"], &json!("COMPLETED"));
        // That its zones are even may be noticed, and told, a pass later.
        let told = fleet.events("s");
        let last = told.iter().rfind(|text| !text.contains("is AZ balanced with")).unwrap();
        prop_assert!(last.ends_with("has reached a steady state."), "{told:?}");
        fleet.world.survives_a_restart();
    }
}
