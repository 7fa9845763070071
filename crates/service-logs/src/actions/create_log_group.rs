//! CreateLogGroup.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs::{self as api, errors};

use crate::rows::group::LogGroup;
use crate::rules::{groups, permissions, tags};

pub struct CreateLogGroup;

impl WriteAction for CreateLogGroup {
    type Op = api::ops::CreateLogGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        let demand = permissions::on_group(call, view, "logs:CreateLogGroup", name);
        match input.tags.as_ref().filter(|given| !given.is_empty()) {
            // AWS: creating with tags takes the permission to tag as well.
            Some(given) => {
                let tag = permissions::on_tags(call, view, "logs:TagResource", name);
                let both = [demand, tag].map(|demand| demand.request_tags(tags::pairs(given)));
                Vec::from(both).into()
            }
            None => demand.into(),
        }
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = input.log_group_name.unwrap_or_default();
        if name.starts_with("aws/") {
            return Err(groups::invalid("Log groups starting with AWS/ are reserved for AWS."));
        }
        let given = input.tags.unwrap_or_default();
        tags::check(&given)?;
        if crate::ops::group_named(tx, call.scope(), &name).is_some() {
            return Err(errors::resource_already_exists_exception(
                "The specified log group already exists",
            ));
        }
        let class = input.log_group_class.map_or(groups::STANDARD.to_owned(), String::from);
        let row = LogGroup {
            key: (call.scope(), name.into()),
            id: tx.dice.id(),
            created_at: tx.now(),
            retention_days: (class == groups::DELIVERY).then_some(groups::DELIVERY_DAYS),
            class,
            kms_key_id: input.kms_key_id,
            tags: given,
            deletion_protected: input.deletion_protection_enabled.unwrap_or_default(),
        };
        tx.put(row);
        Ok(api::CreateLogGroupResponse {})
    }
}
