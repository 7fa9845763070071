//! Lifecycle hooks of deployments: which rows ask for a webhook's call, and where its answer goes.

use std::sync::Arc;

use bytes::Bytes;
use core_state::{Change, State};
use plane_engine::{Engine, Refusal};
use plane_hooks::{Call, CallError, Caller, Future, Patience, Targets, World};
use service_ecs::feeds::hooks::{self, HookCall};
use service_ecs::reports::{Answer, HookCalled};
use service_ecs::rows::service::ServiceKey;

use crate::settings::HookArguments;

/// The deployment, the hook, and the number of the call.
type Key = ((ServiceKey, Arc<str>), Arc<str>, u32);

struct Hooks;

impl World for Hooks {
    type Key = Key;

    fn is_concerned(&self, changes: &[Change]) -> bool {
        changes.iter().any(hooks::is_concerned)
    }

    fn due(&self, state: &State, each: &mut dyn FnMut(Call<Key>)) {
        hooks::due(state, &mut |call| {
            let HookCall { deployment, hook, number, url, body } = call;
            each(Call { key: (deployment, hook.clone(), number), hook, url, body });
        });
    }

    fn tell<'a>(
        &'a self,
        engine: &'a Engine,
        (deployment, hook, number): Key,
        answer: &'a Result<Bytes, CallError>,
    ) -> Future<'a, Result<(), Refusal>> {
        let answer = match answer {
            Ok(body) => Answer::Told(body.to_vec()),
            Err(error) if error.passes() => Answer::Unreached(error.to_string()),
            Err(error) => Answer::Refused(error.to_string()),
        };
        Box::pin(async move {
            let report = HookCalled { deployment, hook, number, answer };
            engine.report(Box::new(report)).await.map(drop)
        })
    }
}

/// Call them for as long as the server runs.
pub fn start(engine: &Engine, arguments: &HookArguments) {
    let targets = Targets { allowed: arguments.hook_allow.clone() };
    let caller = Arc::new(Caller::new(targets, Patience::default()));
    tokio::spawn(plane_hooks::run(Arc::new(Hooks), engine.clone(), caller));
}
