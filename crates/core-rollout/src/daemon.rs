//! Daemon services: one task on every host that may have one.
//!
//! AWS: the maximum is fixed at 100 %, so a host's old task stops before the new one starts, and
//! the minimum says on how many hosts that may happen at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::rolling::{Plan, Stop, Why};
use crate::{Health, Kind, Service};

/// A host that should have the daemon.
pub type Host = u32;

/// Where the daemon is and where it should be, kept as hosts and tasks come and go: a plan looks at
/// what is wrong, not at every host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    wanted: BTreeSet<Host>,
    /// How many tasks a host has, and how many of them stay.
    on: BTreeMap<Host, (u32, u32)>,
    /// Wanted, without any task.
    bare: BTreeSet<Host>,
    /// Tasks that stay where none is wanted.
    strays: u32,
}

impl Ground {
    pub fn wanted(&self) -> &BTreeSet<Host> {
        &self.wanted
    }

    /// Say whether a host shall have the daemon.
    pub fn want(&mut self, host: Host, wanted: bool) {
        self.change(host, |ground| match wanted {
            true => drop(ground.wanted.insert(host)),
            false => drop(ground.wanted.remove(&host)),
        });
    }

    pub fn add(&mut self, host: Host, kind: Kind) {
        self.change(host, |ground| {
            let (all, staying) = ground.on.entry(host).or_default();
            (*all, *staying) = (*all + 1, *staying + u32::from(kind.stays()));
        });
    }

    pub fn remove(&mut self, host: Host, kind: Kind) {
        self.change(host, |ground| {
            let Some((all, staying)) = ground.on.get_mut(&host) else { return };
            (*all, *staying) = (*all - 1, *staying - u32::from(kind.stays()));
            if *all == 0 {
                ground.on.remove(&host);
            }
        });
    }

    fn change(&mut self, host: Host, change: impl FnOnce(&mut Self)) {
        self.strays -= self.strays_on(host);
        change(self);
        self.strays += self.strays_on(host);
        match self.wanted.contains(&host) && !self.on.contains_key(&host) {
            true => self.bare.insert(host),
            false => self.bare.remove(&host),
        };
    }

    fn strays_on(&self, host: Host) -> u32 {
        let staying = self.on.get(&host).map_or(0, |(_, staying)| *staying);
        if self.wanted.contains(&host) { 0 } else { staying }
    }
}

/// The hosts on which the newest version is to be started, and what is to stop. `service.desired`
/// is the number of hosts.
pub fn plan_daemon<K: Copy + Ord>(
    service: &Service<'_, K>,
    ground: &Ground,
) -> (Vec<Host>, Plan<K>) {
    let census = service.tasks.census();
    let wrong =
        |version: usize, kind: Kind| kind.stays() && (version > 0 || kind.health == Health::Bad);
    let stop = match ground.strays > 0 || census.count(wrong) > 0 {
        true => stops(service, ground),
        false => Vec::new(),
    };
    let may_start = service.versions.first().is_some_and(|version| version.may_start);
    let start: Vec<Host> = ground.bare.iter().copied().filter(|_| may_start).collect();
    let steady = start.is_empty()
        && stop.is_empty()
        && census.all_newest_serve()
        && census.all() as usize == ground.wanted.len();
    let start_count = start.len() as u32;
    let plan = Plan { start: start_count, restore: None, stop, steady, held_up: false };
    (start, plan)
}

fn stops<K: Copy + Ord>(service: &Service<'_, K>, ground: &Ground) -> Vec<Stop<K>> {
    let serving = service.tasks.census().count(|_, kind| kind.serves());
    let mut spare = serving.saturating_sub(service.bounds.least);
    let mut stop = Vec::new();
    for task in service.tasks.each().iter().filter(|task| task.stays()) {
        let unwanted = !ground.wanted.contains(&task.host);
        let why = match () {
            () if unwanted => Why::Moved,
            () if task.version > 0 => Why::Outdated,
            () if task.health == Health::Bad => Why::Unhealthy,
            () => continue,
        };
        // On a host that leaves, the task leaves with it whatever the bounds say.
        let free = unwanted || !task.serves();
        if free || spare > 0 {
            if !free {
                spare -= 1;
            }
            stop.push(Stop { task: task.key, why });
        }
    }
    stop
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Phase;

    fn some_kind() -> impl Strategy<Value = Kind> {
        let phase = prop::sample::select(vec![Phase::Starting, Phase::Up, Phase::Leaving]);
        phase.prop_map(|phase| Kind {
            phase,
            health: Health::Good,
            protected: false,
            to_be_moved: false,
        })
    }

    proptest! {
        /// However hosts and tasks came and went, what is kept is what one look at all would give.
        #[test]
        fn the_ground_is_kept_as_it_is(
            wants in prop::collection::vec((0..6u32, any::<bool>()), 0..20),
            tasks in prop::collection::vec((0..6u32, some_kind(), any::<bool>()), 0..20),
        ) {
            let mut ground = Ground::default();
            let mut wants = wants.into_iter();
            for (host, kind, _) in &tasks {
                wants.next().into_iter().for_each(|(host, wanted)| ground.want(host, wanted));
                ground.add(*host, *kind);
            }
            for (host, kind, _) in tasks.iter().filter(|(.., stays)| !stays) {
                wants.next().into_iter().for_each(|(host, wanted)| ground.want(host, wanted));
                ground.remove(*host, *kind);
            }
            wants.for_each(|(host, wanted)| ground.want(host, wanted));
            let left: Vec<_> = tasks.iter().filter(|(.., stays)| *stays).collect();
            let bare = ground.wanted.iter().filter(|host| left.iter().all(|(on, ..)| on != *host));
            prop_assert_eq!(bare.copied().collect::<BTreeSet<_>>(), ground.bare.clone());
            let strays = left.iter().filter(|(on, kind, _)| {
                kind.stays() && !ground.wanted.contains(on)
            });
            prop_assert_eq!(strays.count(), ground.strays as usize);
        }
    }
}
