//! Reports of hosts may come in any order and any number of times: the end is the same.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use core_task::Desired;
use core_types::{Id128, Time};
use proptest::prelude::*;
use serde_json::{Value, json};
use service_ecs::reports::{
    AgentConnected, AgentDisconnected, ContainerHealth, PayloadAcknowledged,
};
use service_ecs::rows::task::{Health, Task};
use world::World;

/// What an agent may tell of its one task with two containers.
#[derive(Clone, Debug)]
enum Told {
    Task(Value),
    Container(Value),
    Health(Health, i64),
    Acknowledged(Desired),
}

/// An agent's facts do not contradict each other; only their order is lost on the way.
fn told() -> impl Strategy<Value = Told> {
    let binding =
        json!({"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"});
    let container = |name: &str, status: &str| match status {
        "STOPPED" => json!({"containerName": name, "status": status, "exitCode": 3}),
        _ => json!({"containerName": name, "status": status, "runtimeId": format!("r-{name}"),
            "networkBindings": [binding], "imageDigest": "sha256:aa"}),
    };
    let task = |status: &str, containers: &[Value]| {
        Told::Task(json!({"status": status, "containers": containers}))
    };
    prop::sample::select(vec![
        task("RUNNING", &[container("a", "RUNNING"), container("b", "RUNNING")]),
        task("RUNNING", &[container("a", "RUNNING")]),
        task("STOPPED", &[container("a", "STOPPED"), container("b", "STOPPED")]),
        task("PULLED", &[container("b", "PENDING")]),
        Told::Task(json!({"status": "NONE", "pullStartedAt": 1_700_000_000})),
        Told::Container(container("a", "RUNNING")),
        Told::Container(container("b", "STOPPED")),
        Told::Health(Health::Healthy, 1),
        Told::Health(Health::Unhealthy, 2),
        Told::Health(Health::Healthy, 2),
        Told::Acknowledged(Desired::Running),
        Told::Acknowledged(Desired::Stopped),
    ])
}

struct Scene {
    world: World,
    host: Id128,
    task: Id128,
}

fn scene() -> Scene {
    let mut world = World::new();
    world.call("CreateCluster", json!({"clusterName": "c"}));
    let number = |name: &str| json!({"name": name, "type": "INTEGER", "integerValue": 1000});
    let registration = json!({"cluster": "c", "totalResources": [number("CPU"), number("MEMORY")]});
    let answer = world.call("RegisterContainerInstance", registration);
    let last = |arn: &Value| arn.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    let host = last(&answer["containerInstance"]["containerInstanceArn"]);
    world.report(AgentConnected { instance: host, session: 1 });
    let containers = ["a", "b"].map(|name| json!({"name": name, "image": "i", "memory": 100}));
    let definition = json!({"family": "web", "containerDefinitions": containers});
    world.call("RegisterTaskDefinition", definition);
    let answer = world.call("RunTask", json!({"cluster": "c", "taskDefinition": "web"}));
    Scene { world, host, task: last(&answer["tasks"][0]["taskArn"]) }
}

impl Scene {
    fn tell(&mut self, told: &Told) {
        let Scene { world, host, task } = self;
        let (instance, task) = (*host, *task);
        let with = |mut input: Value| {
            input["cluster"] = json!("c");
            input["task"] = json!(task.to_string());
            input
        };
        match told.clone() {
            Told::Task(input) => {
                world.call("SubmitTaskStateChange", with(input));
            }
            Told::Container(input) => {
                world.call("SubmitContainerStateChange", with(input));
            }
            Told::Health(health, at) => world.report(ContainerHealth {
                instance,
                task,
                container: "a".into(),
                health,
                since: Time(at),
            }),
            Told::Acknowledged(desired) => {
                world.report(PayloadAcknowledged { instance, tasks: vec![(task, desired)] });
            }
        }
    }

    /// The row, without what counts the changes on the way.
    fn row(&self) -> Task {
        let row = self.world.core.state().get::<Task>(&self.task).unwrap();
        // Whether it was seen running before it stopped is a matter of order; how it stopped too.
        Task {
            version: 0,
            started_at: None,
            connectivity_at: None,
            stopping_at: None,
            ..row.clone()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_end_is_the_same(
        (once, shuffled) in prop::collection::vec(told(), 0..6).prop_flat_map(|once| {
            let twice = [once.clone(), once.clone()].concat();
            (Just(once), Just(twice).prop_shuffle())
        }),
    ) {
        let (mut straight, mut other) = (scene(), scene());
        once.iter().for_each(|told| straight.tell(told));
        shuffled.iter().for_each(|told| other.tell(told));
        prop_assert_eq!(straight.row(), other.row());
        // Taking everything again changes nothing at all.
        let before = other.world.core.state().get::<Task>(&other.task).unwrap().clone();
        shuffled.iter().for_each(|told| other.tell(told));
        prop_assert_eq!(&before, other.world.core.state().get::<Task>(&other.task).unwrap());
        other.world.survives_a_restart();
    }

    /// Whatever hosts and users do, what a host has left is what its tasks do not hold, and in the
    /// end everything stops and is forgotten.
    #[test]
    fn everything_comes_back(deeds in prop::collection::vec(0..8u8, 0..40)) {
        let Scene { mut world, host, task } = scene();
        let (mut session, mut tasks) = (1, vec![task]);
        for (n, deed) in deeds.iter().enumerate() {
            let one = tasks[n % tasks.len()];
            let submit = |status: &str| json!({"cluster": "c", "task": one.to_string(), "status": status});
            match deed {
                0 | 1 => {
                    let run = json!({"cluster": "c", "taskDefinition": "web", "count": 2});
                    let answer = world.call("RunTask", run);
                    for task in answer["tasks"].as_array().unwrap() {
                        let arn = task["taskArn"].as_str().unwrap();
                        tasks.push(arn.rsplit('/').next().unwrap().parse().unwrap());
                    }
                }
                2 => drop(world.try_call("StopTask", json!({"cluster": "c", "task": one.to_string()}))),
                3 => drop(world.try_call("SubmitTaskStateChange", submit("RUNNING"))),
                4 => drop(world.try_call("SubmitTaskStateChange", submit("STOPPED"))),
                5 => {
                    session += 1;
                    world.report(AgentConnected { instance: host, session });
                }
                6 => world.report(AgentDisconnected { instance: host, session, away: std::time::Duration::ZERO }),
                _ => world.pass(Duration::from_secs(31)),
            }
        }
        session += 1;
        world.report(AgentConnected { instance: host, session });
        for task in tasks {
            let stop = json!({"cluster": "c", "task": task.to_string()});
            if world.try_call("StopTask", stop).is_ok() {
                let gone = json!({"cluster": "c", "task": task.to_string(), "status": "STOPPED"});
                world.call("SubmitTaskStateChange", gone);
            }
        }
        world.pass(Duration::from_secs(61));
        let input = json!({"cluster": "c", "containerInstances": [host.to_string()]});
        let shown = world.call("DescribeContainerInstances", input)["containerInstances"][0].clone();
        prop_assert_eq!(&shown["remainingResources"], &shown["registeredResources"]);
        world.survives_a_restart();
        world.pass(Duration::from_secs(3600));
        prop_assert_eq!(world.core.state().count::<Task>(), 0);
    }
}
