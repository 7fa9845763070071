//! Which tasks may begin: a host's room, and the queue of those that wait for it.
//!
//! The control plane places by what it knows, and it may know of an end later than of a start. So
//! the host counts for itself, and lets tasks in strictly in their order: a small task never starves
//! a large one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// What a task takes of its host while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// In CPU units, 1024 to a core.
    pub cpu: u64,
    /// In MiB.
    pub memory: u64,
    /// Fixed host ports only; a port that the host chooses is free by definition.
    pub tcp: BTreeSet<u16>,
    pub udp: BTreeSet<u16>,
}

/// What a host has, and what is taken of it, by whom.
#[derive(Clone, Debug, Default)]
pub struct Room {
    pub cpu: u64,
    pub memory: u64,
    taken: BTreeMap<String, Needs>,
}

impl Room {
    pub fn new(cpu: u64, memory: u64) -> Room {
        Room { cpu, memory, taken: BTreeMap::new() }
    }

    /// What a task waits for, in words; `None` where there is room.
    pub fn lacks(&self, needs: &Needs) -> Option<String> {
        let used = |of: fn(&Needs) -> u64| self.taken.values().map(of).sum::<u64>();
        let (cpu, memory) = (used(|n| n.cpu), used(|n| n.memory));
        if cpu.saturating_add(needs.cpu) > self.cpu {
            return Some(format!("cpu: {} of {} in use, {} asked", cpu, self.cpu, needs.cpu));
        }
        if memory.saturating_add(needs.memory) > self.memory {
            let Needs { memory: asked, .. } = needs;
            return Some(format!("memory: {memory} of {} in use, {asked} asked", self.memory));
        }
        for taken in self.taken.values() {
            if let Some(port) = taken.tcp.intersection(&needs.tcp).next() {
                return Some(format!("port {port}/tcp is in use"));
            }
            if let Some(port) = taken.udp.intersection(&needs.udp).next() {
                return Some(format!("port {port}/udp is in use"));
            }
        }
        None
    }

    /// Whatever there is: tasks that run already are counted, not asked.
    pub fn take(&mut self, task: &str, needs: Needs) {
        self.taken.insert(task.to_owned(), needs);
    }

    pub fn give_back(&mut self, task: &str) {
        self.taken.remove(task);
    }
}

/// Tasks in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: VecDeque<(String, Needs)>,
}

impl Queue {
    pub fn push(&mut self, task: &str, needs: Needs) {
        self.waiting.push_back((task.to_owned(), needs));
    }

    /// A task that was stopped while it waited.
    pub fn remove(&mut self, task: &str) {
        self.waiting.retain(|(waiting, _)| waiting != task);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everyone that now has room, in order.
    pub fn admit(&mut self, room: &mut Room) -> Vec<String> {
        let mut admitted = Vec::new();
        while let Some((task, needs)) = self.waiting.front() {
            if room.lacks(needs).is_some() {
                break;
            }
            room.take(task, needs.clone());
            admitted.push(task.clone());
            self.waiting.pop_front();
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn needs(cpu: u64, memory: u64, tcp: &[u16]) -> Needs {
        Needs { cpu, memory, tcp: tcp.iter().copied().collect(), udp: BTreeSet::new() }
    }

    #[test]
    fn a_port_is_waited_for_and_nobody_overtakes() {
        let (mut room, mut queue) = (Room::new(100, 100), Queue::default());
        queue.push("a", needs(1, 1, &[80]));
        queue.push("b", needs(1, 1, &[80]));
        queue.push("c", needs(1, 1, &[]));
        assert_eq!(queue.admit(&mut room), ["a"]);
        room.give_back("a");
        assert_eq!(queue.admit(&mut room), ["b", "c"]);
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_and_all_get_in_at_last(
            tasks in prop::collection::vec((0u64..60, 0u64..60, prop::option::of(1u16..4)), 1..20)
        ) {
            let (mut room, mut queue) = (Room::new(100, 100), Queue::default());
            for (nth, (cpu, memory, port)) in tasks.iter().enumerate() {
                let ports: Vec<u16> = port.iter().copied().collect();
                queue.push(&nth.to_string(), needs(*cpu, *memory, &ports));
            }
            let mut order = Vec::new();
            let mut running: VecDeque<String> = VecDeque::new();
            loop {
                let admitted = queue.admit(&mut room);
                order.extend(admitted.iter().cloned());
                running.extend(admitted);
                let cpu: u64 = running.iter().map(|t| tasks[t.parse::<usize>().unwrap()].0).sum();
                prop_assert!(cpu <= 100);
                match running.pop_front() {
                    Some(ended) => room.give_back(&ended),
                    None => break,
                }
            }
            let expected: Vec<String> = (0..tasks.len()).map(|n| n.to_string()).collect();
            prop_assert_eq!(order, expected);
        }
    }
}
