//! Tasks whose end was told. What they were stands in the journal and is read when it is asked for; in
//! memory stays what finds them. So a host of short tasks weighs what it runs, not what it ran.

use std::sync::Arc;
use std::time::Duration;

use core_types::Time;
use tokio::task::JoinSet;

use super::given::{Given, Record};
use super::keeper::{Tasks, state_key, task_key};
use crate::clock;
use crate::engine::{TaskState, Told};

/// AWS: stopped containers are kept for three hours. Where tasks are short that would be many.
const MOST: usize = 500;
/// Tasks whose traces are removed at the same time.
const AT_ONCE: usize = 4;

/// What memory holds of an ended task, beside its ARN.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    stopped_at: Time,
    /// By container: the secret part of its metadata URL.
    endpoints: Box<[Box<str>]>,
}

/// An ended task as the journal has it.
pub struct Remembered {
    pub given: Given,
    pub state: TaskState,
}

impl Ended {
    fn new(given: &Given, stopped_at: Time) -> Ended {
        let endpoints = given.endpoints.iter().map(|id| id.as_str().into()).collect();
        Ended { stopped_at, endpoints }
    }
}

impl Tasks {
    /// A task's end was told: let it go, but for its traces.
    pub(super) fn retire(&self, given: &Given, stopped_at: Time) {
        self.driver.unload_images(given);
        let arn = &given.task.arn;
        let mut inner = self.inner();
        inner.live.remove(arn);
        inner.ended.insert(arn.clone(), Ended::new(given, stopped_at));
        drop(inner);
        self.retired.notify_one();
    }

    pub fn has_ended(&self, arn: &str) -> bool {
        self.inner().ended.contains_key(arn)
    }

    /// All whose traces are still there.
    pub fn ended(&self) -> Vec<String> {
        self.inner().ended.keys().cloned().collect()
    }

    /// What these were. It is read from the disk, on a thread that may wait for it.
    pub async fn remember_all(self: Arc<Self>, arns: Vec<String>) -> Vec<Remembered> {
        let read = move || arns.iter().filter_map(|arn| self.remember(arn)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// Of which ended task a container has this secret.
    pub fn ended_with(&self, endpoint: &str) -> Option<Remembered> {
        let has = |ended: &Ended| ended.endpoints.iter().any(|known| **known == *endpoint);
        let arn = {
            let inner = self.inner();
            inner.ended.iter().find(|(_, ended)| has(ended)).map(|(arn, _)| arn.clone())
        };
        self.remember(&arn?)
    }

    fn remember(&self, arn: &str) -> Option<Remembered> {
        let record: Record = self.kept(&task_key(arn))?;
        let (mut state, _): (TaskState, Told) = self.kept(&state_key(arn))?;
        let given = self.given_of(record);
        state.parts.resize_with(given.spec.parts.len(), Default::default);
        Some(Remembered { given, state })
    }

    /// Remove the traces of ended tasks when their time has come.
    pub async fn clean_up(self: Arc<Self>) {
        loop {
            let now = clock::now();
            match self.due(now) {
                Ok(arns) => {
                    let mut all = JoinSet::new();
                    for arn in arns {
                        let tasks = self.clone();
                        all.spawn(async move { tasks.remove(&arn).await });
                    }
                    all.join_all().await;
                }
                Err(nap) => tokio::select! {
                    () = tokio::time::sleep(nap) => {}
                    () = self.retired.notified() => {}
                },
            }
        }
    }

    /// Whose traces are to go now, the oldest first; or else when to look again.
    fn due(&self, now: Time) -> Result<Vec<String>, Duration> {
        const LONG: Duration = Duration::from_secs(3600);
        let inner = self.inner();
        let mut all: Vec<(Time, &String)> =
            inner.ended.iter().map(|(arn, ended)| (ended.stopped_at, arn)).collect();
        all.sort_unstable();
        let too_many = all.len().saturating_sub(MOST);
        let is_due =
            |nth: usize, stopped: Time| nth < too_many || now.since(stopped) >= self.cleanup_wait;
        let due = all.iter().enumerate().take_while(|(nth, (stopped, _))| is_due(*nth, *stopped));
        let due: Vec<String> = due.take(AT_ONCE).map(|(_, (_, arn))| (*arn).clone()).collect();
        match (due.is_empty(), all.first()) {
            (false, _) => Ok(due),
            (true, Some((stopped, _))) => Err((*stopped + self.cleanup_wait).since(now).min(LONG)),
            (true, None) => Err(LONG),
        }
    }

    async fn remove(&self, arn: &str) {
        if let Some(record) = self.kept(&task_key(arn)) {
            self.driver.remove_traces(&self.given_of(record)).await;
        }
        if let Err(error) = self.forget(arn).await {
            tracing::error!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_agent::docker::{Config, DockerConfig, HostConfig};
    use aws_agent::task::{Container, Task};
    use proptest::prelude::*;

    use super::*;

    impl Ended {
        /// All that it holds.
        fn bytes(&self) -> usize {
            let texts = self.endpoints.iter().map(|id| id.len() + size_of_val(id));
            size_of::<Ended>() + texts.sum::<usize>()
        }
    }

    fn record(containers: usize, text: &str) -> Record {
        let config = Config { env: vec![format!("LONG={text}")], ..Config::default() };
        let container = |nth: usize| Container {
            name: format!("c{nth}"),
            image: text.to_owned(),
            environment: [("LONG".to_owned(), text.to_owned())].into(),
            docker_config: Some(DockerConfig::new(&config, &HostConfig::default())),
            ..Container::default()
        };
        let task = Task {
            arn: "arn:aws:ecs:us-east-1:123456789012:task/default/abc".to_owned(),
            family: text.to_owned(),
            containers: (0..containers).map(container).collect(),
            ..Task::default()
        };
        let endpoints = (0..containers).map(|nth| format!("{nth:032x}")).collect();
        Record { task, endpoints, sequence: 1 }
    }

    proptest! {
        /// An agent kept whole payloads of five hundred tasks, some 15 KB each.
        #[test]
        fn what_is_held_of_an_ended_task_does_not_grow_with_what_it_said(
            containers in 1usize..10,
            text in "[a-z]{0,400}",
        ) {
            let given = Given::read(record(containers, &text.repeat(100)), Duration::ZERO);
            let ended = Ended::new(&given, Time(1));
            prop_assert!(ended.bytes() <= 32 + 48 * containers, "{} bytes", ended.bytes());
        }
    }
}
