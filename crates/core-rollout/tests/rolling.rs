//! Whatever happens to a service's tasks, plans keep to the bounds, and lead to the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use core_rollout::{Bounds, Health, Listed, Phase, Plan, Service, Task, Version, plan_rolling};
use core_types::Time;
use proptest::prelude::*;

/// A service whose plans are carried out, and whose tasks live as chance has it.
struct World {
    desired: u32,
    percents: (u32, u32),
    tasks: Vec<Task<u32>>,
    next: u32,
}

const FINE: [Version; 2] = [Version { may_start: true, crowded: false }; 2];

impl World {
    fn bounds(&self) -> Bounds {
        Bounds::of(self.desired, self.percents.0, self.percents.1)
    }

    fn plan(&self) -> Plan<u32> {
        let (desired, bounds) = (self.desired, self.bounds());
        let tasks = &Listed::from(self.tasks.clone());
        plan_rolling(&Service { desired, bounds, versions: &FINE, tasks })
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
        }
        for _ in 0..plan.start {
            self.next += 1;
            self.tasks.push(Task {
                key: self.next,
                version: 0,
                phase: Phase::Starting,
                health: Health::Unproven,
                protected: false,
                to_be_moved: false,
                zone: self.next % 2,
                host: self.next % 5,
                created_at: Time(i64::from(self.next)),
            });
        }
        if plan.start > 0 {
            assert!(self.tasks.len() as u32 <= bounds.most, "over the most");
        }
        assert!(self.serving() >= before.min(bounds.least), "under the least by a plan");
        plan
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
        steps in prop::collection::vec((0u8..12, any::<usize>()), 0..120),
    ) {
        let mut world = World { desired, percents: (least, most), tasks: Vec::new(), next: 0 };
        for (what, which) in steps {
            match what {
                10 => world.deploy(),
                11 => world.desired = (which % 12) as u32,
                what => world.happen(what, which),
            }
            world.apply();
        }
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
    let mut world = World { desired, percents, tasks: Vec::new(), next: 0 };
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
    let versions = [Version { may_start: true, crowded: true }; 2];
    let bounds = world.bounds();
    let tasks = &Listed::from(world.tasks.clone());
    let service = Service { desired: 2, bounds, versions: &versions, tasks };
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
