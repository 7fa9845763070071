//! What becomes of tasks without their host's word: those that no host has, or will take, stop at
//! once, and so do those that ask for what is not here; stopped ones are forgotten in time.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_task::{Desired, TaskStatus};
use core_types::Id128;

use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::{StopCode, Task, TasksOn};
use crate::rules::{interfaces, launch, life, timing};

pub struct Tasks;

impl Loop for Tasks {
    type Key = Id128;
    const NAME: &'static str = "ecs/tasks";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(Id128)) {
        if let Some(task) = change.row::<Task>()
            && (waits(task) || task.is_stopped() && ends(task, change))
        {
            add(task.id);
        }
        // A host that has gone away takes no more orders.
        if let Some((before, Some(after))) = change.of::<ContainerInstance>() {
            let gone =
                before.is_some_and(|row| row.observed_connected) && !after.observed_connected;
            if gone {
                state.by::<TasksOn>(&after.id).filter(|t| waits(t)).for_each(|t| add(t.id));
            }
        }
    }

    fn reconcile(tx: &mut Tx<'_>, id: &Id128) {
        let now = tx.now();
        let Some(task) = tx.get::<Task>(id) else { return };
        if task.is_stopped() {
            let forgotten = task.forget_at.is_some_and(|at| at <= now);
            // What a lost host may still use is given to nobody else.
            if interfaces::has_any(task) && (forgotten || task.is_settled()) {
                interfaces::release(tx, id);
            }
            if forgotten {
                tx.delete::<Task>(id);
            }
            return;
        }
        let kept = timing::stopped_tasks_kept(tx);
        if life::is_deprovisioning(task) {
            if task.deprovision_at.is_none_or(|at| at <= now) {
                interfaces::release(tx, id);
                tx.edit::<Task>(id, |task| life::finish(task, None, now, kept));
            }
            return;
        }
        if task.waiting().is_some() && task.desired_status == Desired::Running {
            // It is nowhere yet.
            return;
        }
        if task.desired_status == Desired::Running {
            // Seen in the step that started it, before any agent could be told of it.
            if let Some(reason) = launch::cannot_run(tx, now, task) {
                tx.edit::<Task>(id, |task| {
                    task.version += 1;
                    task.stop_code = Some(StopCode::TaskFailedToStart);
                    life::finish(task, Some(&reason), now, kept);
                });
            }
            if tx.get::<Task>(id).is_some_and(|task| task.observed_status < TaskStatus::Pending) {
                tx.edit::<Task>(id, |task| task.observed_status = TaskStatus::Pending);
            }
            return;
        }
        // AWS: what a service or an interface still brings its users to is taken away from them first.
        let served = task.service.is_some() || interfaces::has_any(task);
        if served && task.observed_status == TaskStatus::Running {
            tx.edit::<Task>(id, |task| {
                task.observed_status = TaskStatus::Deactivating;
                task.version += 1;
            });
        }
        let Some(task) = tx.get::<Task>(id) else { return };
        // AWS: what was never handed to an agent needs nobody to stop it. Should its host have
        // got it all the same and come back, the manifest tells it to stop.
        let host = task.host.and_then(|host| tx.get::<ContainerInstance>(&host));
        let reachable = host.is_some_and(|host| host.observed_connected);
        let early = task.observed_status < TaskStatus::Pending;
        if task.observed_acknowledged.is_none() && (early || !reachable) {
            tx.edit::<Task>(id, |task| {
                task.version += 1;
                task.given_up = task.host.is_some() && !early;
                life::finish(task, None, now, kept);
            });
        }
    }
}

/// A stopped task that gives something back, or is forgotten: at its deadline, which is a touch, or
/// at once where stopped tasks are not kept.
fn ends(task: &Task, change: &Change) -> bool {
    change.is_touch() || interfaces::has_any(task) || task.forget_at <= task.stopped_at
}

/// New ones, and those that are to stop.
fn waits(task: &Task) -> bool {
    match task.observed_status {
        TaskStatus::Stopped => false,
        _ if task.desired_status == Desired::Stopped => true,
        _ => task.observed_acknowledged.is_none() && task.observed_status < TaskStatus::Running,
    }
}
