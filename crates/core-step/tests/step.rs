//! The step, shown on a slice of counters: rollback, panics, settling, deadlines, resync audit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_protocol::{AnyShape, ApiError};
use core_state::{Change, Row, SchemaBuilder, State, Tx};
use core_step::*;
use core_types::{AccountId, Time};
use model_ecs as api;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    name: String,
    desired: u32,
    observed: u32,
    wake_at: Option<Time>,
}

impl Row for Counter {
    type Key = String;
    const TABLE: &'static str = "counters";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }
}

fn counter(name: &str, desired: u32) -> Counter {
    Counter { name: name.into(), desired, observed: 0, wake_at: None }
}

/// Writes a counter named by `clusterName`; some names make trouble.
struct Create;

impl WriteAction for Create {
    type Op = api::ops::CreateCluster;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        Demand::on("ecs:CreateCluster", input.cluster_name.clone().unwrap_or_default()).into()
    }

    fn run(
        _: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.cluster_name.unwrap_or_default();
        tx.put(counter(&name, 3));
        match name.as_str() {
            "fails" => Err(ApiError::new("Broken", 400, "as asked")),
            "panics" => panic!("as asked"),
            _ => Ok(api::CreateClusterResponse::default()),
        }
    }
}

/// Raises `observed` to `desired`, one at a time; `restless` ones never arrive.
struct Count;

impl Loop for Count {
    type Key = String;
    const NAME: &'static str = "count";

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(String)) {
        if let Some(counter) = change.row::<Counter>() {
            add(counter.name.clone());
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &String) {
        let now = tx.now();
        let Some(row) = tx.get::<Counter>(key).cloned() else { return };
        assert!(row.name != "loop-panics", "as asked");
        tx.edit::<Counter>(key, |counter| {
            if counter.wake_at.is_some_and(|at| at <= now) {
                (counter.wake_at, counter.desired) = (None, counter.desired + 1);
            }
            if counter.observed < counter.desired || row.name == "restless" {
                counter.observed += 1;
            }
        });
    }
}

/// Marks what it sees, but only looks at counters that exceed ten: it misses wake-ups below.
struct Forgetful;

impl Loop for Forgetful {
    type Key = String;
    const NAME: &'static str = "forgetful";

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(String)) {
        let untouched = change.of::<Counter>().is_some_and(|(before, after)| before == after);
        if let Some(row) = change.row::<Counter>().filter(|_| untouched) {
            add(row.name.clone());
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &String) {
        if key == "forgotten" {
            tx.edit::<Counter>(key, |counter| counter.desired = 99);
        }
    }
}

static SLICE: Slice = Slice {
    service: &api::SERVICE,
    actions: &[write_action::<Create>()],
    loops: &[loop_def::<Count>(), loop_def::<Forgetful>()],
    tables: |schema: &mut SchemaBuilder| {
        schema.table::<Counter>();
    },
    invariants: &[],
};

struct Gate;

impl Identity for Gate {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, demands: &[Demand]) -> Result<(), ApiError> {
        match demands.iter().any(|d| d.resource == "denied") {
            true => Err(ApiError::access_denied("no")),
            false => Ok(()),
        }
    }
}

fn core(on_panic: OnPanic) -> Core {
    static SLICES: &[&Slice] = &[&SLICE];
    let registry = Registry::new(SLICES, Box::new(Gate));
    let state = registry.empty_state();
    Core::new(registry, state, on_panic)
}

fn create(name: &str) -> Event {
    let caller = Caller {
        account: AccountId::new(1).unwrap(),
        arn: "arn".into(),
        user_id: "1".into(),
        principal: Principal::Root,
        access_key_id: "AK".into(),
        session_policies: vec![],
        session_policy_arns: vec![],
        session_tags: BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        mfa: false,
        issued_at: None,
    };
    let origin = Origin {
        source_ip: None,
        user_agent: String::new(),
        endpoint: "http://localhost".into(),
        secure: false,
    };
    let call = Call {
        caller: Arc::new(caller),
        region: "us-east-1".parse().unwrap(),
        request_id: "r".into(),
        origin: Arc::new(origin),
    };
    let input = api::CreateClusterRequest { cluster_name: Some(name.into()), ..Default::default() };
    let input: Box<dyn AnyShape> = Box::new(input);
    Event::Call { call: Arc::new(call), action: &SLICE.actions[0], input }
}

struct Put(Counter);

impl Report for Put {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        tx.put(self.0);
        Box::new(())
    }
}

fn code(reply: &Reply) -> String {
    match reply {
        Handled::Call(Ok(_)) | Handled::Report(_) => "ok".into(),
        Handled::Call(Err(error)) => error.code.to_string(),
        Handled::ReportFailed => "failed".into(),
    }
}

fn names(core: &Core) -> Vec<(String, u32)> {
    core.state().all::<Counter>().map(|c| (c.name.clone(), c.observed)).collect()
}

#[test]
fn each_event_stands_alone_and_loops_settle_over_the_batch() {
    let mut core = core(OnPanic::Answer);
    let events = ["a", "fails", "denied", "panics", "b"].map(create);
    let step = core.step(Time(0), [0; 32], events.into());
    let codes: Vec<_> = step.replies.iter().map(code).collect();
    assert_eq!(codes, ["ok", "Broken", "AccessDenied", "InternalFailure", "ok"]);
    assert_eq!(names(&core), [("a".into(), 3), ("b".into(), 3)]);
    assert_eq!(core.state().rev(), 1);
    assert_eq!(step.faults.len(), 1, "{:?}", step.faults);
    assert_eq!(core.state().audit(), Vec::<String>::new());
    let quiet = core.step(Time(1), [0; 32], vec![]);
    assert!(quiet.changes.is_empty() && quiet.wake_at.is_none());
    assert_eq!(core.state().rev(), 1);
}

#[test]
#[should_panic(expected = "as asked")]
fn in_simulation_a_panic_ends_the_run() {
    core(OnPanic::Abort).step(Time(0), [0; 32], vec![create("panics")]);
}

#[test]
fn a_loop_that_never_settles_is_put_off_and_told() {
    let mut core = core(OnPanic::Answer);
    let step = core.step(Time(0), [0; 32], vec![create("restless"), create("calm")]);
    assert_eq!(step.wake_at, Some(Time(1000)));
    assert_eq!(names(&core)[0], ("calm".into(), 3));
    let step = core.step(Time(1000), [0; 32], vec![]);
    assert!(step.faults[0].contains("put off"), "{:?}", step.faults);
}

#[test]
fn a_loop_that_panics_leaves_no_trace_and_is_tried_again() {
    let mut core = core(OnPanic::Answer);
    let step = core.step(Time(0), [0; 32], vec![create("loop-panics"), create("calm")]);
    assert!(step.faults[0].contains("loop-panics"), "{:?}", step.faults);
    assert_eq!(names(&core), [("calm".into(), 3), ("loop-panics".into(), 0)]);
    assert!(step.wake_at.is_some());
}

#[test]
fn a_deadline_is_a_field_of_a_row() {
    let mut core = core(OnPanic::Abort);
    let row = Counter { wake_at: Some(Time(500)), ..counter("slow", 0) };
    let step = core.step(Time(0), [0; 32], vec![Event::Report(Box::new(Put(row)))]);
    assert_eq!(step.wake_at, Some(Time(500)));
    assert_eq!(names(&core), [("slow".into(), 0)]);
    let step = core.step(Time(500), [0; 32], vec![]);
    assert_eq!(step.wake_at, None);
    assert_eq!(names(&core), [("slow".into(), 1)]);
}

#[test]
fn the_resync_audit_finds_and_heals_a_missed_wake_up() {
    let mut core = core(OnPanic::Abort);
    core.step(Time(0), [0; 32], vec![create("calm")]);
    let step = core.resync(Time(1), [0; 32]);
    assert!(step.faults.is_empty() && step.changes.is_empty());
    core.step(Time(2), [0; 32], vec![create("forgotten")]);
    let step = core.resync(Time(3), [0; 32]);
    assert!(step.faults[0].contains("forgotten"), "{:?}", step.faults);
    // Thirty-two runs a step: the rest follows by itself.
    let mut now = Time(3);
    while let Some(at) = core.step(now, [0; 32], vec![]).wake_at {
        now = at;
    }
    assert_eq!(names(&core)[1], ("forgotten".into(), 99));
    assert!(core.resync(now + Duration::from_secs(1), [0; 32]).faults.is_empty());
}

#[test]
fn the_same_seed_and_events_give_the_same_changes() {
    let run = || {
        let mut core = core(OnPanic::Abort);
        let step = core.step(Time(7), [9; 32], vec![create("a"), create("b")]);
        core.state().encode(&step.changes)
    };
    assert_eq!(run(), run());
}
