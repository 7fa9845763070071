//! A host in a few lines, for the engine's properties: containers that pull, start, end, hang and
//! ignore signals as a plan drawn by proptest says, in simulated time, with an agent that dies.

use std::collections::BTreeMap;
use std::time::Duration;

use core_types::Time;
use proptest::prelude::*;

use super::*;

/// How one container behaves.
#[derive(Clone, Debug)]
struct Nature {
    fails_at: Option<Phase>,
    step_takes: u64,
    /// `None`: until it is stopped.
    runs: Option<u64>,
    exit_code: i32,
    obeys: bool,
    healthy_after: u64,
}

#[derive(Clone, Debug)]
struct Case {
    spec: TaskSpec,
    natures: Vec<Nature>,
    stop_at: Option<u64>,
    crash_every: Option<u64>,
}

struct World<'a> {
    case: &'a Case,
    now: Time,
    events: BTreeMap<(Time, u64), Event>,
    order: u64,
    state: TaskState,
    told: Told,
    reports: Vec<Report>,
    /// Started and not ended, by container and run: what the runtime knows.
    live: BTreeMap<usize, u32>,
    begun: Vec<(Time, Step)>,
}

impl World<'_> {
    fn later(&mut self, after: u64, event: Event) {
        self.order += 1;
        self.events.insert((self.now + Duration::from_millis(after), self.order), event);
    }

    fn take(&mut self, event: Event) {
        if let Event::Exited { part, run, .. } = &event {
            if self.live.get(part) != Some(run) {
                return;
            }
            self.live.remove(part);
        }
        if let Event::Started { part, run, .. } = &event {
            self.check_started(*part);
            self.live.insert(*part, *run);
        }
        self.state.apply(&self.case.spec, event, self.now);
        settle(&self.case.spec, &mut self.state, self.now);
    }

    /// Nothing starts before what it depends on.
    fn check_started(&self, part: usize) {
        for dependency in &self.case.spec.parts[part].depends_on {
            let on = &self.state.parts[dependency.on];
            let met = match dependency.condition {
                Condition::Create => on.reached >= Phase::Created,
                Condition::Start => on.started_at.is_some(),
                Condition::Complete => on.phase == Phase::Stopped,
                Condition::Success => on.exit_code == Some(0),
                // It may have begun again since.
                Condition::Healthy => on.run > 0 || on.health.status == HealthStatus::Healthy,
            };
            assert!(met, "container {part} started before {dependency:?} of {:?}", self.case);
        }
    }

    fn carry_out(&mut self, step: Step) {
        let at = self.now;
        if let Some(nature) = part_of(step).map(|part| self.case.natures[part].clone()) {
            return self.carry_out_of(step, &nature);
        }
        match step {
            Step::PrepareNetwork => self.later(3, Event::NetworkReady),
            Step::ReleaseNetwork => {
                assert!(self.live.is_empty(), "the network goes after all containers, {at:?}");
                self.later(3, Event::NetworkReleased);
            }
            _ => unreachable!("every other step names a container"),
        }
    }

    fn carry_out_of(&mut self, step: Step, nature: &Nature) {
        let fails = |phase| nature.fails_at == Some(phase);
        let takes = nature.step_takes;
        let failed = |part, name| Event::Failed { part, failure: Failure::new(name, "so drawn") };
        match step {
            Step::Pull { part } if fails(Phase::Pulled) => self.later(takes, failed(part, "P")),
            Step::Pull { part } => {
                let digest = format!("sha256:{part}");
                self.later(takes / 2, Event::Resolved { part, digest: digest.clone() });
                self.later(takes, Event::Pulled { part, digest: Some(digest) });
            }
            Step::CancelPull { part } => self.later(1, Event::PullCancelled { part }),
            Step::Create { part, .. } if fails(Phase::Created) => {
                self.later(takes, failed(part, "C"));
            }
            Step::Create { part, run } => {
                self.later(takes, Event::Created { part, run, bindings: vec![] });
            }
            Step::Start { part, .. } if fails(Phase::Running) => {
                self.later(takes, failed(part, "S"));
            }
            Step::Start { part, run } => {
                let started = self.now + Duration::from_millis(takes);
                self.later(takes, Event::Started { part, run, at: started });
                if let Some(runs) = nature.runs {
                    self.exit(takes + runs, part, run, nature.exit_code);
                }
            }
            Step::Probe { part, run } => {
                let started = self.state.parts[part].started_at.unwrap();
                let healthy = self.now.since(started).as_millis() as u64 >= nature.healthy_after;
                let exit_code = Some(i32::from(!healthy));
                let probe = Probe { exit_code, output: String::new() };
                self.later(1, Event::Probed { part, run, probe });
            }
            Step::Terminate { part, run } => {
                for dependent in self.case.spec.dependents(part) {
                    let gone = self.state.parts[dependent].phase == Phase::Stopped;
                    assert!(gone, "{part} is stopped before {dependent}, which needs it");
                }
                if nature.obeys {
                    self.exit(2, part, run, 143);
                }
            }
            Step::Kill { part, run } => self.exit(1, part, run, 137),
            Step::PrepareNetwork | Step::ReleaseNetwork => {}
        }
    }

    fn exit(&mut self, after: u64, part: usize, run: u32, exit_code: i32) {
        let at = self.now + Duration::from_millis(after);
        self.later(after, Event::Exited { part, run, exit_code, oom: false, at });
    }

    /// The agent dies and comes back: what was under way is lost, what runs is found again.
    fn crash(&mut self) {
        let kept = |event: &Event| matches!(event, Event::Exited { .. } | Event::StopWanted);
        self.events.retain(|_, event| kept(event));
        self.state.forget_doing();
        settle(&self.case.spec, &mut self.state, self.now);
    }

    fn run(&mut self) {
        if let Some(stop_at) = self.case.stop_at {
            self.later(stop_at, Event::StopWanted);
        }
        self.take(Event::Admitted);
        let mut crash_at = self.case.crash_every.map(|every| Time(every as i64));
        for _ in 0..20_000 {
            while let (Some(next), _) = report(&self.case.spec, &self.state, &self.told, self.now) {
                self.told.accept(&next, self.case.spec.parts.len());
                self.reports.push(next);
            }
            if self.told.task == Status::Stopped {
                return;
            }
            let planned = plan(&self.case.spec, &self.state, self.now);
            for step in planned.steps {
                let again = self.begun.contains(&(self.now, step));
                assert!(!again || crash_at.is_some(), "{step:?} planned twice at {:?}", self.now);
                self.begun.push((self.now, step));
                self.state.begin(step, self.now);
                self.carry_out(step);
            }
            let (_, news) = report(&self.case.spec, &self.state, &self.told, self.now);
            let next = self.events.keys().next().map(|(at, _)| *at);
            let next = [next, planned.wake_at, news, crash_at].into_iter().flatten().min();
            let Some(next) = next else { return };
            self.now = self.now.max(next);
            if crash_at.is_some_and(|at| at <= self.now) {
                self.crash();
                crash_at = None;
            }
            while let Some(entry) = self.events.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let event = entry.remove();
                self.take(event);
            }
        }
        panic!("no end: {:?} in {:?}", self.state, self.case);
    }
}

fn part_of(step: Step) -> Option<usize> {
    match step {
        Step::PrepareNetwork | Step::ReleaseNetwork => None,
        Step::Pull { part }
        | Step::CancelPull { part }
        | Step::Create { part, .. }
        | Step::Start { part, .. }
        | Step::Probe { part, .. }
        | Step::Terminate { part, .. }
        | Step::Kill { part, .. } => Some(part),
    }
}

fn world(case: &Case) -> World<'_> {
    World {
        case,
        now: Time(0),
        events: BTreeMap::new(),
        order: 0,
        state: TaskState::new(&case.spec),
        told: Told::default(),
        reports: Vec::new(),
        live: BTreeMap::new(),
        begun: Vec::new(),
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Create),
        Just(Condition::Start),
        Just(Condition::Complete),
        Just(Condition::Success),
        Just(Condition::Healthy),
    ]
}

fn part(nth: usize) -> impl Strategy<Value = Part> {
    let dependencies = prop::collection::vec((0..nth.max(1), condition()), 0..3);
    let restart = prop::option::weighted(
        0.3,
        Just(Restart { ignored_exit_codes: vec![0], attempt_period: Duration::from_millis(400) }),
    );
    let start_timeout = prop::option::of(Just(Duration::from_secs(3)));
    (dependencies, any::<bool>(), restart, start_timeout).prop_map(
        move |(dependencies, essential, restart, start_timeout)| Part {
            name: format!("c{nth}"),
            essential: essential || nth == 0,
            depends_on: dependencies
                .into_iter()
                .filter(|_| nth > 0)
                .map(|(on, condition)| Dependency { on, condition })
                .collect(),
            start_timeout,
            stop_timeout: Duration::from_secs(2),
            restart,
            health: Some(HealthCheck {
                interval: Duration::from_millis(250),
                timeout: Duration::from_secs(1),
                retries: 3,
                start_period: Duration::ZERO,
            }),
        },
    )
}

fn nature() -> impl Strategy<Value = Nature> {
    let fails_at = prop::option::weighted(
        0.15,
        prop_oneof![Just(Phase::Pulled), Just(Phase::Created), Just(Phase::Running)],
    );
    let runs = prop::option::weighted(0.6, 1u64..3000);
    let exit_code = prop_oneof![Just(0), Just(1), Just(137)];
    (fails_at, 1u64..200, runs, exit_code, any::<bool>(), 0u64..2000).prop_map(
        |(fails_at, step_takes, runs, exit_code, obeys, healthy_after)| Nature {
            fails_at,
            step_takes,
            runs,
            exit_code,
            obeys,
            healthy_after,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..5).prop_flat_map(|count| {
        let parts: Vec<_> = (0..count).map(part).collect();
        let natures = prop::collection::vec(nature(), count);
        let stop_at = 0u64..20_000;
        let crash = prop::option::of(1u64..3000);
        (parts, natures, stop_at, crash).prop_map(|(parts, natures, stop_at, crash_every)| Case {
            spec: TaskSpec { parts, needs: Needs::default() },
            natures,
            stop_at: Some(stop_at),
            crash_every,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_life_ends_and_is_told_once(case in case()) {
        prop_assert_eq!(case.spec.check(), Ok(()));
        let mut world = world(&case);
        world.run();
        let told = |status| {
            let is = |report: &&Report| matches!(report, Report::Task(t) if t.status == status);
            world.reports.iter().filter(is).count()
        };
        prop_assert_eq!(told(Status::Stopped), 1, "{:?}", world.state);
        prop_assert!(told(Status::Running) <= 1);
        prop_assert_eq!(told(Status::Running) == 1, world.state.was_running);
        prop_assert!(world.live.is_empty());
        let mut settled = world.state.clone();
        settle(&case.spec, &mut settled, world.now);
        prop_assert_eq!(&settled, &world.state);
        // Each container's end is told once, with how it ended.
        let mut ends = vec![0; case.spec.parts.len()];
        for report in &world.reports {
            let parts = match report {
                Report::Task(change) => change.parts.clone(),
                Report::Container(change) => vec![change.clone()],
                Report::Digests(_) => continue,
            };
            for part in parts.iter().filter(|part| part.status == Status::Stopped) {
                ends[part.part] += 1;
                prop_assert_eq!(part.exit_code, world.state.parts[part.part].exit_code);
            }
        }
        prop_assert!(ends.iter().all(|&times| times == 1), "{ends:?} {:?}", world.reports);
        // A digest is told by the time the task runs, and before it where that takes long.
        let whole = world.state.parts.iter().zip(&world.told.digests);
        for (seen, told) in whole {
            prop_assert_eq!(seen.resolved_at.is_some(), *told, "{:?}", world.reports);
        }
    }

    #[test]
    fn a_state_survives_the_journal(case in case()) {
        let mut world = world(&case);
        world.run();
        let text = serde_json::to_string(&world.state).unwrap();
        let mut back: TaskState = serde_json::from_str(&text).unwrap();
        let mut kept = world.state.clone();
        kept.forget_doing();
        back.forget_doing();
        prop_assert_eq!(back, kept);
    }
}

fn simple(part: Part, nature: Nature) -> Case {
    let spec = TaskSpec { parts: vec![part], needs: Needs::default() };
    Case { spec, natures: vec![nature], stop_at: None, crash_every: None }
}

const CALM: Nature = Nature {
    fails_at: None,
    step_takes: 5,
    runs: None,
    exit_code: 0,
    obeys: true,
    healthy_after: 0,
};

#[test]
fn a_task_that_says_hello_was_running() {
    let nature = Nature { runs: Some(1), ..CALM };
    let case = simple(Part { name: "c".into(), ..Part::default() }, nature);
    let mut world = world(&case);
    world.run();
    let statuses: Vec<Status> = world
        .reports
        .iter()
        .map(|report| match report {
            Report::Task(change) => change.status,
            Report::Container(_) | Report::Digests(_) => Status::Pending,
        })
        .collect();
    assert_eq!(statuses, [Status::Running, Status::Stopped]);
}

#[test]
fn a_container_that_ignores_sigterm_is_killed_after_its_timeout() {
    let part = Part { stop_timeout: Duration::from_secs(7), ..Part::default() };
    let mut case = simple(part, Nature { obeys: false, ..CALM });
    case.stop_at = Some(1000);
    let mut world = world(&case);
    world.run();
    let seen = &world.state.parts[0];
    assert_eq!(seen.exit_code, Some(137));
    assert_eq!((seen.term_at, seen.kill_at), (Some(Time(1000)), Some(Time(8000))));
}

#[test]
fn a_restart_keeps_the_task_running_until_it_ends_too_early() {
    let restart =
        Restart { ignored_exit_codes: vec![0], attempt_period: Duration::from_millis(500) };
    let part = Part { restart: Some(restart), ..Part::default() };
    let mut case = simple(part, Nature { runs: Some(600), exit_code: 1, ..CALM });
    case.stop_at = Some(5000);
    let mut world = world(&case);
    world.run();
    assert!(world.state.parts[0].run >= 5, "{:?}", world.state);
    assert_eq!(world.reports.len(), 2);

    let mut early = case.clone();
    early.natures[0].runs = Some(100);
    let mut world = self::world(&early);
    world.run();
    assert_eq!((world.state.parts[0].run, world.state.parts[0].exit_code), (0, Some(1)));
}

#[test]
fn a_failed_dependency_stops_who_waits_for_it() {
    let mut case = simple(Part { essential: false, name: "init".into(), ..Part::default() }, CALM);
    case.natures = vec![Nature { runs: Some(5), exit_code: 3, ..CALM }, CALM];
    let depends_on = vec![Dependency { on: 0, condition: Condition::Success }];
    case.spec.parts.push(Part { name: "app".into(), depends_on, ..Part::default() });
    let mut world = world(&case);
    world.run();
    let app = &world.state.parts[1];
    assert_eq!(app.exit_code, Some(143));
    assert_eq!(
        app.reason.as_deref(),
        Some(
            "CannotStartContainerError: dependency graph: failed to resolve container ordering \
             dependency [init] for target [app] as dependency did not exit successfully."
        )
    );
    assert_eq!(world.told.task, Status::Stopped);
}
