//! Services from their creation to their end, with hosts that do as they are told.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_task::TaskStatus;
use serde_json::json;
use service_ecs::rows::service::Service;
use service_ecs::rows::task::Health;
use world::fleet::{Fate, Fleet};

#[test]
fn a_service_comes_up_and_says_so() {
    let mut fleet = Fleet::new(2);
    let service = fleet.create("s", json!({"tags": [{"key": "a", "value": "b"}]}));
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/c/s";
    for (key, value) in [
        ("serviceArn", json!(arn)),
        ("serviceName", json!("s")),
        ("clusterArn", json!("arn:aws:ecs:us-east-1:123456789012:cluster/c")),
        ("status", json!("ACTIVE")),
        ("desiredCount", json!(2)),
        ("runningCount", json!(0)),
        ("pendingCount", json!(0)),
        ("launchType", json!("EC2")),
        ("schedulingStrategy", json!("REPLICA")),
        ("deploymentController", json!({"type": "ECS"})),
        ("propagateTags", json!("NONE")),
        ("enableECSManagedTags", json!(false)),
        ("enableExecuteCommand", json!(false)),
        ("createdBy", json!("arn:aws:iam::123456789012:user/ada")),
        ("events", json!([])),
        ("loadBalancers", json!([])),
        ("serviceRegistries", json!([])),
        ("placementConstraints", json!([])),
        ("placementStrategy", json!([])),
        ("tags", json!([{"key": "a", "value": "b"}])),
    ] {
        assert_eq!(service[key], value, "{key}");
    }
    let configuration = &service["deploymentConfiguration"];
    assert_eq!(configuration["maximumPercent"], 200);
    assert_eq!(configuration["minimumHealthyPercent"], 100);
    let threshold = json!({"type": "BOUNDED_PERCENT", "value": 50});
    let breaker = json!({"enable": false, "rollback": false, "resetOnHealthyTask": true,
        "thresholdConfiguration": threshold});
    assert_eq!(configuration["deploymentCircuitBreaker"], breaker);
    let deployment = &service["deployments"][0];
    let id = deployment["id"].as_str().unwrap().to_owned();
    assert_eq!(id.strip_prefix("ecs-svc/").map(str::len), Some(19));
    assert_eq!(deployment["status"], "PRIMARY");
    assert_eq!(deployment["rolloutState"], "IN_PROGRESS");
    let reason = format!("ECS deployment {id} in progress.");
    assert_eq!(deployment["rolloutStateReason"], json!(reason));

    assert_eq!(fleet.counts("s"), (0, 2, 2));
    let tasks = fleet.tasks("s");
    assert!(tasks.iter().all(|task| task.started_by.as_deref() == Some(&*id)));
    assert!(tasks.iter().all(|task| &*task.group() == "service:s"));
    // AWS: over the zones first.
    assert_ne!(tasks[0].host, tasks[1].host);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    let deployment = &fleet.service("s")["deployments"][0];
    assert_eq!(deployment["rolloutState"], "COMPLETED");
    assert_eq!(deployment["rolloutStateReason"], json!(format!("ECS deployment {id} completed.")));
    assert_eq!((&deployment["desiredCount"], &deployment["runningCount"]), (&json!(2), &json!(2)));
    let (one, other) = (tasks[0].id, tasks[1].id);
    let started = |a, b| format!("(service s) has started 2 tasks: (task {a}) (task {b}).");
    let events = fleet.events("s");
    assert!(events[0] == started(one, other) || events[0] == started(other, one), "{events:?}");
    assert_eq!(events[1], format!("(service s) (deployment {id}) deployment completed."));
    assert_eq!(events[2..], ["(service s) has reached a steady state."]);
    fleet.world.survives_a_restart();
}

#[test]
fn a_new_version_rolls_in_within_the_bounds() {
    let mut fleet = Fleet::new(2);
    let bounds = json!({"maximumPercent": 200, "minimumHealthyPercent": 50});
    fleet.create("s", json!({"desiredCount": 4, "deploymentConfiguration": bounds}));
    fleet.settle();
    fleet.define("web", 0);
    let service = fleet.update("s", json!({"taskDefinition": "web:2"}));
    let all = service["deployments"].as_array().unwrap();
    assert_eq!((&all[0]["status"], &all[1]["status"]), (&json!("PRIMARY"), &json!("ACTIVE")));
    assert!(all[0]["taskDefinition"].as_str().unwrap().ends_with("/web:2"));
    assert_eq!(fleet.counts("s"), (4, 4, 4));
    for _ in 0..40 {
        let tasks = fleet.tasks("s");
        let running = tasks.iter().filter(|t| t.observed_status == TaskStatus::Running).count();
        assert!(running >= 2 && tasks.len() <= 8, "{running} of {}", tasks.len());
        if !fleet.turn() {
            fleet.world.pass(Duration::from_secs(1));
        }
    }
    assert_eq!(fleet.counts("s"), (4, 0, 4));
    assert!(fleet.tasks("s").iter().all(|task| task.revision == 2));
    let service = fleet.service("s");
    assert_eq!(service["deployments"].as_array().unwrap().len(), 1);
    let id = service["deployments"][0]["id"].as_str().unwrap().to_owned();
    let events = fleet.events("s");
    assert!(
        events.iter().any(|text| text.starts_with("(service s) has stopped 4 running tasks: "))
    );
    assert!(events.contains(&format!("(service s) (deployment {id}) deployment completed.")));
    let input = json!({"cluster": "c", "serviceName": "s", "desiredStatus": "STOPPED"});
    let stopped = fleet.world.call("ListTasks", input)["taskArns"].clone();
    let input = json!({"cluster": "c", "tasks": stopped});
    for task in fleet.world.call("DescribeTasks", input)["tasks"].as_array().unwrap() {
        assert_eq!(task["stopCode"], "ServiceSchedulerInitiated");
        let reason = format!("Scaling activity initiated by (deployment {id})");
        assert_eq!(task["stoppedReason"], json!(reason));
    }
    fleet.world.survives_a_restart();
}

#[test]
fn a_static_port_leaves_one_on_one_host_and_a_dynamic_one_two() {
    let mut fleet = Fleet::new(1);
    fleet.create("fixed", json!({"taskDefinition": "fixed", "desiredCount": 1}));
    fleet.settle();
    fleet.update("fixed", json!({"desiredCount": 2}));
    fleet.settle();
    assert_eq!(fleet.counts("fixed"), (1, 0, 2));
    let host = fleet.hosts[0];
    let text = format!(
        "(service fixed) was unable to place a task because no container instance met all of its \
         requirements. The closest matching (container-instance {host}) is already using a port \
         required by your task. For more information, see the Troubleshooting section of the \
         Amazon ECS Developer Guide."
    );
    assert_eq!(fleet.events("fixed").iter().filter(|event| **event == text).count(), 1);
    // It is told again when six hours have passed.
    fleet.world.pass(Duration::from_secs(6 * 3600));
    assert_eq!(fleet.events("fixed").iter().filter(|event| **event == text).count(), 2);
    // A second host comes: the second task goes there.
    fleet.add_host();
    fleet.settle();
    assert_eq!(fleet.counts("fixed"), (2, 0, 2));

    let mut fleet = Fleet::new(1);
    fleet.create("web", json!({}));
    fleet.settle();
    assert_eq!(fleet.counts("web"), (2, 0, 2));
}

#[test]
fn a_service_is_deleted_once_it_is_scaled_to_nothing() {
    let mut fleet = Fleet::new(1);
    fleet.create("s", json!({}));
    fleet.settle();
    let delete = json!({"cluster": "c", "service": "s"});
    let refusal = fleet.world.refusal("DeleteService", delete.clone());
    let text = "The service cannot be stopped while it is scaled above 0.";
    assert_eq!(refusal, ("InvalidParameterException".into(), text.into()));
    fleet.update("s", json!({"desiredCount": 0}));
    let answer = fleet.world.call("DeleteService", delete.clone());
    assert_eq!(answer["service"]["status"], "DRAINING");
    let create = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "web",
        "desiredCount": 1});
    let refusal = fleet.world.refusal("CreateService", create);
    assert_eq!(refusal.1, "Unable to Start a service that is still Draining.");
    let refusal = fleet.world.refusal("UpdateService", json!({"cluster": "c", "service": "s"}));
    assert_eq!(refusal.0, "ServiceNotActiveException");
    let refusal = fleet.world.refusal("DeleteCluster", json!({"cluster": "c"}));
    assert_eq!(refusal.0, "ClusterContainsServicesException");
    fleet.settle();
    let service = fleet.service("s");
    assert_eq!(service["status"], "INACTIVE");
    assert_eq!((&service["runningCount"], &service["deployments"]), (&json!(0), &json!([])));
    let list = fleet.world.call("ListServices", json!({"cluster": "c"}));
    assert_eq!(list["serviceArns"], json!([]));
    let refusal = fleet.world.refusal("DeleteService", delete);
    assert_eq!(refusal, ("ServiceNotFoundException".into(), "Service not found.".into()));
    // Its name is free, and in time it is forgotten.
    fleet.create("s", json!({"desiredCount": 1}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 1));
    let force = json!({"cluster": "c", "service": "s", "force": true});
    fleet.world.call("DeleteService", force);
    fleet.settle();
    fleet.world.pass(Duration::from_secs(3601));
    let input = json!({"cluster": "c", "services": ["s"]});
    let answer = fleet.world.call("DescribeServices", input);
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/c/s";
    assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
    fleet.world.survives_a_restart();
}

#[test]
fn a_broken_version_is_given_up_and_the_last_good_one_stays() {
    for fate in [Fate::NeverStarts, Fate::Crashes] {
        let mut fleet = Fleet::new(2);
        let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
        let made = fleet.create("s", json!({"deploymentConfiguration": breaker}));
        let good = made["deployments"][0]["id"].as_str().unwrap().to_owned();
        fleet.settle();
        fleet.define("web", 0);
        fleet.fates.insert(2, fate);
        let updated = fleet.update("s", json!({"taskDefinition": "web"}));
        let bad = updated["deployments"][0]["id"].as_str().unwrap().to_owned();
        fleet.settle();
        let service = fleet.service("s");
        let deployments = service["deployments"].as_array().unwrap();
        assert_eq!(deployments.len(), 1, "{fate:?}");
        assert_eq!(deployments[0]["id"], json!(good));
        assert_eq!(deployments[0]["rolloutState"], "COMPLETED");
        assert!(service["taskDefinition"].as_str().unwrap().ends_with("/web:1"));
        assert_eq!(fleet.counts("s"), (2, 0, 2));
        let events = fleet.events("s");
        let failed =
            format!("(service s) (deployment {bad}) deployment failed: tasks failed to start.");
        assert!(events.contains(&failed), "{events:?}");
        assert!(events.contains(&format!("(service s) rolling back to deployment {good}.")));
        assert!(fleet.tasks("s").iter().all(|task| task.revision == 1));
        fleet.world.survives_a_restart();
    }
}

#[test]
fn what_watched_over_a_deployment_is_told_of_it_for_ever() {
    let mut fleet = Fleet::new(1);
    let breaker = |on: bool| {
        let breaker = json!({"enable": on, "rollback": false});
        json!({"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}})
    };
    fleet.create("s", breaker(true));
    let status = |fleet: &mut Fleet| {
        let input = json!({"cluster": "c", "service": "s"});
        let listed = fleet.world.call("ListServiceDeployments", input);
        let arns = json!([listed["serviceDeployments"][0]["serviceDeploymentArn"]]);
        let input = json!({"serviceDeploymentArns": arns});
        let shown = fleet.world.call("DescribeServiceDeployments", input);
        shown["serviceDeployments"][0]["deploymentCircuitBreaker"]["status"].clone()
    };
    assert_eq!(status(&mut fleet), "MONITORING");
    fleet.settle();
    fleet.update("s", breaker(false));
    assert_eq!(status(&mut fleet), "MONITORING_COMPLETE");
}

#[test]
fn what_keeps_failing_is_tried_more_and_more_seldom() {
    let mut fleet = Fleet::new(1);
    fleet.fates.insert(1, Fate::NeverStarts);
    fleet.create("s", json!({"desiredCount": 1}));
    while fleet.turn() {}
    let events = fleet.events("s");
    let text = "(service s) is unable to consistently start tasks successfully. For more \
                information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
    assert_eq!(events.iter().filter(|event| *event == text).count(), 1);
    let tries = |fleet: &mut Fleet| {
        fleet.events("s").iter().filter(|event| event.contains("has started")).count()
    };
    assert_eq!(tries(&mut fleet), 10);
    assert_eq!(fleet.service("s")["deployments"][0]["failedTasks"], 10);
    fleet.world.pass(Duration::from_secs(9));
    assert_eq!(tries(&mut fleet), 10);
    fleet.world.pass(Duration::from_secs(1));
    assert_eq!(tries(&mut fleet), 11);
    // It is mended: it comes up at the next try, and the count ends.
    fleet.fates.clear();
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 1));
    fleet.world.pass(Duration::from_secs(10));
    assert_eq!(fleet.service("s")["deployments"][0]["failedTasks"], 0);
    fleet.world.survives_a_restart();
}

#[test]
fn tasks_of_lost_and_draining_hosts_are_replaced() {
    let mut fleet = Fleet::new(3);
    fleet.create("s", json!({"desiredCount": 3}));
    fleet.settle();
    let gone = fleet.hosts[0];
    fleet.disconnect(gone);
    fleet.world.pass(Duration::from_secs(61));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (3, 0, 3));
    assert!(fleet.tasks("s").iter().all(|task| task.host != Some(gone)));

    let draining = fleet.hosts[1];
    let names = json!([draining.to_string()]);
    let input = json!({"cluster": "c", "containerInstances": names, "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    for _ in 0..40 {
        let running =
            |task: &&service_ecs::rows::task::Task| task.observed_status == TaskStatus::Running;
        assert!(fleet.tasks("s").iter().filter(running).count() >= 3);
        if !fleet.turn() {
            fleet.world.pass(Duration::from_secs(1));
        }
    }
    let on = |fleet: &Fleet| -> Vec<_> { fleet.tasks("s").iter().map(|task| task.host).collect() };
    assert_eq!(on(&fleet), [Some(fleet.hosts[2]); 3], "{:?}", fleet.events("s"));
    assert_eq!(fleet.counts("s"), (3, 0, 3));
    // A task that ends is replaced.
    let one = fleet.tasks("s")[0].id;
    fleet.observe(one, TaskStatus::Stopped);
    fleet.settle();
    assert_eq!(fleet.counts("s"), (3, 0, 3));
    fleet.world.survives_a_restart();
}

#[test]
fn what_keeps_a_task_out_is_told_anew_when_the_host_that_was_named_is_drained() {
    let mut fleet = Fleet::new(1);
    let host = fleet.hosts[0];
    fleet.disconnect(host);
    fleet.create("s", json!({"desiredCount": 1}));
    let last = |fleet: &mut Fleet| fleet.events("s").pop().unwrap_or_default();
    assert!(last(&mut fleet).contains("encountered error \"AGENT\"."));
    let names = json!([host.to_string()]);
    let input = json!({"cluster": "c", "containerInstances": names, "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    assert!(last(&mut fleet).contains("No Container Instances were found in your cluster."));
    fleet.world.survives_a_restart();
}

/// However slow its line is: time alone says nothing.
#[test]
fn what_a_host_that_is_back_still_runs_keeps_its_port() {
    let mut fleet = Fleet::new(1);
    let input = json!({"cluster": "c", "taskDefinition": "fixed"});
    let run = |fleet: &mut Fleet| fleet.world.call("RunTask", input.clone());
    let task = world::fleet::id_of(&run(&mut fleet)["tasks"][0]["taskArn"]);
    fleet.settle();
    let host = fleet.hosts[0];
    fleet.disconnect(host);
    fleet.world.pass(Duration::from_secs(61));
    fleet.connect(host);
    // It has not heard yet that it shall stop the task.
    fleet.world.pass(Duration::from_secs(600));
    assert_eq!(run(&mut fleet)["failures"][0]["reason"], "RESOURCE:PORTS");
    fleet.observe(task, TaskStatus::Stopped);
    assert_eq!(run(&mut fleet)["failures"], json!([]));
}

#[test]
fn a_daemon_is_on_every_host_that_may_have_it() {
    let mut fleet = Fleet::new(2);
    let constraint = json!([{"type": "memberOf",
        "expression": "attribute:ecs.availability-zone != us-east-1c"}]);
    let input = json!({"cluster": "c", "serviceName": "d", "taskDefinition": "fixed",
        "schedulingStrategy": "DAEMON", "placementConstraints": constraint});
    let service = fleet.world.call("CreateService", input)["service"].clone();
    assert_eq!(service["schedulingStrategy"], "DAEMON");
    assert_eq!(service["deploymentConfiguration"]["maximumPercent"], 100);
    fleet.settle();
    assert_eq!(fleet.counts("d"), (2, 0, 2));
    // A host comes, another drains.
    fleet.add_host();
    fleet.settle();
    assert_eq!(fleet.counts("d"), (3, 0, 3));
    let drained = fleet.hosts[0];
    let names = json!([drained.to_string()]);
    let input = json!({"cluster": "c", "containerInstances": names, "status": "DRAINING"});
    fleet.world.call("UpdateContainerInstancesState", input);
    fleet.settle();
    assert_eq!(fleet.counts("d"), (2, 0, 2));
    assert!(fleet.tasks("d").iter().all(|task| task.host != Some(drained)));
    // On each host the old one goes before the new one comes: they want the same port.
    fleet.define("fixed", 8080);
    fleet.update("d", json!({"taskDefinition": "fixed:2"}));
    fleet.settle();
    assert!(fleet.tasks("d").iter().all(|task| task.revision == 2));
    assert_eq!(fleet.service("d")["deployments"][0]["rolloutState"], "COMPLETED");
    // One without a count is deleted without one.
    fleet.world.call("DeleteService", json!({"cluster": "c", "service": "d"}));
    fleet.settle();
    assert_eq!(fleet.service("d")["status"], "INACTIVE");
    fleet.world.survives_a_restart();
}

/// Reports that a neighbour would make of the seam.
struct Traffic(core_types::Id128, Option<Health>);

impl core_step::Report for Traffic {
    fn apply(self: Box<Self>, tx: &mut core_state::Tx<'_>) -> Box<dyn std::any::Any + Send> {
        service_ecs::ops::observe_traffic(tx, self.0, self.1);
        Box::new(())
    }
}

#[test]
fn what_brings_a_task_its_users_has_a_say_in_its_health() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({"healthCheckGracePeriodSeconds": 60}));
    fleet.settle();
    let key = fleet.world.core.state().all::<Service>().next().unwrap().key.clone();
    let serving = service_ecs::ops::serving_tasks(fleet.world.core.state(), &key);
    assert_eq!(serving.len(), 2);
    let bad = serving[0];
    // In the grace period nothing is made of it.
    fleet.world.report(Traffic(bad, Some(Health::Unhealthy)));
    fleet.settle();
    assert!(fleet.tasks("s").iter().any(|task| task.id == bad));
    fleet.world.pass(Duration::from_secs(60));
    fleet.settle();
    assert!(fleet.tasks("s").iter().all(|task| task.id != bad));
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    let text = format!("(service s) (task {bad}) failed container health checks.");
    assert!(fleet.events("s").contains(&text));
    // AWS: a task that does well starts the count of failures anew, whatever they were.
    assert_eq!(fleet.service("s")["deployments"][0]["failedTasks"], 1);
    fleet.world.pass(Duration::from_secs(10));
    assert_eq!(fleet.service("s")["deployments"][0]["failedTasks"], 0);
    fleet.world.survives_a_restart();
}

#[test]
fn a_protected_task_outlives_a_scale_in() {
    let mut fleet = Fleet::new(2);
    fleet.create("s", json!({"desiredCount": 3}));
    fleet.settle();
    let kept = fleet.tasks("s")[0].arn();
    let input = json!({"cluster": "c", "tasks": [kept], "protectionEnabled": true,
        "expiresInMinutes": 10});
    fleet.world.call("UpdateTaskProtection", input);
    fleet.update("s", json!({"desiredCount": 1}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 1));
    assert_eq!(fleet.tasks("s")[0].arn(), kept);
    fleet.update("s", json!({"desiredCount": 0}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (1, 0, 0));
    fleet.world.pass(Duration::from_secs(600));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (0, 0, 0));
    fleet.world.survives_a_restart();
}

#[test]
fn many_tasks_come_in_batches() {
    let mut fleet = Fleet::new(2);
    let image = format!("i@sha256:{}", "a".repeat(64));
    let small = json!([{"name": "web", "image": image, "memory": 4, "cpu": 1}]);
    let input = json!({"family": "small", "containerDefinitions": small});
    fleet.world.call("RegisterTaskDefinition", input);
    fleet.create("s", json!({"taskDefinition": "small", "desiredCount": 510}));
    assert_eq!(fleet.tasks("s").len(), 500);
    fleet.world.pass(Duration::from_millis(1));
    assert_eq!(fleet.tasks("s").len(), 510);
    let service = fleet.service("s");
    assert_eq!(service["events"].as_array().unwrap().len(), 51);
    fleet.world.survives_a_restart();
}
