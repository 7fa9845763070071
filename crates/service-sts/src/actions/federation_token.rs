//! GetFederationToken: a user lends a part of its permissions to somebody with a name.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, Principal, View, WriteAction};
use model_sts as api;
use service_iam::ops::{self, Session, Who};

use crate::{rules, views};

pub struct GetFederationToken;

/// AWS: twelve hours unless told otherwise; an hour at most for the root user.
const DEFAULT: i32 = 43_200;
const ROOT_MOST: i32 = 3600;

fn arn(call: &Call, name: &str) -> String {
    format!("arn:aws:sts::{}:federated-user/{name}", call.account())
}

impl WriteAction for GetFederationToken {
    type Op = api::ops::GetFederationToken;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = arn(call, input.name.as_deref().unwrap_or_default());
        let demand = Demand::on("sts:GetFederationToken", arn)
            .request_tags(rules::pairs(input.tags.as_deref()));
        match input.tags.as_deref().unwrap_or_default() {
            [] => demand.into(),
            _ => vec![rules::with_action(&demand, "sts:TagSession"), demand].into(),
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let caller = &*call.caller;
        let account = caller.account;
        let asked = input.duration_seconds.unwrap_or(DEFAULT);
        let (user, seconds) = match &caller.principal {
            Principal::Root if caller.issued_at.is_none() => (None, asked.min(ROOT_MOST)),
            Principal::User { name } if caller.issued_at.is_none() => {
                (Some((name.clone(), caller.user_id.clone())), asked)
            }
            _ => {
                return Err(ApiError::access_denied(
                    "Cannot call GetFederationToken with session credentials",
                ));
            }
        };
        let arns = input.policy_arns.as_deref();
        let mut given = rules::given_policies(tx, account, input.policy.as_deref(), arns)?;
        given.tags = rules::given_tags(input.tags.as_deref())?;
        let packed_policy_size = rules::check_packed(&given)?;
        let name = input.name.as_deref().unwrap_or_default();
        let who = Who::Federated { name: name.into(), user, key: caller.access_key_id.clone() };
        let now = tx.now();
        let issued = ops::issue(tx, account, |secret| Session {
            account,
            who,
            secret,
            issued: now,
            expires: rules::expiry(now, seconds),
            given,
            source_identity: None,
            mfa: false,
        });
        Ok(api::GetFederationTokenResponse {
            credentials: Some(views::credentials(&issued)),
            federated_user: Some(api::FederatedUser {
                arn: Some(arn(call, name)),
                federated_user_id: Some(format!("{account}:{name}")),
            }),
            packed_policy_size,
            ..Default::default()
        })
    }
}
