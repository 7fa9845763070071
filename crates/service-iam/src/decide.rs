//! May this caller do that? Gathers what has a say from the rows and asks `core-policy`.

use std::borrow::Cow;
use std::sync::Arc;

use aws_protocol::{ApiError, Timestamp};
use core_policy::{Context, Decision, Policy, PolicyKind, PolicySet, Request, evaluate};
use core_state::State;
use core_step::{Call, Caller, Demand, Principal};
use core_types::{AccountId, Arn, Time};

use crate::rows::entity::{Entity, Tags, key_of};
use crate::rows::group::Group;
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::policies;

/// Who stands behind a caller, and which policies that brings.
pub struct Standing<'a> {
    caller: &'a Caller,
    account: String,
    /// ARN of the role of a session, or of the user behind a federated one.
    behind: String,
    identity: Vec<&'a Policy>,
    boundary: Option<&'a Policy>,
    /// Parsed here: a token carries its policies as text.
    session: Option<Vec<Policy>>,
    tags: Option<&'a Tags>,
}

impl<'a> Standing<'a> {
    pub fn of(state: &'a State, caller: &'a Caller) -> Standing<'a> {
        let mut standing = Standing {
            caller,
            account: caller.account.to_string(),
            behind: String::new(),
            identity: Vec::new(),
            boundary: None,
            session: session_policies(state, caller),
            tags: None,
        };
        match &caller.principal {
            Principal::Root | Principal::FederatedUser { user: None, .. } => {
                standing.behind = format!("arn:aws:iam::{}:root", caller.account);
            }
            Principal::Anonymous => {}
            Principal::User { name } => standing.add_user(state, name),
            Principal::FederatedUser { user: Some(name), .. } => {
                let key = key_of(caller.account, name);
                standing.behind = state.get::<User>(&key).map(Entity::arn).unwrap_or_default();
                standing.add_user(state, name);
                // AWS: the tags of a federated session are its own, not its user's.
                standing.tags = None;
            }
            Principal::AssumedRole { role, .. } => {
                let Some(role) = state.get::<Role>(&key_of(caller.account, role)) else {
                    return standing;
                };
                standing.behind = role.arn();
                standing.identity.extend(policies::held_by(state, role));
                standing.boundary = policies::bound_of(state, role);
                standing.tags = Some(&role.tags);
            }
        }
        standing
    }

    fn add_user(&mut self, state: &'a State, name: &str) {
        let Some(user) = state.get::<User>(&key_of(self.caller.account, name)) else { return };
        self.identity.extend(policies::held_by(state, user));
        for group in &user.groups {
            if let Some(group) = state.get::<Group>(&(self.caller.account, group.clone())) {
                self.identity.extend(policies::held_by(state, group));
            }
        }
        self.boundary = policies::bound_of(state, user);
        self.tags = Some(&user.tags);
    }

    fn principal(&self) -> core_policy::Principal<'_> {
        let Caller { arn, user_id, principal, .. } = self.caller;
        let account = &self.account;
        match principal {
            Principal::Root => core_policy::Principal::Root { account, arn },
            Principal::User { name } => {
                core_policy::Principal::User { account, arn, id: user_id, name }
            }
            Principal::AssumedRole { session, .. } => core_policy::Principal::AssumedRole {
                account,
                role_arn: &self.behind,
                session_arn: arn,
                id: user_id.split(':').next().unwrap_or_default(),
                session,
            },
            Principal::FederatedUser { name, .. } => core_policy::Principal::FederatedUser {
                account,
                arn,
                id: name,
                user_arn: &self.behind,
            },
            // A user without a name or a policy: nothing is granted to nobody.
            Principal::Anonymous => {
                core_policy::Principal::User { account, arn, id: user_id, name: "" }
            }
        }
    }

    /// Whether this caller, in this call, is granted what an action demands. `resource` is the
    /// policy of the resource itself, where it has one.
    pub fn decide(
        &self,
        call: &Call,
        now: Time,
        demand: &Demand,
        resource: Option<&Policy>,
    ) -> Verdict {
        let principal = self.principal();
        let owner = Arn::parse(&demand.resource).map(|arn| arn.account).unwrap_or_default();
        // AWS: what belongs to `aws`, such as its managed policies, counts as the caller's own.
        let owner = if owner.parse::<AccountId>().is_ok() { owner } else { "" };
        let mut context = self.globals(call, now, demand);
        principal.describe(&mut context);
        context.set("aws:ResourceAccount", if owner.is_empty() { &self.account } else { owner });
        for (key, values) in &demand.context {
            match values.as_slice() {
                // AWS: TagKeys is a set even where it has one member.
                [one] if !key.eq_ignore_ascii_case("aws:TagKeys") => {
                    context.set(&**key, one.as_str());
                }
                many => context.set_many(&**key, many.iter().map(String::as_str)),
            }
        }
        let session: Option<Vec<&Policy>> = self.session.as_ref().map(|p| p.iter().collect());
        let root_behind =
            matches!(self.caller.principal, Principal::FederatedUser { user: None, .. });
        // A federated session of the root user may do whatever its session policies say.
        let identity = match (&session, root_behind) {
            (Some(session), true) => session,
            _ => &self.identity,
        };
        let set = PolicySet {
            identity,
            boundary: self.boundary.as_ref(),
            session: session.as_deref(),
            resource: resource.as_ref(),
            ..PolicySet::default()
        };
        let request = Request {
            principal,
            action: demand.action,
            resource: &demand.resource,
            resource_account: owner,
            context: &context,
        };
        let decision = evaluate(&set, &request);
        Verdict {
            text: decision.denied_text(&request),
            bare: decision.denied_text_without_reason(&request),
            decision,
        }
    }

    /// The global condition keys that do not follow from the principal alone.
    fn globals(&self, call: &'a Call, now: Time, demand: &Demand) -> Context<'a> {
        let mut context = Context::new();
        let origin = &call.origin;
        if let Some(ip) = origin.source_ip {
            context.set("aws:SourceIp", ip.to_string());
        }
        context.set("aws:SecureTransport", if origin.secure { "true" } else { "false" });
        if !origin.user_agent.is_empty() {
            context.set("aws:UserAgent", origin.user_agent.as_str());
        }
        context.set("aws:CurrentTime", Timestamp::from_secs(now.seconds()).iso8601());
        context.set("aws:EpochTime", now.seconds().to_string());
        // AWS: the global services answer from one region, whichever the caller signed for.
        match demand.action.starts_with("iam:") {
            true => context.set("aws:RequestedRegion", "us-east-1"),
            false => context.set("aws:RequestedRegion", call.region.as_str()),
        }
        context.set("aws:ViaAWSService", "false");
        let caller: &'a Caller = self.caller;
        if let Some(issued) = caller.issued_at {
            // AWS: these three exist with temporary credentials only.
            context.set("aws:TokenIssueTime", Timestamp::from_secs(issued.seconds()).iso8601());
            let mfa = if caller.mfa { "true" } else { "false" };
            context.set("aws:MultiFactorAuthPresent", mfa);
            if caller.mfa {
                let age = now.since(issued).as_secs();
                context.set("aws:MultiFactorAuthAge", age.to_string());
            }
        }
        if let Some(identity) = &caller.source_identity {
            context.set("aws:SourceIdentity", &**identity);
        }
        // AWS: a session's tags take the place of the role's tags of the same key.
        for tags in self.tags.into_iter().chain([&caller.session_tags]) {
            for (key, value) in tags {
                let key: Cow<'a, str> = format!("aws:PrincipalTag/{key}").into();
                context.set(key, &**value);
            }
        }
        context
    }
}

/// A decision, and the sentences that go with a refusal.
pub struct Verdict {
    pub decision: Decision,
    text: Option<String>,
    bare: Option<String>,
}

impl Verdict {
    /// AWS's AccessDenied, with the reason.
    pub fn granted(self) -> Result<(), ApiError> {
        self.text.map_or(Ok(()), |text| Err(ApiError::access_denied(text)))
    }

    /// AWS's AccessDenied, without the reason: all that AssumeRole tells.
    pub fn granted_or_bare(self) -> Result<(), ApiError> {
        self.bare.map_or(Ok(()), |text| Err(ApiError::access_denied(text)))
    }
}

/// The policies that a session was made with; `None` where it was made without.
fn session_policies(state: &State, caller: &Caller) -> Option<Vec<Policy>> {
    let Caller { session_policies, session_policy_arns, principal, .. } = caller;
    if session_policies.is_empty() && session_policy_arns.is_empty() {
        // AWS: a federated session without policies of its own may do nothing.
        return matches!(principal, Principal::FederatedUser { .. }).then(Vec::new);
    }
    let parsed = session_policies.iter().filter_map(|text: &Arc<str>| {
        // It was checked when the session was made; should it fail now, it grants nothing.
        Policy::parse(text, PolicyKind::Session).ok()
    });
    let managed = session_policy_arns.iter().filter_map(|arn| {
        policies::lookup(state, caller.account, arn).map(|found| found.policy().clone())
    });
    Some(parsed.chain(managed).collect())
}
