//! Hosts whose agents do what they are told: they take what they are assigned, run it, and stop it.

use std::collections::BTreeMap;
use std::time::Duration;

use core_task::{Desired, TaskReport, TaskStatus};
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::feeds;
use service_ecs::reports::{AgentConnected, AgentDisconnected, PayloadAcknowledged, TaskObserved};
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::task::Task;

use super::World;

/// What becomes of a revision's tasks on their hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Runs,
    /// Its image cannot be pulled.
    NeverStarts,
    /// It runs and is gone at once.
    Crashes,
    /// Its agent takes it and says nothing more.
    Hangs,
}

pub struct Fleet {
    pub world: World,
    pub hosts: Vec<Id128>,
    /// By revision of the task definition; the others run.
    pub fates: BTreeMap<u32, Fate>,
    /// The version of the agents of hosts that come from now on.
    pub agents: &'static str,
    sessions: u64,
    registered: usize,
}

pub fn with(mut input: Value, more: Value) -> Value {
    more.as_object().unwrap().iter().for_each(|(key, value)| input[key] = value.clone());
    input
}

pub fn id_of(arn: &Value) -> Id128 {
    arn.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

impl Fleet {
    /// Hosts in two zones, and the definitions `web` (a dynamic port) and `fixed` (a static one).
    pub fn new(hosts: usize) -> Fleet {
        let mut world = World::new();
        world.call("CreateCluster", json!({"clusterName": "c"}));
        let (hosts_there, fates) = (Vec::new(), BTreeMap::new());
        let mut fleet = Fleet {
            world,
            hosts: hosts_there,
            fates,
            agents: "1.105.1",
            sessions: 0,
            registered: 0,
        };
        (0..hosts).for_each(|_| fleet.add_host());
        fleet.define("web", 0);
        fleet.define("fixed", 8080);
        fleet
    }

    pub fn add_host(&mut self) {
        self.add_host_with(json!([]), json!({}));
    }

    /// One that says that it is of a capacity provider.
    pub fn add_host_of(&mut self, provider: &str) {
        let attribute = json!({"name": "wharf.capacity-provider", "value": provider});
        self.add_host_with(json!([attribute]), json!({}));
    }

    /// One that has these attributes, and says more of itself.
    pub fn add_host_with(&mut self, attributes: Value, more: Value) {
        let number =
            |name: &str, n: i32| json!({"name": name, "type": "INTEGER", "integerValue": n});
        // Not how many there are: another may have gone.
        let n = self.registered;
        self.registered += 1;
        let zone = ["us-east-1a", "us-east-1b"][n % 2];
        let version = json!({"agentVersion": self.agents});
        let document = json!({"instanceId": format!("i-{n}"), "availabilityZone": zone});
        let mut all = vec![
            json!({"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}),
            json!({"name": "ecs.capability.container-health-check"}),
            json!({"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"}),
            json!({"name": "com.amazonaws.ecs.capability.docker-remote-api.1.29"}),
        ];
        all.extend(attributes.as_array().unwrap().iter().cloned());
        let input = json!({
            "cluster": "c", "instanceIdentityDocument": document.to_string(),
            "attributes": all, "versionInfo": version,
            "totalResources": [number("CPU", 1024), number("MEMORY", 1024),
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
                {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []}],
        });
        let answer = self.world.call("RegisterContainerInstance", with(input, more));
        let id = id_of(&answer["containerInstance"]["containerInstanceArn"]);
        self.hosts.push(id);
        self.connect(id);
    }

    pub fn connect(&mut self, host: Id128) {
        self.sessions += 1;
        self.world.report(AgentConnected { instance: host, session: self.sessions });
    }

    pub fn disconnect(&mut self, host: Id128) {
        let row = self.world.core.state().get::<ContainerInstance>(&host);
        let session = row.expect("a host of the fleet").observed_session;
        self.world.report(AgentDisconnected {
            instance: host,
            session,
            away: std::time::Duration::ZERO,
        });
    }

    /// Its image means one thing, so that no task waits for what the first one finds.
    pub fn define(&mut self, family: &str, port: u16) {
        let image = format!("busybox@sha256:{}", "b".repeat(64));
        self.define_with(
            family,
            json!({"image": image,
            "portMappings": [{"containerPort": 80, "hostPort": port}]}),
        );
    }

    pub fn define_with(&mut self, family: &str, more: Value) {
        let container = with(json!({"name": "web", "cpu": 64, "memory": 64}), more);
        let input = json!({"family": family, "containerDefinitions": [container]});
        self.world.call("RegisterTaskDefinition", input);
    }

    /// Every agent looks once at what it is assigned. True if there was anything to do.
    pub fn turn(&mut self) -> bool {
        let mut busy = false;
        for host in self.hosts.clone() {
            busy |= self.turn_of(host);
        }
        busy
    }

    pub fn turn_of(&mut self, host: Id128) -> bool {
        let state = self.world.core.state();
        let connected =
            state.get::<ContainerInstance>(&host).is_some_and(|row| row.observed_connected);
        if !connected {
            return false;
        }
        let assigned = feeds::assignments(state, host);
        let new: Vec<_> = assigned
            .iter()
            .filter(|one| !one.is_acknowledged())
            .map(|one| (one.task, one.desired))
            .collect();
        let mut busy = !new.is_empty();
        self.world.report(PayloadAcknowledged { instance: host, tasks: new });
        for one in assigned {
            let Some(task) = self.world.core.state().get::<Task>(&one.task) else { continue };
            let fate = self.fates.get(&task.revision).copied().unwrap_or(Fate::Runs);
            let status = task.observed_status;
            let next = match (one.desired, fate) {
                (Desired::Stopped, _) if status < TaskStatus::Stopped => TaskStatus::Stopped,
                (Desired::Running, Fate::Runs | Fate::Crashes) if status < TaskStatus::Running => {
                    TaskStatus::Running
                }
                (Desired::Running, Fate::NeverStarts | Fate::Crashes)
                    if status < TaskStatus::Stopped =>
                {
                    TaskStatus::Stopped
                }
                _ => continue,
            };
            busy = true;
            self.observe(one.task, next);
        }
        busy
    }

    pub fn observe(&mut self, task: Id128, status: TaskStatus) {
        let report = TaskReport { status: Some(status), ..Default::default() };
        self.world.report(TaskObserved { task, report });
    }

    /// Turns and time until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            while self.turn() {}
            self.world.pass(Duration::from_secs(3));
            if !self.turn() {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    pub fn create(&mut self, name: &str, more: Value) -> Value {
        let input = json!({"cluster": "c", "serviceName": name, "taskDefinition": "web",
            "desiredCount": 2});
        self.world.call("CreateService", with(input, more))["service"].clone()
    }

    pub fn update(&mut self, name: &str, more: Value) -> Value {
        let input = json!({"cluster": "c", "service": name});
        self.world.call("UpdateService", with(input, more))["service"].clone()
    }

    pub fn service(&mut self, name: &str) -> Value {
        let input = json!({"cluster": "c", "services": [name], "include": ["TAGS"]});
        self.world.call("DescribeServices", input)["services"][0].clone()
    }

    /// What the service has told, the oldest first.
    pub fn events(&mut self, name: &str) -> Vec<String> {
        let service = self.service(name);
        let all = service["events"].as_array().unwrap().iter();
        let mut all: Vec<_> = all.map(|e| e["message"].as_str().unwrap().to_owned()).collect();
        all.reverse();
        all
    }

    /// Running and pending tasks, and how many are wanted.
    pub fn counts(&mut self, name: &str) -> (i64, i64, i64) {
        let service = self.service(name);
        let count = |what: &str| service[what].as_i64().unwrap();
        (count("runningCount"), count("pendingCount"), count("desiredCount"))
    }

    /// Tasks of a service that have not stopped.
    pub fn tasks(&self, name: &str) -> Vec<Task> {
        let rows = self.world.core.state().all::<Task>();
        let own = rows.filter(|task| task.service.as_deref() == Some(name) && !task.is_stopped());
        own.cloned().collect()
    }
}
