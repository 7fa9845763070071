//! What a service's loop follows of tasks and hosts.

use std::sync::Arc;

use core_state::{Index, Trace};
use core_types::Id128;

use super::container_instance::ContainerInstance;
use super::task::Task;
use crate::rows::cluster::ClusterKey;

/// Tasks that have stopped, and whose service has not taken note of how.
pub struct EndedTasksOf;

impl Index for EndedTasksOf {
    type Row = Task;
    type Key = (ClusterKey, Arc<str>);

    fn keys(row: &Task, add: &mut dyn FnMut(Self::Key)) {
        if let Some(service) = row.service.as_ref().filter(|_| row.is_stopped() && !row.noted) {
            add((row.cluster.clone(), service.clone()));
        }
    }
}

/// Tasks that their service sees differently than before.
pub struct ServiceTask;

impl Trace for ServiceTask {
    type Row = Task;
    type Key = Id128;

    fn touches(before: Option<&Task>, after: Option<&Task>, add: &mut dyn FnMut(Id128)) {
        let seen = |row: Option<&Task>| {
            let row = row.filter(|row| row.service.is_some() && !row.is_stopped())?;
            let extras = row.extras.as_ref();
            let traffic = extras.and_then(|extras| extras.observed_traffic);
            let until = extras.and_then(|extras| extras.protected_until);
            let status = (row.desired_status, row.observed_status, row.started_at);
            Some((status, row.health(), traffic, until))
        };
        if seen(before) != seen(after) {
            before.or(after).into_iter().for_each(|row| add(row.id));
        }
    }
}

/// Hosts that are not what they were.
pub struct ServiceHost;

impl Trace for ServiceHost {
    type Row = ContainerInstance;
    type Key = Id128;

    fn touches(
        before: Option<&ContainerInstance>,
        after: Option<&ContainerInstance>,
        add: &mut dyn FnMut(Id128),
    ) {
        before.or(after).into_iter().for_each(|row| add(row.id));
    }
}
