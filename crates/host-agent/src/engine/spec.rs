//! A task as the engine knows it: only what decides the order of steps. What a container *is*
//! (image, mounts, limits) passes the engine by.

use std::time::Duration;

use super::admission::Needs;
use super::health::HealthCheck;

/// AWS: `ECS_CONTAINER_STOP_TIMEOUT` is 30 s where the task definition names none.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSpec {
    pub parts: Vec<Part>,
    pub needs: Needs,
}

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub name: String,
    pub essential: bool,
    pub depends_on: Vec<Dependency>,
    /// How long others wait for this one to become healthy or to end, counted from its start.
    pub start_timeout: Option<Duration>,
    pub stop_timeout: Duration,
    pub restart: Option<Restart>,
    pub health: Option<HealthCheck>,
}

impl Default for Part {
    fn default() -> Self {
        Part {
            name: String::new(),
            essential: true,
            depends_on: Vec::new(),
            start_timeout: None,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
            restart: None,
            health: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The index of the container that is waited for.
    pub on: usize,
    pub condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It has been created: what `volumesFrom` asks.
    Create,
    /// It has been started; what `links` asks, too.
    Start,
    /// It has ended, however.
    Complete,
    /// It has ended with exit code 0.
    Success,
    Healthy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    pub ignored_exit_codes: Vec<i32>,
    /// A container that ran for less is not restarted.
    pub attempt_period: Duration,
}

/// Why a task cannot be run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("the task has no containers")]
    Empty,
    #[error("two containers are named {0}")]
    SameName(String),
    #[error("container {container} depends on {on}, which the task does not have")]
    Unknown { container: String, on: String },
    #[error("containers depend on each other in a circle: {0}")]
    Circle(String),
}

impl TaskSpec {
    /// Whether every container can be reached in some order.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.parts.is_empty() {
            return Err(SpecError::Empty);
        }
        for (nth, part) in self.parts.iter().enumerate() {
            if self.parts[..nth].iter().any(|other| other.name == part.name) {
                return Err(SpecError::SameName(part.name.clone()));
            }
        }
        let mut reached = vec![false; self.parts.len()];
        loop {
            let next = (0..self.parts.len()).find(|&nth| {
                let depends_on = &self.parts[nth].depends_on;
                !reached[nth]
                    && depends_on.iter().all(|d| reached.get(d.on).copied().unwrap_or(false))
            });
            match next {
                Some(nth) => reached[nth] = true,
                None => break,
            }
        }
        let left = self.parts.iter().zip(&reached).filter(|(_, reached)| !**reached);
        let left: Vec<&str> = left.map(|(part, _)| part.name.as_str()).collect();
        if left.is_empty() { Ok(()) } else { Err(SpecError::Circle(left.join(", "))) }
    }

    /// Who must have ended before this container may be stopped: all that depend on it.
    pub fn dependents(&self, of: usize) -> impl Iterator<Item = usize> + '_ {
        let parts = self.parts.iter().enumerate();
        parts.filter(move |(_, part)| part.depends_on.iter().any(|d| d.on == of)).map(|(n, _)| n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, on: &[usize]) -> Part {
        let depends_on =
            on.iter().map(|&on| Dependency { on, condition: Condition::Start }).collect();
        Part { name: name.into(), depends_on, ..Part::default() }
    }

    #[test]
    fn circles_and_doubles_are_named() {
        let spec = |parts| TaskSpec { parts, ..TaskSpec::default() };
        assert_eq!(spec(vec![]).check(), Err(SpecError::Empty));
        assert_eq!(spec(vec![part("a", &[]), part("b", &[0])]).check(), Ok(()));
        let doubled = spec(vec![part("a", &[]), part("a", &[])]);
        assert_eq!(doubled.check(), Err(SpecError::SameName("a".into())));
        let circle = spec(vec![part("a", &[1]), part("b", &[0]), part("c", &[])]);
        assert_eq!(circle.check(), Err(SpecError::Circle("a, b".into())));
    }
}
