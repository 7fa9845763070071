//! The task sets of a service, each brought to its share. One is rolled like a service of its own
//! with a single version.

use core_state::Tx;

use super::services::roll;
use crate::rows::service::{Service, ServiceKey};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::CurrentTasksOf;
use crate::rows::task_set::TaskSet;
use crate::rules::rollout::earliest;
use crate::rules::{services, task_sets};

/// One pass over a service whose versions are task sets.
pub fn advance(tx: &mut Tx<'_>, row: &mut Service) {
    (row.waiting, row.look_at) = (false, None);
    let sets: Vec<TaskSet> = task_sets::all(tx, &row.key).cloned().collect();
    for mut set in sets {
        let mut as_service = Service {
            deployments: vec![set.deployment.clone()],
            desired_count: set.desired(row.desired_count),
            launch: set.launch,
            waiting: set.waiting,
            told: set.told.clone(),
            steady_at: set.steady_at,
            batch_at: set.batch_at,
            look_at: None,
            ..row.clone()
        };
        roll(tx, &mut as_service);
        if as_service.waiting {
            (row.waiting, row.launch) = (true, set.launch);
        }
        row.next_event = as_service.next_event;
        row.look_at = earliest(row.look_at, as_service.look_at);
        if as_service.steady_at.is_some() != set.steady_at.is_some() {
            set.stability_at = tx.now();
        }
        set.deployment = as_service.deployments.remove(0);
        (set.waiting, set.told) = (as_service.waiting, as_service.told);
        (set.steady_at, set.batch_at) = (as_service.steady_at, as_service.batch_at);
        let gone = set.draining && !has_tasks(tx, &row.key, &set);
        match gone {
            true => {
                let revision = set.deployment.revision;
                // One that ECS deployed once stays in the history.
                if !services::remembers(tx, &row.key, revision) {
                    tx.delete::<ServiceRevision>(&(row.key.clone(), revision));
                }
                tx.delete::<TaskSet>(&set.key);
            }
            false => tx.put(set),
        }
    }
}

fn has_tasks(tx: &Tx<'_>, key: &ServiceKey, set: &TaskSet) -> bool {
    let mut tasks = tx.by::<CurrentTasksOf>(key).filter(|task| !task.is_stopped());
    tasks.any(|task| task.started_by.as_ref() == Some(&set.key.1))
}
