//! What agents measure, kept in memory: the last figures of each task, for whoever turns them into metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_agent::tcs::{InstanceMetrics, PublishMetrics, StatsSet};
use core_types::{Id128, Time};

/// Takes what agents measure. It is called for each frame, from many connections at once: no waiting.
pub trait Telemetry: Send + Sync + 'static {
    fn metrics(&self, instance: Id128, at: Time, metrics: &PublishMetrics);

    /// The instance's agent is gone for good.
    fn forget(&self, instance: Id128);
}

/// One container's last figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerFigures {
    pub name: String,
    /// 100 is one core busy.
    pub cpu: Option<StatsSet>,
    /// MiB.
    pub memory: Option<StatsSet>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskFigures {
    pub at: Time,
    pub family: String,
    pub containers: Vec<ContainerFigures>,
}

/// Tasks of one instance that figures are kept of.
const TASKS: usize = 2048;

/// Figures that nobody has renewed for so long are dropped; an agent renews them every 20 s.
const STALE_MS: i64 = 180_000;

#[derive(Default)]
struct Of {
    tasks: BTreeMap<String, TaskFigures>,
    instance: Option<(Time, InstanceMetrics)>,
}

/// The last figures of everything.
#[derive(Default)]
pub struct LastFigures(Mutex<BTreeMap<Id128, Of>>);

impl LastFigures {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Id128, Of>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What an instance's agent last told of a task.
    pub fn task(&self, instance: Id128, arn: &str) -> Option<TaskFigures> {
        self.with(|all| all.get(&instance)?.tasks.get(arn).cloned())
    }

    /// Every task of an instance, by ARN.
    pub fn tasks(&self, instance: Id128) -> Vec<(String, TaskFigures)> {
        self.with(|all| {
            let tasks = all.get(&instance).into_iter().flat_map(|of| &of.tasks);
            tasks.map(|(arn, figures)| (arn.clone(), figures.clone())).collect()
        })
    }

    pub fn instance(&self, instance: Id128) -> Option<(Time, InstanceMetrics)> {
        self.with(|all| all.get(&instance)?.instance.clone())
    }
}

impl Telemetry for LastFigures {
    fn metrics(&self, instance: Id128, at: Time, metrics: &PublishMetrics) {
        self.with(|all| {
            let of = all.entry(instance).or_default();
            of.tasks.retain(|_, figures| at.millis() - figures.at.millis() < STALE_MS);
            if let Some(storage) = &metrics.instance_metrics {
                of.instance = Some((at, storage.clone()));
            }
            for task in &metrics.task_metrics {
                let containers = task.container_metrics.iter().map(|container| ContainerFigures {
                    name: container.container_name.clone(),
                    cpu: container.cpu_stats_set.clone(),
                    memory: container.memory_stats_set.clone(),
                });
                let family = task.task_definition_family.clone();
                let figures = TaskFigures { at, family, containers: containers.collect() };
                if of.tasks.len() < TASKS || of.tasks.contains_key(&task.task_arn) {
                    of.tasks.insert(task.task_arn.clone(), figures);
                }
            }
        });
    }

    fn forget(&self, instance: Id128) {
        self.with(|all| drop(all.remove(&instance)));
    }
}

#[cfg(test)]
mod tests {
    use aws_agent::tcs::{ContainerMetric, TaskMetric};

    use super::*;

    #[test]
    fn the_last_figures_stay_until_they_are_stale() {
        let figures = LastFigures::default();
        let cpu = StatsSet { min: 1.0, max: 2.0, sum: 3.0, sample_count: 2 };
        let of = |arn: &str| PublishMetrics {
            task_metrics: vec![TaskMetric {
                task_arn: arn.to_owned(),
                container_metrics: vec![ContainerMetric {
                    container_name: "web".to_owned(),
                    cpu_stats_set: Some(cpu.clone()),
                    ..ContainerMetric::default()
                }],
                ..TaskMetric::default()
            }],
            ..PublishMetrics::default()
        };
        let instance = Id128([1; 16]);
        figures.metrics(instance, Time(0), &of("a"));
        figures.metrics(instance, Time(20_000), &of("b"));
        assert_eq!(figures.task(instance, "a").unwrap().containers[0].cpu, Some(cpu.clone()));
        figures.metrics(instance, Time(STALE_MS), &of("b"));
        assert_eq!(figures.tasks(instance).len(), 1);
        assert_eq!(figures.task(Id128([2; 16]), "b"), None);
        figures.forget(instance);
        assert_eq!(figures.tasks(instance), vec![]);
    }
}
