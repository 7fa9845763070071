//! Deleted task definitions are shown as DELETE_IN_PROGRESS for a while, then forgotten.

use core_state::{Change, State, Tx};
use core_step::Loop;

use crate::rows::task_definition::{TaskDefinition, TaskDefinitionKey};

pub struct DeletedTaskDefinitions;

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
        if tx.get::<TaskDefinition>(key).is_some_and(due) {
            tx.delete::<TaskDefinition>(key);
        }
    }
}
