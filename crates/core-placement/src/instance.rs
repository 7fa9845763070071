//! One instance: what it is, what is left of it, and whether a task fits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_types::{Id128, Time};

use crate::query::Facts;

/// What a task takes of its instance, and what it must find there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub cpu: i64,
    pub memory: i64,
    pub tcp: Vec<u16>,
    pub udp: Vec<u16>,
    pub gpus: usize,
    /// Names that the instance's attributes must have, some with a value.
    pub attributes: Vec<(String, Option<String>)>,
    /// The zones that it can be in; anywhere where there are none.
    pub zones: Vec<String>,
}

/// What an instance has left. Ports are those that are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Free {
    pub cpu: i64,
    pub memory: i64,
    pub tcp: BTreeSet<u16>,
    pub udp: BTreeSet<u16>,
    pub gpus: Vec<Arc<str>>,
}

/// An instance as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: Id128,
    /// Takes new tasks: neither draining nor gone.
    pub active: bool,
    pub connected: bool,
    pub attributes: Arc<BTreeMap<String, Option<String>>>,
    pub agent_version: Option<String>,
    pub ec2_instance_id: Option<Arc<str>>,
    pub registered_at: Time,
    pub free: Free,
    /// How many tasks of each group are on it, those that are to stop left out.
    pub groups: BTreeMap<Arc<str>, u32>,
    pub running_tasks: i64,
}

/// Why a task is not placed on an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Inactive,
    Agent,
    /// The attribute that it lacks.
    Attribute(String),
    /// It is in none of the zones.
    Location,
    MemberOf,
    DistinctInstance,
    Cpu,
    Memory,
    /// The first port that another task has.
    Port {
        port: u16,
        udp: bool,
    },
    Gpu,
}

impl Instance {
    /// Why it cannot take the task, should it not. What it is comes before what it has left.
    pub fn refuses(&self, need: &Need) -> Option<Reason> {
        if !self.active {
            return Some(Reason::Inactive);
        }
        if !self.connected {
            return Some(Reason::Agent);
        }
        let lacks = need.attributes.iter().find(|(name, value)| match self.attributes.get(name) {
            None => true,
            Some(there) => value.is_some() && there != value,
        });
        if let Some((name, _)) = lacks {
            return Some(Reason::Attribute(name.clone()));
        }
        let zone = self.attributes.get("ecs.availability-zone").and_then(Option::as_ref);
        let away = zone.is_some_and(|zone| !need.zones.is_empty() && !need.zones.contains(zone));
        away.then_some(Reason::Location)
    }

    /// Why what it has left is not enough.
    pub fn lacks(&self, need: &Need) -> Option<Reason> {
        let free = &self.free;
        let taken = |ports: &[u16], of: &BTreeSet<u16>, udp| {
            let port = ports.iter().find(|port| of.contains(port))?;
            Some(Reason::Port { port: *port, udp })
        };
        if need.cpu > free.cpu {
            return Some(Reason::Cpu);
        }
        if need.memory > free.memory {
            return Some(Reason::Memory);
        }
        let port = taken(&need.tcp, &free.tcp, false).or_else(|| taken(&need.udp, &free.udp, true));
        port.or_else(|| (need.gpus > free.gpus.len()).then_some(Reason::Gpu))
    }

    /// How many tasks of a group are on it.
    pub fn tasks_of(&self, group: &Arc<str>) -> i64 {
        self.groups.get(group).copied().unwrap_or_default().into()
    }

    /// Take what the task needs; the ids of the GPUs that it gets.
    pub fn take(&mut self, need: &Need, group: &Arc<str>) -> Vec<Arc<str>> {
        let free = &mut self.free;
        free.cpu -= need.cpu;
        free.memory -= need.memory;
        free.tcp.extend(&need.tcp);
        free.udp.extend(&need.udp);
        match self.groups.get_mut(group) {
            Some(tasks) => *tasks += 1,
            None => drop(self.groups.insert(group.clone(), 1)),
        }
        free.gpus.drain(..need.gpus.min(free.gpus.len())).collect()
    }
}

impl Facts for Instance {
    fn agent_connected(&self) -> bool {
        self.connected
    }

    fn agent_version(&self) -> Option<&str> {
        self.agent_version.as_deref()
    }

    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        self.attributes.get(name).map(|value| value.as_deref())
    }

    fn ec2_instance_id(&self) -> Option<&str> {
        self.ec2_instance_id.as_deref()
    }

    fn registered_at(&self) -> Time {
        self.registered_at
    }

    fn running_tasks(&self) -> i64 {
        self.running_tasks
    }

    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.groups.keys().any(|group| test(group))
    }
}
