//! A deployment that keeps the older version whole until the newer has proved itself, as a machine
//! of AWS's lifecycle stages.
//!
//! It is level-triggered: asked with what is seen now, it says the next stage, until when to wait,
//! or that the deployment is to be given up. Traffic is a part of where it is: it moves as a stage
//! is entered, and on the way back with the first of its stages.

use std::time::Duration;

use core_types::Time;
use serde::{Deserialize, Serialize};

use crate::traffic::{ALL, Shift};

macro_rules! stages {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// AWS's lifecycle stages, in the order in which a deployment passes through them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum Stage { $($variant),* }

        impl Stage {
            pub const ALL: &'static [Stage] = &[$(Stage::$variant),*];

            /// AWS's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Stage::$variant => $text),* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|stage| stage.as_str() == text)
            }
        }
    };
}

stages! {
    ReconcileService = "RECONCILE_SERVICE",
    PreScaleUp = "PRE_SCALE_UP",
    ScaleUp = "SCALE_UP",
    PostScaleUp = "POST_SCALE_UP",
    TestTrafficShift = "TEST_TRAFFIC_SHIFT",
    PostTestTrafficShift = "POST_TEST_TRAFFIC_SHIFT",
    PreProductionTrafficShift = "PRE_PRODUCTION_TRAFFIC_SHIFT",
    ProductionTrafficShift = "PRODUCTION_TRAFFIC_SHIFT",
    PostProductionTrafficShift = "POST_PRODUCTION_TRAFFIC_SHIFT",
    BakeTime = "BAKE_TIME",
    CleanUp = "CLEAN_UP",
}

/// AWS: a stage lasts a day at most, but for one that a pause hook holds; a deployment thirty.
const STAGE_LASTS: Duration = Duration::from_secs(24 * 3600);
const DEPLOYMENT_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Which way a deployment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Course {
    Forward,
    /// To the older version.
    Back,
    /// Given up with nowhere to go back to: versions and traffic stay as they are.
    Held,
}

/// Where a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub course: Course,
    pub stage: Stage,
    pub began_at: Time,
    /// When the stage was entered, or entered again.
    pub since: Time,
    /// Steps of production traffic that were taken.
    pub steps: u32,
    /// The newer version's share of users, and of tests.
    pub production: u32,
    pub test: u32,
}

/// What a deployment was asked to be.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub shift: Shift,
    pub bake: Duration,
    /// There is an older version that serves until the newer one does.
    pub from_older: bool,
    /// Tasks take each other's places by and by: no traffic moves, and no version is kept.
    pub rolling: bool,
}

/// How the hooks of the present stage do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// All have done well; or there are none.
    Passed,
    Awaited {
        /// One is a pause: people take their time.
        paused: bool,
    },
    Failed,
}

/// What is seen of a service.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Tasks of versions that neither come nor serve are still there.
    pub strays: bool,
    /// The version that it goes to has all its tasks, and they do well.
    pub scaled_up: bool,
    /// What is on its way out is gone, and what stays is whole.
    pub cleaned_up: bool,
    pub hooks: Hooks,
}

/// Why a deployment is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Hooks,
    StageTimedOut,
    DeploymentTimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Enter(Progress),
    /// For something to happen, or for this time.
    Wait(Option<Time>),
    GiveUp(Cause),
    Done,
}

impl Progress {
    /// AWS: a service that is between versions already is put in order first.
    pub fn begin(now: Time, between_versions: bool) -> Self {
        let stage = if between_versions { Stage::ReconcileService } else { Stage::PreScaleUp };
        let course = Course::Forward;
        Progress { course, stage, began_at: now, since: now, steps: 0, production: 0, test: 0 }
    }

    fn enter(self, stage: Stage, now: Time) -> Self {
        Progress { stage, since: now, ..self }
    }

    /// The way back: users' traffic first and at once, then that of tests, then the tasks. Only
    /// where the older version was on its way out does it come up before it gets its users.
    pub fn turn_back(self, now: Time) -> Self {
        let back = Progress { course: Course::Back, ..self };
        match self.stage {
            Stage::CleanUp => back.enter(Stage::ScaleUp, now),
            _ => back.traffic_back(now),
        }
    }

    fn traffic_back(self, now: Time) -> Self {
        match self.production > 0 {
            true => Progress { production: 0, ..self.enter(Stage::ProductionTrafficShift, now) },
            false => self.test_back(now),
        }
    }

    fn test_back(self, now: Time) -> Self {
        match self.test > 0 {
            true => Progress { test: 0, ..self.enter(Stage::TestTrafficShift, now) },
            false => self.enter(Stage::CleanUp, now),
        }
    }

    pub fn hold(self) -> Self {
        Progress { course: Course::Held, ..self }
    }
}

/// How many tasks the newer and the older version are to have.
pub fn wanted(progress: &Progress, desired: u32) -> (u32, u32) {
    let (begun, ending) = (progress.stage >= Stage::ScaleUp, progress.stage == Stage::CleanUp);
    let some = |wanted: bool| if wanted { desired } else { 0 };
    match progress.course {
        Course::Forward => (some(begun), some(!ending)),
        Course::Back => (some(begun && !ending), desired),
        Course::Held => (some(begun), some(!ending)),
    }
}

/// What comes next.
pub fn advance(progress: &Progress, terms: &Terms, sight: &Sight, now: Time) -> Next {
    match progress.course {
        Course::Forward => forward(progress, terms, sight, now),
        Course::Back => back(progress, sight, now),
        Course::Held => Next::Wait(None),
    }
}

fn forward(progress: &Progress, terms: &Terms, sight: &Sight, now: Time) -> Next {
    let paused = match sight.hooks {
        Hooks::Failed => return Next::GiveUp(Cause::Hooks),
        Hooks::Awaited { paused } => return hold_on(progress, None, paused, now),
        Hooks::Passed => false,
    };
    let enter = |stage| Next::Enter(progress.enter(stage, now));
    let when = |ready: bool, next: Next| match ready {
        true => next,
        false => hold_on(progress, None, paused, now),
    };
    let bakes = |bake: Duration, next: Next| match progress.since + bake {
        until if until <= now => next,
        until => hold_on(progress, Some(until), paused, now),
    };
    // AWS: without an older version there is nothing to share with, and nothing to go back to.
    let shift = if terms.from_older { terms.shift } else { Shift::AllAtOnce };
    match progress.stage {
        Stage::ReconcileService => when(!sight.strays, enter(Stage::PreScaleUp)),
        Stage::PreScaleUp => enter(Stage::ScaleUp),
        Stage::ScaleUp => when(sight.scaled_up, enter(Stage::PostScaleUp)),
        Stage::PostScaleUp if terms.rolling => enter(Stage::BakeTime),
        Stage::PostScaleUp => {
            let next = progress.enter(Stage::TestTrafficShift, now);
            Next::Enter(Progress { test: ALL, ..next })
        }
        Stage::TestTrafficShift => enter(Stage::PostTestTrafficShift),
        Stage::PostTestTrafficShift => enter(Stage::PreProductionTrafficShift),
        // It was whole once; since then hosts may have been lost, or more tasks be wanted.
        Stage::PreProductionTrafficShift => {
            let next = progress.enter(Stage::ProductionTrafficShift, now);
            let steps = progress.steps.saturating_add(1);
            let production = shift.share(steps);
            when(sight.scaled_up, Next::Enter(Progress { steps, production, ..next }))
        }
        Stage::ProductionTrafficShift if progress.production >= ALL => {
            enter(Stage::PostProductionTrafficShift)
        }
        Stage::ProductionTrafficShift => {
            bakes(shift.bake(), enter(Stage::PreProductionTrafficShift))
        }
        Stage::PostProductionTrafficShift => enter(Stage::BakeTime),
        Stage::BakeTime if !terms.from_older && !terms.rolling => enter(Stage::CleanUp),
        Stage::BakeTime => bakes(terms.bake, enter(Stage::CleanUp)),
        // What is left to do cannot fail: it only lasts.
        Stage::CleanUp if sight.cleaned_up => Next::Done,
        Stage::CleanUp => Next::Wait(None),
    }
}

/// Wait, as long as a stage and a deployment may last.
fn hold_on(progress: &Progress, until: Option<Time>, paused: bool, now: Time) -> Next {
    let stage_ends = progress.since + STAGE_LASTS;
    let ends = progress.began_at + DEPLOYMENT_LASTS;
    if ends <= now {
        return Next::GiveUp(Cause::DeploymentTimedOut);
    }
    if stage_ends <= now && !paused {
        return Next::GiveUp(Cause::StageTimedOut);
    }
    let stage_ends = Some(stage_ends).filter(|_| !paused);
    Next::Wait([until, stage_ends, Some(ends)].into_iter().flatten().min())
}

/// AWS runs the hooks of the traffic's stages on the way back too; there is no other way to go, so
/// that what they say does not matter, only that they have said it.
fn back(progress: &Progress, sight: &Sight, now: Time) -> Next {
    let told = !matches!(sight.hooks, Hooks::Awaited { .. });
    let stage_ends = progress.since + STAGE_LASTS;
    match progress.stage {
        Stage::CleanUp if sight.cleaned_up => Next::Done,
        Stage::CleanUp => Next::Wait(None),
        Stage::ScaleUp if sight.scaled_up => Next::Enter(progress.traffic_back(now)),
        Stage::ScaleUp => Next::Wait(None),
        _ if !told && now < stage_ends => Next::Wait(Some(stage_ends)),
        Stage::ProductionTrafficShift => Next::Enter(progress.test_back(now)),
        _ => Next::Enter(progress.enter(Stage::CleanUp, now)),
    }
}
