//! Moving traffic from one version to the next: all at once, a canary first, or in equal steps.

use core_types::Time;

/// How traffic is moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    AllAtOnce,
    /// A share first, the rest after a while.
    Canary {
        percent: f64,
        bake_millis: i64,
    },
    /// Equal shares, a while apart.
    Linear {
        percent: f64,
        bake_millis: i64,
    },
}

/// Where a shift is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Of traffic, to the newer version.
    pub percent: f64,
    /// When the next step is due; none once all has moved.
    pub next_at: Option<Time>,
}

/// Where a shift that began at a time is now. Level-triggered: late by hours, it is where it should
/// be by then.
pub fn plan_shift(shift: Shift, began: Time, now: Time) -> Stage {
    let passed = now.0.saturating_sub(began.0).max(0);
    let whole = Stage { percent: 100.0, next_at: None };
    let at = |millis: i64| Some(Time(began.0.saturating_add(millis)));
    match shift {
        Shift::AllAtOnce => whole,
        Shift::Canary { percent, bake_millis } if passed < bake_millis => {
            Stage { percent, next_at: at(bake_millis) }
        }
        Shift::Canary { .. } => whole,
        Shift::Linear { percent, bake_millis } => {
            let step = passed.checked_div(bake_millis).unwrap_or(i64::MAX - 1) + 1;
            let share = percent * step as f64;
            if share >= 100.0 || percent <= 0.0 {
                return whole;
            }
            Stage { percent: share, next_at: at(bake_millis.saturating_mul(step)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_over_time() {
        let linear = Shift::Linear { percent: 25.0, bake_millis: 1000 };
        let shares: Vec<f64> =
            (0..5).map(|n| plan_shift(linear, Time(0), Time(n * 1000)).percent).collect();
        assert_eq!(shares, [25.0, 50.0, 75.0, 100.0, 100.0]);
        assert_eq!(plan_shift(linear, Time(0), Time(2500)).next_at, Some(Time(3000)));
        let canary = Shift::Canary { percent: 10.0, bake_millis: 500 };
        assert_eq!(plan_shift(canary, Time(100), Time(599)).percent, 10.0);
        assert_eq!(plan_shift(canary, Time(100), Time(600)).percent, 100.0);
        assert_eq!(plan_shift(Shift::AllAtOnce, Time(0), Time(0)).next_at, None);
        let odd = Shift::Linear { percent: 30.0, bake_millis: 0 };
        assert_eq!(plan_shift(odd, Time(0), Time(0)).percent, 100.0);
    }
}
