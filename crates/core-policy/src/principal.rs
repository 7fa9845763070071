//! Who asks, and whom a policy names.
//!
//! One caller can be named at several levels: a role session is itself, its role and its account.
//! AWS gives each level its own weight when a resource policy allows it, so matching answers with a
//! `Grant` and not with a yes.

use crate::context::Context;

/// The authenticated caller of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Principal<'a> {
    /// The account's root user.
    Root {
        account: &'a str,
        arn: &'a str,
    },
    User {
        account: &'a str,
        arn: &'a str,
        id: &'a str,
        name: &'a str,
    },
    /// A session of a role; `id` is the role's unique id, `session` the session's name.
    AssumedRole {
        account: &'a str,
        role_arn: &'a str,
        session_arn: &'a str,
        id: &'a str,
        session: &'a str,
    },
    /// A session from GetFederationToken, with the permissions of the user that asked for it.
    FederatedUser {
        account: &'a str,
        arn: &'a str,
        id: &'a str,
        user_arn: &'a str,
    },
    /// An AWS service acting for itself, such as `ecs-tasks.amazonaws.com`.
    Service(&'a str),
    /// A caller known only to an identity provider (AssumeRoleWithWebIdentity, AssumeRoleWithSAML).
    Federated {
        provider: &'a str,
    },
    Anonymous,
}

/// One principal that a policy names.
#[derive(Debug, Clone, PartialEq)]
pub enum PrincipalPattern {
    Anyone,
    Account(Box<str>),
    Arn(Box<str>),
    /// What AWS writes in place of the ARN of a user or role: `AIDA…`, `AROA…`.
    UniqueId(Box<str>),
    Service(Box<str>),
    Federated(Box<str>),
    CanonicalUser(Box<str>),
}

/// How far an Allow reaches that names a caller in some way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// To the account, which must pass it on by an identity-based policy.
    Delegated,
    /// To the role or user behind a session: boundary and session policies still limit it.
    Behind,
    /// To the caller itself.
    Direct,
}

impl<'a> Principal<'a> {
    pub fn account(&self) -> Option<&'a str> {
        match *self {
            Principal::Root { account, .. }
            | Principal::User { account, .. }
            | Principal::AssumedRole { account, .. }
            | Principal::FederatedUser { account, .. } => Some(account),
            Principal::Service(_) | Principal::Federated { .. } | Principal::Anonymous => None,
        }
    }

    /// The caller as error messages and GetCallerIdentity name it.
    pub fn arn(&self) -> &'a str {
        match *self {
            Principal::Root { arn, .. }
            | Principal::User { arn, .. }
            | Principal::FederatedUser { arn, .. } => arn,
            Principal::AssumedRole { session_arn, .. } => session_arn,
            Principal::Service(name) => name,
            Principal::Federated { provider } => provider,
            Principal::Anonymous => "anonymous",
        }
    }

    /// Sets the global condition keys that follow from the caller alone.
    pub fn describe(&self, context: &mut Context<'a>) {
        let (kind, arn) = match *self {
            Principal::Root { account, arn } => {
                context.set("aws:userid", account);
                ("Account", arn)
            }
            Principal::User { arn, id, name, .. } => {
                context.set("aws:userid", id);
                context.set("aws:username", name);
                ("User", arn)
            }
            Principal::AssumedRole { role_arn, id, session, .. } => {
                context.set("aws:userid", format!("{id}:{session}"));
                // AWS: for a session this key holds the role's ARN, not the session's.
                ("AssumedRole", role_arn)
            }
            Principal::FederatedUser { account, arn, id, .. } => {
                context.set("aws:userid", format!("{account}:{id}"));
                ("FederatedUser", arn)
            }
            Principal::Service(name) => {
                context.set("aws:PrincipalIsAWSService", "true");
                context.set("aws:PrincipalServiceName", name);
                return;
            }
            Principal::Federated { provider } => {
                context.set("aws:FederatedProvider", provider);
                return;
            }
            Principal::Anonymous => {
                context.set("aws:PrincipalType", "Anonymous");
                context.set("aws:userid", "anonymous");
                return;
            }
        };
        context.set("aws:PrincipalType", kind);
        context.set("aws:PrincipalArn", arn);
        context.set("aws:PrincipalIsAWSService", "false");
        if let Some(account) = self.account() {
            context.set("aws:PrincipalAccount", account);
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        matches!(self, Principal::Root { .. })
    }

    /// How `pattern` names this caller, if it does.
    fn named_by(&self, pattern: &PrincipalPattern) -> Option<Grant> {
        let direct = |yes: bool| yes.then_some(Grant::Direct);
        let behind = |yes: bool| yes.then_some(Grant::Behind);
        match (pattern, *self) {
            (PrincipalPattern::Anyone, _) => Some(Grant::Direct),
            (PrincipalPattern::Account(want), Principal::Root { account, .. }) => {
                direct(**want == *account)
            }
            (PrincipalPattern::Account(want), _) => {
                (self.account() == Some(&**want)).then_some(Grant::Delegated)
            }
            (PrincipalPattern::Arn(want), Principal::User { arn, .. }) => direct(**want == *arn),
            (PrincipalPattern::Arn(want), Principal::AssumedRole { role_arn, session_arn, .. }) => {
                direct(**want == *session_arn).or(behind(**want == *role_arn))
            }
            (PrincipalPattern::Arn(want), Principal::FederatedUser { arn, user_arn, .. }) => {
                direct(**want == *arn).or(behind(**want == *user_arn))
            }
            (PrincipalPattern::UniqueId(want), Principal::User { id, .. }) => direct(**want == *id),
            (PrincipalPattern::UniqueId(want), Principal::AssumedRole { id, session, .. }) => {
                let whole = want.split_once(':') == Some((id, session));
                direct(whole).or(behind(**want == *id))
            }
            (PrincipalPattern::Service(want), Principal::Service(name)) => {
                direct(want.eq_ignore_ascii_case(name))
            }
            (PrincipalPattern::Federated(want), Principal::Federated { provider }) => {
                direct(**want == *provider || &**want == "*")
            }
            _ => None,
        }
    }
}

/// A statement's `Principal` or `NotPrincipal`.
#[derive(Debug, Clone)]
pub(crate) struct PrincipalClause {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[PrincipalPattern]>,
}

impl PrincipalClause {
    /// The strongest way in which an Allow names the caller.
    pub(crate) fn allows(&self, caller: &Principal) -> Option<Grant> {
        let strongest = self.patterns.iter().filter_map(|pattern| caller.named_by(pattern)).max();
        match self.negated {
            false => strongest,
            // AWS no longer takes Allow with NotPrincipal; an old one reaches whom it names at no
            // level.
            true => strongest.is_none().then_some(Grant::Direct),
        }
    }

    /// Whether a Deny reaches the caller. A caller is excepted from NotPrincipal only when every
    /// level of it is named: AWS checks the account first, then the user or role.
    pub(crate) fn denies(&self, caller: &Principal, bounded: bool) -> bool {
        let named = |at_least: Grant| {
            let grants = self.patterns.iter().filter_map(|pattern| caller.named_by(pattern));
            grants.into_iter().any(|grant| grant >= at_least)
        };
        if !self.negated {
            return named(Grant::Delegated);
        }
        // AWS: a principal with a permissions boundary is denied whatever NotPrincipal lists.
        if bounded {
            return true;
        }
        let account = self.patterns.iter().any(|pattern| match pattern {
            PrincipalPattern::Account(want) => caller.account() == Some(&**want),
            PrincipalPattern::Anyone => true,
            _ => caller.account().is_none(),
        });
        !(account && named(Grant::Behind))
    }
}
