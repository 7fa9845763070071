//! The version that serves while a newer one comes up. AWS: what it loses is replaced by its own
//! kind, and it grows with its service, however the newer one does.

#![allow(clippy::unwrap_used)]

mod world;

use core_task::TaskStatus;
use core_types::Id128;
use serde_json::json;
use world::fleet::{Fate, Fleet};

/// A service that runs revision 1 of `web`, and is told to run revision 2.
fn deploying(desired: u32, second: Fate, configuration: serde_json::Value) -> Fleet {
    let mut fleet = Fleet::new(4);
    fleet.create("s", json!({"desiredCount": desired, "deploymentConfiguration": configuration}));
    fleet.settle();
    fleet.define("web", 0);
    fleet.fates.insert(2, second);
    fleet.update("s", json!({"taskDefinition": "web"}));
    while fleet.turn() {}
    fleet
}

/// The tasks of a revision that run.
fn running(fleet: &Fleet, revision: u32) -> Vec<Id128> {
    let tasks = fleet.tasks("s");
    let own = tasks.iter().filter(|task| task.revision == revision);
    own.filter(|task| task.observed_status == TaskStatus::Running).map(|task| task.id).collect()
}

fn lose(fleet: &mut Fleet) {
    let task = running(fleet, 1)[0];
    fleet.observe(task, TaskStatus::Stopped);
}

#[test]
fn what_is_lost_comes_again_where_the_newer_version_hangs() {
    let mut fleet = deploying(4, Fate::Hangs, json!({}));
    assert_eq!(running(&fleet, 1).len(), 4);
    for _ in 0..3 {
        lose(&mut fleet);
        assert_eq!(running(&fleet, 1).len(), 3);
        fleet.settle();
        assert_eq!(running(&fleet, 1).len(), 4);
    }
    let service = fleet.service("s");
    let shown = &service["deployments"];
    assert_eq!((&shown[0]["desiredCount"], &shown[1]["desiredCount"]), (&json!(4), &json!(4)));
    assert_eq!(shown[0]["pendingCount"], 4);
}

#[test]
fn all_of_it_may_be_lost() {
    let mut fleet = deploying(2, Fate::NeverStarts, json!({}));
    for task in running(&fleet, 1) {
        fleet.observe(task, TaskStatus::Stopped);
    }
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 2);
}

#[test]
fn a_version_that_is_given_up_without_a_way_back_leaves_the_older_whole() {
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}});
    let mut fleet = deploying(2, Fate::NeverStarts, breaker);
    fleet.settle();
    assert_eq!(fleet.service("s")["deployments"][0]["rolloutState"], "FAILED");
    lose(&mut fleet);
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 2);
    assert_eq!(fleet.counts("s"), (2, 0, 2));
}

#[test]
fn scaling_out_grows_both_and_the_end_is_reached() {
    let mut fleet = deploying(2, Fate::Hangs, json!({}));
    fleet.update("s", json!({"desiredCount": 5}));
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 5);
    fleet.update("s", json!({"desiredCount": 3}));
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 3, "more serve than are wanted");
    fleet.fates.insert(2, Fate::Runs);
    fleet.settle();
    assert_eq!((running(&fleet, 1).len(), running(&fleet, 2).len()), (0, 3));
    let service = fleet.service("s");
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn what_made_way_stays_away() {
    let bounds = json!({"minimumHealthyPercent": 50, "maximumPercent": 100});
    let mut fleet = deploying(4, Fate::Hangs, bounds);
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 2, "two have made way");
    lose(&mut fleet);
    fleet.settle();
    assert_eq!(running(&fleet, 1).len(), 2, "below the least it comes again");
    assert_eq!(fleet.tasks("s").len(), 4);
}
