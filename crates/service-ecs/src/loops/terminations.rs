//! Instances that their group is about to terminate: each is drained first, and may go once nothing is
//! left on it but daemons' tasks, or the group's lifecycle hook waits no longer.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::Id128;

use crate::rows::container_instance::{ContainerInstance, InstanceStatus};
use crate::rows::task::Task;
use crate::rules::capacity;

pub struct Terminations;

impl Loop for Terminations {
    type Key = Id128;
    const NAME: &'static str = "ecs/terminations";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(Id128)) {
        let waits = |row: &&ContainerInstance| row.terminating.is_some_and(|one| !one.ready);
        if let Some(row) = change.row::<ContainerInstance>().filter(waits) {
            add(row.id);
        }
        if let Some((before, after)) = change.of::<Task>() {
            let host = after.or(before).and_then(|task| task.host);
            let host = host.and_then(|host| state.get::<ContainerInstance>(&host));
            host.filter(waits).into_iter().for_each(|row| add(row.id));
        }
    }

    fn reconcile(tx: &mut Tx<'_>, id: &Id128) {
        let Some(row) = tx.get::<ContainerInstance>(id) else { return };
        let Some(terminating) = row.terminating.filter(|one| !one.ready) else { return };
        let gone = row.status == InstanceStatus::Inactive;
        if gone || terminating.until <= tx.now() || !capacity::is_busy(tx, id) {
            tx.edit::<ContainerInstance>(id, |row| {
                row.terminating.iter_mut().for_each(|one| one.ready = true);
            });
        }
    }
}
