//! Deleted task definitions are shown as DELETE_IN_PROGRESS while anything runs from them, and a
//! little longer; then they are forgotten.

use std::time::Duration;

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_task::TaskStatus;

use crate::rows::cluster::ActiveClusters;
use crate::rows::service::{Service, ServicesIn};
use crate::rows::service_history::ServiceRevision;
use crate::rows::task::TasksIn;
use crate::rows::task_definition::{TaskDefinition, TaskDefinitionKey};
use crate::rules::task_sets;

pub struct DeletedTaskDefinitions;

/// How soon one that is still in use is looked at again.
const AGAIN: Duration = Duration::from_secs(60);

impl Loop for DeletedTaskDefinitions {
    type Key = TaskDefinitionKey;
    const NAME: &'static str = "ecs/deleted-task-definitions";

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(TaskDefinitionKey)) {
        if let Some(row) = change.row::<TaskDefinition>().filter(|row| row.forget_at.is_some()) {
            add(row.key.clone());
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &TaskDefinitionKey) {
        let now = tx.now();
        let due = |row: &TaskDefinition| row.forget_at.is_some_and(|at| at <= now);
        if !tx.get::<TaskDefinition>(key).is_some_and(due) {
            return;
        }
        if in_use(tx, key) {
            tx.edit::<TaskDefinition>(key, |row| row.forget_at = Some(now + AGAIN));
        } else {
            tx.delete::<TaskDefinition>(key);
        }
    }
}

/// Whether any task runs from it, or a service would start one. Asked once a minute of a deleted revision, so the tasks of the
/// account are walked rather than indexed by revision for everyone's account.
fn in_use(state: &State, (scope, family, revision): &TaskDefinitionKey) -> bool {
    state.by::<ActiveClusters>(scope).any(|cluster| {
        let brings = |service: &Service, number: u64| {
            let row = state.get::<ServiceRevision>(&(service.key.clone(), number));
            row.is_some_and(|row| row.family == *family && row.revision == *revision)
        };
        let deploys = |service: &Service| {
            let own = service.deployments.iter().any(|one| brings(service, one.revision));
            let mut sets = task_sets::all(state, &service.key);
            own || sets.any(|set| brings(service, set.deployment.revision))
        };
        if state.by::<ServicesIn>(&cluster.key).any(deploys) {
            return true;
        }
        [true, false].into_iter().any(|wanted| {
            let mut tasks = state.by::<TasksIn>(&(cluster.key.clone(), wanted));
            tasks.any(|task| {
                task.observed_status != TaskStatus::Stopped
                    && task.revision == *revision
                    && task.family == *family
            })
        })
    })
}
