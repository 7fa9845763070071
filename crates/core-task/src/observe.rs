//! The join of what is known with what is reported.

use core_types::Time;

use crate::status::{ContainerStatus, TaskStatus};

/// One container as reported. Names borrow from the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerReport<'a> {
    pub name: &'a str,
    pub status: ContainerStatus,
    pub exit_code: Option<i32>,
    pub reason: Option<&'a str>,
    pub runtime_id: Option<&'a str>,
    pub image_digest: Option<&'a str>,
    pub bindings: Vec<Binding>,
}

/// A container's port on its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    pub address: String,
    pub udp: bool,
    pub ports: Ports,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    One {
        container: u16,
        host: u16,
    },
    /// Ranges as the agent writes them, `8000-8010`.
    Range {
        container: String,
        host: String,
    },
}

/// A task as reported by its host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskReport<'a> {
    /// `None`: only containers changed.
    pub status: Option<TaskStatus>,
    pub reason: Option<&'a str>,
    pub containers: Vec<ContainerReport<'a>>,
    pub pull_started_at: Option<Time>,
    pub pull_stopped_at: Option<Time>,
    pub execution_stopped_at: Option<Time>,
}

/// What is known of one container, wherever it is kept.
pub trait ContainerState {
    fn name(&self) -> &str;
    fn status(&self) -> ContainerStatus;
    fn set_status(&mut self, status: ContainerStatus);
    /// Take exit code, reason and id where nothing is known yet; true if that told anything new.
    fn learn(&mut self, report: &ContainerReport<'_>) -> bool;
}

/// What is known of one task, wherever it is kept.
pub trait TaskState {
    type Container: ContainerState;
    fn status(&self) -> TaskStatus;
    fn set_status(&mut self, status: TaskStatus);
    fn containers(&mut self) -> &mut [Self::Container];
    /// Take the pull and end times where nothing is known yet; true if that told anything new.
    fn learn(&mut self, report: &TaskReport<'_>) -> bool;
}

/// What an observation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The status before and after, where it rose.
    pub rose: Option<(TaskStatus, TaskStatus)>,
    pub changed: bool,
}

/// Take a report into what is known. Late, repeated and contradicting reports never lower anything.
pub fn observe<T: TaskState>(task: &mut T, report: &TaskReport<'_>) -> Effect {
    let mut effect = Effect { rose: None, changed: task.learn(report) };
    for reported in &report.containers {
        // A container that the task does not have (an agent's pause container) is not ours to show.
        let known = task.containers().iter_mut().find(|c| c.name() == reported.name);
        let Some(container) = known else { continue };
        if reported.status > container.status() {
            container.set_status(reported.status);
            effect.changed = true;
        }
        effect.changed |= container.learn(reported);
    }
    let before = task.status();
    if let Some(after) = report.status.filter(|status| *status > before) {
        task.set_status(after);
        effect.rose = Some((before, after));
        effect.changed = true;
    }
    if task.status() == TaskStatus::Stopped {
        // AWS: the last report of a task may be the only one; its containers ended with it.
        for container in task.containers() {
            if container.status() != ContainerStatus::Stopped {
                container.set_status(ContainerStatus::Stopped);
                effect.changed = true;
            }
        }
    }
    effect
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq)]
    struct C {
        name: String,
        status: ContainerStatus,
        exit_code: Option<i32>,
    }

    impl ContainerState for C {
        fn name(&self) -> &str {
            &self.name
        }
        fn status(&self) -> ContainerStatus {
            self.status
        }
        fn set_status(&mut self, status: ContainerStatus) {
            self.status = status;
        }
        fn learn(&mut self, report: &ContainerReport<'_>) -> bool {
            let new = self.exit_code.is_none() && report.exit_code.is_some();
            self.exit_code = self.exit_code.or(report.exit_code);
            new
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    struct T {
        status: TaskStatus,
        containers: Vec<C>,
        pulled: Option<Time>,
    }

    impl TaskState for T {
        type Container = C;
        fn status(&self) -> TaskStatus {
            self.status
        }
        fn set_status(&mut self, status: TaskStatus) {
            self.status = status;
        }
        fn containers(&mut self) -> &mut [C] {
            &mut self.containers
        }
        fn learn(&mut self, report: &TaskReport<'_>) -> bool {
            let new = self.pulled.is_none() && report.pull_started_at.is_some();
            self.pulled = self.pulled.or(report.pull_started_at);
            new
        }
    }

    fn task() -> T {
        let container =
            |name: &str| C { name: name.into(), status: ContainerStatus::Pending, exit_code: None };
        let containers = vec![container("a"), container("b")];
        T { status: TaskStatus::Pending, containers, pulled: None }
    }

    prop_compose! {
        fn report()(
            status in proptest::option::of(proptest::sample::select(TaskStatus::ALL)),
            containers in proptest::collection::vec(
                (proptest::sample::select(vec!["a", "b", "pause"]),
                 proptest::sample::select(ContainerStatus::ALL)), 0..3),
        ) -> TaskReport<'static> {
            let containers = containers.into_iter().map(|(name, status)| ContainerReport {
                name, status, ..Default::default()
            });
            TaskReport { status, containers: containers.collect(), ..Default::default() }
        }
    }

    proptest! {
        #[test]
        fn reports_may_come_in_any_order_and_any_number_of_times(
            (reports, shuffled) in proptest::collection::vec(report(), 0..6).prop_flat_map(|once| {
                let twice = [once.clone(), once.clone()].concat();
                (Just(once), Just(twice).prop_shuffle())
            }),
        ) {
            let mut straight = task();
            reports.iter().for_each(|r| { observe(&mut straight, r); });
            let mut other = task();
            shuffled.iter().for_each(|r| { observe(&mut other, r); });
            prop_assert_eq!(&straight, &other);
            for report in &reports {
                prop_assert_eq!(observe(&mut other, report), Effect::default());
            }
        }
    }

    #[test]
    fn a_stopped_task_never_runs_again() {
        let mut task = task();
        let stopped = TaskReport { status: Some(TaskStatus::Stopped), ..Default::default() };
        let effect = observe(&mut task, &stopped);
        assert_eq!(effect.rose, Some((TaskStatus::Pending, TaskStatus::Stopped)));
        let late = TaskReport { status: Some(TaskStatus::Running), ..Default::default() };
        assert_eq!(observe(&mut task, &late), Effect::default());
        assert!(task.containers.iter().all(|c| c.status == ContainerStatus::Stopped));
    }
}
