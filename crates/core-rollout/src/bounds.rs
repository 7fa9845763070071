//! How few and how many tasks a service may have while it changes.

/// In numbers of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Healthy tasks.
    pub least: u32,
    /// Tasks that have not stopped.
    pub most: u32,
}

impl Bounds {
    /// AWS: the minimum is rounded up, the maximum down.
    pub fn of(desired: u32, minimum_percent: u32, maximum_percent: u32) -> Self {
        let share = |percent: u32| u64::from(desired) * u64::from(percent);
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Bounds {
            least: number(share(minimum_percent).div_ceil(100)),
            most: number(share(maximum_percent) / 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_as_aws_does() {
        assert_eq!(Bounds::of(4, 50, 200), Bounds { least: 2, most: 8 });
        assert_eq!(Bounds::of(3, 50, 150), Bounds { least: 2, most: 4 });
        assert_eq!(Bounds::of(1, 100, 200), Bounds { least: 1, most: 2 });
        assert_eq!(Bounds::of(0, 100, 200), Bounds { least: 0, most: 0 });
        assert_eq!(Bounds::of(u32::MAX, 100, 200).most, u32::MAX);
    }
}
