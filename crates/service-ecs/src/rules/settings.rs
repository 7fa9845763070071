//! Account settings: their names, values and defaults, and whose value holds for a caller.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Principal};
use core_types::{PARTITION, Scope};
use model_ecs::{self as api, errors};

use crate::rows::account_setting::AccountSetting;

/// What AWS knows of a setting.
pub struct Known {
    pub name: &'static str,
    pub default: &'static str,
    pub values: &'static [&'static str],
}

const SWITCH: &[&str] = &["enabled", "disabled"];

/// AWS's settings and their defaults, in the order in which AWS lists them.
pub const KNOWN: &[Known] = &[
    Known { name: "awsvpcTrunking", default: "disabled", values: SWITCH },
    Known {
        name: "containerInsights",
        default: "disabled",
        values: &["enabled", "disabled", "enhanced"],
    },
    Known { name: "containerInstanceLongArnFormat", default: "enabled", values: SWITCH },
    Known {
        name: "defaultLogDriverMode",
        default: "non-blocking",
        values: &["blocking", "non-blocking"],
    },
    Known { name: "fargateEventWindows", default: "disabled", values: SWITCH },
    Known { name: "fargateFIPSMode", default: "disabled", values: SWITCH },
    Known { name: "fargateTaskRetirementWaitPeriod", default: "7", values: &["0", "7", "14"] },
    // AWS: GuardDuty writes this one; users only read it.
    Known { name: "guardDutyActivate", default: "off", values: &[] },
    Known { name: "serviceLongArnFormat", default: "enabled", values: SWITCH },
    Known { name: "tagResourceAuthorization", default: "on", values: &["on", "off"] },
    Known { name: "taskLongArnFormat", default: "enabled", values: SWITCH },
];

pub fn find_known(name: &str) -> Result<&'static Known, ApiError> {
    KNOWN.iter().find(|known| known.name == name).ok_or_else(|| {
        let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
        errors::invalid_parameter_exception(format!(
            "{name} should be one of [{}]",
            names.join(",")
        ))
    })
}

pub fn check_value(known: &Known, value: &str) -> Result<(), ApiError> {
    if known.values.contains(&value) {
        return Ok(());
    }
    Err(errors::invalid_parameter_exception(match known.values.is_empty() {
        true => "The guardDutyActivate account setting is read-only.".to_owned(),
        false => "Invalid setting 'value'".to_owned(),
    }))
}

/// Who stands for the account's default.
pub fn root_arn(scope: Scope) -> String {
    format!("arn:{PARTITION}:iam::{}:root", scope.account)
}

/// The ARN under which a caller's own settings stand: a session's are its role's.
pub fn own_arn(call: &Call) -> String {
    let account = call.account();
    match &call.caller.principal {
        Principal::Root => root_arn(call.scope()),
        Principal::AssumedRole { role, .. } => {
            format!("arn:{PARTITION}:iam::{account}:role/{role}")
        }
        Principal::User { .. } | Principal::FederatedUser { .. } | Principal::Anonymous => {
            call.caller.arn.to_string()
        }
    }
}

/// Whose setting a call means. AWS: only the root may name another principal.
pub fn principal(call: &Call, given: Option<&str>) -> Result<String, ApiError> {
    let own = own_arn(call);
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(own) };
    let arn = core_types::Arn::parse(given).ok().filter(|arn| {
        let kinds = ["user", "role"];
        let known = arn.resource == "root" || kinds.iter().any(|k| arn.resource_of(k).is_some());
        arn.service == "iam" && known && arn.account.parse() == Ok(call.account())
    });
    if arn.is_none() {
        return Err(errors::invalid_parameter_exception("Invalid principalArn"));
    }
    if given != own && call.caller.principal != Principal::Root {
        return Err(errors::access_denied_exception(
            "You must be the root user to change the account settings of another principal.",
        ));
    }
    Ok(given.to_owned())
}

fn stored<'s>(state: &'s State, scope: Scope, whose: &str, name: &str) -> Option<&'s str> {
    let key = (scope, whose.into(), name.into());
    state.get::<AccountSetting>(&key).map(|row| &*row.value)
}

/// The value that holds for a principal: its own, else the account's, else AWS's.
pub fn effective<'s>(state: &'s State, scope: Scope, whose: &str, known: &Known) -> &'s str {
    stored(state, scope, whose, known.name)
        .or_else(|| stored(state, scope, &root_arn(scope), known.name))
        .unwrap_or(known.default)
}

/// The value that holds for a caller.
pub fn effective_for<'s>(state: &'s State, call: &Call, name: &str) -> &'s str {
    let known = KNOWN.iter().find(|known| known.name == name);
    let known = known.expect("the name is one of this file's list");
    effective(state, call.scope(), &own_arn(call), known)
}

/// The mode of log drivers for which no definition names one.
pub fn log_mode(state: &State, scope: Scope) -> &str {
    let known = KNOWN.iter().find(|known| known.name == "defaultLogDriverMode");
    effective(state, scope, &root_arn(scope), known.expect("the name is one of this file's list"))
}

pub fn shown(name: &str, value: &str, whose: &str) -> api::Setting {
    // AWS: what GuardDuty manages is told apart from what users set.
    let managed = name == "guardDutyActivate";
    api::Setting {
        name: Some(name.into()),
        value: Some(value.to_owned()),
        principal_arn: Some(whose.to_owned()),
        r#type: Some(if managed { api::SettingType::AWS_MANAGED } else { api::SettingType::USER }),
    }
}
