//! Hosts that wait for critical daemons take other tasks again once all of them run.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::Id128;

use crate::rows::container_instance::{
    AwaitingInstances, Awaits, ContainerInstance, InstanceStatus,
};
use crate::rows::daemon::Daemon;
use crate::rows::task::{Task, TasksOn};
use crate::rules::{daemon_rollout, daemons};

pub struct DaemonHosts;

impl Loop for DaemonHosts {
    type Key = Id128;
    const NAME: &'static str = "ecs/daemon-hosts";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(Id128)) {
        if let Some(host) = change.row::<ContainerInstance>().filter(|row| row.awaits.is_some()) {
            add(host.id);
        }
        if let Some(task) = change.row::<Task>().filter(|task| task.daemon().is_some()) {
            task.host.into_iter().for_each(&mut *add);
        }
        // It also changes when one of its tasks has run for long enough to be believed in.
        if let Some(row) = change.row::<Daemon>() {
            state.by::<AwaitingInstances>(&row.key.0).for_each(|host| add(host.id));
        }
    }

    fn reconcile(tx: &mut Tx<'_>, id: &Id128) {
        let Some(host) = tx.get::<ContainerInstance>(id) else { return };
        if host.awaits.is_none() || host.status == InstanceStatus::Inactive || lacks(tx, host) {
            return;
        }
        tx.edit::<ContainerInstance>(id, |host| {
            if host.awaits == Some(Awaits::Again) {
                host.status = InstanceStatus::Active;
            }
            host.awaits = None;
            host.version += 1;
        });
    }
}

/// Whether a critical daemon of its provider does not run on it.
fn lacks(tx: &Tx<'_>, host: &ContainerInstance) -> bool {
    let Some(provider) = &host.capacity_provider else { return false };
    let has = |daemon: &Daemon| {
        tx.by::<TasksOn>(&host.id).any(|task| {
            task.daemon().is_some_and(|of| of.name == daemon.key.1)
                && daemon_rollout::serves(tx, task, tx.now())
        })
    };
    daemons::critical(tx, &host.cluster, provider).any(|daemon| !has(daemon))
}
