//! AssumeRole: the role's trust policy and the caller's own policies must both let it.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Caller, Demand, Demands, Input, Output, Principal, View, WriteAction};
use model_sts as api;
use service_iam::ops::{self, Given, RoleView, Session, Who};

use crate::{rules, views};

pub struct AssumeRole;

/// AWS: an hour unless told otherwise, and an hour at most from a role to another.
const DEFAULT: i32 = 3600;
const CHAINED_MOST: i32 = 3600;

impl WriteAction for AssumeRole {
    type Op = api::ops::AssumeRole;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demands::Nothing {
            because: "the trust policy may grant alone, so `run` weighs both sides together",
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let caller = &*call.caller;
        if caller.principal == Principal::Root {
            return Err(ApiError::access_denied("Roles may not be assumed by root accounts."));
        }
        if matches!(caller.principal, Principal::FederatedUser { .. }) {
            return Err(ApiError::access_denied("Cannot call AssumeRole with federation tokens"));
        }
        let now = tx.now();
        let view = View::new(tx, now);
        let (serial, code) = (input.serial_number.as_deref(), input.token_code.as_deref());
        let mfa = rules::check_mfa(&view, call, serial, code)?;
        let handed = Handed::of(caller, &input)?;
        let role = granted(&view, call, &input, &handed, mfa)?;
        let seconds = duration(caller, &role, input.duration_seconds)?;
        let arns = input.policy_arns.as_deref();
        let policies = rules::given_policies(tx, role.account(), input.policy.as_deref(), arns)?;
        let (account, name, id) = (role.account(), role.name().clone(), role.id().clone());
        let Handed { tags, transitive, source_identity, .. } = handed;
        let given = Given { tags, transitive, ..policies };
        let packed_policy_size = rules::check_packed(&given)?;
        let session: Arc<str> = input.role_session_name.as_deref().unwrap_or_default().into();
        let assumed_role_user = api::AssumedRoleUser {
            arn: Some(format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")),
            assumed_role_id: Some(format!("{id}:{session}")),
        };
        let issued = ops::issue(tx, account, |secret| Session {
            account,
            who: Who::Role { name, id, session },
            secret,
            issued: now,
            expires: rules::expiry(now, seconds),
            given,
            source_identity: source_identity.clone(),
            // AWS: a role's session does not count as authenticated with MFA, even where the
            // call that made it was.
            mfa: false,
        });
        Ok(api::AssumeRoleResponse {
            assumed_role_user: Some(assumed_role_user),
            credentials: Some(views::credentials(&issued)),
            packed_policy_size,
            source_identity: source_identity.as_deref().map(str::to_owned),
            ..Default::default()
        })
    }
}

/// What passes into the session from the call, and from the session that makes it.
struct Handed {
    tags: BTreeMap<Arc<str>, Arc<str>>,
    transitive: Vec<Arc<str>>,
    source_identity: Option<Arc<str>>,
    /// Whether the call names tags by itself.
    tagged: bool,
}

impl Handed {
    fn of(caller: &Caller, input: &api::AssumeRoleRequest) -> Result<Handed, ApiError> {
        let mut tags = rules::given_tags(input.tags.as_deref())?;
        let mut transitive: Vec<Arc<str>> = Vec::new();
        for key in input.transitive_tag_keys.as_deref().unwrap_or_default() {
            if !tags.contains_key(key.as_str()) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    400,
                    "The specified transitive tag key must be included in the requested tags.",
                ));
            }
            transitive.push(key.as_str().into());
        }
        let tagged = !tags.is_empty();
        for key in &caller.transitive_tag_keys {
            // AWS: a tag that was passed on stays as it is through the whole chain.
            if tags.keys().any(|given| given.eq_ignore_ascii_case(key)) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    400,
                    "One of the specified transitive tag keys can't be set because it conflicts \
                     with a transitive tag key from the calling session.",
                ));
            }
            if let Some(value) = caller.session_tags.get(key) {
                tags.insert(key.clone(), value.clone());
                transitive.push(key.clone());
            }
        }
        let given: Option<Arc<str>> = input.source_identity.as_deref().map(Into::into);
        if given.is_some() && caller.source_identity.is_some() && given != caller.source_identity {
            // AWS: a source identity once set is not changed.
            return Err(ApiError::access_denied(
                "You are not allowed to change the source identity of an existing session.",
            ));
        }
        let source_identity = given.or_else(|| caller.source_identity.clone());
        Ok(Handed { tags, transitive, source_identity, tagged })
    }
}

/// The role, if the caller may assume it in this way.
fn granted<'s>(
    view: &View<'s>,
    call: &Call,
    input: &api::AssumeRoleRequest,
    handed: &Handed,
    mfa: bool,
) -> Result<RoleView<'s>, ApiError> {
    let arn = input.role_arn.as_deref().unwrap_or_default();
    let role = ops::role(view.state(), arn);
    let mut demand = Demand::on("sts:AssumeRole", arn)
        .with("sts:RoleSessionName", input.role_session_name.as_deref().unwrap_or_default())
        .request_tags(rules::pairs(input.tags.as_deref()));
    if let Some(id) = &input.external_id {
        demand = demand.with("sts:ExternalId", id);
    }
    if let Some(identity) = &handed.source_identity {
        demand = demand.with("sts:SourceIdentity", &**identity);
    }
    if let Some(keys) = input.transitive_tag_keys.clone().filter(|keys| !keys.is_empty()) {
        demand = demand.with_all("sts:TransitiveTagKeys", keys);
    }
    if mfa {
        demand =
            demand.with("aws:MultiFactorAuthPresent", "true").with("aws:MultiFactorAuthAge", "0");
    }
    if let Some(role) = &role {
        let tags = role.tags().iter().map(|(key, value)| (&**key, &**value));
        let named: Vec<_> =
            tags.clone().map(|(k, v)| (format!("iam:ResourceTag/{k}"), v)).collect();
        demand = demand.resource_tags(tags);
        for (key, value) in named {
            demand = demand.with(key, value);
        }
    }
    let mut actions = vec!["sts:AssumeRole"];
    if handed.tagged {
        actions.push("sts:TagSession");
    }
    // AWS: a source identity that is set, or carried on, asks for leave by its own name.
    if handed.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    for action in actions {
        let demand = rules::with_action(&demand, action);
        // AWS: a role that is not there is refused in the same words as one that does not trust.
        let trust = role.as_ref().map(|role| role.trust());
        ops::decide(view, call, &demand, trust).granted_or_bare()?;
    }
    role.ok_or_else(|| {
        let who = &call.caller.arn;
        ApiError::access_denied(format!(
            "User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        ))
    })
}

fn duration(caller: &Caller, role: &RoleView<'_>, asked: Option<i32>) -> Result<i32, ApiError> {
    let seconds = asked.unwrap_or(DEFAULT);
    let chained = matches!(caller.principal, Principal::AssumedRole { .. });
    if chained && seconds > CHAINED_MOST {
        return Err(ApiError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    if seconds > role.max_session() {
        return Err(ApiError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}
