//! SimulateCustomPolicy: policies that stand in the request alone.

use core_policy::{PolicySet, Principal};
use core_types::Arn;

use crate::actions::prelude::*;
use crate::rules::simulation::{self, Scene};

pub struct SimulateCustomPolicy;

impl ReadAction for SimulateCustomPolicy {
    type Op = api::ops::SimulateCustomPolicy;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:SimulateCustomPolicy").into()
    }

    fn run(call: &Call, _: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        simulation::refuse_scenarios(input.resource_handling_option.as_deref())?;
        let identity = simulation::parse_all(input.policy_input_list.as_deref())?;
        let boundary =
            simulation::parse_all(input.permissions_boundary_policy_input_list.as_deref())?;
        let resource = simulation::resource_policy(input.resource_policy.as_deref())?;
        if resource.is_some() && input.caller_arn.is_none() {
            return Err(errors::invalid_input_exception(
                "CallerArn must be specified when a ResourcePolicy is given.",
            ));
        }
        let mut levels = Vec::new();
        for level in input.ordered_organization_policy_input_list.as_deref().unwrap_or_default() {
            let texts = level.service_control_policy_input_list.as_deref();
            levels.push(simulation::parse_all(texts)?);
        }
        let levels: Vec<Vec<_>> = levels.iter().map(|level| level.iter().collect()).collect();
        let levels: Vec<_> = levels.iter().map(Vec::as_slice).collect();
        let context = simulation::context(input.context_entries.as_deref());
        let ids: Vec<_> = (1..=identity.len()).map(|n| format!("PolicyInputList.{n}")).collect();
        let identity: Vec<_> = identity.iter().collect();
        let boundary = simulation::given_boundary(&boundary)?;
        let account = call.account().to_string();
        // AWS: without a caller the policies are weighed as those of nobody in particular.
        let caller = input.caller_arn.as_deref().unwrap_or_default();
        let parsed = Arn::parse(caller).ok();
        let name = caller.rsplit('/').next().unwrap_or_default();
        let resource = resource.as_ref();
        let scene = Scene {
            principal: Principal::User {
                account: parsed.map_or(&account, |arn| arn.account),
                arn: caller,
                id: "",
                name,
            },
            set: PolicySet {
                identity: &identity,
                boundary: boundary.as_ref(),
                resource: resource.as_ref(),
                service_control: &levels,
                ..PolicySet::default()
            },
            ids: &ids,
            context: &context,
            resource_owner: input.resource_owner.as_deref(),
        };
        let actions = input.action_names.as_deref().unwrap_or_default();
        let results = scene.play(actions, input.resource_arns.as_deref().unwrap_or_default());
        super::principal::answer(results, input.marker.as_deref(), input.max_items)
    }
}
