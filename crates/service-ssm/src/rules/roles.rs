//! The role that an activation lends.

use aws_protocol::ApiError;
use core_state::State;
use core_types::{AccountId, Scope, Time};
use service_iam::ops::{self, RoleView};

/// AWS: who must be trusted by such a role.
pub const PRINCIPAL: &str = "ssm.amazonaws.com";

/// `name`, or `path/name`, of the account.
pub fn arn_of(account: AccountId, role: &str) -> String {
    format!("arn:aws:iam::{account}:role/{}", role.trim_start_matches('/'))
}

/// The role, if it is there and trusts Systems Manager.
pub fn find<'s>(
    state: &'s State,
    now: Time,
    scope: Scope,
    role: &str,
) -> Result<RoleView<'s>, ApiError> {
    let arn = arn_of(scope.account, role);
    let source = scope.arn("ssm", format_args!("*"));
    let trusted = |found: &RoleView<'_>| ops::trusts(now, found, PRINCIPAL, scope.account, &source);
    ops::role(state, &arn).filter(trusted).ok_or_else(|| {
        ApiError::validation(format!(
            "Nonexistent role or missing ssm service principal in trust policy: {arn}"
        ))
    })
}
