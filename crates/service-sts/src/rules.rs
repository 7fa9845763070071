//! What may be handed to a session, and how long it may last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_protocol::ApiError;
use core_policy::{Policy, PolicyKind};
use core_state::State;
use core_step::{Call, Demand, Principal, View};
use core_types::{AccountId, Time};
use model_sts::{self as api, errors};
use service_iam::ops::{self, Given};

/// AWS: policies and policy ARNs, each checked before anything is made.
pub fn given_policies(
    state: &State,
    account: AccountId,
    policy: Option<&str>,
    arns: Option<&[api::PolicyDescriptorType]>,
) -> Result<Given, ApiError> {
    let malformed = errors::malformed_policy_document_exception;
    if let Some(text) = policy {
        Policy::parse(text, PolicyKind::Session).map_err(|error| malformed(error.message))?;
    }
    let mut given = Given::default();
    given.policies.extend(policy.map(Into::into));
    // AWS: ten managed policies at most.
    if arns.is_some_and(|arns| arns.len() > 10) {
        return Err(ApiError::validation(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: \
             Member must have length less than or equal to 10",
        ));
    }
    for descriptor in arns.unwrap_or_default() {
        let arn = descriptor.arn.as_deref().unwrap_or_default();
        if !ops::is_managed_policy(state, account, arn) {
            return Err(malformed(format!("The requested policy {arn} does not exist.")));
        }
        given.policy_arns.push(arn.into());
    }
    Ok(given)
}

/// Session tags by key.
pub fn given_tags(tags: Option<&[api::Tag]>) -> Result<BTreeMap<Arc<str>, Arc<str>>, ApiError> {
    let mut map: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for (key, value) in pairs(tags) {
        // AWS: keys keep their case but are the same without regard to it.
        if map.keys().any(|there| there.eq_ignore_ascii_case(key)) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ApiError::new("InvalidParameterValue", 400, text));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            let text = "Tag keys that start with 'aws:' are reserved for system use.";
            return Err(ApiError::validation(text));
        }
        map.insert(key.into(), value.into());
    }
    Ok(map)
}

pub fn pairs(tags: Option<&[api::Tag]>) -> impl Iterator<Item = (&str, &str)> {
    tags.unwrap_or_default()
        .iter()
        .map(|tag| (tag.key.as_deref().unwrap_or(""), tag.value.as_deref().unwrap_or("")))
}

/// AWS's refusal of more policies and tags than a token holds.
pub fn check_packed(given: &Given) -> Result<Option<i32>, ApiError> {
    let percent = given.packed_percent();
    if percent > 100 {
        return Err(errors::packed_policy_too_large_exception(format!(
            "Packed size of session tags consumes {percent}% of allotted space."
        )));
    }
    // AWS: the member is there only when something was packed.
    Ok(i32::try_from(percent).ok().filter(|percent| *percent > 0))
}

/// The MFA device and code of a call: absent, right, or refused.
pub fn check_mfa(
    view: &View<'_>,
    call: &Call,
    serial: Option<&str>,
    code: Option<&str>,
) -> Result<bool, ApiError> {
    let refused = |text: &str| Err(ApiError::access_denied(text));
    let (serial, code) = match (serial, code) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        (Some(_), None) => {
            return refused("MultiFactorAuthentication failed, must provide MFA Code.");
        }
        (None, Some(_)) => {
            return refused(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
            );
        }
    };
    let user = match &call.caller.principal {
        Principal::User { name } => &**name,
        Principal::Root => "",
        _ => return refused("MultiFactorAuthentication failed, unable to validate MFA code."),
    };
    match ops::is_mfa_code(view, call.account(), user, serial, code) {
        true => Ok(true),
        false => refused("MultiFactorAuthentication failed with invalid MFA one time pass code. "),
    }
}

pub fn expiry(now: Time, seconds: i32) -> Time {
    // Whole seconds, as they are shown.
    Time(now.seconds() * 1000) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// AWS: STS asks for `sts:TagSession` where session tags are given, with the same conditions.
pub fn with_action(demand: &Demand, action: &'static str) -> Demand {
    Demand { action, ..demand.clone() }
}
