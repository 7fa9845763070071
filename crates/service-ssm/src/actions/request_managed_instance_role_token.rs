//! RequestManagedInstanceRoleToken: a managed instance gets a session of its role, by the secret whose
//! digest it registered with. Nothing is written: sessions are sealed tokens.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ssm::{self as api, errors};
use service_iam::ops::{self, Given, Session, Who};

use crate::rows::managed_instance::ManagedInstance;
use crate::rules::{roles, secrets};
use crate::views;

pub struct RequestManagedInstanceRoleToken;

/// AWS: sessions of managed instances live for an hour.
const LIFE: Duration = Duration::from_secs(3600);

impl WriteAction for RequestManagedInstanceRoleToken {
    type Op = api::ops::RequestManagedInstanceRoleToken;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demands::Nothing { because: "the machine's secret stands in the place of a permission" }
    }

    fn run(
        _: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let id = input.instance_id.unwrap_or_default();
        let fingerprint = secrets::digest(&input.secret.unwrap_or_default());
        let row = tx.get::<ManagedInstance>(&id.as_str().into());
        let row = row.filter(|row| row.fingerprint == fingerprint).ok_or_else(|| {
            errors::invalid_instance_id(format!("Instance {id} is not registered by that secret"))
        })?;
        let now = tx.now();
        let role = roles::find(tx, now, row.scope, &row.role)?;
        let (account, name, role_id) = (role.account(), role.name().clone(), role.id().clone());
        let who = Who::Role { name, id: role_id, session: row.id.clone() };
        let issued = ops::issue(tx, account, |secret| Session {
            account,
            who,
            secret,
            issued: now,
            expires: now + LIFE,
            given: Given::default(),
            source_identity: None,
            mfa: false,
        });
        Ok(api::RequestManagedInstanceRoleTokenResult {
            access_key_id: Some(issued.access_key_id),
            secret_access_key: Some(issued.secret.to_string()),
            session_token: Some(issued.token),
            token_expiration_date: Some(views::time(issued.expires)),
        })
    }
}
