//! The control plane: the real core, and a journal that may lose what was not synced.
//!
//! Nobody hears of a step before it is durable, as in the engine: replies wait for [`Plane::sync`],
//! and hosts are told from the durable state only.

use std::sync::Arc;

use aws_protocol::{ApiError, Protocol};
use core_state::State;
use core_step::{
    Call, Caller, Core, CredentialError, Credentials, Demand, Event, Handled, Identity, OnPanic,
    Origin, Principal, Registry, Report, Slice, View,
};
use core_types::{AccountId, Dice, Time};
use serde_json::Value;

use crate::workloads::{AUDITS, Step};
use crate::{Outcome, Violation, auditor, hold};

static SLICES: &[&Slice] =
    &[&service_iam::SLICE, &service_ec2::SLICE, &service_ssm::SLICE, &service_ecs::SLICE];

/// Everybody may do everything: who may do what is not this world's subject.
struct Permissive;

impl Identity for Permissive {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, _: &[Demand]) -> Result<(), ApiError> {
        Ok(())
    }
}

/// AWS's code and text of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub text: String,
}

pub type Answer = Result<Value, Refusal>;

pub struct Plane {
    registry: Arc<Registry>,
    core: Core,
    durable: State,
    call: Arc<Call>,
    dice: Dice,
    pub now: Time,
    pub wake_at: Option<Time>,
    pub steps: u64,
    /// Every so many steps everything derived is built anew and compared.
    pub check_every: u64,
}

fn call_of(account: AccountId) -> Call {
    let caller = Caller {
        arn: format!("arn:aws:iam::{account}:root").into(),
        account,
        principal: Principal::Root,
        ..Caller::anonymous()
    };
    let origin = Origin {
        source_ip: None,
        user_agent: "sim".to_owned(),
        endpoint: "http://127.0.0.1:4566".to_owned(),
        secure: false,
    };
    Call {
        caller: Arc::new(caller),
        region: "us-east-1".parse().expect("it is a region's name"),
        request_id: "sim".into(),
        origin: Arc::new(origin),
    }
}

impl Plane {
    pub fn new(seed: u64, now: Time) -> Plane {
        let registry = Registry::new(SLICES, Box::new(Permissive));
        let state = registry.empty_state();
        let core = Core::new(registry.clone(), state.clone(), OnPanic::Answer);
        let account = AccountId::new(123_456_789_012).expect("it has twelve digits");
        Plane {
            registry,
            core,
            durable: state,
            call: Arc::new(call_of(account)),
            dice: Dice::from_number(!seed),
            now,
            wake_at: None,
            steps: 0,
            check_every: 1,
        }
    }

    /// What everybody outside may know.
    pub fn view(&self) -> &State {
        &self.durable
    }

    /// How many steps there were, durable or not.
    pub fn rev(&self) -> u64 {
        self.core.state().rev()
    }

    /// An action's answer. It is not to be told before `sync`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Outcome<Answer> {
        let action = self.registry.action("ecs", operation).expect("an operation that is there");
        let (parts, ()) = http::Request::new(()).into_parts();
        let body = serde_json::to_vec(input).expect("JSON is plain data").into();
        let input = match action.op.decode(Protocol::AwsJson11, &parts, &body) {
            Ok(input) => input,
            Err(error) => return Ok(Err(refusal(error))),
        };
        let event = Event::Call { call: self.call.clone(), action, input };
        match self.step(vec![event])? {
            Some(Handled::Call(Ok(output))) => {
                let reply = action.op.encode(Protocol::AwsJson11, &*output, "sim");
                let value = serde_json::from_slice(reply.body());
                Ok(Ok(value.map_err(|error| Violation(format!("{operation}: {error}")))?))
            }
            Some(Handled::Call(Err(error))) => {
                hold!(error.status < 500, "{operation} failed: {}", error.message);
                Ok(Err(refusal(error)))
            }
            _ => Err(Violation(format!("{operation} was not answered"))),
        }
    }

    pub fn report(&mut self, report: impl Report + 'static) -> Outcome<()> {
        self.step(vec![Event::Report(Box::new(report))]).map(drop)
    }

    /// A step without an event: what is due.
    pub fn tick(&mut self) -> Outcome<()> {
        self.step(Vec::new()).map(drop)
    }

    fn step(&mut self, events: Vec<Event>) -> Outcome<Option<Handled>> {
        let before = self.core.state().clone();
        let mut step = self.core.step(self.now, self.dice.bytes(), events);
        self.steps += 1;
        self.wake_at = step.wake_at;
        hold!(step.faults.is_empty(), "{}", step.faults.join("; "));
        let after = self.core.state();
        auditor::audit(&before, after, &step.changes, self.now)?;
        let changes = &step.changes;
        let seen = Step { before: &before, after, changes, now: self.now };
        AUDITS.iter().try_for_each(|audit| audit(&seen))?;
        if self.steps.is_multiple_of(self.check_every) {
            self.check()?;
        }
        Ok(step.replies.pop())
    }

    /// Every invariant, and everything derived from rows.
    pub fn check(&self) -> Outcome<()> {
        let wrong = self.registry.check(self.core.state());
        hold!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    }

    /// What was stepped so far is durable.
    pub fn sync(&mut self) {
        self.durable = self.core.state().clone();
    }

    /// The process dies: what was not synced is lost, the rest is read back from its bytes.
    pub fn crash(&mut self) -> Outcome<()> {
        let mut state = self.registry.empty_state();
        let mut rows = Vec::new();
        self.durable.encode_all(&mut |row| rows.push(row));
        for row in rows {
            let loaded = state.load(row.table, row.version, &row.key, row.value.as_deref());
            loaded.map_err(|error| Violation(error.to_string()))?;
        }
        state.set_rev(self.durable.rev());
        self.core = Core::new(self.registry.clone(), state, OnPanic::Answer);
        self.report(service_ecs::reports::ConnectionsReset)?;
        self.sync();
        Ok(())
    }

    /// An append fails: the process stays, and goes back to what is durable.
    pub fn lose_append(&mut self) -> Outcome<()> {
        self.core.restore(self.durable.clone());
        self.tick()
    }

    /// All loops over all rows change nothing.
    pub fn resync(&mut self) -> Outcome<()> {
        self.tick()?;
        let step = self.core.resync(self.now, self.dice.bytes());
        hold!(step.faults.is_empty(), "{}", step.faults.join("; "));
        self.sync();
        self.check()
    }
}

fn refusal(error: ApiError) -> Refusal {
    Refusal { code: error.code_in(Protocol::AwsJson11).to_owned(), text: error.message }
}
