//! How large a group of instances shall be: AWS's cluster auto scaling as one function of what is
//! there, what waits, and what was decided before.
//!
//! `CapacityProviderReservation` is M / N: instances needed of those there. The group is as large as
//! M at the target capacity. It grows at once, by no more than a step and not while the last step
//! warms up; it shrinks after a quarter of an hour, by no more than half a minute.

use std::time::Duration;

use core_types::Time;

/// AWS: the alarm for too much capacity needs fifteen minutes of it, and the same after a scale-out.
pub const IN_AFTER: Duration = Duration::from_secs(15 * 60);
/// AWS: a group shrinks once a minute, by half at most.
pub const IN_EVERY: Duration = Duration::from_secs(60);
/// AWS: from no instance at all, whose size nobody knows, a group grows to two.
const FIRST: u32 = 2;
/// AWS: the reservation where tasks wait and nothing is there, in hundredths of a percent.
const NOTHING_THERE: u32 = 20_000;

/// What the provider is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In percent.
    pub target: u32,
    pub least_step: u32,
    pub most_step: u32,
    pub warmup: Duration,
}

/// Tasks with the same needs that wait, and how many of them an empty instance takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub tasks: u32,
    /// `None`: the smallest instance takes none.
    pub each: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    pub registered: u32,
    /// Those of them whose agent has never been connected: they take no task yet.
    pub fresh: u32,
    /// Those of them that run a task that is no daemon's.
    pub busy: u32,
    /// What the group is starting.
    pub starting: u32,
    pub waiting: Vec<Group>,
}

impl Sight {
    /// Instances on which what waits has found no room.
    fn known(&self) -> u32 {
        self.registered.saturating_sub(self.fresh)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// AWS's M and N.
    pub needed: u32,
    pub there: u32,
    /// In hundredths of a percent.
    pub reservation: u32,
    /// Nothing that waits could run on such instances: AWS leaves the group as it is.
    pub held: bool,
}

/// AWS's metric.
pub fn measure(settings: &Settings, sight: &Sight) -> Measure {
    let there = sight.registered.saturating_add(sight.starting);
    let waits = sight.waiting.iter().any(|group| group.tasks > 0);
    // Nobody knows what fits on instances that nobody has seen.
    let missing = match sight.known() {
        0 => waits.then_some(FIRST),
        _ => missing(&sight.waiting),
    };
    let held = waits && missing.is_none();
    let needed = match missing {
        // AWS: the step is on top of all that are there, busy or not: none had room. One that has
        // registered this moment may have some, and is of the last step.
        Some(more) => {
            let step = more.clamp(settings.least_step, settings.most_step);
            sight.known().saturating_add(step).max(sight.busy)
        }
        None => sight.busy,
    };
    let reservation = match (needed, there) {
        _ if held => settings.target.saturating_mul(100),
        (0, 0) => 10_000,
        (_, 0) => NOTHING_THERE,
        (needed, there) => {
            let exact = u64::from(needed) * 10_000 / u64::from(there);
            u32::try_from(exact).unwrap_or(u32::MAX)
        }
    };
    Measure { needed, there, reservation, held }
}

/// AWS: the least number of instances that could take a group, if each took as many as ever fit; and
/// of all groups the largest number. It is a lower bound, so the group grows in rounds.
fn missing(waiting: &[Group]) -> Option<u32> {
    let fits = waiting.iter().filter(|group| group.tasks > 0);
    fits.filter_map(|group| Some(group.tasks.div_ceil(group.each?.max(1)))).max()
}

/// What was decided before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    pub size: u32,
    pub registered: u32,
    pub scaled_out_at: Option<Time>,
    pub scaled_in_at: Option<Time>,
    pub low_since: Option<Time>,
}

impl Past {
    /// A group as it is found.
    pub fn found(sight: &Sight) -> Past {
        Past {
            size: sight.registered.saturating_add(sight.starting),
            registered: sight.registered,
            scaled_out_at: None,
            scaled_in_at: None,
            low_since: None,
        }
    }
}

/// Which way it goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Holds,
    Out,
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub past: Past,
    pub turn: Turn,
    /// When time alone may change it.
    pub look_at: Option<Time>,
}

/// The size that fits what was measured, whatever steps may lead there.
pub fn fitting(settings: &Settings, sight: &Sight, measure: &Measure) -> u32 {
    if sight.known() == 0 {
        return measure.needed;
    }
    let whole = u64::from(measure.needed) * 100;
    u32::try_from(whole.div_ceil(u64::from(settings.target.max(1)))).unwrap_or(u32::MAX)
}

/// The next step, if it is time for one.
pub fn decide(settings: &Settings, sight: &Sight, past: Past, now: Time) -> Decision {
    let measure = measure(settings, sight);
    let mut next = Past { registered: sight.registered, ..past };
    // Somebody else has made it larger: that is its size from now on. What it says it is starting is
    // no sign of that: an instance that has registered is still among those for a moment.
    if sight.registered > past.registered && sight.registered > past.size {
        (next.size, next.low_since) = (sight.registered, None);
    }
    let fitting = match measure.held {
        true => next.size,
        false => fitting(settings, sight, &measure),
    };
    let holds = |past, look_at| Decision { past, turn: Turn::Holds, look_at };
    if fitting >= next.size {
        next.low_since = None;
        let size = fitting.min(measure.there.saturating_add(settings.most_step));
        let warm_at = past.scaled_out_at.map(|at| at + settings.warmup).filter(|at| *at > now);
        return match (size > next.size, warm_at) {
            (false, _) => holds(next, None),
            (true, Some(at)) => holds(next, Some(at)),
            (true, None) => {
                (next.size, next.scaled_out_at) = (size, Some(now));
                Decision { past: next, turn: Turn::Out, look_at: None }
            }
        };
    }
    let since = *next.low_since.get_or_insert(now);
    let due = [
        Some(since + IN_AFTER),
        past.scaled_out_at.map(|at| at + IN_AFTER),
        past.scaled_in_at.map(|at| at + IN_EVERY),
    ];
    let due = due.into_iter().flatten().max().expect("the first is there");
    if due > now {
        return holds(next, Some(due));
    }
    let step = (next.size - fitting).min((next.size / 2).max(1));
    (next.size, next.scaled_in_at) = (next.size - step, Some(now));
    if next.size == fitting {
        next.low_since = None;
    }
    let look_at = (next.size > fitting).then(|| now + IN_EVERY);
    Decision { past: next, turn: Turn::In, look_at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(target: u32, least_step: u32, most_step: u32) -> Settings {
        Settings { target, least_step, most_step, warmup: Duration::from_secs(300) }
    }

    fn sight(registered: u32, busy: u32, waiting: &[(u32, Option<u32>)]) -> Sight {
        let waiting = waiting.iter().map(|(tasks, each)| Group { tasks: *tasks, each: *each });
        Sight { registered, fresh: 0, busy, starting: 0, waiting: waiting.collect() }
    }

    fn found(registered: u32) -> Past {
        Past::found(&sight(registered, 0, &[]))
    }

    /// M, N and the reservation.
    fn measured(settings: Settings, sight: &Sight) -> (u32, u32, u32) {
        let found = measure(&settings, sight);
        (found.needed, found.there, found.reservation)
    }

    #[test]
    fn the_reservation_is_as_aws_has_it() {
        let usual = set(100, 1, 10_000);
        for (what, sight, expected) in [
            ("nothing at all", sight(0, 0, &[]), (0, 0, 10_000)),
            ("tasks and no instance", sight(0, 0, &[(9, None)]), (2, 0, 20_000)),
            ("instances and no task", sight(3, 0, &[]), (0, 3, 0)),
            ("two of three work", sight(3, 2, &[]), (2, 3, 6_666)),
            ("all work", sight(3, 3, &[]), (3, 3, 10_000)),
            // Four fit on one: nine need three more.
            ("one kind waits", sight(3, 3, &[(9, Some(4))]), (6, 3, 20_000)),
            // The kind that needs most counts.
            ("two kinds wait", sight(2, 1, &[(9, Some(4)), (4, Some(1))]), (6, 2, 30_000)),
            ("one kind never fits", sight(2, 1, &[(9, None), (1, Some(1))]), (3, 2, 15_000)),
            ("nothing ever fits", sight(2, 1, &[(9, None)]), (1, 2, 10_000)),
        ] {
            assert_eq!(measured(usual, &sight), expected, "{what}");
        }
        let coming = Sight { starting: 3, ..sight(3, 3, &[(9, Some(4))]) };
        assert_eq!(measured(usual, &coming), (6, 6, 10_000));
    }

    #[test]
    fn steps_bound_what_is_needed() {
        let waiting = sight(4, 4, &[(10, Some(1))]);
        assert_eq!(measured(set(100, 1, 3), &waiting).0, 7);
        assert_eq!(measured(set(100, 20, 30), &waiting).0, 24);
        // What can never run keeps the reservation at the target.
        assert_eq!(measured(set(80, 1, 3), &sight(4, 1, &[(1, None)])).2, 8_000);
    }

    #[test]
    fn it_grows_at_once_and_waits_until_that_is_warm() {
        let (settings, at) = (set(100, 1, 10_000), Time(1_000_000));
        let one = decide(&settings, &sight(2, 2, &[(4, Some(2))]), found(2), at);
        assert_eq!((one.turn, one.past.size), (Turn::Out, 4));
        let more = sight(2, 2, &[(10, Some(2))]);
        let two = decide(&settings, &more, one.past, at);
        assert_eq!((two.turn, two.past.size), (Turn::Holds, 4));
        let warm = two.look_at.expect("it grows later");
        assert_eq!(warm, at + settings.warmup);
        let three = decide(&settings, &more, two.past, warm);
        assert_eq!((three.turn, three.past.size), (Turn::Out, 7));
    }

    /// An instance that registers is for a moment also one that the group says it is starting, and is
    /// there before its agent is.
    #[test]
    fn an_instance_that_comes_is_not_counted_twice() {
        let (settings, at) = (set(100, 1, 10_000), Time(1_000_000));
        let waiting = [(5, Some(4))];
        let mut past = decide(&settings, &sight(0, 0, &waiting), found(0), at).past;
        assert_eq!(past.size, 2);
        for (registered, fresh, starting, waiting) in
            [(1, 1, 2, 5), (1, 1, 1, 5), (1, 0, 1, 1), (2, 1, 1, 1), (2, 1, 0, 1), (2, 0, 0, 0)]
        {
            let busy = registered - fresh;
            let seen = sight(registered, busy, &[(waiting, Some(4))]);
            let seen = Sight { fresh, starting, ..seen };
            past = decide(&settings, &seen, past, at + settings.warmup * 2).past;
            assert_eq!(past.size, 2, "{seen:?}");
        }
    }

    #[test]
    fn it_shrinks_after_a_quarter_of_an_hour_by_half_a_minute() {
        let (settings, at) = (set(100, 1, 10_000), Time(1_000_000));
        let low = sight(9, 2, &[]);
        let mut one = decide(&settings, &low, found(9), at);
        assert_eq!((one.turn, one.look_at), (Turn::Holds, Some(at + IN_AFTER)));
        let mut sizes = Vec::new();
        while let Some(at) = one.look_at {
            one = decide(&settings, &low, one.past, at);
            sizes.push((at.since(Time(1_000_000)).as_secs() / 60, one.past.size));
        }
        assert_eq!(sizes, [(15, 5), (16, 3), (17, 2)]);
        // One busy minute in between, and the wait begins anew.
        let half = decide(&settings, &low, found(9), at);
        let busy = decide(&settings, &sight(9, 9, &[]), half.past, at + IN_EVERY);
        let again = decide(&settings, &low, busy.past, at + IN_EVERY * 2);
        assert_eq!(again.look_at, Some(at + IN_EVERY * 2 + IN_AFTER));
    }

    #[test]
    fn a_lower_target_keeps_some_to_spare() {
        let at = Time(1_000_000);
        let one = decide(&set(80, 1, 10_000), &sight(4, 4, &[]), found(4), at);
        assert_eq!((one.turn, one.past.size), (Turn::Out, 5));
        // Four of five work: that is the target, and it stays.
        let past = Past { registered: 4, ..one.past };
        let two = decide(&set(80, 1, 10_000), &sight(5, 4, &[]), past, at + IN_AFTER * 2);
        assert_eq!((two.turn, two.past.size, two.look_at), (Turn::Holds, 5, None));
    }

    prop_compose! {
        fn sights()(
            registered in 0_u32..50,
            fresh in 0_u32..5,
            busy in 0_u32..50,
            starting in 0_u32..5,
            waiting in prop::collection::vec((0_u32..40, prop::option::of(1_u32..9)), 0..4),
        ) -> Sight {
            let fresh = fresh.min(registered);
            Sight { starting, fresh, ..sight(registered, busy.min(registered), &waiting) }
        }
    }

    proptest! {
        /// Whatever happens in whatever order: steps out are within their bounds, what works is
        /// never asked to go, and looking twice decides nothing twice.
        #[test]
        fn steps_are_within_bounds(
            sights in prop::collection::vec((sights(), 0_i64..2_000_000), 1..30),
            target in 1_u32..=100,
            steps in (1_u32..6, 0_u32..6),
        ) {
            let settings = set(target, steps.0, steps.0 + steps.1);
            let mut now = Time(1_000_000);
            let mut past = found(sights[0].0.registered);
            for (sight, pause) in &sights {
                now = now + Duration::from_millis(pause.unsigned_abs());
                let there = measure(&settings, sight).there;
                let one = decide(&settings, sight, past, now);
                let size = one.past.size;
                match one.turn {
                    Turn::Holds => {}
                    Turn::Out => prop_assert!(size.saturating_sub(there) <= settings.most_step),
                    Turn::In => {
                        prop_assert!(size >= sight.busy, "{size} with {} busy", sight.busy);
                        let there = sight.registered;
                        let grown = there > past.registered && there > past.size;
                        let before = if grown { there } else { past.size };
                        prop_assert!(before - size <= (before / 2).max(1));
                    }
                }
                prop_assert!(one.look_at.is_none_or(|at| at > now));
                let again = decide(&settings, sight, one.past, now);
                prop_assert_eq!(again, Decision { turn: Turn::Holds, ..one });
                past = one.past;
            }
        }

        /// A group that follows comes to rest at the size that fits.
        #[test]
        fn a_group_that_follows_comes_to_rest(
            tasks in 0_u32..60,
            each in 1_u32..9,
            there in 0_u32..30,
            target in 20_u32..=100,
            steps in (1_u32..6, 0_u32..6),
        ) {
            let settings = set(target, steps.0, steps.0 + steps.1);
            let (mut now, mut there) = (Time(1_000_000), there);
            let mut past = found(there);
            for _ in 0..2_000 {
                let placed = tasks.min(there * each);
                let waiting = [(tasks - placed, Some(each))];
                let one = decide(&settings, &sight(there, placed.div_ceil(each), &waiting), past, now);
                past = one.past;
                if past.size == there && one.look_at.is_none() {
                    break;
                }
                there = past.size;
                now = now + Duration::from_secs(60);
            }
            prop_assert!(there * each >= tasks, "{there} for {tasks}");
            let needed = tasks.div_ceil(each);
            prop_assert_eq!(there, (needed * 100).div_ceil(target));
        }
    }
}
