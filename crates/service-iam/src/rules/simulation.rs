//! What the policy simulator works on: whose policies, in which circumstances, and how its
//! findings are shown.

use core_policy::{
    Context, Layer, Policy, PolicyKind, PolicySet, Principal, Request, Simulation, simulate,
};
use core_state::State;
use core_step::Call;
use core_types::{AccountId, Arn};

use aws_protocol::ApiError;
use model_iam::{self as api, errors};

use super::{entities, policies};
use crate::rows::entity::Holder;
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;

/// A policy with the name and kind under which the simulator shows it.
pub struct Sourced<'s> {
    pub policy: &'s Policy,
    pub id: String,
    /// The ARN of a managed policy; an embedded one has a holder and a name instead.
    pub arn: Option<String>,
    /// Kind and name of the holder, and name of an embedded policy.
    pub embedded: Option<(&'static str, String, String)>,
}

/// The user, group or role whose policies are simulated.
pub struct Source<'s> {
    pub policies: Vec<Sourced<'s>>,
    pub boundary: Option<&'s Policy>,
    pub kind: &'static str,
    pub arn: String,
    pub id: String,
    pub name: String,
}

impl<'s> Source<'s> {
    pub fn find(state: &'s State, call: &Call, arn: &str) -> Result<Source<'s>, ApiError> {
        let parsed = Arn::parse(arn).ok().filter(|parsed| parsed.service == "iam");
        let parsed = parsed
            .ok_or_else(|| errors::invalid_input_exception(format!("Invalid Entity Arn: {arn}")))?;
        let account = call.account();
        if parsed.account.parse() != Ok(account) {
            return Err(errors::invalid_input_exception(format!("Invalid Entity Arn: {arn}")));
        }
        let (kind, rest) = parsed.resource.split_once('/').unwrap_or((parsed.resource, ""));
        let name = rest.rsplit('/').next().unwrap_or_default();
        match kind {
            "user" => {
                let user = entities::find::<User>(state, account, name)?;
                let mut source = Source::of(state, user);
                for group in &user.groups {
                    if let Some(group) = state.get::<Group>(&(account, group.clone())) {
                        source.add(state, group);
                    }
                }
                Ok(source)
            }
            "group" => Ok(Source::of(state, entities::find::<Group>(state, account, name)?)),
            "role" => Ok(Source::of(state, entities::find::<Role>(state, account, name)?)),
            _ => Err(errors::invalid_input_exception(format!("Invalid Entity Arn: {arn}"))),
        }
    }

    fn of<R: Holder>(state: &'s State, row: &'s R) -> Source<'s> {
        let mut source = Source {
            policies: Vec::new(),
            boundary: policies::bound_of(state, row),
            kind: R::KIND,
            arn: row.arn(),
            id: row.head().id.to_string(),
            name: row.head().name.to_string(),
        };
        source.add(state, row);
        source
    }

    fn add<R: Holder>(&mut self, state: &'s State, row: &'s R) {
        let holder = row.head().name.to_string();
        for (name, document) in &row.held().inline {
            self.policies.push(Sourced {
                policy: document.policy(),
                id: format!("{}_{holder}_{name}", R::KIND),
                arn: None,
                embedded: Some((R::KIND, holder.clone(), name.to_string())),
            });
        }
        for arn in &row.held().attached {
            let Some(found) = policies::lookup(state, row.head().account, arn) else { continue };
            self.policies.push(Sourced {
                policy: found.policy(),
                id: found.name().to_owned(),
                arn: Some(arn.to_string()),
                embedded: None,
            });
        }
    }
}

pub fn parse_all(texts: Option<&[String]>) -> Result<Vec<Policy>, ApiError> {
    let parse = |text: &String| {
        Policy::parse(text, PolicyKind::Inline)
            .map_err(|error| errors::invalid_input_exception(error.message))
    };
    texts.unwrap_or_default().iter().map(parse).collect()
}

/// Context keys as given; list types and several values make a set.
pub fn context(entries: Option<&[api::ContextEntry]>) -> Context<'_> {
    let mut context = Context::new();
    for entry in entries.unwrap_or_default() {
        let name = entry.context_key_name.as_deref().unwrap_or_default();
        let values = entry.context_key_values.as_deref().unwrap_or_default();
        let list = entry.context_key_type.as_ref().is_some_and(|t| t.as_str().ends_with("List"));
        match values {
            [one] if !list => context.set(name, one.as_str()),
            many => context.set_many(name, many.iter().map(String::as_str)),
        }
    }
    context
}

/// One question of a simulation, all but the action and the resource.
pub struct Scene<'a> {
    pub principal: Principal<'a>,
    pub set: PolicySet<'a, &'a Policy>,
    /// The names of the identity policies, in their order.
    pub ids: &'a [String],
    pub context: &'a Context<'a>,
    pub resource_owner: Option<&'a str>,
}

impl Scene<'_> {
    /// Every action on every resource, in AWS's order.
    pub fn play(&self, actions: &[String], resources: &[String]) -> Vec<api::EvaluationResult> {
        let everything = ["*".to_owned()];
        let resources = if resources.is_empty() { &everything[..] } else { resources };
        let pairs = actions.iter().flat_map(|a| resources.iter().map(move |r| (a, r)));
        pairs.map(|(action, resource)| self.judge(action, resource)).collect()
    }

    fn judge(&self, action: &str, resource: &str) -> api::EvaluationResult {
        let owner = Arn::parse(resource).map(|arn| arn.account).unwrap_or_default();
        let owner = self.resource_owner.unwrap_or(owner);
        let owner = if owner.parse::<AccountId>().is_ok() { owner } else { "" };
        let request = Request {
            principal: self.principal,
            action,
            resource,
            resource_account: owner,
            context: self.context,
        };
        let found: Simulation = simulate(&self.set, &request);
        let statements = found.matched.iter().map(|matched| {
            let (id, kind) = match matched.found.layer {
                Layer::Resource | Layer::Trust => ("ResourcePolicy".to_owned(), "resource"),
                _ => {
                    (self.ids.get(matched.found.policy).cloned().unwrap_or_default(), "IAM Policy")
                }
            };
            api::Statement {
                source_policy_id: Some(id),
                source_policy_type: Some(kind.into()),
                start_position: Some(position(matched.start)),
                end_position: Some(position(matched.end)),
            }
        });
        let boundary = found.allowed_by_permissions_boundary.map(|allowed| {
            api::PermissionsBoundaryDecisionDetail {
                allowed_by_permissions_boundary: Some(allowed),
            }
        });
        let organizations = found.allowed_by_organizations.map(|allowed| {
            api::OrganizationsDecisionDetail { allowed_by_organizations: Some(allowed) }
        });
        api::EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_decision: Some(found.decision.outcome().as_str().into()),
            eval_resource_name: Some(resource.to_owned()),
            matched_statements: Some(statements.collect()),
            missing_context_values: Some(found.missing_context_values),
            organizations_decision_detail: organizations,
            permissions_boundary_decision_detail: boundary,
            ..Default::default()
        }
    }
}

fn position(at: core_policy::Position) -> api::Position {
    let number = |n: u32| i32::try_from(n).ok();
    api::Position { line: number(at.line), column: number(at.column) }
}

/// The resource policy of a simulation.
pub fn resource_policy(text: Option<&str>) -> Result<Option<Policy>, ApiError> {
    let parse = |text: &str| {
        Policy::parse(text, PolicyKind::Resource)
            .map_err(|error| errors::invalid_input_exception(error.message))
    };
    text.map(parse).transpose()
}

/// EC2's scenarios choose which resources an action is tried on; they are not known here.
pub fn refuse_scenarios(option: Option<&str>) -> Result<(), ApiError> {
    match option {
        None => Ok(()),
        Some(option) => Err(ApiError::unsupported_operation(format!(
            "ResourceHandlingOption {option} is not offered."
        ))),
    }
}

/// A boundary from a request: AWS takes one at most.
pub fn given_boundary(given: &[Policy]) -> Result<Option<&Policy>, ApiError> {
    match given {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(errors::invalid_input_exception(
            "Only one permissions boundary policy can be specified.",
        )),
    }
}
