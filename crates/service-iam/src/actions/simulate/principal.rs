//! SimulatePrincipalPolicy: the policies of a user, group or role, and more from the request.

use core_policy::{PolicySet, Principal};

use crate::actions::prelude::*;
use crate::rules::builtin;
use crate::rules::simulation::{self, Scene, Source, Sourced};

pub struct SimulatePrincipalPolicy;

impl ReadAction for SimulatePrincipalPolicy {
    type Op = api::ops::SimulatePrincipalPolicy;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        Demand::on("iam:SimulatePrincipalPolicy", text(&input.policy_source_arn)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        simulation::refuse_scenarios(input.resource_handling_option.as_deref())?;
        let source = Source::find(view.state(), call, text(&input.policy_source_arn))?;
        let more = simulation::parse_all(input.policy_input_list.as_deref())?;
        let bounds =
            simulation::parse_all(input.permissions_boundary_policy_input_list.as_deref())?;
        let resource = simulation::resource_policy(input.resource_policy.as_deref())?;
        let excluded = input.policy_exclusion_list.as_deref().unwrap_or_default();
        let held = source.policies.iter().filter(|one| !excluded.iter().any(|e| names(e, one)));
        let held: Vec<_> = held.collect();
        let mut ids: Vec<_> = held.iter().map(|one| one.id.clone()).collect();
        ids.extend((1..=more.len()).map(|n| format!("PolicyInputList.{n}")));
        let identity: Vec<_> = held.iter().map(|one| one.policy).chain(more.iter()).collect();
        // AWS: a boundary in the request takes the place of the one that is attached.
        let boundary = match simulation::given_boundary(&bounds)? {
            Some(given) => Some(given),
            None if excluded.iter().any(is_boundary) => None,
            None => source.boundary,
        };
        let mut context = simulation::context(input.context_entries.as_deref());
        let account = call.account().to_string();
        let principal = match (&input.caller_arn, source.kind) {
            (Some(arn), _) => {
                let name = arn.rsplit('/').next().unwrap_or_default();
                Principal::User { account: &account, arn, id: "", name }
            }
            (None, "role") => Principal::AssumedRole {
                account: &account,
                role_arn: &source.arn,
                session_arn: &source.arn,
                id: &source.id,
                session: "",
            },
            (None, _) => Principal::User {
                account: &account,
                arn: &source.arn,
                id: &source.id,
                name: &source.name,
            },
        };
        if source.kind != "group" {
            let mut described = core_policy::Context::new();
            principal.describe(&mut described);
            for key in ["aws:PrincipalArn", "aws:userid", "aws:username", "aws:PrincipalAccount"] {
                if let Some(value) = described.single(key).filter(|_| context.get(key).is_none()) {
                    context.set(key, value.to_owned());
                }
            }
        }
        let resource = resource.as_ref();
        let scene = Scene {
            principal,
            set: PolicySet {
                identity: &identity,
                boundary: boundary.as_ref(),
                resource: resource.as_ref(),
                ..PolicySet::default()
            },
            ids: &ids,
            context: &context,
            resource_owner: input.resource_owner.as_deref(),
        };
        let actions = input.action_names.as_deref().unwrap_or_default();
        let results = scene.play(actions, input.resource_arns.as_deref().unwrap_or_default());
        answer(results, input.marker.as_deref(), input.max_items)
    }
}

fn is_boundary(excluded: &api::PolicyIdentifier) -> bool {
    excluded.policy_type.as_ref().is_some_and(|kind| kind.as_str() == "permission-boundary")
}

/// Whether an entry of the exclusion list means this policy.
fn names(excluded: &api::PolicyIdentifier, one: &Sourced<'_>) -> bool {
    if let Some(arn) = &excluded.policy_arn {
        return one.arn.as_ref() == Some(arn);
    }
    if let (Some(inline), Some((kind, holder, name))) =
        (&excluded.inline_policy_identifier, &one.embedded)
    {
        return inline.attachment_type.as_ref().is_some_and(|given| given.as_str() == *kind)
            && inline.attachment_name.as_ref() == Some(holder)
            && inline.policy_name.as_ref() == Some(name);
    }
    let aws = one.arn.as_ref().map(|arn| arn.starts_with(builtin::PREFIX));
    match excluded.policy_type.as_ref().map(|kind| kind.as_str()) {
        Some("inline") => one.embedded.is_some(),
        Some("aws-managed") => aws == Some(true),
        Some("user-managed") => aws == Some(false),
        _ => false,
    }
}

/// A page of results. They have no names to go by, so a cursor is a count.
pub fn answer(
    results: Vec<api::EvaluationResult>,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<api::SimulatePolicyResponse, ApiError> {
    let asked = Asked { list: "SimulatePolicy", marker, max_items };
    let page = asked.page(results.into_iter().enumerate(), |(nth, _)| format!("{nth:08}"))?;
    let Page { items, marker, is_truncated } = page.map(|(_, result)| result);
    Ok(api::SimulatePolicyResponse { evaluation_results: Some(items), marker, is_truncated })
}
