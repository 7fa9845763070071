//! PutAccountSetting: the caller's own, or another principal's where the root asks.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rows::account_setting::AccountSetting;
use crate::rules::settings;

pub struct PutAccountSetting;

impl WriteAction for PutAccountSetting {
    type Op = api::ops::PutAccountSetting;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        Demand::anywhere("ecs:PutAccountSetting").with("ecs:account-setting", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let whose = settings::principal(call, input.principal_arn.as_deref())?;
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        let value = input.value.unwrap_or_default();
        Ok(api::PutAccountSettingResponse { setting: Some(put(call, tx, &whose, name, &value)?) })
    }
}

pub fn put(
    call: &Call,
    tx: &mut Tx<'_>,
    whose: &str,
    name: &str,
    value: &str,
) -> Result<api::Setting, ApiError> {
    let known = settings::find_known(name)?;
    settings::check_value(known, value)?;
    let key = (call.scope(), whose.into(), name.into());
    tx.put(AccountSetting { key, value: value.into() });
    Ok(settings::shown(name, value, whose))
}
