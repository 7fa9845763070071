//! How many tasks the revisions of a deployment have, and are to have.
//!
//! AWS: the counts are live while a deployment is under way; once it is complete they are told as
//! they were then, whatever its service has come to since.

use core_state::State;
use core_task::Desired;

use super::shifts;
use crate::rows::service::{Deployment, Service};
use crate::rows::service_history::{Counted, DeploymentRecord};
use crate::rows::task::{Count, CurrentTasksOf, DeploymentTasks, Task};

/// AWS: an older deployment wants what it still has, or what it is to keep.
pub fn wanted(state: &State, row: &Service, one: &Deployment, newest: bool) -> u32 {
    if let Some((_, progress)) = shifts::governing(state, row) {
        let wants = row.deployments.iter().zip(shifts::wants(row, progress));
        let mut own = wants.filter(|(other, _)| other.id == one.id).map(|(_, want)| want);
        if let Some(shifts::Want::Keep(count)) = own.next() {
            return count;
        }
    } else if newest {
        return row.desired_count;
    }
    let wanted = |task: &&Task| {
        task.started_by.as_ref() == Some(&one.id) && task.desired_status == Desired::Running
    };
    one.keeps.max(state.by::<CurrentTasksOf>(&row.key).filter(wanted).count() as u32)
}

/// A revision's tasks now. One that the service has no more has none.
pub fn live(state: &State, row: &Service, revision: u64) -> Counted {
    let mut counted = Counted { revision, requested: 0, running: 0, pending: 0 };
    let place = row.deployments.iter().position(|one| one.revision == revision);
    if let Some(place) = place {
        let one = &row.deployments[place];
        let sum = state.sum::<DeploymentTasks>(&(row.key.clone(), one.id.clone()));
        let number = |of| u32::try_from(sum.of(of)).unwrap_or_default();
        counted.requested = wanted(state, row, one, place == 0);
        (counted.running, counted.pending) = (number(Count::Running), number(Count::Pending));
    }
    counted
}

/// The same as a deployment of the history tells it.
pub fn told(state: &State, record: &DeploymentRecord, revision: u64) -> Counted {
    let kept = record.counted.iter().find(|counted| counted.revision == revision);
    kept.copied().unwrap_or_else(|| match state.get::<Service>(&record.key.0) {
        Some(row) => live(state, row, revision),
        None => Counted { revision, requested: 0, running: 0, pending: 0 },
    })
}
