//! A container's health as Docker computes it from the outcomes of its check.
//!
//! A success makes it healthy at once. `retries` failures in a row make it unhealthy, but while the
//! start period lasts and no check has succeeded yet, failures do not count.

use std::time::Duration;

use core_types::Time;
use serde::{Deserialize, Serialize};

/// How a container is checked. The command is the driver's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Unknown => "UNKNOWN",
            HealthStatus::Healthy => "HEALTHY",
            HealthStatus::Unhealthy => "UNHEALTHY",
        }
    }
}

/// What one run of the check gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `None`: the check did not end within its timeout, or could not be run.
    pub exit_code: Option<i32>,
    pub output: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub since: Option<Time>,
    /// Failures in a row that count.
    pub failures: u32,
    /// When the last check ended.
    pub checked_at: Option<Time>,
    /// The last check's words.
    pub output: String,
    /// And its exit code; Docker: -1 where it did not end.
    #[serde(default)]
    pub exit_code: i32,
    #[serde(skip)]
    pub probing: bool,
}

impl Health {
    /// When the next check is due, for a container that started then.
    pub fn due(&self, check: &HealthCheck, started: Time) -> Option<Time> {
        if self.probing {
            return None;
        }
        let last = self.checked_at.map_or(started, |checked| checked.max(started));
        Some(last + check.interval)
    }

    pub fn record(&mut self, check: &HealthCheck, started: Time, probe: Probe, now: Time) {
        self.probing = false;
        self.checked_at = Some(now);
        self.output = probe.output;
        self.exit_code = probe.exit_code.unwrap_or(-1);
        if probe.exit_code == Some(0) {
            self.failures = 0;
            return self.become_status(HealthStatus::Healthy, now);
        }
        let starting = self.status == HealthStatus::Unknown;
        if starting && now.since(started) < check.start_period {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= check.retries.max(1) {
            self.become_status(HealthStatus::Unhealthy, now);
        }
    }

    fn become_status(&mut self, status: HealthStatus, now: Time) {
        if self.status != status {
            self.status = status;
            self.since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 3,
            start_period: Duration::from_secs(60),
        }
    }

    fn outcome(exit_code: i32) -> Probe {
        Probe { exit_code: Some(exit_code), output: String::new() }
    }

    #[test]
    fn failures_count_from_the_end_of_the_start_period() {
        let (check, mut health) = (check(), Health::default());
        for second in 1..6 {
            health.record(&check, Time(0), outcome(1), Time(second * 10_000));
            assert_eq!(health.status, HealthStatus::Unknown);
        }
        for second in 6..8 {
            health.record(&check, Time(0), outcome(1), Time(second * 10_000));
            assert_eq!(health.status, HealthStatus::Unknown);
        }
        health.record(&check, Time(0), outcome(1), Time(80_000));
        assert_eq!((health.status, health.since), (HealthStatus::Unhealthy, Some(Time(80_000))));
        health.record(&check, Time(0), outcome(0), Time(90_000));
        assert_eq!((health.status, health.failures), (HealthStatus::Healthy, 0));
    }

    #[test]
    fn once_healthy_failures_count_within_the_start_period_too() {
        let (check, mut health) = (check(), Health::default());
        health.record(&check, Time(0), outcome(0), Time(1000));
        for second in 2..4 {
            health.record(&check, Time(0), outcome(2), Time(second * 1000));
            assert_eq!(health.status, HealthStatus::Healthy);
        }
        health.record(&check, Time(0), Probe { exit_code: None, output: "".into() }, Time(4000));
        assert_eq!(health.status, HealthStatus::Unhealthy);
    }

    #[test]
    fn the_next_check_is_an_interval_after_the_last_ended() {
        let (check, mut health) = (check(), Health::default());
        assert_eq!(health.due(&check, Time(500)), Some(Time(10_500)));
        health.probing = true;
        assert_eq!(health.due(&check, Time(500)), None);
        health.record(&check, Time(500), outcome(0), Time(12_000));
        assert_eq!(health.due(&check, Time(500)), Some(Time(22_000)));
    }
}
