//! A user's plan: hosts, services, and what happens to them, lived through by the real core. What
//! comes of it is a timeline, a look a second.

use std::collections::BTreeMap;
use std::time::Duration;

use core_rollout::Bounds;
use core_task::{Desired, TaskStatus};
use core_types::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_ecs::rows::service::Service;
use service_ecs::rows::service_history::ServiceEvent;
use service_ecs::rows::task::Task;

pub use self::capacity::{Instances, Share};
use crate::agent::Fate;
use crate::world::{CLUSTER, World};
use crate::{Outcome, Violation};

mod capacity;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How long to look, in seconds.
    pub until: u64,
    /// How long a task takes from its assignment to RUNNING, and from its stop to STOPPED: least
    /// and most, in seconds.
    #[serde(default = "starts")]
    pub starts_in: (f64, f64),
    #[serde(default = "stops")]
    pub stops_in: (f64, f64),
    #[serde(default, rename = "host")]
    pub hosts: Vec<Hosts>,
    #[serde(default, rename = "group")]
    pub groups: Vec<Instances>,
    #[serde(rename = "service")]
    pub services: Vec<Wanted>,
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

fn starts() -> (f64, f64) {
    (2.0, 8.0)
}

fn stops() -> (f64, f64) {
    (1.0, 5.0)
}

/// Hosts that are alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    pub count: usize,
    pub cpu: i64,
    pub memory: i64,
    /// They are dealt to these in turn.
    #[serde(default = "zones")]
    pub zones: Vec<String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// They run Fargate's tasks alone, and are shown to nobody.
    #[serde(default)]
    pub fargate: bool,
}

fn zones() -> Vec<String> {
    ["us-east-1a", "us-east-1b"].map(str::to_owned).to_vec()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub name: String,
    pub cpu: i64,
    pub memory: i64,
    /// The port of the host; 0 is any.
    #[serde(default)]
    pub port: u16,
    #[serde(default)]
    pub desired: u32,
    #[serde(default)]
    pub daemon: bool,
    /// Percent.
    #[serde(default)]
    pub minimum: Option<u32>,
    #[serde(default)]
    pub maximum: Option<u32>,
    /// The circuit breaker, with rollback.
    #[serde(default)]
    pub breaker: bool,
    /// As in CreateService.
    #[serde(default)]
    pub strategy: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    pub constraints: Vec<BTreeMap<String, String>>,
    /// Of launch type FARGATE.
    #[serde(default)]
    pub fargate: bool,
    /// As `capacityProviderStrategy` in CreateService.
    #[serde(default)]
    pub capacity: Vec<Share>,
}

/// What happens at a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Seconds from the start.
    pub at: u64,
    pub deploy: Option<Deploy>,
    pub scale: Option<Scale>,
    pub drain: Option<OnHost>,
    pub lose: Option<Lose>,
    pub destroy: Option<OnHost>,
    pub exit: Option<OnHost>,
}

/// A new version of a service, whose tasks run unless it says otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    pub service: String,
    #[serde(default)]
    pub tasks: Fare,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub service: String,
    pub to: u32,
}

/// To a host: drain it, destroy it, let one of its containers exit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnHost {
    pub host: usize,
}

/// A host cannot be reached for so long, or is without power.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lose {
    pub host: usize,
    pub seconds: u64,
    #[serde(default)]
    pub power: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fare {
    #[default]
    Run,
    NeverStart,
    Crash,
}

/// What happened.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    pub seconds: u64,
    pub services: Vec<Course>,
    /// The plan's steps, in words.
    pub steps: Vec<(u64, String)>,
    pub hosts: usize,
}

/// What became of one service's tasks, or of one group's instances.
#[derive(Debug, Default, Serialize)]
pub struct Course {
    pub name: String,
    pub instances: bool,
    /// One a second.
    pub looks: Vec<Look>,
    /// Second and text, without the service's name.
    pub events: Vec<(u64, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    pub least: u32,
    pub most: u32,
    pub desired: u32,
    /// By revision of the task definition; instances have none, and are under 0.
    pub versions: BTreeMap<u32, Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub starting: u32,
    pub running: u32,
    pub stopping: u32,
}

impl Look {
    pub fn running(&self) -> u32 {
        self.versions.values().map(|counts| counts.running).sum()
    }

    pub fn all(&self) -> u32 {
        self.versions.values().map(|c| c.starting + c.running + c.stopping).sum()
    }
}

const START: Time = Time(1_700_000_000_000);
/// A plan is looked at by people: longer than a day, or wider than a large cluster, it is not.
const LONGEST: u64 = 24 * 3600;
const MOST_HOSTS: usize = 2_000;

/// Live through a plan.
pub fn carry_out(plan: &Plan, seed: u64) -> Result<Timeline, String> {
    let hosts: usize = plan.hosts.iter().map(|hosts| hosts.count).sum();
    if plan.until > LONGEST || hosts > MOST_HOSTS {
        return Err(format!("a plan has at most {LONGEST} seconds and {MOST_HOSTS} hosts"));
    }
    live(plan, seed).map_err(|Violation(text)| text)
}

fn live(plan: &Plan, seed: u64) -> Outcome<Timeline> {
    let mut world = World::new(seed, START);
    // The invariants are the simulation's affair, not a user's.
    world.plane.check_every = 5_000;
    world.pace = (millis(plan.starts_in), millis(plan.stops_in));
    world.must("CreateCluster", &json!({"clusterName": CLUSTER}))?;
    for hosts in &plan.hosts {
        for n in 0..hosts.count {
            let zone = hosts.zones.get(n % hosts.zones.len().max(1)).map(String::as_str);
            let own = hosts.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let zone = zone.map(|zone| ("ecs.availability-zone", zone));
            let hidden = hosts.fargate.then_some(("wharf.fargate", "only"));
            let attributes: Vec<(&str, &str)> = own.chain(zone).chain(hidden).collect();
            world.add_host(hosts.cpu, hosts.memory, &attributes)?;
        }
    }
    capacity::begin(&mut world, plan)?;
    world.run_until(START + Duration::from_secs(1))?;
    for wanted in &plan.services {
        define(&mut world, wanted, Fare::Run)?;
        create(&mut world, wanted)?;
    }
    let services = plan.services.iter().map(|wanted| (wanted.name.clone(), false));
    let groups = plan.groups.iter().map(|group| (group.name.clone(), true));
    let courses = services.chain(groups);
    let courses = courses.map(|(name, instances)| Course { name, instances, ..Course::default() });
    let mut timeline = Timeline {
        seconds: plan.until,
        services: courses.collect(),
        steps: plan.steps.iter().map(|step| (step.at, words(step))).collect(),
        hosts: world.agents.len(),
    };
    timeline.steps.sort();
    for second in 0..=plan.until {
        for step in plan.steps.iter().filter(|step| step.at == second) {
            happen(&mut world, plan, step)?;
        }
        world.sync()?;
        let (services, groups) = timeline.services.split_at_mut(plan.services.len());
        services.iter_mut().for_each(|course| look(&world, course));
        groups.iter_mut().enumerate().for_each(|(nth, it)| capacity::look(&world, nth, it));
        world.run_until(START + Duration::from_secs(second + 2))?;
    }
    Ok(timeline)
}

/// A plan's seconds, least and most.
fn millis((least, most): (f64, f64)) -> (u64, u64) {
    let least = (least.clamp(0.0, 3600.0) * 1000.0) as u64;
    (least, ((most.clamp(0.0, 3600.0) * 1000.0) as u64).max(least + 1))
}

fn words(step: &Step) -> String {
    let deploy = step.deploy.as_ref().map(|one| match one.tasks {
        Fare::Run => format!("deploy {}", one.service),
        Fare::NeverStart | Fare::Crash => format!("deploy {}, broken", one.service),
    });
    let scale = step.scale.as_ref().map(|one| format!("scale {} to {}", one.service, one.to));
    let drain = step.drain.as_ref().map(|one| format!("drain host {}", one.host));
    let lose = step.lose.as_ref().map(|one| {
        let how = if one.power { "without power" } else { "away" };
        format!("host {} {how} for {} s", one.host, one.seconds)
    });
    let destroy = step.destroy.as_ref().map(|one| format!("host {} destroyed", one.host));
    let exit = step.exit.as_ref().map(|one| format!("a container of host {} exits", one.host));
    let all = [deploy, scale, drain, lose, destroy, exit];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn define(world: &mut World, wanted: &Wanted, fare: Fare) -> Outcome<()> {
    let mut container = json!({"name": "web", "image": "i", "cpu": wanted.cpu,
        "memory": wanted.memory});
    if !wanted.is_fargate() {
        container["portMappings"] = json!([{"containerPort": 80, "hostPort": wanted.port}]);
    }
    let mut input = json!({"family": wanted.name, "containerDefinitions": [container]});
    capacity::defined(wanted, &mut input);
    let answer = world.must("RegisterTaskDefinition", &input)?;
    let revision = answer["taskDefinition"]["revision"].as_u64().unwrap_or_default();
    let fate = match fare {
        Fare::Run => Fate::Runs,
        Fare::NeverStart => Fate::NeverStarts,
        Fare::Crash => Fate::Crashes,
    };
    world.fates.insert((wanted.name.clone(), revision as u32), fate);
    Ok(())
}

fn create(world: &mut World, wanted: &Wanted) -> Outcome<()> {
    let breaker = json!({"enable": wanted.breaker, "rollback": wanted.breaker});
    let mut configuration = json!({"deploymentCircuitBreaker": breaker});
    if let Some(minimum) = wanted.minimum {
        configuration["minimumHealthyPercent"] = json!(minimum);
    }
    if let Some(maximum) = wanted.maximum {
        configuration["maximumPercent"] = json!(maximum);
    }
    let mut input = json!({"cluster": CLUSTER, "serviceName": wanted.name,
        "taskDefinition": wanted.name, "deploymentConfiguration": configuration,
        "placementConstraints": wanted.constraints});
    for (key, value) in capacity::launched(world, wanted).as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    match wanted.daemon {
        true => input["schedulingStrategy"] = json!("DAEMON"),
        false => {
            input["desiredCount"] = json!(wanted.desired);
            input["placementStrategy"] = json!(wanted.strategy);
        }
    }
    world.must("CreateService", &input).map(drop)
}

fn happen(world: &mut World, plan: &Plan, step: &Step) -> Outcome<()> {
    if let Some(Deploy { service, tasks }) = &step.deploy {
        let wanted = plan.services.iter().find(|wanted| wanted.name == *service);
        let missing = || Violation(format!("there is no service {service}"));
        define(world, wanted.ok_or_else(missing)?, *tasks)?;
        update(world, service, json!({"taskDefinition": service}))?;
    }
    if let Some(Scale { service, to }) = &step.scale {
        update(world, service, json!({"desiredCount": to}))?;
    }
    if let Some(OnHost { host }) = &step.drain {
        let instance = world.agents[there(world, *host)?].instance.to_string();
        let input = json!({"cluster": CLUSTER, "containerInstances": [instance],
            "status": "DRAINING"});
        world.must("UpdateContainerInstancesState", &input)?;
    }
    if let Some(Lose { host, seconds, power }) = &step.lose {
        let host = there(world, *host)?;
        if *power {
            world.agents[host].lose_power();
        }
        world.cut(host, Some(Duration::from_secs(*seconds)));
    }
    if let Some(OnHost { host }) = &step.destroy {
        let host = there(world, *host)?;
        world.cut(host, None);
    }
    if let Some(OnHost { host }) = &step.exit {
        let host = there(world, *host)?;
        world.exit_one(host);
    }
    Ok(())
}

fn there(world: &World, host: usize) -> Outcome<usize> {
    match host < world.agents.len() {
        true => Ok(host),
        false => Err(Violation(format!("there is no host {host}; they count from 0"))),
    }
}

fn update(world: &mut World, service: &str, mut more: Value) -> Outcome<()> {
    more["cluster"] = json!(CLUSTER);
    more["service"] = json!(service);
    world.must("UpdateService", &more).map(drop)
}

fn look(world: &World, course: &mut Course) {
    let view = world.plane.view();
    let Some(row) = view.all::<Service>().find(|row| row.name() == course.name) else { return };
    let percent = |given: Option<i32>| given.unwrap_or_default().unsigned_abs();
    let Bounds { least, most } = Bounds::of(
        row.desired_count,
        percent(row.configuration.minimum_healthy_percent),
        percent(row.configuration.maximum_percent),
    );
    let mut look = Look { least, most, desired: row.desired_count, ..Look::default() };
    let own = view.all::<Task>().filter(|task| task.service.as_deref() == Some(row.name()));
    for task in own.filter(|task| !task.is_stopped()) {
        let counts = look.versions.entry(task.revision).or_default();
        match (task.desired_status, task.observed_status) {
            (Desired::Stopped, _) => counts.stopping += 1,
            (_, TaskStatus::Running) => counts.running += 1,
            (_, status) if status < TaskStatus::Running => counts.starting += 1,
            _ => counts.stopping += 1,
        }
    }
    course.looks.push(look);
    let told = course.events.len() as u64;
    let events = view.scan::<ServiceEvent>((row.key.clone(), told));
    let events = events.take_while(|event| event.key.0 == row.key);
    let opening = format!("(service {}) ", row.name());
    course.events.extend(events.map(|event| {
        let second = event.at.since(START).as_secs().saturating_sub(1);
        (second, event.text.strip_prefix(&opening).unwrap_or(&event.text).to_owned())
    }));
}
