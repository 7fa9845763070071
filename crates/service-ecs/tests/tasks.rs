//! What running tasks do to the registry: counts, resources, refusals.

#![allow(clippy::unwrap_used)]

mod world;

use std::any::Any;
use std::time::Duration;

use core_state::Tx;
use core_step::Report;
use core_task::{Desired, TaskStatus};
use core_types::{Id128, Time};
use serde_json::json;
use service_ecs::rows::task::{HostPort, Launch, StopCode, Task};
use world::World;

/// A task as placement would write it.
struct Placed(Task);

impl Report for Placed {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        tx.put(self.0);
        Box::new(())
    }
}

fn task(host: Option<Id128>, status: TaskStatus) -> Task {
    let cluster = ("123456789012/us-east-1".parse().unwrap(), "c".into());
    Task {
        host,
        cpu: 100,
        memory: 64,
        ports: Box::new([HostPort { udp: false, port: 8080 }]),
        observed_status: status,
        ..Task::new(Id128([7; 16]), cluster, ("web".into(), 1), Launch::Ec2, Time(0))
    }
}

#[test]
fn a_running_task_holds_its_host_its_cluster_and_its_definition() {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    world.call(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [{
        "name": "a", "image": "i", "cpu": 100, "memory": 64,
        "portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]}),
    );
    let resource =
        |name: &str, number: i32| json!({"name": name, "type": "INTEGER", "integerValue": number});
    let ports = json!({"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]});
    let answer = world.call(
        "RegisterContainerInstance",
        json!({"cluster": "c",
        "totalResources": [resource("CPU", 1024), resource("MEMORY", 512), ports]}),
    );
    let arn = answer["containerInstance"]["containerInstanceArn"].clone();
    let host: Id128 = arn.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    world.report(Placed(task(Some(host), TaskStatus::Running)));

    let described = world
        .call("DescribeContainerInstances", json!({"cluster": "c", "containerInstances": [arn]}));
    let shown = &described["containerInstances"][0];
    assert_eq!(shown["runningTasksCount"], 1);
    let left: Vec<_> =
        (0..2).map(|n| shown["remainingResources"][n]["integerValue"].clone()).collect();
    assert_eq!(left, [924, 448]);
    assert_eq!(shown["remainingResources"][2]["stringSetValue"], json!(["22", "8080"]));
    assert_eq!(shown["registeredResources"][2]["stringSetValue"], json!(["22"]));
    let described =
        world.call("DescribeClusters", json!({"clusters": ["c"], "include": ["STATISTICS"]}));
    assert_eq!(described["clusters"][0]["runningTasksCount"], 1);
    assert_eq!(described["clusters"][0]["statistics"][0]["value"], "1");
    let filter = json!({"cluster": "c", "filter": "task:group == family:web"});
    let listed = world.call("ListContainerInstances", filter);
    assert_eq!(listed["containerInstanceArns"], json!([arn]));

    let leave = json!({"cluster": "c", "containerInstance": arn});
    let refusal = world.refusal("DeregisterContainerInstance", leave);
    let text = "Found running tasks on the instance.";
    assert_eq!(refusal, ("InvalidParameterException".into(), text.into()));
    let force = json!({"cluster": "c", "containerInstance": arn, "force": true});
    world.call("DeregisterContainerInstance", force);
    let there = world.core.state().get::<Task>(&Id128([7; 16])).unwrap();
    assert_eq!((there.desired_status, there.is_stopped()), (Desired::Stopped, true));
    assert_eq!(there.stop_code, Some(StopCode::UserInitiated));
    let reason = "Container instance deregistration forced by user";
    assert_eq!(there.stopped_reason.as_deref(), Some(reason));
    world.call("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    world.call("DeleteTaskDefinitions", json!({"taskDefinitions": ["web:1"]}));
    let web = json!({"taskDefinition": "web:1"});
    let running = Task { id: Id128([8; 16]), ..task(None, TaskStatus::Running) };
    world.report(Placed(running.clone()));
    let (code, text) = world.refusal("DeleteCluster", json!({"cluster": "c"}));
    assert_eq!(code, "ClusterContainsTasksException");
    assert_eq!(text, "The Cluster cannot be deleted while Tasks are active.");
    world.pass(Duration::from_secs(7200));
    let shown = world.call("DescribeTaskDefinition", web.clone());
    assert_eq!(shown["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
    world.report(Placed(Task {
        observed_status: TaskStatus::Stopped,
        desired_status: Desired::Stopped,
        ..running
    }));
    world.pass(Duration::from_secs(120));
    world.refusal("DescribeTaskDefinition", web);
    world.call("DeleteCluster", json!({"cluster": "c"}));
    world.survives_a_restart();
}
