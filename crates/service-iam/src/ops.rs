//! What neighbours may ask: STS to make sessions, others to weigh the policies of resources.

use std::sync::Arc;

use aws_protocol::Timestamp;
use core_policy::{Context, Decision, Policy, PolicySet, Principal, Request, evaluate};
use core_state::{State, Tx};
use core_step::{Call, Demand, View};
use core_types::{AccountId, Time};

use crate::decide::Standing;
pub use crate::decide::Verdict;
use crate::rows::entity::{Entity, Tags, key_of};
use crate::rows::mfa_device::MfaDevice;
use crate::rows::role::Role;
use crate::rows::{account::Account, seal};
use crate::rules::{mfa, names, policies};
pub use crate::session::{Given, Session, Who};

/// Whether the caller of a call is granted a demand by its own policies and, where there is one,
/// by the policy of the resource.
pub fn decide(view: &View<'_>, call: &Call, demand: &Demand, resource: Option<&Policy>) -> Verdict {
    Standing::of(view, &call.caller).decide(call, view.now(), demand, resource)
}

/// The same as a plain answer.
pub fn is_granted(view: &View<'_>, call: &Call, demand: &Demand) -> bool {
    decide(view, call, demand, None).decision == Decision::Allow
}

/// A role, to those who would assume it.
#[derive(Clone, Copy)]
pub struct RoleView<'s>(&'s Role);

impl<'s> RoleView<'s> {
    pub fn account(&self) -> AccountId {
        self.0.head.account
    }

    pub fn name(&self) -> &'s Arc<str> {
        &self.0.head.name
    }

    pub fn id(&self) -> &'s Arc<str> {
        &self.0.head.id
    }

    pub fn arn(&self) -> String {
        self.0.arn()
    }

    pub fn trust(&self) -> &'s Policy {
        self.0.trust.policy()
    }

    pub fn tags(&self) -> &'s Tags {
        &self.0.tags
    }

    /// The longest session that it allows, in seconds.
    pub fn max_session(&self) -> i32 {
        self.0.max_session
    }
}

/// The role of exactly this ARN.
pub fn role<'s>(state: &'s State, arn: &str) -> Option<RoleView<'s>> {
    let parsed = core_types::Arn::parse(arn).ok().filter(|parsed| parsed.service == "iam")?;
    let name = parsed.resource_of("role")?.rsplit('/').next()?;
    let role = state.get::<Role>(&key_of(parsed.account.parse().ok()?, name))?;
    (role.arn() == arn).then_some(RoleView(role))
}

/// Whether a role lets an AWS service assume it, for `source` of an account.
///
/// AWS: trust policies may narrow a service to its calls for one account or resource, by
/// `aws:SourceAccount` and `aws:SourceArn` (the confused deputy).
pub fn trusts(
    now: Time,
    role: &RoleView<'_>,
    service: &str,
    account: AccountId,
    source: &str,
) -> bool {
    let arn = role.arn();
    let (account, owner) = (account.to_string(), role.account().to_string());
    let principal = Principal::Service(service);
    let mut context = Context::new();
    principal.describe(&mut context);
    context.set("aws:SourceAccount", account.as_str());
    context.set("aws:SourceArn", source);
    context.set("aws:CurrentTime", Timestamp::from_secs(now.seconds()).iso8601());
    context.set("aws:EpochTime", now.seconds().to_string());
    context.set("aws:SecureTransport", "true");
    let trust = role.trust();
    let set = PolicySet { resource: Some(&trust), ..PolicySet::<&Policy>::default() };
    let request = Request {
        principal,
        action: "sts:AssumeRole",
        resource: &arn,
        resource_account: &owner,
        context: &context,
    };
    evaluate(&set, &request) == Decision::Allow
}

/// A user's unique id.
pub fn user_id(state: &State, account: AccountId, name: &str) -> Option<Arc<str>> {
    let user = state.get::<crate::rows::user::User>(&key_of(account, name));
    user.map(|user| user.head.id.clone())
}

pub fn is_managed_policy(state: &State, account: AccountId, arn: &str) -> bool {
    policies::lookup(state, account, arn).is_some()
}

/// Whether a device of this user shows this code now. An empty name is the root user.
pub fn is_mfa_code(
    view: &View<'_>,
    account: AccountId,
    user: &str,
    serial: &str,
    code: &str,
) -> bool {
    let device = view.get::<MfaDevice>(&(account, serial.into()));
    let device = device.filter(|d| d.user.as_deref() == Some(&*crate::rows::entity::fold(user)));
    device.is_some_and(|device| mfa::is_code(&device.seed, view.now(), code))
}

/// New temporary credentials.
pub struct Issued {
    pub access_key_id: String,
    pub secret: Arc<str>,
    pub token: String,
    pub expires: Time,
}

/// Seal a session. `make` is given the new secret.
pub fn issue(
    tx: &mut Tx<'_>,
    account: AccountId,
    make: impl FnOnce(Arc<str>) -> Session,
) -> Issued {
    let key = seal::ensure(tx);
    let access_key_id = names::access_key_id(tx.dice, "ASIA", account);
    let secret: Arc<str> = tx.dice.base62(40).into();
    let session = make(secret.clone());
    let token = crate::session::seal(&key, tx.dice, &access_key_id, &session);
    Issued { access_key_id, secret, token, expires: session.expires }
}

/// The account of an access key id, of any account that is kept here.
pub fn account_of_key(state: &State, access_key_id: &str) -> Option<AccountId> {
    let row = state.get::<crate::rows::access_key::AccessKey>(&access_key_id.into());
    row.map(|key| key.account).or_else(|| {
        let account = names::account_of_key(access_key_id)?;
        state.get::<Account>(&account).map(|account| account.id)
    })
}

/// Whether an account has any OpenID Connect provider.
pub fn has_oidc_provider(state: &State, account: AccountId) -> bool {
    let mut rows = state.scan::<crate::rows::provider::OidcProvider>((account, "".into()));
    rows.next().is_some_and(|provider| provider.account == account)
}
