//! What hosts tell of their tasks.

use std::any::Any;

use core_state::Tx;
use core_step::Report;
use core_task::{TaskReport, TaskStatus, observe};
use core_types::Id128;

use crate::rows::task::Task;

/// A host has seen something of a task.
pub struct TaskObserved {
    pub task: Id128,
    pub report: TaskReport<'static>,
}

impl Report for TaskObserved {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        apply(tx, self.task, &self.report);
        Box::new(())
    }
}

/// Take a report into the task's row. A task that is not known (any more) is nobody's loss: its
/// host learns from the next manifest what it should run.
pub fn apply(tx: &mut Tx<'_>, task: Id128, report: &TaskReport<'_>) {
    let now = tx.now();
    tx.edit::<Task>(&task, |task| {
        let effect = observe(task, report);
        if !effect.changed {
            return;
        }
        task.version += 1;
        let Some((before, after)) = effect.rose else { return };
        if before < TaskStatus::Running
            && after >= TaskStatus::Running
            && after < TaskStatus::Stopped
        {
            task.started_at = task.started_at.or(Some(now));
        }
        if after >= TaskStatus::Stopping {
            task.stopping_at = task.stopping_at.or(Some(now));
        }
        if after == TaskStatus::Stopped {
            task.stopped_at = Some(now);
            let reason = report.reason.filter(|reason| !reason.is_empty());
            if task.stopped_reason.is_none() {
                task.stopped_reason = reason.map(Into::into);
            }
        }
    });
}
