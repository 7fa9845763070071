//! PutAccountSettingDefault: for everyone of the account who has no setting of their own.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use super::put_account_setting::put;
use crate::rules::settings;

pub struct PutAccountSettingDefault;

impl WriteAction for PutAccountSettingDefault {
    type Op = api::ops::PutAccountSettingDefault;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        Demand::anywhere("ecs:PutAccountSettingDefault").with("ecs:account-setting", name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        let value = input.value.unwrap_or_default();
        let setting = put(call, tx, &settings::root_arn(call.scope()), name, &value)?;
        Ok(api::PutAccountSettingDefaultResponse { setting: Some(setting) })
    }
}
