//! Whatever happens to a service's tasks, plans keep to the bounds, and lead to the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use core_rollout::{
    Bounds, Criteria, Health, Listed, Phase, Plan, Restore, Service, Task, Tasks, Version,
    plan_rolling,
};
use core_types::Time;
use proptest::prelude::*;

/// A service whose plans are carried out, and whose tasks live as chance has it.
struct World {
    desired: u32,
    percents: (u32, u32),
    /// What is enough of a version for the older ones to go.
    early: Option<Criteria>,
    tasks: Vec<Task<u32>>,
    next: u32,
    /// Of the version before the newest.
    keeps: u32,
    /// Whether tasks of the newest may be started.
    newest: bool,
}

const FINE: Version = Version { may_start: true, crowded: false, keeps: 0 };

impl World {
    fn new(desired: u32, percents: (u32, u32)) -> Self {
        let (tasks, early) = (Vec::new(), None);
        World { desired, percents, early, tasks, next: 0, keeps: 0, newest: true }
    }

    /// AWS: scaling out grows both versions.
    fn scale(&mut self, desired: u32) {
        if self.keeps > 0 {
            self.keeps += desired.saturating_sub(self.desired);
        }
        self.desired = desired;
    }

    fn bounds(&self) -> Bounds {
        Bounds::of(self.desired, self.percents.0, self.percents.1)
    }

    fn plan(&self) -> Plan<u32> {
        let (desired, bounds) = (self.desired, self.bounds());
        let tasks = &Listed::from(self.tasks.clone());
        let newest = Version { may_start: self.newest, ..FINE };
        let versions = [newest, Version { keeps: self.keeps, ..FINE }];
        let proven = self.early.is_some_and(|early| early.are_met(desired, tasks.census()));
        plan_rolling(&Service { desired, bounds, proven, versions: &versions, tasks })
    }

    fn serving(&self) -> u32 {
        self.tasks.iter().filter(|task| task.serves()).count() as u32
    }

    /// Carry out a plan, and hold it against the bounds.
    fn apply(&mut self) -> Plan<u32> {
        let (bounds, before) = (self.bounds(), self.serving());
        let plan = self.plan();
        for stop in &plan.stop {
            let task = self.tasks.iter_mut().find(|task| task.key == stop.task).unwrap();
            assert!(task.stays(), "stopped twice");
            assert!(!task.protected || task.health == Health::Bad, "a protected task was stopped");
            task.phase = Phase::Leaving;
            if task.version > 0 && task.health != Health::Bad {
                self.keeps = self.keeps.saturating_sub(1);
            }
        }
        (0..plan.start).for_each(|_| self.start(0));
        if let Some(Restore { version, count }) = plan.restore {
            assert!((version, count > 0) == (1, true));
            (0..count).for_each(|_| self.start(version));
        }
        if plan.start > 0 || plan.restore.is_some() {
            assert!(self.tasks.len() as u32 <= bounds.most, "over the most");
        }
        assert!(self.serving() >= before.min(bounds.least), "under the least by a plan");
        plan
    }

    fn start(&mut self, version: usize) {
        self.next += 1;
        self.tasks.push(Task {
            key: self.next,
            version,
            phase: Phase::Starting,
            health: Health::Unproven,
            protected: false,
            to_be_moved: false,
            zone: self.next % 2,
            host: self.next % 5,
            created_at: Time(i64::from(self.next)),
        });
    }

    /// Nothing happens: what is planned then comes to an end soon, and nothing goes to and fro.
    fn rest(&mut self) {
        let mut plans = Vec::new();
        while plans.len() < 4 {
            let plan = self.apply();
            if plan.start == 0 && plan.restore.is_none() && plan.stop.is_empty() {
                return;
            }
            plans.push(plan);
        }
        panic!("{plans:?}");
    }

    /// One thing happens to one task.
    fn happen(&mut self, what: u8, which: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let at = which % self.tasks.len();
        let task = &mut self.tasks[at];
        match what {
            0 | 1 if task.phase == Phase::Starting => {
                task.phase = Phase::Up;
            }
            2 | 3 if task.phase == Phase::Up => task.health = Health::Good,
            4 if task.phase == Phase::Up => task.health = Health::Bad,
            5 | 6 if task.phase == Phase::Leaving => drop(self.tasks.swap_remove(at)),
            7 => drop(self.tasks.swap_remove(at)),
            8 => task.to_be_moved = true,
            _ => {}
        }
    }

    fn deploy(&mut self) {
        self.keeps =
            self.tasks.iter().filter(|task| task.version == 0 && task.stays()).count() as u32;
        for task in &mut self.tasks {
            task.version = 1;
        }
    }

    /// Nothing bad happens any more: everything starts, proves itself, and leaves when told.
    fn calm(&mut self) {
        self.tasks.retain(|task| task.phase != Phase::Leaving);
        for task in &mut self.tasks {
            task.phase = Phase::Up;
            if task.health == Health::Unproven {
                task.health = Health::Good;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn bounds_hold_and_the_end_is_reached(
        desired in 0u32..12,
        least in prop::sample::select(vec![0u32, 50, 100]),
        most in prop::sample::select(vec![150u32, 200]),
        early in prop::option::of(0u32..=100),
        steps in prop::collection::vec((0u8..13, any::<usize>()), 0..120),
    ) {
        let mut world = World::new(desired, (least, most));
        world.early = early.map(|percent| Criteria { percent: percent.max(least), alone: true });
        for (what, which) in steps {
            match what {
                10 => world.deploy(),
                11 => world.scale((which % 12) as u32),
                12 => world.newest = which % 2 == 0,
                what => world.happen(what, which),
            }
            match which % 3 {
                0 => world.rest(),
                _ => drop(world.apply()),
            }
        }
        world.newest = true;
        // A single task cannot be replaced within its bounds where the most allows no second.
        let possible = world.bounds().most > world.desired || world.bounds().least < world.desired;
        for _ in 0..40 {
            world.calm();
            world.apply();
        }
        world.calm();
        let plan = world.plan();
        if possible || world.tasks.iter().all(|task| task.version == 0 && task.serves() && !task.to_be_moved) {
            prop_assert!(plan.steady, "{plan:?} {:?}", world.tasks);
            prop_assert_eq!(world.tasks.len() as u32, world.desired);
        }
    }
}

fn world(desired: u32, percents: (u32, u32)) -> World {
    let mut world = World::new(desired, percents);
    world.apply();
    world.calm();
    assert!(world.plan().steady);
    world
}

#[test]
fn within_200_percent_the_new_come_before_the_old_go() {
    let mut world = world(4, (50, 200));
    world.deploy();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (4, 0));
    world.calm();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (0, 4));
}

#[test]
fn at_100_percent_the_old_make_way() {
    let mut world = world(4, (50, 100));
    world.deploy();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (0, 2), "half may go");
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (0, 0), "they have not gone yet");
    world.calm();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (2, 0));
    assert!(plan.held_up);
}

#[test]
fn where_there_is_no_place_the_old_make_way_too() {
    let mut world = world(2, (50, 200));
    world.deploy();
    let versions = [Version { crowded: true, ..FINE }; 2];
    let bounds = world.bounds();
    let tasks = &Listed::from(world.tasks.clone());
    let service = Service { desired: 2, bounds, proven: false, versions: &versions, tasks };
    let plan = plan_rolling(&service);
    assert_eq!(plan.stop.len(), 1, "a static port is freed, and one task serves on");
}

#[test]
fn nothing_moves_where_the_bounds_allow_nothing() {
    let mut world = world(1, (100, 100));
    world.deploy();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len(), plan.held_up), (0, 0, true));
}

#[test]
fn the_sick_are_replaced_before_they_go() {
    let mut world = world(2, (100, 200));
    world.tasks[0].health = Health::Bad;
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (1, 0));
    // The replacement is on its way: it is not one too many.
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (0, 0));
    world.calm();
    let plan = world.apply();
    assert_eq!((plan.start, plan.stop.len()), (0, 1));
    assert_eq!(plan.stop[0].why, core_rollout::Why::Unhealthy);
}

/// A task of the version that serves is lost.
fn lose(world: &mut World) {
    let at = world.tasks.iter().position(|task| task.version == 1 && task.serves()).unwrap();
    world.tasks.swap_remove(at);
}

fn restored(plan: &Plan<u32>) -> u32 {
    plan.restore.map_or(0, |restore| restore.count)
}

#[test]
fn what_the_serving_version_loses_comes_again_however_the_newer_one_does() {
    let mut world = world(4, (100, 200));
    world.deploy();
    world.rest();
    lose(&mut world);
    let plan = world.apply();
    assert_eq!((plan.start, restored(&plan), plan.stop.len()), (0, 1, 0));
    world.rest();
    // Not even a version that starts nothing any more is waited for.
    world.tasks.retain(|task| task.version == 1);
    world.newest = false;
    lose(&mut world);
    assert_eq!(restored(&world.apply()), 1);
    world.newest = true;
    (0..8).for_each(|_| {
        world.calm();
        world.rest();
    });
    assert!(world.plan().steady);
}

#[test]
fn what_made_way_does_not_come_again() {
    let mut world = world(4, (50, 100));
    world.deploy();
    world.rest();
    world.calm();
    world.rest();
    // Two serve and two are on their way. Below the least, the serving version goes first.
    lose(&mut world);
    let plan = world.apply();
    assert_eq!((plan.start, restored(&plan), plan.stop.len()), (0, 1, 0));
    world.rest();
    assert_eq!(world.tasks.iter().filter(|task| task.version == 1).count(), 2);
}

#[test]
fn scaling_out_while_a_version_comes_up_grows_both() {
    let mut world = world(4, (100, 200));
    world.deploy();
    world.rest();
    world.scale(6);
    let plan = world.apply();
    assert_eq!((plan.start, restored(&plan)), (2, 2));
}

#[test]
fn once_enough_do_well_the_old_go_down_to_the_least() {
    let mut world = world(10, (50, 200));
    world.early = Some(Criteria { percent: 60, alone: false });
    world.deploy();
    world.apply();
    let new = |world: &mut World, count: usize| {
        let coming = world.tasks.iter_mut().filter(|task| task.phase == Phase::Starting);
        for task in coming.take(count) {
            (task.phase, task.health) = (Phase::Up, Health::Good);
        }
        world.apply().stop.len()
    };
    assert_eq!(new(&mut world, 5), 5, "as many as desired still serve");
    assert_eq!(new(&mut world, 1), 5, "the least serve without any of the old");
    assert!(world.serving() == 6 && !world.plan().steady);
}
