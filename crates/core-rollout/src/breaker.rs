//! The circuit breaker: a version whose tasks keep failing is given up.

/// AWS: half of the desired count, at least 3 and at most 200.
pub fn threshold(desired: u32) -> u32 {
    desired.div_ceil(2).clamp(3, 200)
}

/// Failures of a version's tasks, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    pub failed: u32,
}

impl Breaker {
    /// A task failed to reach RUNNING, or was stopped for failing its health checks.
    pub fn fail(self) -> Self {
        Breaker { failed: self.failed.saturating_add(1) }
    }

    /// AWS: a task that comes up and stays healthy starts the count anew.
    pub fn succeed(self) -> Self {
        Breaker { failed: 0 }
    }

    pub fn is_open(self, threshold: u32) -> bool {
        self.failed >= threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_of_the_documentation() {
        for (desired, expected) in [(0, 3), (1, 3), (5, 3), (25, 13), (400, 200), (800, 200)] {
            assert_eq!(threshold(desired), expected, "{desired}");
        }
        let open = Breaker::default().fail().fail().fail();
        assert!(open.is_open(3) && !open.succeed().is_open(3));
    }
}
