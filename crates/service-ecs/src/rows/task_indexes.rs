//! Orders and sums over tasks, kept by every put.

use std::sync::Arc;

use core_state::{Index, RowKey, Sum, Tally, Trace};
use core_task::{Desired, TaskStatus};
use core_types::Id128;
use serde::{Deserialize, Serialize};

use super::task::{Launch, Task};
use crate::rows::cluster::ClusterKey;

/// Tasks of a cluster, those that should run apart from those that should not.
pub struct TasksIn;

impl Index for TasksIn {
    type Row = Task;
    type Key = (ClusterKey, bool);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        add((row.cluster.clone(), row.desired_status == Desired::Running));
    }
}

/// Tasks that a host has.
pub struct TasksOn;

impl Index for TasksOn {
    type Row = Task;
    type Key = Id128;

    fn keys(row: &Task, add: &mut dyn FnMut(Id128)) {
        if let Some(host) = row.host {
            add(host);
        }
    }
}

/// Tasks of a service, by cluster and name.
pub struct TasksOfService;

impl Index for TasksOfService {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(service) = &row.service {
            add((row.cluster.clone(), service.clone()));
        }
    }
}

/// Tasks of a service that it must still look at: all but those whose end it has taken note of.
pub struct CurrentTasksOf;

impl Index for CurrentTasksOf {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(service) = row.service.as_ref().filter(|_| !row.noted) {
            add((row.cluster.clone(), service.clone()));
        }
    }
}

/// Tasks of a managed daemon, by cluster and name.
pub struct TasksOfDaemon;

impl Index for TasksOfDaemon {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(daemon) = row.daemon() {
            add((row.cluster.clone(), daemon.name.clone()));
        }
    }
}

/// Those of them whose end it has not taken note of.
pub struct CurrentTasksOfDaemon;

impl Index for CurrentTasksOfDaemon {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(daemon) = row.daemon().filter(|_| !row.noted) {
            add((row.cluster.clone(), daemon.name.clone()));
        }
    }
}

/// The task that a network interface or a volume belongs to.
pub struct TaskOfAttachment;

impl Index for TaskOfAttachment {
    type Row = Task;
    type Key = Id128;

    fn keys(row: &Task, add: &mut dyn FnMut(Id128)) {
        let all = row.extras.iter().flat_map(|extras| &extras.attachments);
        all.for_each(|attachment| add(attachment.id));
    }
}

/// The two counts that AWS shows: RUNNING, and everything on the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Pending,
    Running,
}

/// How many tasks each counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pending: i64,
    running: i64,
}

impl Counts {
    pub fn of(self, count: Count) -> i64 {
        match count {
            Count::Pending => self.pending,
            Count::Running => self.running,
        }
    }

    fn one(count: Count) -> Counts {
        match count {
            Count::Pending => Counts { pending: 1, running: 0 },
            Count::Running => Counts { pending: 0, running: 1 },
        }
    }
}

impl Sum for Counts {
    fn plus(self, other: Counts) -> Counts {
        let (pending, running) = (self.pending + other.pending, self.running + other.running);
        Counts { pending, running }
    }

    fn minus(self, other: Counts) -> Counts {
        let (pending, running) = (self.pending - other.pending, self.running - other.running);
        Counts { pending, running }
    }
}

impl RowKey for Launch {
    fn least() -> Self {
        Launch::Ec2
    }
}

fn counts_as(row: &Task) -> Option<Count> {
    match row.observed_status {
        TaskStatus::Running => Some(Count::Running),
        status if status < TaskStatus::Running => Some(Count::Pending),
        _ => None,
    }
}

pub struct ClusterTasks;

impl Tally for ClusterTasks {
    type Row = Task;
    type Key = (ClusterKey, Launch);
    type Sum = Counts;

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, Counts)) {
        if let Some(count) = counts_as(row) {
            add((row.cluster.clone(), row.launch), Counts::one(count));
        }
    }
}

/// Counts of a service's tasks, by the deployment or task set that started them.
pub struct DeploymentTasks;

impl Tally for DeploymentTasks {
    type Row = Task;
    type Key = ((ClusterKey, Arc<str>), Arc<str>);
    type Sum = Counts;

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, Counts)) {
        if let (Some(service), Some(by), Some(count)) =
            (&row.service, &row.started_by, counts_as(row))
        {
            add(((row.cluster.clone(), service.clone()), by.clone()), Counts::one(count));
        }
    }
}

/// What a host has of tasks: how many, and what they hold of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub tasks: Counts,
    pub cpu: i64,
    pub memory: i64,
}

impl Sum for Load {
    fn plus(self, other: Load) -> Load {
        Load {
            tasks: self.tasks.plus(other.tasks),
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
        }
    }

    fn minus(self, other: Load) -> Load {
        Load {
            tasks: self.tasks.minus(other.tasks),
            cpu: self.cpu - other.cpu,
            memory: self.memory - other.memory,
        }
    }
}

pub struct HostLoad;

impl Tally for HostLoad {
    type Row = Task;
    type Key = Id128;
    type Sum = Load;

    fn counts(row: &Task, add: &mut dyn FnMut(Id128, Load)) {
        let Some(host) = row.host else { return };
        let tasks = counts_as(row).map(Counts::one).unwrap_or_default();
        let (cpu, memory) = match row.holds() {
            true => (row.cpu.into(), row.memory.into()),
            false => (0, 0),
        };
        add(host, Load { tasks, cpu, memory });
    }
}

/// Whose group a task is of: its family's, its service's, or one that its caller named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GroupKind {
    Family,
    Service,
    Named,
}

impl RowKey for GroupKind {
    fn least() -> Self {
        GroupKind::Family
    }
}

impl GroupKind {
    /// The group as AWS writes it.
    pub fn name(self, of: &Arc<str>) -> Arc<str> {
        match self {
            GroupKind::Family => format!("family:{of}").into(),
            GroupKind::Service => format!("service:{of}").into(),
            GroupKind::Named => of.clone(),
        }
    }
}

/// Tasks of a host by their groups. AWS: one that is to stop does not count for constraints and
/// spreading.
pub struct HostGroups;

impl Tally for HostGroups {
    type Row = Task;
    type Key = (Id128, GroupKind, Arc<str>);
    type Sum = i64;

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, i64)) {
        if let (Some(host), true, Desired::Running) = (row.host, row.holds(), row.desired_status) {
            let (kind, of) = row.group_of();
            add((host, kind, of.clone()), 1);
        }
    }
}

/// Static ports that tasks of a host hold, UDP apart.
pub struct HostPorts;

impl Tally for HostPorts {
    type Row = Task;
    type Key = (Id128, bool, u16);
    type Sum = i64;

    fn counts(row: &Task, add: &mut dyn FnMut(Self::Key, i64)) {
        if let (Some(host), true) = (row.host, row.holds()) {
            row.ports.iter().for_each(|held| add((host, held.udp, held.port), 1));
        }
    }
}

/// Hosts of which a task holds more or less than before, or which it runs on or not.
pub struct HeldOn;

impl Trace for HeldOn {
    type Row = Task;
    type Key = Id128;

    fn touches(before: Option<&Task>, after: Option<&Task>, add: &mut dyn FnMut(Id128)) {
        // What it holds is fixed when it is placed; only whether it does changes.
        let seen = |row: Option<&Task>| {
            let row = row?;
            let wanted = row.desired_status == Desired::Running;
            let running = counts_as(row) == Some(Count::Running);
            Some((row.host?, row.holds(), wanted, running))
        };
        let (before, after) = (seen(before), seen(after));
        if before != after {
            let hosts = before.into_iter().chain(after).map(|(host, ..)| host);
            hosts.for_each(add);
        }
    }
}
