//! Whatever hooks, tasks and time do, a deployment that shifts traffic ends in exactly one way, and
//! users are never sent where there is nobody.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use core_rollout::{
    ALL, Cause, Course, Hooks, Next, Progress, Shift, Sight, Stage, Terms, advance, wanted,
};
use core_types::Time;
use proptest::prelude::*;

const DESIRED: u32 = 4;

/// A deployment whose tasks come and go as they are wanted, later.
struct World {
    progress: Progress,
    terms: Terms,
    now: Time,
    newer: u32,
    older: u32,
    /// Every stage that was entered, with what users had of the newer version.
    passed: Vec<(Stage, u32)>,
}

impl World {
    fn new(shift: Shift, bake: u64, from_older: bool) -> World {
        let terms = Terms { shift, bake: Duration::from_secs(bake), from_older, rolling: false };
        let progress = Progress::begin(Time(0), false);
        let older = if from_older { DESIRED } else { 0 };
        World { progress, terms, now: Time(0), newer: 0, older, passed: Vec::new() }
    }

    fn sight(&self, hooks: Hooks) -> Sight {
        let (newer, older) = wanted(&self.progress, DESIRED);
        Sight {
            strays: false,
            scaled_up: match self.progress.course {
                Course::Back => self.older == DESIRED,
                _ => self.newer == DESIRED,
            },
            cleaned_up: (self.newer, self.older)
                == (newer, older * u32::from(self.terms.from_older)),
            hooks,
        }
    }

    /// Move on as far as it goes. True at the end.
    fn settle(&mut self, mut hooks: Hooks) -> bool {
        for _ in 0..100 {
            let sight = self.sight(hooks);
            match advance(&self.progress, &self.terms, &sight, self.now) {
                Next::Enter(next) => self.enter(next),
                Next::GiveUp(_) => {
                    self.give_up();
                    hooks = Hooks::Passed;
                }
                Next::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "it waits for the past");
                    return false;
                }
                Next::Done => return true,
            }
        }
        panic!("it goes round in circles: {:?}", self.passed);
    }

    fn enter(&mut self, next: Progress) {
        let before = self.progress;
        match next.course {
            Course::Forward => {
                assert!(next.production >= before.production && next.test >= before.test)
            }
            Course::Back if next.stage == Stage::ScaleUp => {
                assert_eq!(before.stage, Stage::CleanUp, "it was not whole any more");
            }
            Course::Back => assert_eq!(next.production, 0, "users go back at once"),
            Course::Held => panic!("it moves while it is held"),
        }
        if next.production > before.production {
            assert_eq!(self.newer, DESIRED, "users are sent to a version that is not whole");
        }
        self.passed.push((next.stage, next.production));
        self.progress = next;
    }

    fn give_up(&mut self) {
        let now = self.now;
        match (self.progress.course, self.terms.from_older) {
            (Course::Forward, true) => self.enter(self.progress.turn_back(now)),
            (Course::Forward, false) => self.progress = self.progress.hold(),
            _ => {}
        }
    }

    /// Tasks come and go, one of each version at a time.
    fn live(&mut self) {
        let (newer, older) = wanted(&self.progress, DESIRED);
        let step = |have: u32, want: u32| match have.cmp(&want) {
            std::cmp::Ordering::Less => have + 1,
            std::cmp::Ordering::Equal => have,
            std::cmp::Ordering::Greater => have - 1,
        };
        self.newer = step(self.newer, newer);
        if self.terms.from_older {
            self.older = step(self.older, older);
            let Progress { stage, course, .. } = self.progress;
            let going = stage == Stage::CleanUp && course == Course::Forward;
            let coming = stage == Stage::ScaleUp && course == Course::Back;
            assert!(self.older == DESIRED || going || coming, "the older version is not whole");
        }
    }
}

fn shifts() -> impl Strategy<Value = Shift> {
    let bake = (0u64..2000).prop_map(Duration::from_secs);
    prop_oneof![
        Just(Shift::AllAtOnce),
        (1u32..=ALL, bake.clone()).prop_map(|(share, bake)| Shift::Canary { share, bake }),
        (30u32..=ALL, bake).prop_map(|(share, bake)| Shift::Linear { share, bake }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_ends_in_exactly_one_way(
        shift in shifts(),
        bake in 0u64..5000,
        from_older in any::<bool>(),
        steps in prop::collection::vec((0u8..8, 0u64..900), 0..200),
    ) {
        let mut world = World::new(shift, bake, from_older);
        let mut done = false;
        for (what, pause) in steps {
            world.now = world.now + Duration::from_secs(pause);
            world.live();
            let hooks = match what {
                0 => Hooks::Awaited { paused: false },
                1 => Hooks::Awaited { paused: true },
                2 if pause % 40 == 0 => Hooks::Failed,
                3 if pause % 30 == 0 => {
                    world.give_up();
                    Hooks::Passed
                }
                // A host is lost with a task of the newer version.
                4 => {
                    world.newer = world.newer.saturating_sub(1);
                    Hooks::Passed
                }
                _ => Hooks::Passed,
            };
            done = world.settle(hooks);
            if done {
                break;
            }
        }
        for _ in 0..200 {
            if done || world.progress.course == Course::Held {
                break;
            }
            world.now = world.now + Duration::from_secs(3000);
            world.live();
            done = world.settle(Hooks::Passed);
        }
        match world.progress.course {
            Course::Forward => {
                prop_assert!(done && world.progress.production == ALL && world.older == 0);
                prop_assert_eq!(world.newer, DESIRED);
            }
            Course::Back => {
                prop_assert!(done && world.progress.production == 0 && world.newer == 0);
                prop_assert_eq!((world.progress.test, world.older), (0, DESIRED));
            }
            Course::Held => prop_assert!(!from_older && !done),
        }
    }
}

/// Everything goes well, and time passes a minute at a time.
fn live_through(world: &mut World) {
    for _ in 0..1000 {
        if world.settle(Hooks::Passed) {
            return;
        }
        world.now = world.now + Duration::from_secs(60);
        world.live();
    }
    panic!("it does not end: {:?}", world.passed);
}

#[test]
fn blue_and_green_pass_all_stages() {
    let mut world = World::new(Shift::AllAtOnce, 300, true);
    live_through(&mut world);
    let stages: Vec<&str> = world.passed.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(
        stages,
        [
            "SCALE_UP",
            "POST_SCALE_UP",
            "TEST_TRAFFIC_SHIFT",
            "POST_TEST_TRAFFIC_SHIFT",
            "PRE_PRODUCTION_TRAFFIC_SHIFT",
            "PRODUCTION_TRAFFIC_SHIFT",
            "POST_PRODUCTION_TRAFFIC_SHIFT",
            "BAKE_TIME",
            "CLEAN_UP",
        ]
    );
    assert_eq!(world.now, Time(4 * 60_000 + 300_000 + 4 * 60_000));
}

#[test]
fn a_linear_shift_passes_the_traffics_stages_at_each_step() {
    let shift = Shift::Linear { share: 400, bake: Duration::from_secs(120) };
    let mut world = World::new(shift, 0, true);
    live_through(&mut world);
    let shares: Vec<u32> = world
        .passed
        .iter()
        .filter(|(stage, _)| *stage == Stage::ProductionTrafficShift)
        .map(|(_, share)| *share)
        .collect();
    assert_eq!(shares, [400, 800, ALL]);
    let before = Stage::PreProductionTrafficShift;
    assert_eq!(world.passed.iter().filter(|(stage, _)| *stage == before).count(), 3);
}

#[test]
fn a_stage_lasts_a_day_and_a_paused_one_thirty() {
    let mut world = World::new(Shift::AllAtOnce, 0, true);
    let ask = |world: &World, paused| {
        let sight = world.sight(Hooks::Awaited { paused });
        advance(&world.progress, &world.terms, &sight, world.now)
    };
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(ask(&world, false), Next::Wait(Some(Time(0) + day)));
    world.now = Time(0) + day;
    assert_eq!(ask(&world, false), Next::GiveUp(Cause::StageTimedOut));
    assert_eq!(ask(&world, true), Next::Wait(Some(Time(0) + day * 30)));
    world.now = Time(0) + day * 30;
    assert_eq!(ask(&world, true), Next::GiveUp(Cause::DeploymentTimedOut));
}

#[test]
fn what_rolls_has_the_stages_of_its_tasks_and_bakes() {
    let mut world = World::new(Shift::AllAtOnce, 300, false);
    world.terms.rolling = true;
    live_through(&mut world);
    let stages: Vec<&str> = world.passed.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(stages, ["SCALE_UP", "POST_SCALE_UP", "BAKE_TIME", "CLEAN_UP"]);
    assert_eq!(world.now, Time(4 * 60_000 + 300_000));
}
