//! ECS_IMAGE_PULL_BEHAVIOR: whether to ask the registry at all, and what a failure means.

use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullBehavior {
    #[default]
    Default,
    Always,
    Once,
    PreferCached,
}

/// What to do about a container's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPlan {
    /// Use what is here.
    Cached,
    /// Pull; if that fails, the container does.
    Pull,
    /// Pull; if that fails, use what is here.
    PullElseCached,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no image pull behavior: default, always, once or prefer-cached")]
pub struct BadBehavior(pub String);

impl FromStr for PullBehavior {
    type Err = BadBehavior;

    fn from_str(text: &str) -> Result<Self, BadBehavior> {
        match text {
            "" | "default" => Ok(PullBehavior::Default),
            "always" => Ok(PullBehavior::Always),
            "once" => Ok(PullBehavior::Once),
            "prefer-cached" => Ok(PullBehavior::PreferCached),
            other => Err(BadBehavior(other.into())),
        }
    }
}

impl PullBehavior {
    /// `cached`: the image is here. `pulled_before`: an earlier task of this host pulled it, and the
    /// clean-up has not removed it since.
    pub fn plan(self, cached: bool, pulled_before: bool) -> PullPlan {
        match self {
            PullBehavior::Always => PullPlan::Pull,
            // AWS: "If the pull fails, the cached image on the instance is used."
            PullBehavior::Default if cached => PullPlan::PullElseCached,
            PullBehavior::Default => PullPlan::Pull,
            // AWS: pulled only if no earlier task on this instance did.
            PullBehavior::Once if cached && pulled_before => PullPlan::Cached,
            PullBehavior::Once => PullPlan::Pull,
            PullBehavior::PreferCached if cached => PullPlan::Cached,
            PullBehavior::PreferCached => PullPlan::Pull,
        }
    }

    /// AWS: with prefer-cached, images are not cleaned up, for they are the cache that is preferred.
    pub fn cleans_up(self) -> bool {
        self != PullBehavior::PreferCached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_agent_documents_it() {
        use PullPlan::{Cached, Pull, PullElseCached};
        for (behavior, absent, present, pulled) in [
            ("default", Pull, PullElseCached, PullElseCached),
            ("always", Pull, Pull, Pull),
            ("once", Pull, Pull, Cached),
            ("prefer-cached", Pull, Cached, Cached),
        ] {
            let behavior: PullBehavior = behavior.parse().unwrap();
            assert_eq!(behavior.plan(false, false), absent);
            assert_eq!(behavior.plan(false, true), absent);
            assert_eq!(behavior.plan(true, false), present);
            assert_eq!(behavior.plan(true, true), pulled);
        }
        assert!("sometimes".parse::<PullBehavior>().is_err());
    }
}
