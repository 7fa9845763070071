//! One seed's story: users who want things, faults that come and go, then quiet, then the end.
//!
//! While there are faults the auditor holds what must hold at every instant. Once they stop, what
//! was asked for last has to be there; once everything is deleted, nothing may be left. What users
//! want stands in `workloads`; here is what befalls all of it.

use std::time::Duration;

use core_task::TaskStatus;
use core_types::{Id128, Time};
use serde_json::{Value, json};
use service_ecs::rows::container_instance::{ContainerInstance, InstanceStatus};
use service_ecs::rows::task::{HostLoad, Task};

use crate::agent::Fate;
use crate::workloads::{self, Workload};
use crate::world::{CLUSTER, Link, World};
use crate::{Outcome, Violation, hold};

/// What a seed came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    pub steps: u64,
    pub tasks: usize,
    pub seconds: u64,
}

const START: Time = Time(1_700_000_000_000);
/// Task definitions that everybody uses. The last one has a health check.
pub(crate) const FAMILIES: [&str; 4] = ["web", "fixed", "big", "checked"];
/// Those of them that take a host each, or more of it than others do, left out.
pub(crate) const SMALL: [&str; 2] = ["web", "checked"];
/// Agents that say what an image's name means before they pull it, and one that does not.
const VERSIONS: [&str; 4] = ["1.105.1", "1.105.1", "1.105.1", "1.60.0"];
/// How often a seed has what not every seed has, in percent.
const SHARE: u64 = 35;

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) tasks: usize,
    workloads: Vec<Box<dyn Workload>>,
}

/// Live through a seed. The error says what must not be, and when it was.
pub fn run(seed: u64, told: bool) -> Result<Ran, String> {
    let mut story = Story { world: World::new(seed, START), tasks: 0, workloads: Vec::new() };
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

    pub(crate) fn pass(&mut self, time: Duration) -> Outcome<()> {
        let end = self.world.now() + time;
        self.world.run_until(end)
    }

    /// Something for each of the workloads in turn.
    fn each(
        &mut self,
        mut what: impl FnMut(&mut dyn Workload, &mut Story) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut all = std::mem::take(&mut self.workloads);
        let done = all.iter_mut().try_for_each(|one| what(&mut **one, self));
        self.workloads = all;
        done
    }

    fn begin(&mut self) -> Outcome<()> {
        self.world.plane.check_every = 199;
        self.world.must("CreateCluster", &json!({"clusterName": CLUSTER}))?;
        FAMILIES.iter().try_for_each(|family| self.define(family, Fate::Runs))?;
        let hosts = 1 + self.below(5);
        for _ in 0..hosts {
            self.add_host(&[])?;
        }
        self.workloads.push(workloads::usual());
        for made in workloads::OTHERS {
            if self.chance(SHARE) {
                self.workloads.push(made());
            }
        }
        self.each(|one, story| one.begin(story))?;
        self.pass(Duration::from_secs(1))?;
        let (lost, twice) = (self.below(100), self.below(100));
        let slowest_ms = self.pick(&[5, 200, 3_000]);
        let lazy = self.pick(&[0, 0, 100, 500]);
        self.world.link = Link { lost, twice, slowest_ms, lazy };
        Ok(())
    }

    /// A small host, with an agent that may be an old one.
    pub(crate) fn add_host(&mut self, attributes: &[(&str, &str)]) -> Outcome<usize> {
        self.world.agent_version = self.pick(&VERSIONS);
        self.world.add_host(1024, 1024, attributes)
    }

    /// The next revision of a family, and what becomes of its tasks.
    pub(crate) fn define(&mut self, family: &str, fate: Fate) -> Outcome<()> {
        let (port, memory) = match family {
            "fixed" => (8080, 64),
            "big" => (0, 400),
            _ => (0, 64),
        };
        let mut container = json!({"name": "web", "image": format!("{family}:1"), "cpu": 64,
            "memory": memory, "portMappings": [{"containerPort": 80, "hostPort": port}]});
        if family == "checked" {
            container["healthCheck"] = json!({"command": ["CMD", "true"]});
        }
        let input = json!({"family": family, "containerDefinitions": [container]});
        self.register("RegisterTaskDefinition", &input, fate)
    }

    /// A definition, of tasks or of daemons' tasks, and what becomes of them.
    pub(crate) fn register(&mut self, operation: &str, input: &Value, fate: Fate) -> Outcome<()> {
        let answer = self.world.must(operation, input)?;
        let told = &answer["taskDefinition"]["taskDefinitionArn"];
        let arn = told.as_str().or(answer["daemonTaskDefinitionArn"].as_str());
        let name = arn.and_then(|arn| arn.rsplit('/').next()?.split_once(':'));
        let revision = name.and_then(|(_, revision)| revision.parse().ok());
        let unnamed = || Violation(format!("{operation}: {answer}"));
        let family = input["family"].as_str().unwrap_or_default().to_owned();
        self.world.fates.insert((family, revision.ok_or_else(unnamed)?), fate);
        Ok(())
    }

    /// What becomes of the tasks of somebody's next version: most often nothing bad.
    pub(crate) fn some_fate(&mut self) -> Fate {
        self.pick(&[
            Fate::Runs,
            Fate::Runs,
            Fate::Runs,
            Fate::NeverStarts,
            Fate::Crashes,
            Fate::Sick,
        ])
    }

    fn act(&mut self) -> Outcome<()> {
        if self.chance(58) {
            // Those that every seed has go on in either case.
            let most = self.workloads.len() as u64 + 1;
            let nth = self.below(most).saturating_sub(1);
            let mut place = 0;
            return self.each(|one, story| {
                place += 1;
                if place == nth + 1 { one.act(story) } else { Ok(()) }
            });
        }
        self.mishap()
    }

    /// Something befalls a host, a link, the plane, or its clock.
    fn mishap(&mut self) -> Outcome<()> {
        let host = self.below(self.world.agents.len() as u64) as usize;
        match self.below(42) {
            0..6 => {
                let status = self.pick(&["DRAINING", "ACTIVE", "ACTIVE"]);
                self.instance_state(host, status)
            }
            6..12 => {
                self.world.exit_one(host);
                Ok(())
            }
            12..14 => {
                self.world.sicken_one(host);
                Ok(())
            }
            14..21 => {
                let lasting = self.pick(&[2, 20, 70, 300]);
                self.world.cut(host, Some(Duration::from_secs(lasting)));
                Ok(())
            }
            21..25 => {
                self.world.agents[host].lose_power();
                let lasting = self.pick(&[5, 100]);
                self.world.cut(host, Some(Duration::from_secs(lasting)));
                Ok(())
            }
            25..27 => {
                self.world.cut(host, None);
                self.add_host(&[]).map(drop)
            }
            27..29 => self.deregister(host),
            29..34 => {
                self.world.say(|| "the plane crashes".to_owned());
                self.world.crash()
            }
            34..37 => self.world.lose_append(),
            37..39 => {
                // The clock of the plane's machine is set forward.
                let seconds = self.pick(&[5, 60, 1_000]);
                self.world.plane.now = self.world.now() + Duration::from_secs(seconds);
                Ok(())
            }
            _ => self.add_host(&[]).map(drop),
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

    fn instance_state(&mut self, host: usize, status: &str) -> Outcome<()> {
        if self.is_going(host) {
            return Ok(());
        }
        let instance = self.world.agents[host].instance.to_string();
        let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": status});
        self.ask("UpdateContainerInstancesState", &input).map(drop)
    }

    /// Nobody takes an instance back that its group is about to terminate.
    fn is_going(&self, host: usize) -> bool {
        let (view, instance) = (self.world.plane.view(), self.world.agents[host].instance);
        view.get::<ContainerInstance>(&instance).is_some_and(|row| row.terminating.is_some())
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

    /// The faults stop. There is room for everything, and every image works.
    fn quiet(&mut self) -> Outcome<()> {
        self.world.say(|| "the faults stop".to_owned());
        self.world.heal();
        self.world.fates.clear();
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
            } else if !self.is_going(host) {
                let input = json!({"cluster": CLUSTER, "containerInstances": [instance],
                    "status": "ACTIVE"});
                self.world.must("UpdateContainerInstancesState", &input)?;
            }
        }
        // Twice as many tasks as are wanted, each on a host of its own: some deployments ask for that.
        for _ in 0..14 {
            self.world.add_host(16_384, 16_384, &[])?;
        }
        self.pass(Duration::from_secs(200))?;
        self.each(|one, story| one.calm(story))?;
        let takes = self.workloads.iter().map(|one| one.takes()).max();
        self.pass(takes.unwrap_or_default())?;
        self.world.sync()?;
        self.settled()?;
        self.world.hosts_agree()?;
        self.world.plane.resync()?;
        // Whoever starts from the journal finds the same, and nothing to do.
        self.world.crash()?;
        self.pass(Duration::from_secs(120))?;
        self.world.plane.resync()?;
        self.settled()
    }

    fn settled(&mut self) -> Outcome<()> {
        for task in self.world.plane.view().all::<Task>().filter(|task| !task.is_stopped()) {
            let (status, waits) = (task.observed_status, task.waiting().is_some());
            let running = status == TaskStatus::Running;
            hold!(running, "task {} is still {status:?}, waits for capacity: {waits}", task.id);
        }
        self.each(|one, story| one.settled(story))
    }

    /// Everything is deleted: every task ends, and nothing is held or remembered.
    fn end(&mut self) -> Outcome<()> {
        self.each(|one, story| one.clear(story))?;
        let single =
            |task: &&Task| task.service.is_none() && task.daemon().is_none() && !task.is_stopped();
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
        self.each(|one, story| one.cleared(story))?;
        self.world.plane.resync()
    }
}
