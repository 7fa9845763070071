//! Hosts that do not answer: after a grace their tasks are given up, so that others can take their
//! place. When such a host comes back it is told to stop what was given up, and says when it has, or
//! that it has no such task: until then nobody else gets what the task holds.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::Id128;

use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::{StopCode, TasksOn};
use crate::rules::life;

pub struct Hosts;

impl Loop for Hosts {
    type Key = Id128;
    const NAME: &'static str = "ecs/hosts";

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(Id128)) {
        let waits = |row: &&ContainerInstance| row.lost_at.is_some();
        if let Some(row) = change.row::<ContainerInstance>().filter(waits) {
            add(row.id);
        }
    }

    fn reconcile(tx: &mut Tx<'_>, id: &Id128) {
        let now = tx.now();
        let Some(host) = tx.get::<ContainerInstance>(id) else { return };
        if host.lost_at.is_some_and(|at| at <= now) {
            let reason = life::host_gone(host);
            let tasks = tx.by::<TasksOn>(id).filter(|task| !task.is_stopped());
            let tasks: Vec<Id128> = tasks.map(|task| task.id).collect();
            for task in tasks {
                life::give_up(tx, task, StopCode::TerminationNotice, &reason, true);
            }
            tx.edit::<ContainerInstance>(id, |row| row.lost_at = None);
        }
    }
}
