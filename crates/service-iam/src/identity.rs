//! Who a key stands for, and what they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_protocol::ApiError;
use core_step::{Call, Caller, CredentialError, Credentials, Demand, Identity, Principal, View};

use crate::rows::access_key::{AccessKey, Owner};

/// The identity slice as the rest of the plane sees it.
pub struct IamIdentity;

impl Identity for IamIdentity {
    fn credentials(
        &self,
        view: &View<'_>,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        let key = view.get::<AccessKey>(&access_key_id.into()).filter(|key| key.active);
        let key = key.ok_or(CredentialError::Unknown)?;
        if session_token.is_some() {
            // AWS: a token with a long-term key does not belong together.
            return Err(CredentialError::BadToken);
        }
        let account = key.account;
        let Owner::Root = &key.owner else { return Err(CredentialError::Unknown) };
        let caller = Caller {
            account,
            arn: format!("arn:aws:iam::{account}:root").into(),
            user_id: account.to_string().into(),
            principal: Principal::Root,
            access_key_id: key.id.clone(),
            session_policies: Vec::new(),
            session_policy_arns: Vec::new(),
            session_tags: BTreeMap::new(),
            source_identity: None,
            mfa: false,
            issued_at: None,
        };
        Ok(Credentials { secret: key.secret.clone(), caller: Arc::new(caller) })
    }

    fn authorize(&self, call: &Call, _view: &View<'_>, demands: &[Demand]) -> Result<(), ApiError> {
        match call.caller.principal {
            Principal::Root => Ok(()),
            _ => {
                let first = demands.first().map(|d| d.action).unwrap_or_default();
                let who = &call.caller.arn;
                Err(ApiError::access_denied(format!(
                    "User: {who} is not authorized to perform: {first} because no identity-based \
                     policy allows the {first} action"
                )))
            }
        }
    }
}
