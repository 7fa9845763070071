//! An Auto Scaling group as a capacity provider knows one: it follows the size that it shall have as
//! fast as machines come and go, chooses by itself which of them goes, and minds what it may not take.

use std::any::Any;
use std::time::Duration;

use core_state::{State, Tx};
use core_step::Report;
use core_types::{Id128, Time};
use serde_json::json;
use service_ecs::ops;
use service_ecs::rows::cluster::Cluster;
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::managed_scaling::ScalingKey;
use service_ecs::rows::service::Service;
use service_ecs::rows::task::{Task, TasksOn};

use crate::world::{CLUSTER, World};
use crate::{Outcome, hold};

/// AWS: a quarter of an hour.
const WAITS: Duration = Duration::from_secs(15 * 60);

pub struct Group {
    pub provider: String,
    /// Of its machines.
    pub cpu: i64,
    pub memory: i64,
    /// It must not terminate a machine that runs a task.
    pub protected: bool,
    /// A machine goes only once its tasks have.
    pub drains: bool,
    /// One machine of so many does not come up; all do, where it is 0.
    pub fails: u64,
    /// How long a machine takes to come up, in milliseconds: least and most.
    pub boots: (u64, u64),
    /// Its machines, by their numbers.
    pub hosts: Vec<usize>,
    /// When those are there that it has ordered.
    pub starting: Vec<Time>,
    /// It is about to terminate these.
    pub going: Vec<usize>,
}

impl Group {
    pub fn new(provider: &str, (cpu, memory): (i64, i64)) -> Group {
        Group {
            provider: provider.to_owned(),
            cpu,
            memory,
            protected: false,
            drains: true,
            fails: 0,
            boots: (15_000, 90_000),
            hosts: Vec::new(),
            starting: Vec::new(),
            going: Vec::new(),
        }
    }
}

/// What the group says.
enum Said {
    Starting(ScalingKey, u32),
    Terminating(Id128),
}

impl Report for Said {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        match *self {
            Said::Starting(key, count) => ops::observe_starting(tx, &key, count),
            Said::Terminating(instance) => ops::observe_terminating(tx, instance),
        }
        Box::new(())
    }
}

/// The key of a provider's row, where it is scaled.
pub fn key_of(view: &State, provider: &str) -> Option<ScalingKey> {
    let cluster = view.all::<Cluster>().find(|row| &*row.key.1 == CLUSTER)?;
    Some((cluster.key.clone(), provider.into()))
}

/// The size that it shall have; none where that is not decided for it.
pub fn desired_size(view: &State, provider: &str) -> Option<u32> {
    let key = key_of(view, provider)?;
    ops::group_sizes(view, &key.0).find(|row| row.key == key).map(|row| row.desired_size)
}

/// Tasks of a host that no daemon has put there.
pub fn work_on(view: &State, host: Id128) -> usize {
    let daemons = |task: &&Task| {
        let service = task.service.as_ref().map(|name| (task.cluster.clone(), name.clone()));
        let service = service.and_then(|key| view.get::<Service>(&key));
        task.daemon().is_some() || service.is_some_and(|row| row.daemon)
    };
    let tasks = view.by::<TasksOn>(&host).filter(|task| !task.is_stopped());
    tasks.filter(|task| !daemons(task)).count()
}

/// One look at its size.
pub fn turn(world: &mut World, nth: usize) -> Outcome<()> {
    bury(world, nth)?;
    boot(world, nth)?;
    terminate(world, nth)?;
    let provider = &world.groups[nth].provider;
    let Some(desired) = desired_size(world.plane.view(), provider) else { return Ok(()) };
    overdue(world)?;
    let (now, group) = (world.now(), &world.groups[nth]);
    let size = group.hosts.len() - group.going.len() + group.starting.len();
    for _ in size..desired as usize {
        let (least, most) = world.groups[nth].boots;
        let boots = least + world.dice.below(most - least);
        world.groups[nth].starting.push(now + Duration::from_millis(boots));
    }
    for _ in desired as usize..size {
        choose(world, nth)?;
    }
    tell(world, nth)
}

/// AWS: a task waits for capacity for a quarter of an hour and no longer. Asked where the plane has
/// done all that is due by now.
fn overdue(world: &World) -> Outcome<()> {
    let (now, view) = (world.now(), world.plane.view());
    let durable = view.rev() == world.plane.rev();
    if !durable || world.plane.wake_at.is_some_and(|at| at <= now) {
        return Ok(());
    }
    let late = |task: &&Task| task.waiting().is_some() && task.created_at + WAITS < now;
    let late = view.all::<Task>().find(late).map(|task| task.id);
    hold!(late.is_none(), "task {late:?} waits for capacity for ever");
    Ok(())
}

/// Machines that will never answer again are no members, and nobody's instances.
fn bury(world: &mut World, nth: usize) -> Outcome<()> {
    let gone = |host: &usize| world.agents[*host].gone;
    let lost: Vec<usize> = world.groups[nth].hosts.iter().copied().filter(gone).collect();
    for host in lost {
        let instance = world.agents[host].instance.to_string();
        let input = json!({"cluster": CLUSTER, "containerInstance": instance, "force": true});
        world.call("DeregisterContainerInstance", &input)?.ok();
        let group = &mut world.groups[nth];
        group.hosts.retain(|one| *one != host);
        group.going.retain(|one| *one != host);
    }
    Ok(())
}

/// Those that it has ordered come up, or do not.
fn boot(world: &mut World, nth: usize) -> Outcome<()> {
    let (now, group) = (world.now(), &mut world.groups[nth]);
    let due = group.starting.iter().filter(|at| **at <= now).count();
    group.starting.retain(|at| *at > now);
    let (cpu, memory, fails) = (group.cpu, group.memory, group.fails);
    let provider = group.provider.clone();
    for _ in 0..due {
        if fails > 0 && world.dice.below(fails) == 0 {
            continue;
        }
        let host = world.add_host(cpu, memory, &[("wharf.capacity-provider", &provider)])?;
        world.groups[nth].hosts.push(host);
        world.say(|| format!("host {host} is of {provider}"));
    }
    Ok(())
}

/// One machine too many: it has not come up yet, or is one that may go.
fn choose(world: &mut World, nth: usize) -> Outcome<()> {
    if world.groups[nth].starting.pop().is_some() {
        return Ok(());
    }
    let (view, group) = (world.plane.view(), &world.groups[nth]);
    let kept = key_of(view, &group.provider).map(|key| ops::protected_instances(view, &key));
    let kept = kept.unwrap_or_default();
    let may =
        |host: &usize| !group.going.contains(host) && !kept.contains(&world.agents[*host].instance);
    let may: Vec<usize> = group.hosts.iter().copied().filter(may).collect();
    if may.is_empty() {
        return Ok(());
    }
    let host = may[world.dice.below(may.len() as u64) as usize];
    let group = &world.groups[nth];
    let work = work_on(world.plane.view(), world.agents[host].instance);
    let (name, protected) = (group.provider.clone(), group.protected);
    hold!(!protected || work == 0, "{name}: host {host} runs {work} tasks and shall go");
    world.say(|| format!("{name}: host {host} shall go"));
    world.groups[nth].going.push(host);
    Ok(())
}

/// Those that shall go are told of until they may.
fn terminate(world: &mut World, nth: usize) -> Outcome<()> {
    for host in world.groups[nth].going.clone() {
        let instance = world.agents[host].instance;
        let row = world.plane.view().get::<ContainerInstance>(&instance);
        if row.is_some_and(|row| row.terminating.is_none()) {
            world.plane.report(Said::Terminating(instance))?;
            world.maybe_sync()?;
        }
        if !ops::may_terminate(world.plane.view(), instance) {
            continue;
        }
        let work = work_on(world.plane.view(), instance);
        let group = &world.groups[nth];
        let (name, drains) = (&group.provider, group.drains);
        hold!(!drains || work == 0, "{name}: host {host} goes with {work} tasks");
        world.cut(host, None);
        bury(world, nth)?;
    }
    Ok(())
}

/// How many are on their way, where that is news.
fn tell(world: &mut World, nth: usize) -> Outcome<()> {
    let (view, group) = (world.plane.view(), &world.groups[nth]);
    let starting = group.starting.len() as u32;
    let Some(key) = key_of(view, &group.provider) else { return Ok(()) };
    let row = ops::group_sizes(view, &key.0).find(|row| row.key == key);
    if row.is_some_and(|row| row.observed_starting != starting) {
        world.plane.report(Said::Starting(key, starting))?;
        world.maybe_sync()?;
    }
    Ok(())
}
