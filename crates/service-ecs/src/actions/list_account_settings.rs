//! ListAccountSettings: what was set, or with `effectiveSettings` what holds.

use aws_protocol::ApiError;
use core_step::page::page;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rows::account_setting::AccountSetting;
use crate::rules::{lists, settings};

pub struct ListAccountSettings;

const LIST: &str = "ListAccountSettings";
/// AWS: ten a page.
const MOST: usize = 10;

impl ReadAction for ListAccountSettings {
    type Op = api::ops::ListAccountSettings;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:ListAccountSettings").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let size = lists::size_up_to(input.max_results, MOST)?;
        let after = lists::after(LIST, input.next_token.as_deref())?;
        let whose = settings::principal(call, input.principal_arn.as_deref())?;
        let name = input.name.as_ref().map(|name| name.as_str());
        if let Some(name) = name {
            settings::find_known(name)?;
        }
        if input.value.is_some() && name.is_none() {
            return Err(errors::invalid_parameter_exception(
                "You must specify an account setting name when you specify a value.",
            ));
        }
        let wanted = |of: &str, value: &str| {
            name.is_none_or(|name| name == of)
                && input.value.as_deref().is_none_or(|wanted| wanted == value)
        };
        let scope = call.scope();
        let cursor = |setting: &api::Setting| {
            setting.name.as_ref().map(|name| name.to_string()).unwrap_or_default()
        };
        let page = if input.effective_settings == Some(true) {
            let rows = settings::KNOWN.iter().filter(|known| known.name > after.as_str());
            let rows = rows.filter_map(|known| {
                let value = settings::effective(view, scope, &whose, known);
                let shown = || settings::shown(known.name, value, &whose);
                wanted(known.name, value).then(shown)
            });
            page(LIST, size, rows, cursor)
        } else {
            let first = (scope, whose.as_str().into(), after.as_str().into());
            let rows = view.scan::<AccountSetting>(first);
            let rows = rows
                .take_while(|row| row.key.0 == scope && *row.key.1 == *whose)
                .filter(|row| *row.key.2 > *after && wanted(&row.key.2, &row.value))
                .map(|row| settings::shown(&row.key.2, &row.value, &row.key.1));
            page(LIST, size, rows, cursor)
        };
        Ok(api::ListAccountSettingsResponse { settings: Some(page.items), next_token: page.next })
    }
}
