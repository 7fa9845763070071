//! What one connection has told its agent of each task, and what is still to be told: the difference
//! between rows and words, without sockets or clocks.
//!
//! A task that was told and not acknowledged in time is simply looked at again: if its row still asks for
//! it, it is told anew, as at-least-once delivery wants. Stops go before starts, and only so many tasks are
//! on their way at once: an agent that is slow to take them is not buried.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use core_types::Id128;
use tokio::time::Instant;

use crate::world::{Assignment, Desired};

/// Tasks in one payload. AWS: an agent acknowledges a payload as a whole.
pub(crate) const BATCH: usize = 32;

/// Tasks that were told and are not acknowledged yet.
const WINDOW: usize = 256;

/// When a payload that was not acknowledged is told again: the first time, and at most.
const AGAIN: Duration = Duration::from_secs(10);
const AGAIN_AT_MOST: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
struct Told {
    /// `None`: it went unheard, and is to be told again.
    desired: Option<Desired>,
    acknowledged: bool,
    times: u32,
}

#[derive(Debug)]
struct Flight {
    tasks: Vec<(Id128, Desired)>,
    due: Instant,
}

/// What to send next.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub stops: Vec<Id128>,
    pub starts: Vec<Id128>,
}

#[derive(Debug, Default)]
pub(crate) struct Delivery {
    told: BTreeMap<Id128, Told>,
    flights: HashMap<String, Flight>,
    in_flight: usize,
    /// Tasks to look at.
    dirty: BTreeSet<Id128>,
}

impl Delivery {
    pub fn touch(&mut self, task: Id128) {
        self.dirty.insert(task);
    }

    /// All that this agent may have been told of, as well.
    pub fn touch_all(&mut self) {
        self.dirty.extend(self.told.keys());
    }

    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() && self.in_flight < WINDOW
    }

    /// Look at what is dirty. `find` gives the row of a task that this instance has.
    pub fn plan(&mut self, mut find: impl FnMut(Id128) -> Option<Assignment>) -> Plan {
        let mut plan = Plan::default();
        let mut room = WINDOW.saturating_sub(self.in_flight);
        let mut later = BTreeSet::new();
        let mut starts = Vec::new();
        for task in std::mem::take(&mut self.dirty) {
            let Some(row) = find(task).filter(|row| !row.settled) else {
                self.told.remove(&task);
                continue;
            };
            // What was acknowledged on an older connection the agent keeps in its own checkpoint.
            let known = row.acknowledged >= Some(row.desired);
            let told = self.told.get(&task).is_some_and(|told| told.desired == Some(row.desired));
            if told || (known && row.desired == Desired::Running) {
                continue;
            }
            match row.desired {
                Desired::Running => starts.push(task),
                Desired::Stopped if room > 0 => {
                    room -= 1;
                    plan.stops.push(task);
                }
                Desired::Stopped => drop(later.insert(task)),
            }
        }
        let rest = starts.split_off(starts.len().min(room));
        plan.starts = starts;
        later.extend(rest);
        self.dirty.append(&mut later);
        plan
    }

    /// These tasks were sent with this message.
    pub fn sent(&mut self, message: String, tasks: Vec<(Id128, Desired)>, now: Instant) {
        let mut times = 0;
        for (task, desired) in &tasks {
            let unheard = self.told.get(task).filter(|told| told.desired.is_none());
            let told = Told {
                desired: Some(*desired),
                acknowledged: false,
                times: unheard.map_or(1, |told| told.times + 1),
            };
            times = times.max(told.times);
            self.told.insert(*task, told);
        }
        self.in_flight += tasks.len();
        let wait = AGAIN.saturating_mul(1 << times.saturating_sub(1).min(8)).min(AGAIN_AT_MOST);
        self.flights.insert(message, Flight { tasks, due: now + wait });
    }

    /// The agent has taken a message. Returns what it took, once.
    pub fn acknowledged(&mut self, message: &str) -> Vec<(Id128, Desired)> {
        let Some(flight) = self.flights.remove(message) else { return Vec::new() };
        self.in_flight -= flight.tasks.len();
        for (task, desired) in &flight.tasks {
            if let Some(told) =
                self.told.get_mut(task).filter(|told| told.desired == Some(*desired))
            {
                told.acknowledged = true;
            }
        }
        flight.tasks
    }

    /// Look again at what was not acknowledged in time.
    pub fn expire(&mut self, now: Instant) {
        let late: Vec<String> = self
            .flights
            .iter()
            .filter(|(_, f)| f.due <= now)
            .map(|(message, _)| message.clone())
            .collect();
        for message in late {
            let Some(flight) = self.flights.remove(&message) else { continue };
            self.in_flight -= flight.tasks.len();
            for (task, desired) in flight.tasks {
                let told = self.told.get_mut(&task);
                let told = told.filter(|told| told.desired == Some(desired));
                if let Some(told) = told.filter(|told| !told.acknowledged) {
                    told.desired = None;
                    self.dirty.insert(task);
                }
            }
        }
    }

    pub fn due(&self) -> Option<Instant> {
        self.flights.values().map(|flight| flight.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Id128 {
        Id128([n; 16])
    }

    fn row(n: u8, desired: Desired) -> Assignment {
        Assignment {
            task: id(n),
            instance: id(0),
            arn: n.to_string(),
            cluster_arn: String::new(),
            desired,
            acknowledged: None,
            settled: false,
            application_role: false,
            execution_role: false,
            attaching: Vec::new(),
        }
    }

    fn starts(tasks: &[u8]) -> Plan {
        Plan { stops: Vec::new(), starts: tasks.iter().copied().map(id).collect() }
    }

    fn stops(tasks: &[u8]) -> Plan {
        Plan { starts: Vec::new(), stops: tasks.iter().copied().map(id).collect() }
    }

    #[test]
    fn a_task_is_told_once_per_state_and_again_when_unheard() {
        let (mut delivery, start) = (Delivery::default(), Instant::now());
        delivery.touch(id(1));
        assert_eq!(delivery.plan(|_| Some(row(1, Desired::Running))), starts(&[1]));
        delivery.sent("a".into(), vec![(id(1), Desired::Running)], start);
        delivery.touch(id(1));
        assert_eq!(delivery.plan(|_| Some(row(1, Desired::Running))), Plan::default());
        delivery.expire(start + AGAIN);
        assert_eq!(delivery.plan(|_| Some(row(1, Desired::Running))), starts(&[1]));
        delivery.sent("b".into(), vec![(id(1), Desired::Running)], start + AGAIN);
        // Each time with more patience.
        assert_eq!(delivery.due(), Some(start + AGAIN * 3));
        assert_eq!(delivery.acknowledged("a"), vec![]);
        assert_eq!(delivery.acknowledged("b"), vec![(id(1), Desired::Running)]);
        assert_eq!(delivery.acknowledged("b"), vec![]);
        delivery.touch(id(1));
        assert_eq!(delivery.plan(|_| Some(row(1, Desired::Stopped))), stops(&[1]));
    }

    #[test]
    fn what_went_unheard_and_changed_is_told_as_it_is_now() {
        let (mut delivery, start) = (Delivery::default(), Instant::now());
        delivery.touch(id(1));
        delivery.plan(|_| Some(row(1, Desired::Running)));
        delivery.sent("a".into(), vec![(id(1), Desired::Running)], start);
        delivery.expire(start + AGAIN);
        assert_eq!(delivery.plan(|_| Some(row(1, Desired::Stopped))), stops(&[1]));
    }

    #[test]
    fn what_an_older_connection_heard_is_told_again_only_where_it_stops() {
        let mut delivery = Delivery::default();
        let acknowledged = |desired| Assignment { acknowledged: Some(desired), ..row(1, desired) };
        delivery.touch(id(1));
        assert_eq!(delivery.plan(|_| Some(acknowledged(Desired::Running))), Plan::default());
        delivery.touch(id(1));
        assert_eq!(delivery.plan(|_| Some(acknowledged(Desired::Stopped))), stops(&[1]));
        delivery.touch(id(1));
        let settled = Assignment { settled: true, ..row(1, Desired::Stopped) };
        assert_eq!(delivery.plan(|_| Some(settled.clone())), Plan::default());
        delivery.touch(id(2));
        assert_eq!(delivery.plan(|_| None), Plan::default());
    }

    #[test]
    fn only_so_many_are_on_their_way_and_none_is_forgotten() {
        let (mut delivery, start) = (Delivery::default(), Instant::now());
        let key =
            |n: u16| Id128([(n >> 8) as u8, n as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let all: BTreeSet<_> = (0..1000).map(key).collect();
        all.iter().for_each(|task| delivery.touch(*task));
        let mut heard = BTreeSet::new();
        while delivery.has_work() {
            let plan = delivery.plan(|task| Some(Assignment { task, ..row(1, Desired::Running) }));
            assert!(plan.starts.len() <= WINDOW);
            let tasks = plan.starts.into_iter().map(|task| (task, Desired::Running)).collect();
            delivery.sent("m".into(), tasks, start);
            assert!(!delivery.has_work());
            let taken = delivery.acknowledged("m");
            heard.extend(taken.into_iter().map(|(task, _)| task));
        }
        assert_eq!(heard, all);
    }
}
