//! GetContextKeysForCustomPolicy and GetContextKeysForPrincipalPolicy.

use std::collections::BTreeMap;

use core_policy::Policy;

use crate::actions::prelude::*;
use crate::rules::simulation::{self, Source};

/// Each key once, whatever its case, in alphabetical order.
fn keys_of<'p>(policies: impl Iterator<Item = &'p Policy>) -> api::GetContextKeysForPolicyResponse {
    let mut keys = BTreeMap::new();
    for policy in policies {
        for key in policy.context_keys() {
            keys.entry(key.to_ascii_lowercase()).or_insert_with(|| key.to_owned());
        }
    }
    api::GetContextKeysForPolicyResponse { context_key_names: Some(keys.into_values().collect()) }
}

pub struct GetContextKeysForCustomPolicy;

impl ReadAction for GetContextKeysForCustomPolicy {
    type Op = api::ops::GetContextKeysForCustomPolicy;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GetContextKeysForCustomPolicy").into()
    }

    fn run(_: &Call, _: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let parsed = simulation::parse_all(input.policy_input_list.as_deref())?;
        Ok(keys_of(parsed.iter()))
    }
}

pub struct GetContextKeysForPrincipalPolicy;

impl ReadAction for GetContextKeysForPrincipalPolicy {
    type Op = api::ops::GetContextKeysForPrincipalPolicy;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.policy_source_arn);
        Demand::on("iam:GetContextKeysForPrincipalPolicy", arn).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let source = Source::find(view.state(), call, text(&input.policy_source_arn))?;
        let parsed = simulation::parse_all(input.policy_input_list.as_deref())?;
        let held = source.policies.iter().map(|one| one.policy);
        Ok(keys_of(held.chain(parsed.iter())))
    }
}
