//! Documents and managed policies: what AWS checks, and where an ARN leads.

use aws_protocol::ApiError;
use core_policy::{MalformedPolicy, PrincipalPattern};
use core_state::State;
use core_types::{AccountId, Arn};
use model_iam::errors;

use super::builtin::{self, Builtin};
use crate::rows::account::Account;
use crate::rows::document::{Document, Managed, Trust};
use crate::rows::entity::{ByAttached, ByBoundary, Entity, Holder, key_of};
use crate::rows::group::Group;
use crate::rows::policy::Policy;
use crate::rows::role::Role;
use crate::rows::user::User;

/// AWS: characters that are not white space, in a managed policy and in a trust policy.
pub const POLICY_SIZE: usize = 6144;
pub const TRUST_SIZE: usize = 2048;

pub fn malformed(error: MalformedPolicy) -> ApiError {
    errors::malformed_policy_document_exception(error.message)
}

pub fn parse_managed(text: &str) -> Result<Document<Managed>, ApiError> {
    let document = Document::parse(text).map_err(malformed)?;
    let _: &Document<Managed> = &document;
    match document.policy().quota_size() > POLICY_SIZE {
        true => {
            let text = format!("Cannot exceed quota for PolicySize: {POLICY_SIZE}");
            Err(errors::limit_exceeded_exception(text))
        }
        false => Ok(document),
    }
}

pub fn parse_trust(state: &State, text: &str) -> Result<Document<Trust>, ApiError> {
    let document: Document<Trust> = Document::parse(text).map_err(malformed)?;
    if document.policy().quota_size() > TRUST_SIZE {
        let text = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE}");
        return Err(errors::limit_exceeded_exception(text));
    }
    for principal in document.policy().principals() {
        check_exists(state, principal)?;
    }
    Ok(document)
}

/// AWS: a principal that a trust policy names must exist. Of accounts that are not kept here
/// nothing is known, so those pass.
fn check_exists(state: &State, principal: &PrincipalPattern) -> Result<(), ApiError> {
    let PrincipalPattern::Arn(text) = principal else { return Ok(()) };
    let Ok(arn) = Arn::parse(text) else { return Ok(()) };
    let Ok(account) = arn.account.parse::<AccountId>() else { return Ok(()) };
    if arn.service != "iam" || state.get::<Account>(&account).is_none() {
        return Ok(());
    }
    let name = arn.resource.rsplit('/').next().unwrap_or_default();
    let key = key_of(account, name);
    let found = match arn.resource.split('/').next() {
        Some("user") => state.get::<User>(&key).map(Entity::arn),
        Some("role") => state.get::<Role>(&key).map(Entity::arn),
        _ => return Ok(()),
    };
    match found.as_deref() == Some(text) {
        true => Ok(()),
        false => Err(errors::malformed_policy_document_exception(format!(
            "Invalid principal in policy: \"AWS\":\"{text}\""
        ))),
    }
}

/// A managed policy: a customer's, or one of AWS's.
#[derive(Clone, Copy)]
pub enum Found<'s> {
    Customer(&'s Policy),
    Aws(&'static Builtin),
}

impl<'s> Found<'s> {
    pub fn arn(&self) -> String {
        match self {
            Found::Customer(row) => row.arn(),
            Found::Aws(builtin) => builtin.arn.clone(),
        }
    }

    pub fn name(&self) -> &'s str {
        match self {
            Found::Customer(row) => &row.head.name,
            Found::Aws(builtin) => builtin.about.name,
        }
    }

    pub fn path(&self) -> &'s str {
        match self {
            Found::Customer(row) => &row.head.path,
            Found::Aws(builtin) => builtin.about.path,
        }
    }

    pub fn policy(&self) -> &'s core_policy::Policy {
        match self {
            Found::Customer(row) => row.document(),
            Found::Aws(builtin) => &builtin.policy,
        }
    }
}

/// The policy of this ARN, as an account sees it.
pub fn lookup<'s>(state: &'s State, account: AccountId, arn: &str) -> Option<Found<'s>> {
    if arn.starts_with(builtin::PREFIX) {
        return builtin::find(arn).map(Found::Aws);
    }
    state.get::<Policy>(&(account, arn.into())).map(Found::Customer)
}

/// The policy of this ARN, or AWS's error.
pub fn find<'s>(state: &'s State, account: AccountId, arn: &str) -> Result<Found<'s>, ApiError> {
    check_arn(arn)?;
    lookup(state, account, arn)
        .ok_or_else(|| errors::no_such_entity_exception(format!("Policy {arn} was not found.")))
}

/// A policy to attach, or AWS's error.
pub fn find_attachable<'s>(
    state: &'s State,
    account: AccountId,
    arn: &str,
) -> Result<Found<'s>, ApiError> {
    check_arn(arn)?;
    lookup(state, account, arn).ok_or_else(|| {
        let text = format!("Policy {arn} does not exist or is not attachable.");
        errors::no_such_entity_exception(text)
    })
}

/// A customer's policy, to change it.
pub fn find_own<'s>(
    state: &'s State,
    account: AccountId,
    arn: &str,
) -> Result<&'s Policy, ApiError> {
    match find(state, account, arn)? {
        Found::Customer(row) => Ok(row),
        // AWS: its own policies belong to nobody's account.
        Found::Aws(_) => Err(ApiError::access_denied("Policy is outside your own account.")),
    }
}

fn check_arn(arn: &str) -> Result<(), ApiError> {
    let valid = Arn::parse(arn).is_ok_and(|a| a.service == "iam" && a.region.is_empty());
    match valid {
        true => Ok(()),
        false => Err(errors::invalid_input_exception(format!("ARN {arn} is not valid."))),
    }
}

/// A permissions boundary that may be set, or AWS's error.
pub fn check_boundary(state: &State, account: AccountId, arn: &str) -> Result<(), ApiError> {
    check_arn(arn)?;
    match lookup(state, account, arn) {
        Some(_) => Ok(()),
        None => Err(errors::no_such_entity_exception(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))),
    }
}

/// To how many users, groups and roles a policy is attached, and how many it bounds.
pub fn uses(state: &State, account: AccountId, arn: &str) -> (usize, usize) {
    let key = (account, arn.into());
    let attached = state.by::<ByAttached<User>>(&key).count()
        + state.by::<ByAttached<Group>>(&key).count()
        + state.by::<ByAttached<Role>>(&key).count();
    let bounded =
        state.by::<ByBoundary<User>>(&key).count() + state.by::<ByBoundary<Role>>(&key).count();
    (attached, bounded)
}

/// Policies that a holder has: its own embedded ones, then the attached ones.
pub fn held_by<'s, R: Holder>(
    state: &'s State,
    holder: &'s R,
) -> impl Iterator<Item = &'s core_policy::Policy> {
    let account = holder.head().account;
    let inline = holder.held().inline.values().map(|document| document.policy());
    let attached = holder.held().attached.iter();
    inline.chain(attached.filter_map(move |arn| lookup_shared(state, account, arn)))
}

/// Like `lookup`, without copying the ARN: this runs for every authorized call.
fn lookup_shared<'s>(
    state: &'s State,
    account: AccountId,
    arn: &std::sync::Arc<str>,
) -> Option<&'s core_policy::Policy> {
    if arn.starts_with(builtin::PREFIX) {
        return builtin::find(arn).map(|builtin| &builtin.policy);
    }
    state.get::<Policy>(&(account, arn.clone())).map(Policy::document)
}

/// The document that bounds a holder. A boundary that is gone allows nothing.
pub fn bound_of<'s, R: Holder>(state: &'s State, holder: &'s R) -> Option<&'s core_policy::Policy> {
    let arn = holder.boundary()?;
    Some(lookup_shared(state, holder.head().account, arn).unwrap_or(&NOTHING))
}

/// A document that allows nothing.
static NOTHING: std::sync::LazyLock<core_policy::Policy> = std::sync::LazyLock::new(|| {
    let text =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    core_policy::Policy::parse(text, core_policy::PolicyKind::Managed)
        .expect("the document is a constant and right")
});
