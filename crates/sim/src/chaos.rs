//! One seed's story: users who want things, faults that come and go, then quiet, then the end.
//!
//! While there are faults the auditor holds what must hold at every instant. Once they stop, what
//! was asked for last has to be there; once everything is deleted, nothing may be left.

use std::time::Duration;

use core_state::State;
use core_task::TaskStatus;
use core_types::{Id128, Time};
use serde_json::{Value, json};
use service_ecs::rows::container_instance::{ContainerInstance, InstanceStatus};
use service_ecs::rows::service::{Rollout, Service, ServiceStatus};
use service_ecs::rows::task::{HostLoad, Task};

use crate::agent::{Agent, Fate};
use crate::shifts::Rings;
use crate::world::{CLUSTER, Link, World, id_of};
use crate::{Outcome, Violation, hold};

/// What a seed came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    pub steps: u64,
    pub tasks: usize,
    pub seconds: u64,
}

const START: Time = Time(1_700_000_000_000);
/// The last one has a health check.
const FAMILIES: [&str; 4] = ["web", "fixed", "big", "checked"];
const SERVICES: [&str; 4] = ["s0", "s1", "s2", "s3"];
/// Is behind a load balancer.
const BALANCED: &str = "s3";
const BOUNDS: [(i32, i32); 7] =
    [(100, 200), (50, 200), (50, 100), (0, 100), (0, 200), (100, 150), (75, 125)];

pub(crate) struct Story {
    pub(crate) world: World,
    tasks: usize,
}

/// Live through a seed. The error says what must not be, and when it was.
pub fn run(seed: u64, told: bool) -> Result<Ran, String> {
    let mut story = Story { world: World::new(seed, START), tasks: 0 };
    story.world.told_aloud = told;
    let lived = story.live();
    let seconds = story.world.now().since(START).as_secs();
    match lived {
        Ok(()) => Ok(Ran { steps: story.world.plane.steps, tasks: story.tasks, seconds }),
        Err(Violation(text)) => {
            let steps = story.world.plane.steps;
            Err(format!("seed {seed}, step {steps}, {} s in: {text}", seconds))
        }
    }
}

impl Story {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.world.dice.below(n)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn live(&mut self) -> Outcome<()> {
        self.begin()?;
        let acts = 20 + self.below(60);
        for _ in 0..acts {
            self.act()?;
            let pause = match self.below(10) {
                0 => self.below(90_000),
                _ => self.below(4_000),
            };
            self.pass(Duration::from_millis(pause))?;
        }
        self.quiet()?;
        self.end()
    }

    fn pass(&mut self, time: Duration) -> Outcome<()> {
        let end = self.world.now() + time;
        self.world.run_until(end)
    }

    fn begin(&mut self) -> Outcome<()> {
        self.world.plane.check_every = 199;
        self.world.must("CreateCluster", &json!({"clusterName": CLUSTER}))?;
        FAMILIES.iter().try_for_each(|family| self.define(family, Fate::Runs))?;
        let hosts = 1 + self.below(5);
        for _ in 0..hosts {
            self.world.add_host(1024, 1024, &[])?;
        }
        self.world.balance(BALANCED);
        self.pass(Duration::from_secs(1))?;
        let (lost, twice) = (self.below(100), self.below(100));
        let slowest_ms = self.pick(&[5, 200, 3_000]);
        let lazy = self.pick(&[0, 0, 100, 500]);
        self.world.link = Link { lost, twice, slowest_ms, lazy };
        Ok(())
    }

    fn define(&mut self, family: &str, fate: Fate) -> Outcome<()> {
        let (port, memory) = match family {
            "fixed" => (8080, 64),
            "big" => (0, 400),
            _ => (0, 64),
        };
        let mut container = json!({"name": "web", "image": "i", "cpu": 64, "memory": memory,
            "portMappings": [{"containerPort": 80, "hostPort": port}]});
        if family == "checked" {
            container["healthCheck"] = json!({"command": ["CMD", "true"]});
        }
        let input = json!({"family": family, "containerDefinitions": [container]});
        let answer = self.world.must("RegisterTaskDefinition", &input)?;
        let revision = answer["taskDefinition"]["revision"].as_u64().unwrap_or_default();
        self.world.fates.insert((family.to_owned(), revision as u32), fate);
        Ok(())
    }

    fn act(&mut self) -> Outcome<()> {
        let host = self.below(self.world.agents.len() as u64) as usize;
        match self.below(100) {
            0..15 => self.run_task(),
            15..18 => self.stop_task(),
            18..21 => self.meddle(),
            21..33 => self.create_service(),
            33..43 => {
                let count = self.below(7);
                self.update(json!({"desiredCount": count}))
            }
            43..53 => self.deploy(),
            53 => self.update(json!({"forceNewDeployment": true})),
            54 => self.change_strategy(),
            55 => self.meddle(),
            56..58 => self.delete_service(),
            58..64 => {
                let status = self.pick(&["DRAINING", "ACTIVE", "ACTIVE"]);
                self.instance_state(host, status)
            }
            64..70 => {
                self.world.exit_one(host);
                Ok(())
            }
            70..72 => {
                self.world.sicken_one(host);
                Ok(())
            }
            72..79 => {
                let lasting = self.pick(&[2, 20, 70, 300]);
                self.world.cut(host, Some(Duration::from_secs(lasting)));
                Ok(())
            }
            79..83 => {
                self.world.agents[host].lose_power();
                let lasting = self.pick(&[5, 100]);
                self.world.cut(host, Some(Duration::from_secs(lasting)));
                Ok(())
            }
            83..85 => {
                self.world.cut(host, None);
                self.world.add_host(1024, 1024, &[]).map(drop)
            }
            85..87 => self.deregister(host),
            87..92 => {
                self.world.say(|| "the plane crashes".to_owned());
                self.world.crash()
            }
            92..95 => self.world.lose_append(),
            95..97 => {
                // The clock of the plane's machine is set forward.
                let seconds = self.pick(&[5, 60, 1_000]);
                self.world.plane.now = self.world.now() + Duration::from_secs(seconds);
                Ok(())
            }
            _ => self.world.add_host(1024, 1024, &[]).map(drop),
        }
    }

    /// A user's call. Now and then the plane dies before it has answered.
    pub(crate) fn ask(&mut self, operation: &str, input: &Value) -> Outcome<Option<Value>> {
        let answer = self.world.plane.call(operation, input)?;
        self.world.say(|| format!("{operation} {input} {:?}", answer.as_ref().err()));
        match self.below(100) {
            0..3 => {
                self.world.crash()?;
                Ok(None)
            }
            3..5 => {
                self.world.lose_append()?;
                Ok(None)
            }
            _ => {
                self.world.sync()?;
                Ok(answer.ok())
            }
        }
    }

    fn placement(&mut self) -> (Value, Value) {
        let strategy = [
            json!([]),
            json!([{"type": "spread", "field": "attribute:ecs.availability-zone"},
                {"type": "spread", "field": "instanceId"}]),
            json!([{"type": "binpack", "field": "memory"}]),
            json!([{"type": "random"}]),
        ];
        let constraints = [
            json!([]),
            json!([]),
            json!([{"type": "distinctInstance"}]),
            json!([{"type": "memberOf",
                "expression": "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]"}]),
        ];
        let (one, other) = (self.below(4) as usize, self.below(4) as usize);
        (strategy[one].clone(), constraints[other].clone())
    }

    fn run_task(&mut self) -> Outcome<()> {
        let (strategy, constraints) = self.placement();
        let (family, count) = (self.pick(&FAMILIES), 1 + self.below(4));
        let input = json!({"cluster": CLUSTER, "taskDefinition": family, "count": count,
            "placementStrategy": strategy, "placementConstraints": constraints});
        let Some(answer) = self.ask("RunTask", &input)? else { return Ok(()) };
        for task in answer["tasks"].as_array().into_iter().flatten() {
            self.tasks += 1;
            self.world.promises.add(id_of(&task["taskArn"])?);
        }
        Ok(())
    }

    fn stop_task(&mut self) -> Outcome<()> {
        let all: Vec<Id128> = self.world.plane.view().all::<Task>().map(|task| task.id).collect();
        if all.is_empty() {
            return Ok(());
        }
        let task = self.pick(&all).to_string();
        self.ask("StopTask", &json!({"cluster": CLUSTER, "task": task})).map(drop)
    }

    fn create_service(&mut self) -> Outcome<()> {
        let (strategy, constraints) = self.placement();
        let (name, family) = (self.pick(&SERVICES), self.pick(&FAMILIES));
        let (least, most) = self.pick(&BOUNDS);
        let breaker = json!({"enable": self.chance(50), "rollback": self.chance(50)});
        let mut input = json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": family,
            "desiredCount": self.below(6), "placementConstraints": constraints,
            "deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": most,
                "deploymentCircuitBreaker": breaker}});
        match self.chance(10) {
            true => {
                input["schedulingStrategy"] = json!("DAEMON");
                input["deploymentConfiguration"] = json!({});
                input.as_object_mut().and_then(|input| input.remove("desiredCount"));
            }
            false => {
                input["placementStrategy"] = strategy;
                let more = self.strategy();
                for (key, value) in more.as_object().into_iter().flatten() {
                    input["deploymentConfiguration"][key] = value.clone();
                }
            }
        }
        self.ask("CreateService", &input).map(drop)
    }

    fn update(&mut self, more: Value) -> Outcome<()> {
        let mut input = json!({"cluster": CLUSTER, "service": self.pick(&SERVICES)});
        for (key, value) in more.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        self.ask("UpdateService", &input).map(drop)
    }

    fn deploy(&mut self) -> Outcome<()> {
        let family = self.pick(&FAMILIES);
        let fate = self.pick(&[
            Fate::Runs,
            Fate::Runs,
            Fate::Runs,
            Fate::NeverStarts,
            Fate::Crashes,
            Fate::Sick,
        ]);
        self.define(family, fate)?;
        self.update(json!({"taskDefinition": family}))
    }

    /// The strategy of a service changes between its deployments.
    fn change_strategy(&mut self) -> Outcome<()> {
        let configuration = self.strategy();
        self.update(json!({"deploymentConfiguration": configuration}))
    }

    fn delete_service(&mut self) -> Outcome<()> {
        let name = self.pick(&SERVICES);
        self.ask("DeleteService", &json!({"cluster": CLUSTER, "service": name, "force": true}))
            .map(drop)
    }

    fn instance_state(&mut self, host: usize, status: &str) -> Outcome<()> {
        let instance = self.world.agents[host].instance.to_string();
        let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": status});
        self.ask("UpdateContainerInstancesState", &input).map(drop)
    }

    fn deregister(&mut self, host: usize) -> Outcome<()> {
        let instance = self.world.agents[host].instance.to_string();
        let input = json!({"cluster": CLUSTER, "containerInstance": instance, "force": true});
        self.ask("DeregisterContainerInstance", &input)?;
        let row =
            self.world.plane.view().get::<ContainerInstance>(&self.world.agents[host].instance);
        if row.is_none_or(|row| row.status == InstanceStatus::Inactive) {
            self.world.cut(host, None);
        }
        Ok(())
    }

    fn services(&self, view: &State) -> Vec<Service> {
        view.all::<Service>().filter(|row| row.status == ServiceStatus::Active).cloned().collect()
    }

    /// The faults stop. There is room for everything, and every image works.
    fn quiet(&mut self) -> Outcome<()> {
        self.world.say(|| "the faults stop".to_owned());
        self.world.heal();
        self.world.fates.clear();
        self.world.plane.report(Rings(false))?;
        for family in FAMILIES {
            self.define(family, Fate::Runs)?;
        }
        for host in 0..self.world.agents.len() {
            let instance = self.world.agents[host].instance.to_string();
            if self.world.agents[host].gone {
                // Somebody clears away what will never come back.
                let input = json!({"cluster": CLUSTER, "containerInstance": instance,
                    "force": true});
                self.world.call("DeregisterContainerInstance", &input)?.ok();
                continue;
            }
            let input = json!({"cluster": CLUSTER, "containerInstances": [instance],
                "status": "ACTIVE"});
            self.world.must("UpdateContainerInstancesState", &input)?;
        }
        // Twice as many tasks as are wanted, each on a host of its own: some deployments ask for that.
        for _ in 0..14 {
            self.world.add_host(16_384, 16_384, &[])?;
        }
        self.pass(Duration::from_secs(200))?;
        for service in self.services(self.world.plane.view()) {
            let family = self.pick(&["web", "web", "checked"]);
            let mut input = json!({"cluster": CLUSTER, "service": service.name(),
                "forceNewDeployment": true, "taskDefinition": family});
            if !service.daemon {
                input["deploymentConfiguration"] = json!({"lifecycleHooks": []});
            }
            if !service.daemon {
                // Fewer would leave some bounds no room for a deployment: as on AWS, it then stays.
                input["desiredCount"] = json!(4 + self.below(3));
            }
            self.world.must("UpdateService", &input)?;
        }
        self.pass(Duration::from_secs(3600))?;
        self.world.sync()?;
        self.converged()?;
        self.world.hosts_agree()?;
        self.world.plane.resync()?;
        // Whoever starts from the journal finds the same, and nothing to do.
        self.world.crash()?;
        self.pass(Duration::from_secs(120))?;
        self.world.plane.resync()?;
        self.converged()
    }

    fn converged(&self) -> Outcome<()> {
        let view = self.world.plane.view();
        for service in self.services(view) {
            let (name, wanted) = (service.name(), service.desired_count as usize);
            let own: Vec<&Task> = view
                .all::<Task>()
                .filter(|task| task.service.as_deref() == Some(name) && !task.is_stopped())
                .collect();
            let running = own.iter().filter(|t| t.observed_status == TaskStatus::Running).count();
            // A daemon waits where its host is full: nothing makes room for it, as on AWS.
            let full = if service.daemon { self.full_hosts(&own) } else { 0 };
            hold!(
                running == own.len() && running + full == wanted,
                "{name}: {running} of {} tasks run, {wanted} are wanted; waiting: {}",
                own.len(),
                service.waiting
            );
            let rollouts: Vec<Rollout> =
                service.deployments.iter().map(|one| one.rollout).collect();
            let steady = rollouts == [Rollout::Completed] || full > 0 && rollouts.len() == 1;
            hold!(steady, "{name}: its deployments are {rollouts:?}");
        }
        for task in view.all::<Task>().filter(|task| !task.is_stopped()) {
            let status = task.observed_status;
            hold!(status == TaskStatus::Running, "task {} is still {status:?}", task.id);
        }
        Ok(())
    }

    /// Hosts without one of these tasks, and without room for one.
    fn full_hosts(&self, own: &[&Task]) -> usize {
        let load = |host| self.world.plane.view().sum::<HostLoad>(&host);
        let full = |agent: &&Agent| {
            let (host, needed) = (agent.instance, 64);
            !agent.gone
                && !own.iter().any(|task| task.host == Some(host))
                && (agent.cpu - load(host).cpu < needed
                    || agent.memory - load(host).memory < needed)
        };
        self.world.agents.iter().filter(full).count()
    }

    /// Everything is deleted: every task ends, and nothing is held or remembered.
    fn end(&mut self) -> Outcome<()> {
        for service in self.services(self.world.plane.view()) {
            let input = json!({"cluster": CLUSTER, "service": service.name(), "force": true});
            self.world.must("DeleteService", &input)?;
        }
        let single = |task: &&Task| task.service.is_none() && !task.is_stopped();
        let all = self.world.plane.view().all::<Task>().filter(single);
        let all: Vec<Id128> = all.map(|task| task.id).collect();
        for task in all {
            let input = json!({"cluster": CLUSTER, "task": task.to_string()});
            self.world.must("StopTask", &input)?;
        }
        self.pass(Duration::from_secs(300))?;
        self.world.sync()?;
        self.world.promises.all_ended()?;
        self.world.hosts_agree()?;
        let view = self.world.plane.view();
        for agent in self.world.agents.iter().filter(|agent| !agent.gone) {
            let held = view.sum::<HostLoad>(&agent.instance).memory;
            hold!(held == 0, "{held} MiB of {} are held by nobody", agent.instance);
        }
        self.pass(Duration::from_secs(3 * 3600))?;
        let left = self.world.plane.view().count::<Task>();
        hold!(left == 0, "{left} tasks are remembered for ever");
        self.world.plane.resync()
    }
}
