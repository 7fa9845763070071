//! Services that even out their tasks over the zones.

#![allow(clippy::unwrap_used)]

mod world;

use core_task::TaskStatus;
use serde_json::json;
use world::fleet::{Fleet, with};

/// Tasks of a service on each host.
fn spread(fleet: &Fleet) -> Vec<usize> {
    let tasks = fleet.tasks("s");
    let on = |host| tasks.iter().filter(|task| task.host == Some(host)).count();
    fleet.hosts.iter().map(|host| on(*host)).collect()
}

#[test]
fn a_zone_that_opens_gets_its_share_before_the_others_give_theirs() {
    let mut fleet = Fleet::new(1);
    let service = fleet.create("s", json!({"desiredCount": 4}));
    assert_eq!(service["availabilityZoneRebalancing"], "ENABLED", "AWS: where it can be");
    fleet.settle();
    assert_eq!(spread(&fleet), [4]);
    fleet.add_host();
    // Two more are started; none has gone.
    assert_eq!(spread(&fleet), [4, 2]);
    let mut least = 4;
    for _ in 0..40 {
        let tasks = fleet.tasks("s");
        let running = tasks.iter().filter(|t| t.observed_status == TaskStatus::Running).count();
        least = least.min(running);
        if !fleet.turn() {
            fleet.world.pass(std::time::Duration::from_secs(1));
        }
    }
    fleet.settle();
    assert_eq!(least, 4, "the new ones serve before the old ones go");
    assert_eq!(spread(&fleet), [2, 2]);
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    let events = fleet.events("s");
    let told = |start: &str, end: &str| {
        events.iter().any(|text| text.starts_with(start) && text.ends_with(end))
    };
    for (start, end) in [
        (
            "(service s) is not AZ balanced with 4 tasks in us-east-1a and 0 in us-east-1b.",
            " AZ Rebalancing in progress.",
        ),
        ("(service s) has started 2 tasks in us-east-1b to AZ Rebalance: (task ", ")."),
        ("(service s) has stopped 2 running tasks in us-east-1a due to AZ rebalancing: ", ")."),
        ("(service s) is AZ balanced with 2 tasks in us-east-1a and 2 tasks in us-east-1b.", ""),
    ] {
        assert!(told(start, end), "{start}: {events:?}");
    }
    fleet.world.survives_a_restart();
}

#[test]
fn none_moves_where_it_is_off_or_the_maximum_leaves_no_room() {
    for more in [
        json!({"availabilityZoneRebalancing": "DISABLED"}),
        json!({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 0}}),
        json!({"placementStrategy": [{"type": "binpack", "field": "memory"}]}),
    ] {
        let mut fleet = Fleet::new(1);
        let service = fleet.create("s", with(json!({"desiredCount": 4}), more));
        assert_eq!(service["availabilityZoneRebalancing"], "DISABLED");
        fleet.settle();
        fleet.add_host();
        fleet.settle();
        assert_eq!(spread(&fleet), [4, 0]);
    }
}

#[test]
fn a_zone_without_room_is_told_of_once_and_filled_when_there_is_some() {
    let mut fleet = Fleet::new(2);
    // The second zone is full.
    let big = json!([{"name": "web", "image": "i", "cpu": 0, "memory": 1000}]);
    let big = json!({"family": "big", "containerDefinitions": big});
    fleet.world.call("RegisterTaskDefinition", big);
    let there = fleet.hosts[1].to_string();
    let input = json!({"cluster": "c", "taskDefinition": "big", "containerInstances": [there]});
    let filler = fleet.world.call("StartTask", input)["tasks"][0]["taskArn"].clone();
    fleet.create("s", json!({"desiredCount": 3}));
    fleet.settle();
    fleet.settle();
    assert_eq!(spread(&fleet), [3, 0]);
    let unable = "(service s) is unable to place a task in us-east-1b because no container \
                  instance met all of its requirements.";
    let told = fleet.events("s").iter().filter(|text| *text == unable).count();
    assert_eq!(told, 1, "{:?}", fleet.events("s"));
    fleet.world.call("StopTask", json!({"cluster": "c", "task": filler}));
    fleet.settle();
    assert_eq!(spread(&fleet).iter().sum::<usize>(), 3);
    assert_eq!(spread(&fleet).iter().max(), Some(&2));
    fleet.world.survives_a_restart();
}

#[test]
fn what_cannot_be_evened_out_is_refused() {
    let mut fleet = Fleet::new(1);
    for (more, why) in [
        (json!({"schedulingStrategy": "DAEMON"}), "the DAEMON scheduling strategy"),
        (
            json!({"desiredCount": 1, "deploymentConfiguration":
                {"maximumPercent": 100, "minimumHealthyPercent": 0}}),
            "a maximumPercent of 100 or less",
        ),
    ] {
        let input = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
            "availabilityZoneRebalancing": "ENABLED"});
        let refused = fleet.world.refusal("CreateService", with(input, more));
        let text = format!("Availability Zone rebalancing does not support {why}.");
        assert_eq!((&*refused.0, &*refused.1), ("InvalidParameterException", &*text));
    }
}

/// A service of four on the provider `p`, which is scaled.
fn on_provider(fleet: &mut Fleet) {
    let group = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
    let provider = json!({"name": "p", "autoScalingGroupProvider": group});
    fleet.world.call("CreateCapacityProvider", provider);
    let put = json!({"cluster": "c", "capacityProviders": ["p"],
        "defaultCapacityProviderStrategy": []});
    fleet.world.call("PutClusterCapacityProviders", put);
    let strategy = json!([{"capacityProvider": "p", "weight": 1}]);
    fleet.create("s", json!({"desiredCount": 4, "capacityProviderStrategy": strategy}));
}

#[test]
fn a_zone_without_an_instance_of_the_services_provider_is_not_open_to_it() {
    let mut fleet = Fleet::new(0);
    fleet.add_host_of("p");
    fleet.add_host();
    on_provider(&mut fleet);
    fleet.settle();
    assert_eq!((spread(&fleet), fleet.counts("s")), (vec![4, 0], (4, 0, 4)));
    fleet.world.survives_a_restart();
}

/// It would go wherever its provider has room first, and be as uneven there.
#[test]
fn a_task_that_would_even_out_the_zones_does_not_wait_for_capacity() {
    let mut fleet = Fleet::new(0);
    (0..2).for_each(|_| fleet.add_host_of("p"));
    let filling = json!([{"type": "memberOf",
        "expression": "attribute:ecs.availability-zone == us-east-1b"}]);
    fleet.define_with("large", json!({"image": "busybox", "memory": 1000}));
    let run = json!({"cluster": "c", "taskDefinition": "large", "placementConstraints": filling});
    fleet.world.call("RunTask", run);
    on_provider(&mut fleet);
    fleet.settle();
    assert_eq!((spread(&fleet), fleet.counts("s")), (vec![4, 0], (4, 0, 4)));
    let events = fleet.events("s");
    assert!(events.iter().any(|text| text.contains("is unable to place a task in us-east-1b")));
    fleet.world.survives_a_restart();
}
