//! GetSessionToken: the caller itself, for a while, with MFA where a code is given.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, Principal, View, WriteAction};
use model_sts as api;
use service_iam::ops::{self, Given, Session, Who};

use crate::{rules, views};

pub struct GetSessionToken;

/// AWS: twelve hours unless told otherwise; an hour at most for the root user.
const DEFAULT: i32 = 43_200;
const ROOT_MOST: i32 = 3600;

impl WriteAction for GetSessionToken {
    type Op = api::ops::GetSessionToken;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demands::Nothing { because: "AWS: every user may get a session token for itself" }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let caller = &*call.caller;
        let key = caller.access_key_id.clone();
        let asked = input.duration_seconds.unwrap_or(DEFAULT);
        let (who, seconds) = match &caller.principal {
            _ if caller.issued_at.is_some() => {
                return Err(ApiError::access_denied(
                    "Cannot call GetSessionToken with session credentials",
                ));
            }
            // AWS: a longer session of the root user is cut to an hour without an error.
            Principal::Root => (Who::Root { key }, asked.min(ROOT_MOST)),
            Principal::User { name } => {
                let (name, id) = (name.clone(), caller.user_id.clone());
                (Who::User { name, id, key }, asked)
            }
            Principal::AssumedRole { .. }
            | Principal::FederatedUser { .. }
            | Principal::Anonymous => {
                return Err(ApiError::access_denied(
                    "Cannot call GetSessionToken with session credentials",
                ));
            }
        };
        let now = tx.now();
        let (serial, code) = (input.serial_number.as_deref(), input.token_code.as_deref());
        let mfa = rules::check_mfa(&View::new(tx, now), call, serial, code)?;
        let issued = ops::issue(tx, caller.account, |secret| Session {
            account: caller.account,
            who,
            secret,
            issued: now,
            expires: rules::expiry(now, seconds),
            given: Given::default(),
            source_identity: None,
            mfa,
        });
        let credentials = Some(views::credentials(&issued));
        Ok(api::GetSessionTokenResponse { credentials, ..Default::default() })
    }
}
