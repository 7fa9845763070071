//! Capacity providers that are scaled: what waits for them, how large their groups shall be, and a
//! group that follows.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_state::Tx;
use proptest::prelude::*;
use serde_json::{Value, json};
use service_ecs::feeds::events;
use service_ecs::ops;
use service_ecs::rows::managed_scaling::{ManagedScaling, ScalingKey};
use service_ecs::rows::task::Task;
use world::Told;
use world::fleet::{Fleet, with};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> ScalingKey {
    let scope: core_types::Scope = "123456789012/us-east-1".parse().unwrap();
    ((scope, "c".into()), "p".into())
}

/// A cluster whose default is a provider with these settings, and no instances.
fn fleet(scaling: Value) -> Fleet {
    let mut fleet = Fleet::new(0);
    let scaling = with(json!({"status": "ENABLED"}), scaling);
    let group = json!({"autoScalingGroupArn": "g", "managedScaling": scaling,
        "managedTerminationProtection": "ENABLED"});
    fleet
        .world
        .call("CreateCapacityProvider", json!({"name": "p", "autoScalingGroupProvider": group}));
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "p", "weight": 1}]});
    fleet.world.call("PutClusterCapacityProviders", put);
    // Four of them fill an instance.
    let container = json!({"name": "web", "image": "busybox", "cpu": 256, "memory": 128});
    let input = json!({"family": "quarter", "containerDefinitions": [container]});
    fleet.world.call("RegisterTaskDefinition", input);
    fleet
}

fn run(fleet: &mut Fleet, count: u32) -> Value {
    let input = json!({"cluster": "c", "taskDefinition": "quarter", "count": count});
    fleet.world.call("RunTask", input)
}

fn row(fleet: &Fleet) -> ManagedScaling {
    let mut rows = ops::group_sizes(fleet.world.core.state(), &key().0);
    rows.next().cloned().expect("the provider is scaled")
}

fn waiting(fleet: &Fleet) -> usize {
    fleet.world.core.state().all::<Task>().filter(|task| task.waiting().is_some()).count()
}

/// Each task with its status, and whether it is somewhere.
fn stands(fleet: &mut Fleet, tasks: &[Value]) -> Vec<(String, bool)> {
    let input = json!({"cluster": "c", "tasks": tasks});
    let shown = fleet.world.call("DescribeTasks", input)["tasks"].clone();
    let all = shown.as_array().unwrap().iter();
    all.map(|task| {
        let status = task["lastStatus"].as_str().unwrap().to_owned();
        (status, task["containerInstanceArn"].is_string())
    })
    .collect()
}

fn arns(answer: &Value) -> Vec<Value> {
    answer["tasks"].as_array().unwrap().iter().map(|task| task["taskArn"].clone()).collect()
}

/// A group that gives at once what is wanted of it; the newest instances that may go first.
fn follow(fleet: &mut Fleet) {
    let size = row(fleet).desired_size as usize;
    while fleet.hosts.len() < size {
        fleet.add_host_of("p");
    }
    let protected = ops::protected_instances(fleet.world.core.state(), &key());
    while fleet.hosts.len() > size {
        let Some(place) = fleet.hosts.iter().rposition(|host| !protected.contains(host)) else {
            break;
        };
        let host = fleet.hosts.remove(place);
        let input = json!({"cluster": "c", "containerInstance": host.to_string(), "force": true});
        fleet.world.call("DeregisterContainerInstance", input);
    }
}

#[test]
fn a_task_without_room_waits_for_an_instance() {
    let mut fleet = fleet(json!({}));
    let answer = run(&mut fleet, 5);
    assert_eq!(answer["failures"], json!([]));
    let tasks = arns(&answer);
    let first = &answer["tasks"][0];
    assert_eq!(first["lastStatus"], "PROVISIONING");
    assert_eq!(first["desiredStatus"], "RUNNING");
    assert_eq!(first["capacityProviderName"], "p");
    assert_eq!(first["launchType"], "EC2");
    assert_eq!((&first["cpu"], &first["memory"]), (&json!("256"), &json!("128")));
    // AWS: it has no containers before it has a place.
    assert_eq!(first["containers"], json!([]));
    let found = row(&fleet);
    assert_eq!((found.needed, found.there, found.reservation), (2, 0, 20_000));
    assert_eq!(found.desired_size, 2);
    fleet.world.survives_a_restart();
    fleet.add_host_of("other");
    assert_eq!(waiting(&fleet), 5);
    fleet.add_host_of("p");
    // The oldest have their places, and run.
    assert_eq!(waiting(&fleet), 1);
    fleet.add_host_of("p");
    fleet.settle();
    assert_eq!(stands(&mut fleet, &tasks), vec![("RUNNING".to_owned(), true); 5]);
    let found = row(&fleet);
    assert_eq!((found.needed, found.there, found.desired_size), (2, 2, 2));
    fleet.world.survives_a_restart();
}

#[test]
fn a_task_that_waits_for_too_long_stops() {
    let mut fleet = fleet(json!({}));
    let tasks = arns(&run(&mut fleet, 1));
    fleet.world.pass(15 * MINUTE);
    let input = json!({"cluster": "c", "tasks": tasks});
    let shown = fleet.world.call("DescribeTasks", input.clone())["tasks"][0].clone();
    assert_eq!(shown["lastStatus"], "STOPPED");
    assert_eq!(shown["stopCode"], "TaskFailedToStart");
    assert_eq!(shown["stoppedReason"], "TaskFailedToStart: EMPTY CAPACITY PROVIDER");
    // Where there are instances, it is what they lack.
    fleet.add_host_of("p");
    run(&mut fleet, 4);
    let tasks = arns(&run(&mut fleet, 1));
    fleet.world.pass(15 * MINUTE);
    let input = json!({"cluster": "c", "tasks": tasks});
    let shown = fleet.world.call("DescribeTasks", input)["tasks"][0].clone();
    assert_eq!(shown["stoppedReason"], "TaskFailedToStart: RESOURCE:CPU");
    fleet.world.survives_a_restart();
}

#[test]
fn a_waiting_task_can_be_stopped() {
    let mut fleet = fleet(json!({}));
    let tasks = arns(&run(&mut fleet, 1));
    fleet.world.call("StopTask", json!({"cluster": "c", "task": tasks[0]}));
    assert_eq!(stands(&mut fleet, &tasks), [("STOPPED".to_owned(), false)]);
    assert_eq!(row(&fleet).needed, 0);
}

#[test]
fn no_more_than_five_hundred_tasks_wait() {
    let mut fleet = fleet(json!({}));
    for _ in 0..50 {
        assert_eq!(arns(&run(&mut fleet, 10)).len(), 10);
    }
    let input = json!({"cluster": "c", "taskDefinition": "quarter"});
    let (code, _) = fleet.world.refusal("RunTask", input);
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(waiting(&fleet), 500);
}

#[test]
fn without_managed_scaling_a_task_is_refused() {
    let mut fleet = fleet(json!({}));
    let off = json!({"managedScaling": {"status": "DISABLED"},
        "managedTerminationProtection": "DISABLED"});
    let off = json!({"name": "p", "autoScalingGroupProvider": off});
    fleet.world.call("UpdateCapacityProvider", off);
    assert_eq!(ops::group_sizes(fleet.world.core.state(), &key().0).count(), 0);
    fleet.add_host_of("p");
    run(&mut fleet, 4);
    let answer = run(&mut fleet, 1);
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:CPU");
    assert_eq!(waiting(&fleet), 0);
}

#[test]
fn a_service_waits_with_its_tasks() {
    let mut fleet = fleet(json!({}));
    fleet.create("web", json!({"taskDefinition": "quarter", "desiredCount": 6}));
    let (running, pending, desired) = fleet.counts("web");
    assert_eq!((running, desired), (0, 6));
    assert!(pending > 0);
    assert_eq!(waiting(&fleet) as i64, pending);
    follow(&mut fleet);
    fleet.settle();
    assert_eq!(fleet.counts("web"), (6, 0, 6));
    assert!(fleet.events("web").iter().any(|text| text.ends_with("has reached a steady state.")));
    // Fewer are wanted, and a quarter of an hour later fewer instances.
    fleet.update("web", json!({"desiredCount": 0}));
    fleet.settle();
    fleet.world.pass(15 * MINUTE);
    for _ in 0..3 {
        fleet.world.pass(MINUTE);
        follow(&mut fleet);
    }
    assert_eq!((fleet.hosts.len(), row(&fleet).reservation), (0, 10_000));
    fleet.world.survives_a_restart();
}

#[test]
fn daemons_count_neither_as_work_nor_as_protection() {
    let mut fleet = fleet(json!({}));
    (0..3).for_each(|_| fleet.add_host_of("p"));
    let daemon = json!({"schedulingStrategy": "DAEMON", "taskDefinition": "web",
        "launchType": "EC2"});
    let input = with(json!({"cluster": "c", "serviceName": "d"}), daemon);
    fleet.world.call("CreateService", input);
    fleet.settle();
    assert_eq!((row(&fleet).needed, row(&fleet).there), (0, 3));
    assert!(ops::protected_instances(fleet.world.core.state(), &key()).is_empty());
    run(&mut fleet, 1);
    fleet.settle();
    assert_eq!((row(&fleet).needed, row(&fleet).reservation), (1, 3_333));
    assert_eq!(ops::protected_instances(fleet.world.core.state(), &key()).len(), 1);
}

#[test]
fn what_fits_on_no_instance_makes_no_more_of_them() {
    let mut fleet = fleet(json!({"targetCapacity": 80}));
    fleet.add_host_of("p");
    let container = json!({"name": "web", "image": "busybox", "cpu": 64, "memory": 4096});
    let input = json!({"family": "large", "containerDefinitions": [container]});
    fleet.world.call("RegisterTaskDefinition", input);
    fleet.world.call("RunTask", json!({"cluster": "c", "taskDefinition": "large"}));
    assert_eq!((row(&fleet).desired_size, row(&fleet).reservation), (1, 8_000));
}

#[test]
fn what_the_group_starts_counts_as_there() {
    let mut fleet = fleet(json!({"instanceWarmupPeriod": 0}));
    run(&mut fleet, 4);
    let told = key();
    fleet.world.report(Told(move |tx: &mut Tx<'_>| ops::observe_starting(tx, &told, 2)));
    let found = row(&fleet);
    assert_eq!((found.needed, found.there, found.reservation), (2, 2, 10_000));
    assert_eq!(found.desired_size, 2);
    fleet.world.survives_a_restart();
}

/// An instance has registered, and its group has not yet said that it starts one fewer.
#[test]
fn an_instance_that_comes_makes_the_group_no_larger() {
    let mut fleet = fleet(json!({"instanceWarmupPeriod": 0}));
    run(&mut fleet, 8);
    for starting in [2, 2, 1, 1, 0] {
        let told = key();
        fleet.world.report(Told(move |tx: &mut Tx<'_>| {
            ops::observe_starting(tx, &told, starting);
        }));
        if fleet.hosts.len() < 2 {
            fleet.add_host_of("p");
        }
        assert_eq!(row(&fleet).desired_size, 2);
    }
    assert_eq!((waiting(&fleet), row(&fleet).there), (0, 2));
    fleet.world.survives_a_restart();
}

#[test]
fn sizes_are_told_as_events() {
    let mut fleet = fleet(json!({}));
    let before = fleet.world.core.state().clone();
    run(&mut fleet, 1);
    let now = fleet.world.now;
    let state = fleet.world.core.state();
    let all = events::between(&before, state).into_iter();
    let all: Vec<_> = all.flat_map(|change| events::of(&change, state, now)).collect();
    let about = events::About::Capacity.detail_type();
    let told = all.iter().find(|event| event.detail_type == about).expect("it is told");
    assert_eq!(told.detail["eventName"], "CAPACITY_PROVIDER_SCALE_OUT");
    assert_eq!(told.detail["capacityProviderReservation"], 200.0);
    assert_eq!(told.detail["desiredSize"], 2);
    assert_eq!(told.detail["autoScalingGroupArn"], "g");
    assert!(told.resources[0].ends_with(":capacity-provider/p"));
}

#[test]
fn an_instance_that_its_group_terminates_is_drained_first() {
    let mut fleet = fleet(json!({}));
    (0..2).for_each(|_| fleet.add_host_of("p"));
    fleet.create("web", json!({"taskDefinition": "quarter", "desiredCount": 2}));
    fleet.settle();
    let host = fleet.hosts[0];
    let may = |fleet: &Fleet| ops::may_terminate(fleet.world.core.state(), host);
    assert!(!may(&fleet), "nobody has said that it shall go");
    fleet.world.report(Told(move |tx: &mut Tx<'_>| ops::observe_terminating(tx, host)));
    assert!(!may(&fleet));
    let input = json!({"cluster": "c", "containerInstances": [host.to_string()]});
    let shown = fleet.world.call("DescribeContainerInstances", input);
    assert_eq!(shown["containerInstances"][0]["status"], "DRAINING");
    // It is not one of the group's any more.
    assert_eq!(row(&fleet).there, 1);
    fleet.world.survives_a_restart();
    fleet.settle();
    assert!(may(&fleet), "its task has moved");
    assert_eq!(fleet.counts("web"), (2, 0, 2));
    fleet.world.survives_a_restart();
}

/// What replaces a task of an instance that goes is of the same provider's share.
#[test]
fn a_drained_instance_leaves_its_provider_its_share() {
    let mut fleet = fleet(json!({}));
    let group = json!({"autoScalingGroupArn": "h"});
    let other = json!({"name": "q", "autoScalingGroupProvider": group});
    fleet.world.call("CreateCapacityProvider", other);
    let put = json!({"cluster": "c", "capacityProviders": ["p", "q"],
        "defaultCapacityProviderStrategy": []});
    fleet.world.call("PutClusterCapacityProviders", put);
    (0..2).for_each(|_| fleet.add_host_of("p"));
    (0..4).for_each(|_| fleet.add_host_of("q"));
    let strategy = json!([{"capacityProvider": "q", "weight": 2},
        {"capacityProvider": "p", "weight": 1}]);
    fleet.create(
        "web",
        json!({"taskDefinition": "quarter", "desiredCount": 4,
        "availabilityZoneRebalancing": "DISABLED", "capacityProviderStrategy": strategy}),
    );
    fleet.settle();
    let shares = |fleet: &Fleet| {
        let tasks = fleet.tasks("web");
        ["q", "p"].map(|name| {
            tasks.iter().filter(|task| task.provider().is_some_and(|of| **of == *name)).count()
        })
    };
    assert_eq!(shares(&fleet), [3, 1]);
    let tasks = fleet.tasks("web");
    let of_p = tasks.iter().find(|task| task.provider().is_some_and(|of| &**of == "p"));
    let host = of_p.and_then(|task| task.host).unwrap();
    fleet.world.report(Told(move |tx: &mut Tx<'_>| ops::observe_terminating(tx, host)));
    fleet.settle();
    assert_eq!(shares(&fleet), [3, 1]);
    assert!(ops::may_terminate(fleet.world.core.state(), host));
    fleet.world.survives_a_restart();
}

#[test]
fn a_group_waits_two_days_for_what_no_service_moves() {
    let mut fleet = fleet(json!({}));
    fleet.add_host_of("p");
    run(&mut fleet, 1);
    fleet.settle();
    let host = fleet.hosts[0];
    fleet.world.report(Told(move |tx: &mut Tx<'_>| ops::observe_terminating(tx, host)));
    fleet.world.pass(47 * 60 * MINUTE);
    assert!(!ops::may_terminate(fleet.world.core.state(), host));
    fleet.world.survives_a_restart();
    fleet.world.pass(60 * MINUTE);
    assert!(ops::may_terminate(fleet.world.core.state(), host));
    // Without managed draining it goes as it is.
    fleet.add_host_of("p");
    let off = json!({"name": "p", "autoScalingGroupProvider": {"managedDraining": "DISABLED"}});
    fleet.world.call("UpdateCapacityProvider", off);
    let host = fleet.hosts[1];
    fleet.world.report(Told(move |tx: &mut Tx<'_>| ops::observe_terminating(tx, host)));
    assert!(ops::may_terminate(fleet.world.core.state(), host));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Tasks come and go, the group follows or does not: in the end all run that are wanted, on as
    /// many instances as that takes.
    #[test]
    fn worlds_come_to_rest(
        wants in prop::collection::vec((0_u32..14, 0_u32..20, any::<bool>()), 1..6),
        target in prop::sample::select(vec![50_u32, 80, 100]),
        step in 1_u32..4,
    ) {
        let scaling = json!({"targetCapacity": target, "maximumScalingStepSize": step,
            "instanceWarmupPeriod": 120});
        let mut fleet = fleet(scaling);
        fleet.create("web", json!({"taskDefinition": "quarter", "desiredCount": 0}));
        let mut wanted = 0;
        for (count, minutes, follows) in wants {
            wanted = count;
            fleet.update("web", json!({"desiredCount": count}));
            for _ in 0..minutes {
                while fleet.turn() {}
                fleet.world.pass(MINUTE);
                if follows {
                    follow(&mut fleet);
                }
            }
        }
        for _ in 0..60 {
            follow(&mut fleet);
            while fleet.turn() {}
            fleet.world.pass(MINUTE);
        }
        prop_assert_eq!(fleet.counts("web"), (i64::from(wanted), 0, i64::from(wanted)));
        let found = row(&fleet);
        prop_assert_eq!(found.desired_size as usize, fleet.hosts.len());
        prop_assert_eq!(found.desired_size, (found.needed * 100).div_ceil(target));
        fleet.world.survives_a_restart();
    }
}
