//! From rows to the question of what a daemon's next steps are, and its tasks' places.
//!
//! AWS replaces instances: a batch of them is drained, and new ones begin with the new daemon. Here
//! hosts are machines that nobody can order anew, so that a host keeps its tasks, is closed to new
//! ones, gets the new daemon in the old one's place, and is open again once it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use core_placement::{Ask, Instance, Placed, Pool, Reason};
use core_rollout::{
    Backoff, Bounds, Ground, Kind, Listed, Plan, Service, Task as Problem, Version, Wait, Why,
};
use core_state::State;
use core_types::{Id128, Time};
use model_ecs as api;

use super::launch::Prepared;
use super::rollout::{self, earliest};
use super::{placing, tags};
use crate::rows::container_instance::{Awaits, ContainerInstance, InstancesIn};
use crate::rows::daemon::Daemon;
use crate::rows::daemon_history::{DaemonDeployment, DaemonRevision};
use crate::rows::task::{CurrentTasksOfDaemon, Launch, OfDaemon, Task, TasksOn};
use crate::rows::task_definition::{Status, TaskDefinition};

/// A host that shall have the daemon, or may keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: Id128,
    /// It takes tasks now: to touch its daemon is a step of a deployment.
    pub open: bool,
    /// Such a step is under way.
    pub in_hand: bool,
}

impl Place {
    fn of(host: &ContainerInstance) -> Place {
        let in_hand = host.awaits == Some(Awaits::Next);
        Place { id: host.id, open: host.awaits.is_none(), in_hand }
    }
}

/// What a pass sees of a daemon.
pub struct Seen {
    pub tasks: Vec<Problem<Id128>>,
    /// By their numbers in the tasks.
    pub hosts: BTreeMap<u32, Place>,
    /// Those of them that shall have it.
    pub wanted: BTreeSet<u32>,
    /// When time alone changes the picture.
    pub look_at: Option<Time>,
}

/// Look at a daemon's hosts and tasks.
pub fn see(state: &State, row: &Daemon, now: Time) -> Seen {
    let mut seen =
        Seen { tasks: Vec::new(), hosts: BTreeMap::new(), wanted: BTreeSet::new(), look_at: None };
    let current = state.by::<CurrentTasksOfDaemon>(&row.key).filter(|task| !task.is_stopped());
    let mut on: BTreeMap<Id128, Vec<&Task>> = BTreeMap::new();
    for task in current {
        on.entry(task.host.unwrap_or_default()).or_default().push(task);
    }
    for host in state.by::<InstancesIn>(&row.key.0).filter(|host| is_for(row, host)) {
        let here = on.remove(&host.id).unwrap_or_default();
        let number = seen.hosts.len() as u32;
        if host.is_leaving() && has_others(state, host.id) {
            // AWS: a daemon is the last to leave.
            continue;
        }
        seen.hosts.insert(number, Place::of(host));
        // What cannot be reached is not waited for.
        if !host.is_leaving() && (host.observed_connected || !here.is_empty()) {
            seen.wanted.insert(number);
        }
        for task in here {
            let problem = problem(state, row, task, number, &mut seen.look_at, now);
            seen.tasks.push(problem);
        }
    }
    for (id, tasks) in on {
        let number = seen.hosts.len() as u32;
        seen.hosts.insert(number, Place { id, open: false, in_hand: false });
        for task in tasks {
            let problem = problem(state, row, task, number, &mut seen.look_at, now);
            seen.tasks.push(problem);
        }
    }
    seen
}

/// Whether a host is of one of the daemon's capacity providers.
pub fn is_for(row: &Daemon, host: &ContainerInstance) -> bool {
    let provider = host.capacity_provider.as_ref();
    !host.is_external() && provider.is_some_and(|name| row.providers.contains(name))
}

/// Whether a host still has tasks that no daemon has put there.
pub fn has_others(state: &State, host: Id128) -> bool {
    let mut tasks = state.by::<TasksOn>(&host);
    tasks.any(|task| !task.is_stopped() && task.daemon().is_none())
}

fn problem(
    state: &State,
    row: &Daemon,
    task: &Task,
    host: u32,
    look_at: &mut Option<Time>,
    now: Time,
) -> Problem<Id128> {
    let newest = task.daemon().is_some_and(|daemon| daemon.revision == row.revision);
    let regard = rollout::regard(state, 0, false, task, now);
    *look_at = earliest(*look_at, regard.due);
    let Kind { phase, health, protected, to_be_moved } = regard.kind;
    Problem {
        key: task.id,
        version: usize::from(!newest),
        phase,
        health,
        protected,
        to_be_moved,
        zone: 0,
        host,
        created_at: task.created_at,
    }
}

/// Whether a daemon's task does what it is there for.
pub fn serves(state: &State, task: &Task, now: Time) -> bool {
    !task.is_stopped() && rollout::regard(state, 0, false, task, now).kind.serves()
}

/// How many hosts may be in hand at once.
pub fn batch(record: &DaemonDeployment, hosts: usize) -> u32 {
    let percent = record.configuration.drain_percent.unwrap_or(100.0);
    let share = (hosts as f64 * percent / 100.0).floor();
    // AWS: a deployment goes on however small its percentage is.
    (share as u32).max(1)
}

/// What may be done now: hosts on which the newest revision is to be started, and what is to stop.
pub fn plan(
    row: &Daemon,
    record: &DaemonDeployment,
    seen: &Seen,
    now: Time,
) -> (Vec<u32>, Plan<Id128>, Option<Time>) {
    let wait = Backoff { failures: row.failures, last: row.failed_at }.wait(now);
    let until = match wait {
        Wait::Until(at) => Some(at),
        Wait::None => None,
    };
    let may_start = !row.given_up && until.is_none();
    let newest = Version { may_start, crowded: false, keeps: 0 };
    let older = Version { may_start: false, ..newest };
    let hosts = seen.wanted.len();
    let batch = batch(record, hosts);
    let desired = hosts as u32;
    let mut ground = Ground::default();
    seen.wanted.iter().for_each(|host| ground.want(*host, true));
    seen.tasks.iter().for_each(|task| ground.add(task.host, task.kind()));
    let problem = Service {
        desired,
        bounds: Bounds { least: desired.saturating_sub(batch), most: desired },
        proven: false,
        versions: &[newest, older],
        tasks: &Listed::from(seen.tasks.clone()),
    };
    let (mut start, mut plan) = core_rollout::plan_daemon(&problem, &ground);
    if row.given_up {
        // AWS: some hosts may then have the old revision and some the new.
        plan.stop.retain(|stop| stop.why != Why::Outdated);
    }
    if !record.status.is_over() {
        in_batches(seen, batch, &mut start, &mut plan);
    }
    (start, plan, until)
}

/// A deployment has no more hosts in hand than it may. Those that take no tasks without the daemon
/// are not asked: there is nothing on them to be spared.
fn in_batches(seen: &Seen, batch: u32, start: &mut Vec<u32>, plan: &mut Plan<Id128>) {
    let mut left = (batch as usize).saturating_sub(in_hand(seen));
    let mut may = |host: u32| {
        let open = seen.hosts.get(&host).is_some_and(|place| place.open);
        let may = !open || left > 0;
        left = left.saturating_sub(usize::from(open));
        may
    };
    let host_of = |key: Id128| seen.tasks.iter().find(|task| task.key == key).map(|one| one.host);
    plan.stop.retain(|stop| stop.why != Why::Outdated || host_of(stop.task).is_some_and(&mut may));
    start.retain(|host| may(*host));
}

/// On how many hosts the deployment is at work.
fn in_hand(seen: &Seen) -> usize {
    let comes = |task: &&Problem<Id128>| !task.stays() || task.version == 0 && !task.serves();
    let coming: BTreeSet<u32> = seen.tasks.iter().filter(comes).map(|task| task.host).collect();
    let wanted = seen.wanted.iter().filter_map(|host| Some((host, seen.hosts.get(host)?)));
    wanted.filter(|(host, place)| place.in_hand || place.open && coming.contains(host)).count()
}

/// A daemon's next tasks.
pub struct Next {
    prepared: Prepared,
    ask: Ask,
}

/// How often the want of room counts as a failure of a deployment.
pub const SHORT_AGAIN: Duration = Duration::from_secs(10);

pub fn next(row: &Daemon, revision: &DaemonRevision) -> Next {
    let (cluster, name) = &row.key;
    let mut need = placing::need(&revision.definition, None, Launch::Ec2);
    if revision.exec_enabled {
        // AWS: the agent says whether it can open sessions.
        need.attributes.push(("ecs.capability.execute-command".to_owned(), None));
    }
    let definition = TaskDefinition {
        key: (cluster.0, revision.family.clone(), revision.revision),
        status: Status::Active,
        definition: revision.definition.clone(),
        tags: Vec::new(),
        forget_at: None,
    };
    let group: Arc<str> = format!("daemon:{name}").into();
    let ask = Ask {
        group: group.clone(),
        need: need.clone(),
        constraints: Vec::new(),
        strategy: Vec::new(),
    };
    let prepared = Prepared {
        cluster: cluster.clone(),
        definition: Arc::new(definition),
        launch: Launch::Ec2,
        overrides: None,
        need,
        interface: None,
        group: Some(group),
        service: None,
        daemon: Some(OfDaemon { name: name.clone(), revision: revision.key.1 }),
        // AWS: `daemon/` and its name.
        started_by: Some(format!("daemon/{name}").into()),
        exec_enabled: revision.exec_enabled,
        tags: task_tags(row, revision),
        reference_id: None,
        platform_version: None,
    };
    Next { prepared, ask }
}

fn task_tags(row: &Daemon, revision: &DaemonRevision) -> Vec<api::Tag> {
    let mut all = if revision.propagate { row.tags.clone() } else { Vec::new() };
    if revision.managed_tags {
        let pair = |key: &str, value: &str| api::Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        all.truncate(tags::MOST.saturating_sub(2));
        all.push(pair("aws:ecs:clusterName", &row.key.0.1));
        all.push(pair("aws:ecs:daemonName", row.name()));
    }
    all
}

impl Next {
    /// The place of a task on a host, whether or not it takes others now.
    fn place(&self, state: &State, host: &ContainerInstance) -> Result<Placed, Reason> {
        let mut pool = Pool::default();
        pool.put(Instance { active: true, ..placing::instance(state, host) });
        pool.place_on(&self.ask, host.id)
    }

    /// Start one on a host, or AWS's words for why that cannot be.
    pub fn start(&self, tx: &mut core_state::Tx<'_>, host: Id128) -> Result<Id128, String> {
        let Some(row) = tx.get::<ContainerInstance>(&host) else {
            return Err("The container instance is gone.".to_owned());
        };
        let provider = row.capacity_provider.clone();
        match self.place(tx, row) {
            Ok(placed) => Ok(self.prepared.start(tx, &placed, provider.as_ref())),
            Err(reason) => Err(format!(
                "{} - Unable to place daemon task on container instance {host}.",
                placing::word(&reason)
            )),
        }
    }
}
