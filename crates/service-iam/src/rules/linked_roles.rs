//! Service-linked roles that Wharf's services have on AWS, with AWS's names and policies.

use aws_protocol::ApiError;
use core_state::Tx;
use core_types::AccountId;
use model_iam::errors;

use super::{builtin, entities, policies};
use crate::rows::entity::{Held, key_of};
use crate::rows::role::Role;

/// Service, role name, attached policy.
const KNOWN: &[(&str, &str, &str)] = &[
    ("ecs.amazonaws.com", "AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy"),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
    ),
    (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
    ),
];

/// AWS: of these services the auto scaling one alone takes a suffix.
const SUFFIXED: &str = "autoscaling.amazonaws.com";

pub fn path(service: &str) -> String {
    format!("/aws-service-role/{service}/")
}

pub fn name(service: &str, suffix: Option<&str>) -> Option<String> {
    let (_, name, _) = KNOWN.iter().find(|(known, ..)| *known == service)?;
    Some(match suffix {
        Some(suffix) => format!("{name}_{suffix}"),
        None => (*name).to_owned(),
    })
}

/// A new service-linked role, not yet put.
pub fn make(
    tx: &mut Tx<'_>,
    account: AccountId,
    service: &str,
    suffix: Option<&str>,
    description: Option<&str>,
) -> Result<Role, ApiError> {
    let Some(name) = name(service, suffix) else {
        return Err(errors::invalid_input_exception(format!(
            "Service-linked role cannot be created for service {service}"
        )));
    };
    if suffix.is_some() && service != SUFFIXED {
        let text = format!("Custom suffix is not allowed for {service}");
        return Err(errors::invalid_input_exception(text));
    }
    if tx.get::<Role>(&key_of(account, &name)).is_some() {
        return Err(errors::invalid_input_exception(format!(
            "Service role name {name} has been taken in this account, please try a different \
             suffix."
        )));
    }
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{{"Service":["{service}"]}}}}]}}"#
    );
    let trust = policies::parse_trust(tx, &trust)?;
    let policy = KNOWN.iter().find(|(known, ..)| *known == service).map(|(.., policy)| policy);
    let arn = policy.map(|policy| format!("{}aws-service-role/{policy}", builtin::PREFIX));
    let now = tx.now();
    let head = entities::head(tx.dice, now, account, "AROA", &name, Some(&path(service)));
    Ok(Role {
        head,
        held: Held {
            attached: arn.iter().map(|arn| arn.as_str().into()).collect(),
            ..Held::default()
        },
        trust,
        description: description.map(Into::into),
        max_session: 3600,
        boundary: None,
        tags: Default::default(),
        linked_to: Some(service.into()),
        last_used: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_a_linked_role_is_built_in() {
        for (service, _, policy) in KNOWN {
            let arn = format!("{}aws-service-role/{policy}", builtin::PREFIX);
            assert!(builtin::find(&arn).is_some(), "{service}: {arn}");
        }
    }
}
