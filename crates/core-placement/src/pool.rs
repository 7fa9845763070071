//! The instances of a cluster, asked for places.
//!
//! AWS's order: the instances that fit, then those that the constraints let through, then the
//! strategies one after the other, each keeping its best; among equals the dice decide.
//!
//! For each question that was asked lately the pool keeps an index. An index that is not asked
//! costs nothing: what happens meanwhile is noted once for all, and taken in at the next asking.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_types::{Dice, Id128};

use crate::ask::Ask;
use crate::index::Index;
use crate::instance::{Instance, Reason};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub instance: Id128,
    pub gpus: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub instance: Id128,
    pub reason: Reason,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub placed: Vec<Placed>,
    /// Why the first task that found no place found none, an entry an instance.
    pub refused: Vec<Refused>,
}

/// Questions that are remembered with their indexes.
const MOST_INDEXES: usize = 64;

/// Something that happened to the instance of a slot.
#[derive(Debug)]
struct Touch {
    slot: u32,
    /// It took a task of this group; None: it is another than before.
    group: Option<Arc<str>>,
}

/// The instances that may be asked.
#[derive(Debug, Default)]
pub struct Pool {
    slots: BTreeMap<Id128, usize>,
    instances: Vec<Option<Instance>>,
    vacant: Vec<usize>,
    /// What happened, the oldest first; before it, `forgotten` more.
    touches: Vec<Touch>,
    forgotten: u64,
    indexes: Vec<Index>,
    asked: u64,
}

impl Pool {
    /// An instance has come or is not what it was.
    pub fn put(&mut self, instance: Instance) {
        let slot = match self.slots.get(&instance.id) {
            Some(slot) => *slot,
            None => {
                let slot = self.vacant.pop().unwrap_or(self.instances.len());
                self.slots.insert(instance.id, slot);
                slot
            }
        };
        if slot == self.instances.len() {
            self.instances.push(None);
        }
        if self.instances[slot].as_ref() != Some(&instance) {
            self.instances[slot] = Some(instance);
            self.touch(slot, None);
        }
    }

    pub fn remove(&mut self, id: Id128) {
        if let Some(slot) = self.slots.remove(&id) {
            self.instances[slot] = None;
            self.vacant.push(slot);
            self.touch(slot, None);
        }
    }

    pub fn get(&self, id: Id128) -> Option<&Instance> {
        self.instances[*self.slots.get(&id)?].as_ref()
    }

    /// Every instance, by id.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        self.slots.values().filter_map(|slot| self.instances[*slot].as_ref())
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Place up to `count` tasks and reserve what they take.
    pub fn place(&mut self, ask: &Ask, count: usize, dice: &mut Dice) -> Placement {
        let mut placement = Placement::default();
        if count == 0 {
            return placement;
        }
        let nth = self.index(ask);
        while placement.placed.len() < count {
            let Some(slot) = self.indexes[nth].choose(&self.instances, dice) else {
                placement.refused = self.refused(nth);
                break;
            };
            let instance = self.instances[slot].as_mut().expect("an index names what is there");
            let gpus = instance.take(&ask.need, &ask.group);
            placement.placed.push(Placed { instance: instance.id, gpus });
            let index = &mut self.indexes[nth];
            index.update(slot, instance, true);
            index.seen += 1;
            self.touches.push(Touch { slot: slot as u32, group: Some(ask.group.clone()) });
            self.forget();
        }
        placement
    }

    /// Why the named instance would not take the task.
    pub fn refusal(&self, ask: &Ask, id: Id128) -> Option<Reason> {
        self.get(id).map_or(Some(Reason::Inactive), |one| ask.refusal(one))
    }

    /// Why each instance would not take the task; None for those that would.
    pub fn refusals(&self, ask: &Ask) -> impl Iterator<Item = (&Instance, Option<Reason>)> {
        self.all().map(|one| (one, ask.refusal(one)))
    }

    /// Place one task on the instance that its caller has chosen.
    pub fn place_on(&mut self, ask: &Ask, id: Id128) -> Result<Placed, Reason> {
        let slot = *self.slots.get(&id).ok_or(Reason::Inactive)?;
        let instance = self.instances[slot].as_mut().ok_or(Reason::Inactive)?;
        if let Some(reason) = ask.refusal(instance) {
            return Err(reason);
        }
        let gpus = instance.take(&ask.need, &ask.group);
        self.touch(slot, Some(ask.group.clone()));
        Ok(Placed { instance: id, gpus })
    }

    fn touch(&mut self, slot: usize, group: Option<Arc<str>>) {
        self.touches.push(Touch { slot: slot as u32, group });
        self.forget();
    }

    /// What happened long ago is forgotten: an index that far behind is made anew, which is no more
    /// work than to take everything in.
    fn forget(&mut self) {
        if self.indexes.is_empty() {
            self.forgotten += self.touches.len() as u64;
            self.touches.clear();
        } else if self.touches.len() > 4 * self.instances.len() + 1024 {
            let half = self.touches.len() / 2;
            self.touches.drain(..half);
            self.forgotten += half as u64;
        }
    }

    /// The index for a question, as of now.
    fn index(&mut self, ask: &Ask) -> usize {
        self.asked += 1;
        let now = self.forgotten + self.touches.len() as u64;
        let found = self.indexes.iter().position(|index| index.answers(ask));
        let nth = found.unwrap_or_else(|| {
            let fresh = Index::new(ask, &self.instances, now);
            if self.indexes.len() < MOST_INDEXES {
                self.indexes.push(fresh);
                return self.indexes.len() - 1;
            }
            let all = self.indexes.iter().enumerate();
            let oldest = all.min_by_key(|(_, index)| index.used).map_or(0, |(nth, _)| nth);
            self.indexes[oldest] = fresh;
            oldest
        });
        let index = &mut self.indexes[nth];
        let behind = now - index.seen;
        let much = index.minds_others() && behind > self.instances.len() as u64;
        if index.seen < self.forgotten || much {
            *index = Index::new(ask, &self.instances, now);
        }
        index.used = self.asked;
        for touch in &self.touches[(index.seen - self.forgotten) as usize..] {
            let slot = touch.slot as usize;
            match (&self.instances[slot], &touch.group) {
                (Some(instance), Some(group)) => {
                    let own = index.is_own(group);
                    if own || index.minds_others() {
                        index.update(slot, instance, own);
                    }
                }
                (instance, _) => index.replace(slot, instance.as_ref()),
            }
        }
        index.seen = now;
        nth
    }

    fn refused(&self, nth: usize) -> Vec<Refused> {
        let index = &self.indexes[nth];
        let reason = |(id, slot): (&Id128, &usize)| {
            let instance = self.instances[*slot].as_ref()?;
            Some(Refused { instance: *id, reason: index.refusal(*slot, instance)? })
        };
        self.slots.iter().filter_map(reason).collect()
    }
}
