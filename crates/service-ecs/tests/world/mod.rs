//! A core with the ECS slice in it, spoken to in the bytes of the wire; every caller may do all.
//!
//! Each call is followed by the invariants, so a test that ends well also left a sound state.

// Each test binary uses a part of this; a helper that fails is a test that fails.
#![allow(dead_code, clippy::unwrap_used)]

pub mod fleet;
pub mod managed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_protocol::{ApiError, Protocol};
use core_state::State;
use core_step::*;
use core_types::{AccountId, Time};
use serde_json::Value;

pub struct World {
    pub core: Core,
    pub now: Time,
    pub caller: Caller,
    demands: Arc<Mutex<Vec<Demand>>>,
    steps: u8,
    /// Looks at every step: the state before and after it, and its time.
    pub auditor: Option<fn(&State, &State, Time)>,
}

/// Lets everything pass, and remembers what was asked.
struct Permissive(Arc<Mutex<Vec<Demand>>>);

impl Identity for Permissive {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, demands: &[Demand]) -> Result<(), ApiError> {
        *self.0.lock().unwrap() = demands.to_vec();
        Ok(())
    }
}

/// Code and text of an error.
pub type Refusal = (String, String);

impl World {
    pub fn new() -> World {
        static SLICES: &[&Slice] =
            &[&service_iam::SLICE, &service_ec2::SLICE, &service_ssm::SLICE, &service_ecs::SLICE];
        let demands = Arc::new(Mutex::new(Vec::new()));
        let registry = Registry::new(SLICES, Box::new(Permissive(demands.clone())));
        let state = registry.empty_state();
        let caller = Caller {
            account: AccountId::new(123_456_789_012).unwrap(),
            arn: "arn:aws:iam::123456789012:user/ada".into(),
            user_id: "AIDA".into(),
            principal: Principal::User { name: "ada".into() },
            access_key_id: "AKIA".into(),
            session_policies: vec![],
            session_policy_arns: vec![],
            session_tags: Default::default(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            mfa: false,
            issued_at: None,
        };
        let core = Core::new(registry, state, OnPanic::Abort);
        World { core, now: Time(1_700_000_000_000), caller, demands, steps: 0, auditor: None }
    }

    pub fn by_root(mut self) -> World {
        self.caller.arn = "arn:aws:iam::123456789012:root".into();
        self.caller.principal = Principal::Root;
        self
    }

    pub fn try_call(&mut self, operation: &str, input: Value) -> Result<Value, Refusal> {
        let registry = self.core.registry();
        let action = registry.action("ecs", operation).or(registry.action("iam", operation));
        let action = action.expect(operation);
        let (parts, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let body = serde_json::to_vec(&input).unwrap().into();
        let input = action.op.decode(Protocol::AwsJson11, &parts, &body).map_err(told)?;
        let origin = Origin {
            source_ip: None,
            user_agent: String::new(),
            endpoint: "http://127.0.0.1:4566".into(),
            secure: false,
        };
        let call = Call {
            caller: Arc::new(self.caller.clone()),
            region: "us-east-1".parse().unwrap(),
            request_id: "r".into(),
            origin: Arc::new(origin),
        };
        let mut step = self.step(vec![Event::Call { call: Arc::new(call), action, input }]);
        match step.replies.remove(0) {
            Handled::Call(Ok(output)) => {
                let reply = action.op.encode(Protocol::AwsJson11, &*output, "r");
                Ok(serde_json::from_slice(reply.body()).unwrap())
            }
            Handled::Call(Err(error)) => Err(told(error)),
            _ => unreachable!("a call is answered as a call"),
        }
    }

    pub fn call(&mut self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input).unwrap_or_else(|e| panic!("{operation}: {e:?}"))
    }

    /// A role that this service may assume.
    pub fn role(&mut self, name: &str, service: &str) -> String {
        let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
        let input = serde_json::json!({"RoleName": name, "Path": "/",
            "AssumeRolePolicyDocument": trust.to_string()});
        let made = self.call("CreateRole", input);
        made["Role"]["Arn"].as_str().unwrap().to_owned()
    }

    pub fn refusal(&mut self, operation: &str, input: Value) -> Refusal {
        self.try_call(operation, input).expect_err(operation)
    }

    /// What the last call asked permission for, as `action resource`.
    pub fn demanded(&self) -> Vec<String> {
        let demands = self.demands.lock().unwrap();
        demands.iter().map(|d| format!("{} {}", d.action, d.resource)).collect()
    }

    /// The condition keys of the last call's demands.
    pub fn conditions(&self) -> Vec<(String, Vec<String>)> {
        let demands = self.demands.lock().unwrap();
        demands.iter().flat_map(|d| d.context.clone()).map(|(k, v)| (k.into_owned(), v)).collect()
    }

    pub fn report(&mut self, report: impl Report + 'static) {
        self.step(vec![Event::Report(Box::new(report))]);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.step(vec![]);
    }

    fn step(&mut self, events: Vec<Event>) -> Step {
        self.steps = self.steps.wrapping_add(1);
        let before = self.core.state().clone();
        let step = self.core.step(self.now, [self.steps; 32], events);
        if let Some(audit) = self.auditor {
            audit(&before, self.core.state(), self.now);
        }
        assert_eq!(step.faults, Vec::<String>::new());
        assert_eq!(self.core.registry().check(self.core.state()), Vec::<String>::new());
        step
    }

    /// The state as it would come back from the journal is the same state.
    pub fn survives_a_restart(&mut self) {
        let mut again: State = self.core.registry().empty_state();
        let rows = |state: &State| {
            let mut rows = Vec::new();
            state.encode_all(&mut |row| rows.push(row));
            rows
        };
        let before = rows(self.core.state());
        for row in &before {
            again.load(row.table, row.version, &row.key, row.value.as_deref()).unwrap();
        }
        assert_eq!(rows(&again), before);
        let step = self.core.resync(self.now, [9; 32]);
        assert_eq!((step.changes.len(), step.faults), (0, vec![]));
    }
}

fn told(error: ApiError) -> Refusal {
    (error.code_in(Protocol::AwsJson11).to_owned(), error.message)
}

/// The last part of each ARN in a list.
pub fn ends(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list of ARNs");
    list.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

/// Tells this slice something as a neighbour would.
pub struct Told<F>(pub F);

impl<F: FnOnce(&mut core_state::Tx<'_>) + Send> core_step::Report for Told<F> {
    fn apply(self: Box<Self>, tx: &mut core_state::Tx<'_>) -> Box<dyn std::any::Any + Send> {
        (self.0)(tx);
        Box::new(())
    }
}
