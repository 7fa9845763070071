//! Waiting tasks: each gets its place as soon as an instance of its capacity provider has room.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_task::{Desired, TaskStatus};

use crate::rows::container_instance::ContainerInstance;
use crate::rows::task::Task;
use crate::rows::waiting::ProviderKey;
use crate::rules::waiting;

pub struct Waiting;

impl Loop for Waiting {
    type Key = ProviderKey;
    const NAME: &'static str = "ecs/waiting-tasks";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(ProviderKey)) {
        let mut open = |key: ProviderKey| {
            if waiting::tasks(state, &key).next().is_some() {
                add(key);
            }
        };
        if let Some((before, after)) = change.of::<Task>() {
            let row = after.or(before).expect("a change has an image");
            if let (Some(_), Some(provider)) = (row.waiting(), row.provider()) {
                return open((row.cluster.clone(), provider.clone()));
            }
            // What it held is free for others, and what it was counted for as well.
            let held = |row: Option<&Task>| {
                let row = row?;
                let running = row.observed_status == TaskStatus::Running;
                Some((row.holds(), row.desired_status == Desired::Running, running))
            };
            let host = row.host.filter(|_| held(before) != held(after));
            let host = host.and_then(|host| state.get::<ContainerInstance>(&host));
            host.and_then(key_of).into_iter().for_each(&mut open);
        }
        if let Some(row) = change.row::<ContainerInstance>() {
            key_of(row).into_iter().for_each(&mut open);
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &ProviderKey) {
        waiting::place(tx, key);
    }
}

/// The provider whose instance it is.
pub(super) fn key_of(row: &ContainerInstance) -> Option<ProviderKey> {
    Some((row.cluster.clone(), row.capacity_provider.clone()?))
}
