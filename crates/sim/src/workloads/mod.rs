//! What users want of a cluster, one kind a file: how it comes about and changes while everything
//! fails, what must hold of it at every step, and what must be there once the faults have stopped.
//!
//! A seed has some of them. What one wants stands beside what the others want, on the same hosts.

use std::time::Duration;

use core_state::{Change, State};
use core_types::Time;

use crate::Outcome;
use crate::chaos::Story;

mod capacity;
mod daemons;
mod fargate;
pub(crate) mod images;
mod services;
mod task_sets;

pub(crate) trait Workload {
    /// What it needs before anything fails.
    fn begin(&mut self, _: &mut Story) -> Outcome<()> {
        Ok(())
    }

    /// Its users do something.
    fn act(&mut self, story: &mut Story) -> Outcome<()>;

    /// The faults have stopped: from now on its users want what there is room for.
    fn calm(&mut self, _: &mut Story) -> Outcome<()> {
        Ok(())
    }

    /// How long it takes until it is there.
    fn takes(&self) -> Duration {
        Duration::from_secs(3600)
    }

    /// Whether it is there.
    fn settled(&self, story: &Story) -> Outcome<()>;

    /// Its users have had enough.
    fn clear(&mut self, _: &mut Story) -> Outcome<()> {
        Ok(())
    }

    /// Whether nothing is left of it, some hours later.
    fn cleared(&self, _: &Story) -> Outcome<()> {
        Ok(())
    }
}

/// A step of the plane, as an auditor sees it.
pub(crate) struct Step<'s> {
    pub before: &'s State,
    pub after: &'s State,
    pub changes: &'s [Change],
    pub now: Time,
}

type Audit = fn(&Step<'_>) -> Outcome<()>;

/// What must hold at every step, whatever a seed has.
pub(crate) const AUDITS: [Audit; 5] =
    [services::audit, task_sets::audit, fargate::audit, daemons::audit, images::audit];

/// What every seed has.
pub(crate) fn usual() -> Box<dyn Workload> {
    Box::new(services::Services)
}

type Made = fn() -> Box<dyn Workload>;

/// What a seed may have beside.
pub(crate) const OTHERS: [Made; 5] = [
    || Box::new(task_sets::TaskSets),
    || Box::new(capacity::Capacity::default()),
    || Box::new(fargate::Fargate::default()),
    || Box::new(daemons::Daemons::default()),
    || Box::new(images::Images),
];
