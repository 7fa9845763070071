//! A core with IAM (and STS) in it, spoken to in the bytes of the wire with real credentials: what a
//! caller may do is decided by the policies in the state.
//!
//! Each call is followed by the invariants, so a test that ends well also left a sound state.

#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use aws_protocol::{ApiError, Protocol};
use core_step::*;
use core_types::{AccountId, Time};
use serde_json::Value;

pub const ACCOUNT: &str = "123456789012";
pub const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Code and text of an error.
pub type Refusal = (String, String);

/// What signs a call: an access key, and a token where it is a temporary one.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

pub struct World {
    pub core: Core,
    pub now: Time,
    steps: u64,
}

impl World {
    pub fn of(slices: &'static [&'static Slice]) -> World {
        let registry = Registry::new(slices, Box::new(service_iam::IamIdentity));
        let state = registry.empty_state();
        let core = Core::new(registry, state, OnPanic::Abort);
        let now = Time(1_700_000_000_000);
        let mut world = World { core, now, steps: 0 };
        world.open(ACCOUNT, "AKIAROOT");
        world
    }

    /// Open an account with this root key.
    pub fn open(&mut self, account: &str, key: &str) -> Key {
        let account: AccountId = account.parse().unwrap();
        let (access_key_id, secret) = (key.to_owned(), "secret".to_owned());
        let report = service_iam::reports::EnsureRoot { account, access_key_id, secret };
        self.step(vec![Event::Report(Box::new(report))]);
        Key { id: key.to_owned(), secret: "secret".to_owned(), token: None }
    }

    pub fn root(&self) -> Key {
        Key { id: "AKIAROOT".to_owned(), secret: "secret".to_owned(), token: None }
    }

    pub fn caller(&self, key: &Key) -> Result<Arc<Caller>, CredentialError> {
        let view = View::new(self.core.state(), self.now);
        let identity = self.core.registry().identity();
        let found = identity.credentials(&view, &key.id, key.token.as_deref())?;
        assert_eq!(*found.secret, *key.secret, "the secret behind {}", key.id);
        Ok(found.caller)
    }

    pub fn try_as(&mut self, key: &Key, operation: &str, input: Value) -> Result<Value, Refusal> {
        let caller =
            self.caller(key).unwrap_or_else(|e| panic!("{operation} by {}: {e:?}", key.id));
        self.try_by(caller, operation, input)
    }

    /// With no signature.
    pub fn try_unsigned(&mut self, operation: &str, input: Value) -> Result<Value, Refusal> {
        self.try_by(Arc::new(Caller::anonymous()), operation, input)
    }

    fn try_by(
        &mut self,
        caller: Arc<Caller>,
        operation: &str,
        input: Value,
    ) -> Result<Value, Refusal> {
        let registry = self.core.registry();
        let mut services = ["iam", "sts", "ssm"].into_iter();
        let action = services.find_map(|service| registry.action(service, operation));
        let action = action.unwrap_or_else(|| panic!("{operation} is not offered"));
        let (parts, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let body = serde_json::to_vec(&input).unwrap().into();
        let input = action.op.decode(Protocol::AwsJson11, &parts, &body).map_err(told)?;
        let origin = Origin {
            source_ip: Some([10, 0, 0, 1].into()),
            user_agent: "test".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            secure: false,
        };
        let region = "eu-west-1".parse().unwrap();
        let call = Call { caller, region, request_id: "r".into(), origin: Arc::new(origin) };
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

    pub fn call_as(&mut self, key: &Key, operation: &str, input: Value) -> Value {
        self.try_as(key, operation, input).unwrap_or_else(|e| panic!("{operation}: {e:?}"))
    }

    pub fn refusal_as(&mut self, key: &Key, operation: &str, input: Value) -> Refusal {
        self.try_as(key, operation, input).expect_err(operation)
    }

    pub fn call(&mut self, operation: &str, input: Value) -> Value {
        self.call_as(&self.root(), operation, input)
    }

    pub fn refusal(&mut self, operation: &str, input: Value) -> Refusal {
        self.refusal_as(&self.root(), operation, input)
    }

    /// A user with a key, and with a policy of these statements.
    pub fn user(&mut self, name: &str, statements: Value) -> Key {
        self.call("CreateUser", serde_json::json!({"UserName": name}));
        if statements.as_array().is_some_and(|statements| !statements.is_empty()) {
            let document = document(statements);
            self.call(
                "PutUserPolicy",
                serde_json::json!({
                    "UserName": name, "PolicyName": "own", "PolicyDocument": document,
                }),
            );
        }
        let key = self.call("CreateAccessKey", serde_json::json!({"UserName": name}));
        let key = &key["AccessKey"];
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Key { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: None }
    }

    /// A role that trusts by these statements.
    pub fn role(&mut self, name: &str, trust: Value) -> String {
        let document = document(trust);
        let role = self.call(
            "CreateRole",
            serde_json::json!({"RoleName": name, "AssumeRolePolicyDocument": document}),
        );
        role["Role"]["Arn"].as_str().unwrap().to_owned()
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.step(vec![]);
    }

    fn step(&mut self, events: Vec<Event>) -> Step {
        self.steps += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.steps.to_le_bytes());
        let step = self.core.step(self.now, seed, events);
        assert!(step.faults.is_empty(), "{:?}", step.faults);
        let wrong = self.core.registry().check(self.core.state());
        assert!(wrong.is_empty(), "{wrong:?}");
        step
    }

    /// The world after a restart: only what was stored is left.
    pub fn restarted(mut self) -> World {
        let registry = self.core.registry().clone();
        let mut state = registry.empty_state();
        self.core.state().encode_all(&mut |row| {
            let value = row.value.as_deref();
            state.load(row.table, row.version, &row.key, value).unwrap();
        });
        self.core = Core::new(registry, state, OnPanic::Abort);
        self.step(vec![]);
        self
    }
}

pub fn document(statements: Value) -> String {
    serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// The credentials in an answer of STS.
pub fn session(answer: &Value) -> Key {
    let given = &answer["Credentials"];
    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    Key {
        id: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
        token: Some(text("SessionToken")),
    }
}

fn told(error: ApiError) -> Refusal {
    (error.code.to_string(), error.message)
}

pub fn refused(code: &str, text: &str) -> Refusal {
    (code.to_owned(), text.to_owned())
}
