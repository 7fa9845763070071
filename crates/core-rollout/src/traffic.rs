//! How traffic is moved from one version to the next: all at once, a canary first, or in equal
//! steps. Shares are data, so that whoever moves traffic only reads how far it has got.

use std::time::Duration;

/// All of the traffic. AWS gives percents with one decimal: shares are counted in thousandths.
pub const ALL: u32 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    AllAtOnce,
    /// A share first, the rest after a while.
    Canary {
        share: u32,
        bake: Duration,
    },
    /// Equal shares, a while apart.
    Linear {
        share: u32,
        bake: Duration,
    },
}

impl Shift {
    /// What the newer version has of production traffic after so many steps.
    pub fn share(self, steps: u32) -> u32 {
        match (self, steps) {
            (_, 0) => 0,
            (Shift::Canary { share, .. }, 1) => share.clamp(1, ALL),
            (Shift::Linear { share, .. }, steps) => share.max(1).saturating_mul(steps).min(ALL),
            _ => ALL,
        }
    }

    /// How long a share is watched before the next step. AWS: not once all has moved.
    pub fn bake(self) -> Duration {
        match self {
            Shift::AllAtOnce => Duration::ZERO,
            Shift::Canary { bake, .. } | Shift::Linear { bake, .. } => bake,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_step_by_step() {
        let shares = |shift: Shift| (0..6).map(|n| shift.share(n)).collect::<Vec<_>>();
        let bake = Duration::from_secs(60);
        assert_eq!(shares(Shift::AllAtOnce), [0, ALL, ALL, ALL, ALL, ALL]);
        assert_eq!(shares(Shift::Canary { share: 50, bake }), [0, 50, ALL, ALL, ALL, ALL]);
        assert_eq!(shares(Shift::Linear { share: 250, bake }), [0, 250, 500, 750, ALL, ALL]);
        assert_eq!(shares(Shift::Linear { share: 300, bake }), [0, 300, 600, 900, ALL, ALL]);
        assert_eq!(Shift::Linear { share: 0, bake }.share(u32::MAX), ALL);
    }
}
