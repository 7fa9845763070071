//! Why a task is nowhere: in RunTask's failures, and for the operator.

#![allow(clippy::unwrap_used)]

mod world;

use core_types::Scope;
use serde_json::json;
use service_ecs::explain::{Explained, explain};
use world::fleet::Fleet;

fn ask(fleet: &Fleet, what: &str) -> Option<Explained> {
    let scope: Scope = "123456789012/us-east-1".parse().unwrap();
    explain(fleet.world.core.state(), scope, "c", what)
}

fn run(fleet: &mut Fleet, family: &str) -> serde_json::Value {
    let input = json!({"cluster": "c", "taskDefinition": family, "count": 4});
    fleet.world.call("RunTask", input)
}

#[test]
fn failures_say_what_is_missing_on_each_instance() {
    let mut fleet = Fleet::new(3);
    let answer = run(&mut fleet, "fixed");
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 3);
    let failures = answer["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3);
    for failure in failures {
        assert_eq!(failure["reason"], "RESOURCE:PORTS");
        assert_eq!(failure["detail"], "Port 8080/tcp is taken");
        assert!(failure["arn"].as_str().unwrap().contains(":container-instance/c/"));
    }
}

#[test]
fn a_next_task_is_judged_on_every_instance() {
    let mut fleet = Fleet::new(4);
    let task = run(&mut fleet, "fixed")["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    fleet.settle();
    fleet.disconnect(fleet.hosts[0]);
    fleet.add_host();
    let told = ask(&fleet, &task).unwrap();
    assert!(told.facts[0].starts_with("It is RUNNING and shall be RUNNING"), "{told:?}");
    let next = told.next_task.unwrap();
    assert_eq!((next.instances, next.fit), (5, 1));
    let counts = next.refusals.iter().map(|one| (one.reason.as_str(), one.count));
    assert_eq!(counts.collect::<Vec<_>>(), [("RESOURCE:PORTS", 3), ("AGENT", 1)]);
    assert!(next.asks_for.contains(&"port 8080/tcp".to_owned()), "{:?}", next.asks_for);
    let detail = &next.refusals[0].examples[0].detail;
    assert!(detail.starts_with("Port 8080/tcp is taken by task "), "{detail}");
}

#[test]
fn services_and_definitions_are_explained_by_name_and_arn() {
    let mut fleet = Fleet::new(1);
    fleet.create("s", json!({"taskDefinition": "fixed", "desiredCount": 2}));
    fleet.settle();
    let told = ask(&fleet, "s").unwrap();
    assert!(told.facts.iter().any(|fact| fact == "Tasks of it wait for a place."), "{told:?}");
    assert_eq!(told.next_task.as_ref().unwrap().refusals[0].reason, "RESOURCE:PORTS");
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/c/s";
    assert_eq!(ask(&fleet, arn), Some(told));
    assert_eq!(ask(&fleet, "web").unwrap().subject, "task definition web:1");
    assert_eq!(ask(&fleet, "web:1").unwrap().next_task.unwrap().fit, 1);
    assert_eq!(ask(&fleet, "web:2"), None);
    assert_eq!(ask(&fleet, "nothing"), None);
}

#[test]
fn a_service_whose_first_task_goes_alone_says_so() {
    let mut fleet = Fleet::new(1);
    fleet.define_with("app", json!({"image": "web:1"}));
    fleet.create("s", json!({"taskDefinition": "app"}));
    let waits = |fleet: &Fleet| {
        let facts = ask(fleet, "s").unwrap().facts;
        facts.iter().any(|fact| fact.starts_with("Its other tasks wait until the first"))
    };
    assert!(waits(&fleet));
    fleet.settle();
    assert!(!waits(&fleet));
}
