//! What neighbouring slices may ask of this one, and tell it: the seam for load balancers and
//! registries. They own what brings a task its users; a service only minds whether it is healthy.

use core_state::{State, Tx};
use core_task::{Desired, TaskStatus};
use core_types::Id128;

use crate::rows::service::ServiceKey;
use crate::rows::task::{CurrentTasksOf, Health, Task};

/// The tasks of a service that users may be sent to, the oldest first.
pub fn serving_tasks(state: &State, service: &ServiceKey) -> Vec<Id128> {
    let serves = |task: &&Task| {
        task.observed_status == TaskStatus::Running && task.desired_status == Desired::Running
    };
    let mut tasks: Vec<&Task> = state.by::<CurrentTasksOf>(service).filter(serves).collect();
    tasks.sort_by_key(|task| (task.started_at, task.id));
    tasks.into_iter().map(|task| task.id).collect()
}

/// What is said of a task by those that send it its users: its service gates on it, and replaces
/// what they find unhealthy. `None` takes their word back.
pub fn observe_traffic(tx: &mut Tx<'_>, task: Id128, health: Option<Health>) {
    tx.edit::<Task>(&task, |task| {
        let known = task.extras.as_ref().and_then(|extras| extras.observed_traffic);
        if known != health {
            task.extras.get_or_insert_default().observed_traffic = health;
        }
    });
}
