//! Who a key stands for, and what they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_step::{Call, Caller, CredentialError, Credentials, Demand, Identity, Principal, View};
use core_types::{AccountId, Arn};

use crate::decide::Standing;
use crate::rows::access_key::{AccessKey, Owner};
use crate::rows::entity::{Entity, key_of};
use crate::rows::role::Role;
use crate::rows::seal::Seal;
use crate::rows::user::User;
use crate::session::{self, Session, Who};

/// The identity slice as the rest of the plane sees it.
pub struct IamIdentity;

impl Identity for IamIdentity {
    fn credentials(
        &self,
        view: &View<'_>,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        match session_token {
            Some(token) => of_session(view, access_key_id, token),
            None => of_key(view, access_key_id),
        }
    }

    fn authorize(&self, call: &Call, view: &View<'_>, demands: &[Demand]) -> Result<(), ApiError> {
        let caller = &*call.caller;
        if caller.principal == Principal::Anonymous {
            // Only an operation that is unsigned and yet demands a permission would come here.
            return Err(ApiError::missing_authentication_token("Missing Authentication Token"));
        }
        if let Some(refusal) = refused_to_session(caller, demands) {
            return Err(refusal);
        }
        let own = |demand: &Demand| match Arn::parse(&demand.resource) {
            Ok(arn) => arn.account.parse::<AccountId>().is_ok_and(|a| a == caller.account),
            Err(_) => true,
        };
        if caller.principal == Principal::Root && demands.iter().all(own) {
            return Ok(());
        }
        let standing = Standing::of(view, caller);
        demands
            .iter()
            .try_for_each(|demand| standing.decide(call, view.now(), demand, None).granted())
    }
}

/// AWS: credentials of GetSessionToken reach IAM only with MFA, those of GetFederationToken never.
fn refused_to_session(caller: &Caller, demands: &[Demand]) -> Option<ApiError> {
    caller.issued_at?;
    let refused = match caller.principal {
        Principal::Root | Principal::User { .. } => !caller.mfa,
        Principal::FederatedUser { .. } => true,
        Principal::AssumedRole { .. } | Principal::Anonymous => false,
    };
    let iam = demands.iter().any(|demand| demand.action.starts_with("iam:"));
    (refused && iam).then(|| {
        ApiError::invalid_client_token_id("The security token included in the request is invalid.")
    })
}

fn plain_caller(account: AccountId, access_key_id: Arc<str>) -> Caller {
    Caller {
        account,
        arn: format!("arn:aws:iam::{account}:root").into(),
        user_id: account.to_string().into(),
        principal: Principal::Root,
        access_key_id,
        session_policies: Vec::new(),
        session_policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        mfa: false,
        issued_at: None,
    }
}

fn user_caller(user: &User, access_key_id: Arc<str>) -> Caller {
    Caller {
        arn: user.arn().into(),
        user_id: user.head.id.clone(),
        principal: Principal::User { name: user.head.name.clone() },
        ..plain_caller(user.head.account, access_key_id)
    }
}

fn of_key(view: &View<'_>, access_key_id: &str) -> Result<Credentials, CredentialError> {
    let key = view.get::<AccessKey>(&access_key_id.into()).filter(|key| key.active);
    let key = key.ok_or(CredentialError::Unknown)?;
    let caller = match &key.owner {
        Owner::Root => plain_caller(key.account, key.id.clone()),
        Owner::User(name) => {
            let user = view.get::<User>(&(key.account, name.clone()));
            user_caller(user.ok_or(CredentialError::Unknown)?, key.id.clone())
        }
    };
    Ok(Credentials { secret: key.secret.clone(), caller: Arc::new(caller) })
}

fn of_session(
    view: &View<'_>,
    access_key_id: &str,
    token: &str,
) -> Result<Credentials, CredentialError> {
    let seal = view.get::<Seal>(&()).ok_or(CredentialError::BadToken)?;
    let session = session::open(&seal.key, access_key_id, token);
    let session = session.map_err(|_| CredentialError::BadToken)?;
    if view.now() >= session.expires {
        return Err(CredentialError::Expired);
    }
    let caller = session_caller(view, &session, access_key_id.into());
    let caller = caller.ok_or(CredentialError::BadToken)?;
    let Session { secret, issued, given, source_identity, mfa, .. } = session;
    let caller = Caller {
        session_policies: given.policies,
        session_policy_arns: given.policy_arns,
        session_tags: given.tags,
        transitive_tag_keys: given.transitive,
        source_identity,
        mfa,
        issued_at: Some(issued),
        ..caller
    };
    Ok(Credentials { secret, caller: Arc::new(caller) })
}

/// Whom a session stands for, if all that it rests on still exists: the same user, key or role,
/// not another one of the same name.
fn session_caller(view: &View<'_>, session: &Session, access_key_id: Arc<str>) -> Option<Caller> {
    let account = session.account;
    let active = |key: &Arc<str>| view.get::<AccessKey>(key).is_some_and(|key| key.active);
    let user = |name: &str, id: &Arc<str>| {
        view.get::<User>(&key_of(account, name)).filter(|user| user.head.id == *id)
    };
    match &session.who {
        Who::Root { key } => active(key).then(|| plain_caller(account, access_key_id)),
        Who::User { name, id, key } => {
            let user = user(name, id).filter(|_| active(key))?;
            Some(user_caller(user, access_key_id))
        }
        Who::Federated { name, user: by, key } => {
            let by = match by {
                Some((by, id)) => Some(user(by, id)?.head.name.clone()),
                None => None,
            };
            active(key).then(|| Caller {
                arn: format!("arn:aws:sts::{account}:federated-user/{name}").into(),
                user_id: format!("{account}:{name}").into(),
                principal: Principal::FederatedUser { name: name.clone(), user: by },
                ..plain_caller(account, access_key_id)
            })
        }
        Who::Role { name, id, session } => {
            let role = view.get::<Role>(&key_of(account, name));
            let role = role.filter(|role| role.head.id == *id)?;
            let name = &role.head.name;
            Some(Caller {
                arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{session}").into(),
                user_id: format!("{id}:{session}").into(),
                principal: Principal::AssumedRole { role: name.clone(), session: session.clone() },
                ..plain_caller(account, access_key_id)
            })
        }
    }
}
