//! DeleteAccountSetting: the account's default holds again.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::account_setting::AccountSetting;
use crate::rules::settings;

pub struct DeleteAccountSetting;

impl WriteAction for DeleteAccountSetting {
    type Op = api::ops::DeleteAccountSetting;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        Demand::anywhere("ecs:DeleteAccountSetting").with("ecs:account-setting", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let whose = settings::principal(call, input.principal_arn.as_deref())?;
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        let known = settings::find_known(name)?;
        tx.delete::<AccountSetting>(&(call.scope(), whose.as_str().into(), name.into()));
        let value = settings::effective(tx, call.scope(), &whose, known);
        let setting = Some(settings::shown(name, value, &whose));
        Ok(api::DeleteAccountSettingResponse { setting })
    }
}
