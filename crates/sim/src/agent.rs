//! A host: its machine, its agent, and what runs there. It does what it is told, tells what it sees
//! until somebody has taken it, and forgets nothing but by a crash of the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use core_task::{Desired, TaskStatus};
use core_types::{Dice, Id128, Time};
use service_ecs::rows::task::Health;

use crate::registry::Registry;

/// What becomes of a revision's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Runs,
    /// Its image cannot be pulled.
    NeverStarts,
    /// It runs and is gone soon.
    Crashes,
    /// It runs, and its check fails.
    Sick,
}

/// A task as its host has it.
#[derive(Clone, Debug)]
pub struct Local {
    pub desired: Desired,
    pub status: TaskStatus,
    /// When it goes on to what comes next.
    pub due: Option<Time>,
    pub fate: Fate,
    /// What its check says, and since when; none where it has no check.
    pub check: Option<(Health, Time)>,
    /// When that is said again; at once where it has not been said yet.
    pub says_at: Option<Time>,
    /// The image as it was told, and what its name meant when the host looked.
    pub image: String,
    pub digest: Option<String>,
    /// How long it takes from that look until it runs.
    pub pulls_in: Duration,
    pub needs: (i64, i64),
    pub ports: Vec<u16>,
}

/// What a host says of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub task: Id128,
    /// PENDING: it knows which image it pulls.
    pub status: TaskStatus,
    pub digest: Option<String>,
}

/// A task in a payload.
#[derive(Clone, Debug)]
pub struct Told {
    pub task: Id128,
    pub desired: Desired,
    pub fate: Fate,
    pub has_check: bool,
    pub image: String,
    /// CPU units and MiB.
    pub needs: (i64, i64),
    pub ports: Vec<u16>,
}

/// How long a check takes to speak first, and how long a sick container is sick, in milliseconds.
const CHECKED_IN: (u64, u64) = (300, 6_000);
const WELL_IN: (u64, u64) = (1_000, 20_000);

/// AWS: agents tell of all checks every twenty seconds.
const SAID_AGAIN: Duration = Duration::from_secs(20);

/// How long starts and stops take, in milliseconds: least and most.
pub type Pace = ((u64, u64), (u64, u64));

pub struct Agent {
    pub instance: Id128,
    pub cpu: i64,
    pub memory: i64,
    pace: Pace,
    /// Whether it says which image it pulls before it does.
    pub tells_early: bool,
    /// The connection that it believes in.
    pub session: Option<u64>,
    /// Until then it cannot be reached, or is off.
    pub away_until: Option<Time>,
    /// It will never come back.
    pub gone: bool,
    pub tasks: BTreeMap<Id128, Local>,
    /// What nobody has taken yet, by number.
    pub outbox: BTreeMap<u64, Word>,
    next_word: u64,
}

impl Agent {
    pub fn new(instance: Id128, (cpu, memory): (i64, i64), pace: Pace) -> Agent {
        Agent {
            instance,
            cpu,
            memory,
            pace,
            tells_early: true,
            session: None,
            away_until: None,
            gone: false,
            tasks: BTreeMap::new(),
            outbox: BTreeMap::new(),
            next_word: 0,
        }
    }

    pub fn is_reachable(&self) -> bool {
        !self.gone && self.away_until.is_none()
    }

    /// Containers that are there.
    pub fn running(&self) -> impl Iterator<Item = (&Id128, &Local)> {
        self.tasks.iter().filter(|(_, local)| {
            !self.gone && local.status >= TaskStatus::Running && local.status < TaskStatus::Stopped
        })
    }

    /// Take what a payload says.
    pub fn take(&mut self, told: &Told, now: Time, dice: &mut Dice) {
        let takes = after(now, dice, self.pace.0).since(now);
        let new = Local {
            desired: told.desired,
            status: TaskStatus::Pending,
            due: Some(now + takes / 4),
            fate: told.fate,
            check: told.has_check.then_some((Health::Unknown, now)),
            says_at: None,
            image: told.image.clone(),
            digest: None,
            pulls_in: takes - takes / 4,
            needs: told.needs,
            ports: told.ports.clone(),
        };
        if told.desired == Desired::Running {
            self.tasks.entry(told.task).or_insert(new);
            return;
        }
        self.stop(told.task, now, dice, Some(new));
    }

    /// Stop a task; one that it does not know has stopped as far as it can tell.
    pub fn stop(&mut self, task: Id128, now: Time, dice: &mut Dice, unknown: Option<Local>) {
        let Some(local) = self.tasks.get_mut(&task) else {
            if let Some(local) = unknown {
                self.tasks.insert(task, Local { status: TaskStatus::Stopped, due: None, ..local });
                self.say(task, TaskStatus::Stopped);
            }
            return;
        };
        match (local.desired, local.status) {
            // Asked again, it says it again.
            (_, TaskStatus::Stopped) => self.say(task, TaskStatus::Stopped),
            (Desired::Stopped, _) => {}
            _ => {
                local.desired = Desired::Stopped;
                local.due = Some(after(now, dice, self.pace.1));
            }
        }
    }

    /// Tasks whose next thing has come.
    pub fn turn(&mut self, now: Time, dice: &mut Dice, registry: &mut Registry) {
        let due = |local: &Local| local.due.is_some_and(|at| at <= now);
        let all: Vec<Id128> =
            self.tasks.iter().filter(|(_, local)| due(local)).map(|(id, _)| *id).collect();
        for id in all {
            let Some(local) = self.tasks.get_mut(&id) else { continue };
            local.due = None;
            let looks = local.status == TaskStatus::Pending && local.digest.is_none();
            if looks && local.desired == Desired::Running && local.fate != Fate::NeverStarts {
                local.digest = Some(registry.digest(&local.image, dice));
                local.due = Some(now + local.pulls_in);
                if self.tells_early {
                    self.say(id, TaskStatus::Pending);
                }
                continue;
            }
            let next = match (local.desired, local.fate, local.status) {
                (Desired::Stopped, ..) | (_, Fate::NeverStarts, _) => TaskStatus::Stopped,
                (_, Fate::Crashes, TaskStatus::Running) => TaskStatus::Stopped,
                (_, fate, TaskStatus::Running) => {
                    local.feels(
                        if fate == Fate::Sick { Health::Unhealthy } else { Health::Healthy },
                        now,
                    );
                    continue;
                }
                _ => TaskStatus::Running,
            };
            local.status = next;
            if next == TaskStatus::Running && local.fate == Fate::Crashes {
                local.due = Some(after(now, dice, (100, 8_000)));
            } else if next == TaskStatus::Running && local.check.is_some() {
                local.feels(Health::Unknown, now);
                local.due = Some(after(now, dice, CHECKED_IN));
            }
            self.say(id, next);
        }
    }

    pub fn next_due(&self) -> Option<Time> {
        self.tasks.values().filter_map(|local| local.due).min()
    }

    /// A container's check fails for a while.
    pub fn sicken(&mut self, nth: usize, now: Time, dice: &mut Dice) {
        let well = |local: &Local| {
            local.desired == Desired::Running
                && local.status == TaskStatus::Running
                && local.check.is_some_and(|(health, _)| health == Health::Healthy)
        };
        let mut all = self.tasks.values_mut().filter(|local| well(local)).collect::<Vec<_>>();
        if !all.is_empty() {
            let place = nth % all.len();
            all[place].feels(Health::Unhealthy, now);
            all[place].due = Some(after(now, dice, WELL_IN));
        }
    }

    /// What the checks of running containers say: at once where it is news, and now and then again.
    pub fn checks(&mut self, now: Time) -> Vec<(Id128, Health, Time)> {
        let running = self.tasks.iter_mut().filter(|(_, local)| {
            local.status == TaskStatus::Running && local.says_at.is_none_or(|at| at <= now)
        });
        let said = running.filter_map(|(id, local)| {
            local.says_at = Some(now + SAID_AGAIN);
            local.check.map(|(health, since)| (*id, health, since))
        });
        said.collect()
    }

    /// The machine loses power: its containers are gone, its agent's file is not.
    pub fn lose_power(&mut self) {
        let all: Vec<Id128> = self.tasks.keys().copied().collect();
        for id in all {
            let Some(local) = self.tasks.get_mut(&id) else { continue };
            if local.status < TaskStatus::Stopped {
                (local.status, local.due) = (TaskStatus::Stopped, None);
                self.say(id, TaskStatus::Stopped);
            }
        }
    }

    /// A container exits by itself.
    pub fn exit(&mut self, nth: usize) {
        let running: Vec<Id128> = self.running().map(|(id, _)| *id).collect();
        if running.is_empty() {
            return;
        }
        let id = running[nth % running.len()];
        if let Some(local) = self.tasks.get_mut(&id) {
            (local.status, local.due) = (TaskStatus::Stopped, None);
        }
        self.say(id, TaskStatus::Stopped);
    }

    fn say(&mut self, task: Id128, status: TaskStatus) {
        let digest = self.tasks.get(&task).and_then(|local| local.digest.clone());
        let word = Word { task, status, digest };
        if self.outbox.values().any(|said| *said == word) {
            return;
        }
        self.outbox.insert(self.next_word, word);
        self.next_word += 1;
    }
}

impl Local {
    fn feels(&mut self, health: Health, now: Time) {
        if let Some(check) = &mut self.check
            && check.0 != health
        {
            *check = (health, now);
            self.says_at = None;
        }
    }
}

/// Some time after `now`.
fn after(now: Time, dice: &mut Dice, (least, most): (u64, u64)) -> Time {
    now + Duration::from_millis(least + dice.below(most - least))
}
