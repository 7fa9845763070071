//! Actions: one AWS operation is one unit type that implements one of three traits.
//!
//! Every trait forces an `authorize`, so an action that declares no permission does not compile.

use std::any::Any;
use std::ops::Deref;

use aws_protocol::{AnyShape, ApiError, Operation, OperationDef};
use core_state::{State, Tx};
use core_types::Time;

use crate::call::{Call, Demands};

/// State for readers: a revision that does not change under them, and the time of the call.
#[derive(Clone, Copy)]
pub struct View<'a> {
    state: &'a State,
    now: Time,
}

impl<'a> View<'a> {
    pub fn new(state: &'a State, now: Time) -> Self {
        View { state, now }
    }

    pub fn now(&self) -> Time {
        self.now
    }

    pub fn state(&self) -> &'a State {
        self.state
    }
}

impl Deref for View<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.state
    }
}

/// An action that changes nothing; runs on a published revision, off the core thread.
pub trait ReadAction: 'static {
    type Op: Operation;

    /// The permissions needed; must not fail on bad input, which `run` reports.
    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands;

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError>;
}

/// An action that writes rows; runs inside `step`. An error rolls all its writes back.
pub trait WriteAction: 'static {
    type Op: Operation;

    /// The permissions needed; must not fail on bad input, which `run` reports.
    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands;

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError>;
}

/// An action on users' bytes (log lines, objects, samples), which never go through core.
///
/// Purely it only looks at a published revision and says what is to be done; a handler of a
/// `data-*` crate, which the binary binds to the action, does it. A handler that must also change
/// rows asks core for a write.
pub trait DataAction: 'static {
    type Op: Operation;
    /// What is to be done: names resolved to ids, input judged, defaults filled in.
    type Job: Send + 'static;

    /// The permissions needed; must not fail on bad input, which `prepare` reports.
    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands;

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>)
    -> Result<Self::Job, ApiError>;
}

/// A [`DataAction::Job`], its type erased.
pub type Job = Box<dyn Any + Send>;

pub type Input<O> = <O as Operation>::Input;
pub type Output<O> = <O as Operation>::Output;

type AnyReply = Result<Box<dyn AnyShape>, ApiError>;

type Prepare = fn(&Call, &View<'_>, Box<dyn AnyShape>) -> Result<Job, ApiError>;

/// How an action runs, its types erased.
#[derive(Clone, Copy)]
pub enum Run {
    Read(fn(&Call, &View<'_>, Box<dyn AnyShape>) -> AnyReply),
    Write(fn(&Call, &mut Tx<'_>, Box<dyn AnyShape>) -> AnyReply),
    Data(Prepare),
}

/// One entry of a slice's list of actions.
#[derive(Clone, Copy)]
pub struct Action {
    pub op: &'static OperationDef,
    pub authorize: fn(&Call, &View<'_>, &dyn AnyShape) -> Demands,
    pub run: Run,
}

fn typed<T: 'static>(input: Box<dyn AnyShape>) -> T {
    let input: Box<dyn std::any::Any> = input;
    *input.downcast().expect("the gateway decodes the input of the action's own operation")
}

fn typed_ref<T: 'static>(input: &dyn AnyShape) -> &T {
    let input: &dyn std::any::Any = input;
    input.downcast_ref().expect("the gateway decodes the input of the action's own operation")
}

pub const fn read_action<A: ReadAction>() -> Action {
    Action {
        op: <A::Op as Operation>::DEF,
        authorize: |call, view, input| A::authorize(call, view, typed_ref(input)),
        run: Run::Read(|call, view, input| {
            A::run(call, view, typed(input)).map(|output| Box::new(output) as Box<dyn AnyShape>)
        }),
    }
}

pub const fn write_action<A: WriteAction>() -> Action {
    Action {
        op: <A::Op as Operation>::DEF,
        authorize: |call, view, input| A::authorize(call, view, typed_ref(input)),
        run: Run::Write(|call, tx, input| {
            A::run(call, tx, typed(input)).map(|output| Box::new(output) as Box<dyn AnyShape>)
        }),
    }
}

pub const fn data_action<A: DataAction>() -> Action {
    Action {
        op: <A::Op as Operation>::DEF,
        authorize: |call, view, input| A::authorize(call, view, typed_ref(input)),
        run: Run::Data(|call, view, input| {
            A::prepare(call, view, typed(input)).map(|job| Box::new(job) as Job)
        }),
    }
}
