//! SetSecurityTokenServicePreferences. Tokens here are good in every region, as version 2 says;
//! the choice is kept because the account summary tells it.

use crate::actions::prelude::*;
use crate::rows::account::Account;

pub struct SetSecurityTokenServicePreferences;

impl WriteAction for SetSecurityTokenServicePreferences {
    type Op = api::ops::SetSecurityTokenServicePreferences;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:SetSecurityTokenServicePreferences").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let version = match &input.global_endpoint_token_version {
            Some(version) if *version == api::GlobalEndpointTokenVersion::V2_TOKEN => 2,
            _ => 1,
        };
        tx.edit::<Account>(&call.account(), |account| account.token_version = version);
        Ok(api::SetSecurityTokenServicePreferencesResponse {})
    }
}
