//! What services see of their tasks, kept from step to step: a pass looks at what has changed and
//! at counts, not at each task.
//!
//! Rows stay the truth: a picture follows the tasks and hosts that were touched since the last
//! look. Time changes a picture as well, so it knows when the next of its tasks will look different.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_placement::Ask;
use core_rollout::{Census, Ground, Kind, Task as Problem, Tasks, Zone};
use core_state::{State, Tx};
use core_types::{Id128, Time};

use super::rollout::{self, earliest};
use super::service_placing;
use crate::rows::container_instance::{ContainerInstance, InstanceStatus, InstancesIn};
use crate::rows::service::{Service, ServiceKey};
use crate::rows::service_tasks::{ServiceHost, ServiceTask};
use crate::rows::task::{CurrentTasksOf, Task, TasksOn};

/// A task as its service sees it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    kind: Kind,
    place: Place,
    created_at: Time,
    /// When time alone makes it another.
    due: Option<Time>,
    /// Of one that serves: when it has served for long enough to have proved itself.
    proven: Option<Time>,
    provider: Option<Arc<str>>,
}

/// The tasks that one deployment started, and what of them is counted.
#[derive(Debug, Default, PartialEq)]
struct Part {
    tasks: BTreeMap<Id128, Known>,
    census: BTreeMap<Kind, u32>,
    due: BTreeSet<(Time, Id128)>,
    proven: BTreeMap<Time, u32>,
    /// Those that neither go nor are about to, by capacity provider.
    providers: BTreeMap<Arc<str>, u32>,
    /// Those that stay, by zone; and those of them that may be chosen to go.
    zones: BTreeMap<u32, u32>,
    free: BTreeMap<u32, u32>,
}

fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: &K, comes: bool) {
    if comes {
        *counts.entry(key.clone()).or_default() += 1;
    } else if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Part {
    fn count(&mut self, id: Id128, known: &Known, comes: bool) {
        count(&mut self.census, &known.kind, comes);
        if known.kind.stays() {
            count(&mut self.zones, &known.place.zone, comes);
        }
        if known.kind.stays() && !known.kind.protected {
            count(&mut self.free, &known.place.zone, comes);
        }
        known.proven.iter().for_each(|at| count(&mut self.proven, at, comes));
        if known.kind.stays() && known.kind.is_fine() {
            known.provider.iter().for_each(|name| count(&mut self.providers, name, comes));
        }
        if let Some(due) = known.due {
            match comes {
                true => self.due.insert((due, id)),
                false => self.due.remove(&(due, id)),
            };
        }
    }
}

/// Where a host is, by numbers, and whether it leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    host: u32,
    zone: u32,
    leaves: bool,
}

/// Hosts and zones with their numbers.
#[derive(Default)]
struct Places {
    of: BTreeMap<Option<Id128>, Place>,
    hosts: Vec<Option<Id128>>,
    zones: BTreeMap<Option<String>, u32>,
}

impl Places {
    fn zone(&self, number: u32) -> Option<&str> {
        let found = self.zones.iter().find(|(_, known)| **known == number);
        found.and_then(|(name, _)| name.as_deref())
    }
}

/// The zone of a host, and whether it leaves.
fn place_of(state: &State, host: Option<Id128>) -> (Option<&str>, bool) {
    let row = host.and_then(|id| state.get::<ContainerInstance>(&id));
    // One that waits for an instance leaves none.
    let gone = row.is_none_or(|row| row.status != InstanceStatus::Active);
    let leaves = host.is_some() && gone;
    (row.and_then(ContainerInstance::zone), leaves)
}

impl Places {
    fn of(&mut self, state: &State, host: Option<Id128>) -> Place {
        match self.of.get(&host) {
            Some(place) => *place,
            None => self.look(state, host),
        }
    }

    fn look(&mut self, state: &State, host: Option<Id128>) -> Place {
        let (zone, leaves) = place_of(state, host);
        let next = self.zones.len() as u32;
        let zone = match zone {
            // Most hosts are in a zone that is known.
            Some(zone) => *self.zones.entry(Some(zone.to_owned())).or_insert(next),
            None => *self.zones.entry(None).or_insert(next),
        };
        let number = self.of.get(&host).map(|place| place.host);
        let number = number.unwrap_or_else(|| {
            self.hosts.push(host);
            self.hosts.len() as u32 - 1
        });
        let place = Place { host: number, zone, leaves };
        self.of.insert(host, place);
        place
    }
}

/// What one service sees.
#[derive(Debug, PartialEq)]
struct Picture {
    /// As of when.
    at: Time,
    grace: u64,
    /// By who started them.
    parts: BTreeMap<Arc<str>, Part>,
    /// A daemon's hosts, and for which question they were found.
    ground: Ground,
    asked: Option<Ask>,
    /// Hosts that are to be asked again.
    changed: BTreeSet<Id128>,
}

impl Picture {
    fn new(row: &Service, at: Time) -> Picture {
        Picture {
            at,
            grace: rollout::grace(row),
            parts: BTreeMap::new(),
            ground: Ground::default(),
            asked: None,
            changed: BTreeSet::new(),
        }
    }

    fn set(&mut self, by: &Arc<str>, id: Id128, known: Option<Known>) {
        if !self.parts.contains_key(by) {
            self.parts.insert(by.clone(), Part::default());
        }
        let part = self.parts.get_mut(by).expect("it was just made sure of");
        if let Some(old) = part.tasks.remove(&id) {
            part.count(id, &old, false);
            self.ground.remove(old.place.host, old.kind);
        }
        if let Some(known) = known {
            part.count(id, &known, true);
            self.ground.add(known.place.host, known.kind);
            part.tasks.insert(id, known);
        } else if part.tasks.is_empty() {
            self.parts.remove(by);
        }
    }

    /// See a task as it is now.
    fn look(&mut self, state: &State, places: &mut Places, task: &Task) {
        let known = (!task.is_stopped()).then(|| {
            let place = places.of(state, task.host);
            self.regard(state, place, task)
        });
        self.set(&starter(task), task.id, known);
    }

    fn regard(&self, state: &State, place: Place, task: &Task) -> Known {
        let regard = rollout::regard(state, self.grace, place.leaves, task, self.at);
        let served = task.started_at.filter(|_| regard.kind.serves());
        Known {
            kind: regard.kind,
            place,
            created_at: task.created_at,
            due: regard.due,
            proven: served.map(|at| at + rollout::PROVEN_IN),
            provider: task.extras.as_ref().and_then(|extras| extras.capacity_provider.clone()),
        }
    }

    /// Time has gone on.
    fn pass_time(&mut self, state: &State, places: &mut Places, now: Time) {
        self.at = now;
        let due = self
            .parts
            .values()
            .flat_map(|part| part.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id));
        let due: Vec<Id128> = due.collect();
        for id in due {
            if let Some(task) = state.get::<Task>(&id) {
                self.look(state, places, task);
            }
        }
    }

    /// Find the hosts that a daemon shall be on.
    fn survey(&mut self, state: &State, places: &mut Places, row: &Service, ask: Option<&Ask>) {
        let same = self.asked.as_ref() == ask && ask.is_none_or(|ask| !ask.minds_tasks());
        let hosts = std::mem::take(&mut self.changed);
        let hosts: Vec<Id128> = match same {
            true => hosts.into_iter().collect(),
            false => {
                let known = self.ground.wanted().iter();
                let known = known.filter_map(|n| places.hosts[*n as usize]);
                let there = state.by::<InstancesIn>(&row.key.0).map(|row| row.id);
                known.chain(there).chain(hosts).collect()
            }
        };
        for host in hosts {
            let wanted = ask.is_some_and(|ask| service_placing::suits(state, row, ask, host));
            self.ground.want(places.of(state, Some(host)).host, wanted);
        }
        self.asked = ask.cloned();
    }
}

fn starter(task: &Task) -> Arc<str> {
    task.started_by.clone().unwrap_or_default()
}

/// All pictures.
#[derive(Default)]
struct Pictures {
    all: BTreeMap<ServiceKey, Picture>,
    places: Places,
}

impl Pictures {
    fn follow(&mut self, state: &State, tasks: Vec<Id128>, hosts: Vec<Id128>) {
        for host in hosts {
            let known = self.places.of.get(&Some(host)).copied();
            let moved = known.is_some_and(|old| self.places.look(state, Some(host)) != old);
            for picture in self.all.values_mut().filter(|picture| picture.asked.is_some()) {
                picture.changed.insert(host);
            }
            if moved {
                state.by::<TasksOn>(&host).for_each(|task| self.look(state, task));
            }
        }
        for id in tasks {
            match state.get::<Task>(&id) {
                Some(task) => self.look(state, task),
                // Whoever started it was undone.
                None => self.all.values_mut().for_each(|picture| {
                    let mut parts = picture.parts.iter();
                    let by = parts.find(|(_, part)| part.tasks.contains_key(&id));
                    if let Some(by) = by.map(|(by, _)| by.clone()) {
                        picture.set(&by, id, None);
                    }
                }),
            }
        }
    }

    fn look(&mut self, state: &State, task: &Task) {
        let Some(service) = &task.service else { return };
        let key = (task.cluster.clone(), service.clone());
        if let Some(picture) = self.all.get_mut(&key) {
            picture.look(state, &mut self.places, task);
        }
    }
}

/// Bring a service's picture up to date. `ask` is what a daemon asks of its hosts.
pub fn refresh(tx: &mut Tx<'_>, row: &Service, ask: Option<&Ask>) {
    let now = tx.now();
    let kept = tx.lend::<Pictures>();
    let (tasks, hosts) = (tx.touched::<ServiceTask>(), tx.touched::<ServiceHost>());
    let mut pictures = match (kept, tasks, hosts) {
        (Some(mut pictures), Some(tasks), Some(hosts)) => {
            pictures.follow(tx, tasks, hosts);
            pictures
        }
        // Nobody has followed the rows so far.
        _ => Box::default(),
    };
    let Pictures { all, places } = &mut *pictures;
    let known = all.get(&row.key).is_some_and(|picture| picture.grace == rollout::grace(row));
    if !known {
        let mut picture = Picture::new(row, now);
        tx.by::<CurrentTasksOf>(&row.key).for_each(|task| picture.look(tx, places, task));
        all.insert(row.key.clone(), picture);
    }
    let picture = all.get_mut(&row.key).expect("it was just made sure of");
    picture.pass_time(tx, places, now);
    if row.daemon {
        picture.survey(tx, places, row, ask);
    }
    tx.keep(pictures);
}

/// Nobody will ask for it again.
pub fn forget(tx: &mut Tx<'_>, key: &ServiceKey) {
    if let Some(mut pictures) = tx.lend::<Pictures>() {
        pictures.all.remove(key);
        tx.keep(pictures);
    }
}

/// The tasks of a service that have not stopped, by its versions; as of the last refresh.
pub struct Seen<'p> {
    parts: Vec<(usize, &'p Part)>,
    census: Census,
    picture: Option<&'p Picture>,
    places: Option<&'p Places>,
}

impl<'p> Seen<'p> {
    pub fn of(state: &'p State, row: &Service) -> Seen<'p> {
        let kept = state.kept::<Pictures>();
        let picture = kept.and_then(|pictures| pictures.all.get(&row.key));
        let mut seen = Seen {
            parts: Vec::new(),
            census: Census::default(),
            picture,
            places: kept.map(|pictures| &pictures.places),
        };
        for (by, part) in picture.into_iter().flat_map(|picture| &picture.parts) {
            if !row.minds(Some(by)) {
                continue;
            }
            let version = row.deployments.iter().position(|one| one.id == *by);
            let version = version.unwrap_or(row.deployments.len().max(1));
            part.census.iter().for_each(|(kind, n)| seen.census.add(version, *kind, *n));
            seen.parts.push((version, part));
        }
        seen
    }

    fn newest(&self) -> impl Iterator<Item = &'p Part> {
        self.parts.iter().filter(|(version, _)| *version == 0).map(|(_, part)| *part)
    }

    /// When time alone changes the picture.
    pub fn look_at(&self, row: &Service, now: Time) -> Option<Time> {
        let due = self.parts.iter().filter_map(|(_, part)| part.due.first());
        let due = due.map(|(at, _)| *at).min();
        let failures = row.primary().is_some_and(|one| one.failed_tasks + one.failures > 0);
        let proving = self.newest().filter(|_| failures).filter_map(|part| {
            let later = (std::ops::Bound::Excluded(now), std::ops::Bound::Unbounded);
            part.proven.range(later).next().map(|(at, _)| *at)
        });
        earliest(due, proving.min())
    }

    /// When the newest of the newest version's tasks proved itself.
    pub fn proven_at(&self, now: Time) -> Option<Time> {
        let proven = |part: &Part| part.proven.range(..=now).next_back().map(|(at, _)| *at);
        self.newest().filter_map(proven).max()
    }

    pub fn has(&self, version: usize) -> bool {
        self.parts.iter().any(|(of, _)| *of == version)
    }

    /// One of the versions as if there were no other.
    pub fn alone(&self, version: usize) -> Seen<'p> {
        let own = self.parts.iter().filter(|(of, _)| *of == version);
        let parts: Vec<(usize, &Part)> = own.map(|(_, part)| (0, *part)).collect();
        let mut census = Census::default();
        let kinds = parts.iter().flat_map(|(_, part)| &part.census);
        kinds.for_each(|(kind, n)| census.add(0, *kind, *n));
        Seen { parts, census, ..*self }
    }

    /// How many tasks on capacity providers a deployment has, and how many of them on this one. One
    /// that another is started for is not among them: that one takes its share.
    pub fn started(&self, by: Option<&Arc<str>>, provider: &str) -> (usize, usize) {
        let part = self.picture.zip(by).and_then(|(picture, by)| picture.parts.get(by));
        part.map_or((0, 0), |part| {
            let own = part.providers.get(provider).map_or(0, |n| *n as usize);
            (part.providers.values().sum::<u32>() as usize, own)
        })
    }

    /// Where a daemon is, and where it should be.
    pub fn ground(&self) -> Option<&'p Ground> {
        self.picture.map(|picture| &picture.ground)
    }

    pub fn host(&self, number: u32) -> Option<Id128> {
        self.places?.hosts.get(number as usize).copied().flatten()
    }

    /// The newest version's tasks by zone: those that stay, and how many of them may go.
    pub fn zones(&self) -> BTreeMap<String, Zone> {
        let mut zones = BTreeMap::new();
        for (part, places) in self.newest().filter_map(|part| Some((part, self.places?))) {
            for (number, tasks) in &part.zones {
                let Some(name) = places.zone(*number) else { continue };
                let zone: &mut Zone = zones.entry(name.to_owned()).or_default();
                zone.tasks += tasks;
                zone.free += part.free.get(number).copied().unwrap_or_default();
            }
        }
        zones
    }
}

impl Tasks<Id128> for Seen<'_> {
    fn census(&self) -> &Census {
        &self.census
    }

    fn each(&self) -> Vec<Problem<Id128>> {
        let each = self.parts.iter().flat_map(|(version, part)| {
            part.tasks.iter().map(|(id, known)| {
                let Kind { phase, health, protected, to_be_moved } = known.kind;
                Problem {
                    key: *id,
                    version: *version,
                    phase,
                    health,
                    protected,
                    to_be_moved,
                    zone: known.place.zone,
                    host: known.place.host,
                    created_at: known.created_at,
                }
            })
        });
        each.collect()
    }
}

/// What is kept differs from the rows nowhere but where it is known to.
pub fn check(state: &State, tell: &mut dyn FnMut(String)) {
    let Some(Pictures { all, places }) = state.kept::<Pictures>() else { return };
    let host_touched = |host: Option<Id128>| {
        host.is_some_and(|host| state.is_touched::<ServiceHost>(&host) != Some(false))
    };
    for (key, picture) in all {
        let mut ids: BTreeSet<Id128> =
            picture.parts.values().flat_map(|part| part.tasks.keys().copied()).collect();
        ids.extend(state.by::<CurrentTasksOf>(key).map(|task| task.id));
        for id in ids {
            let task = state.get::<Task>(&id);
            let excused = state.is_touched::<ServiceTask>(&id) != Some(false)
                || host_touched(task.and_then(|task| task.host));
            if excused {
                continue;
            }
            let there = task.filter(|task| !task.is_stopped()).and_then(|task| {
                let (zone, leaves) = place_of(state, task.host);
                let zone = *places.zones.get(&zone.map(str::to_owned))?;
                let place = Place { leaves, zone, ..*places.of.get(&task.host)? };
                Some(picture.regard(state, place, task))
            });
            let known = picture.parts.values().find_map(|part| part.tasks.get(&id));
            if known != there.as_ref() {
                tell(format!("{key:?} sees task {id} as {known:?}, its row says {there:?}"));
            }
        }
        let mut fresh = Ground::default();
        picture.ground.wanted().iter().for_each(|host| fresh.want(*host, true));
        for (by, part) in &picture.parts {
            let mut sums = Part::default();
            for (id, known) in &part.tasks {
                sums.count(*id, known, true);
                fresh.add(known.place.host, known.kind);
            }
            let sums = Part { tasks: part.tasks.clone(), ..sums };
            if sums != *part {
                tell(format!("{key:?} does not count the tasks of {by} as they are"));
            }
        }
        if fresh != picture.ground {
            tell(format!("{key:?} does not count its hosts as they are"));
        }
    }
}
