//! CreateLogStream.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs::{self as api, errors};

use crate::rows::stream::LogStream;
use crate::rules::{groups, permissions};

pub struct CreateLogStream;

impl WriteAction for CreateLogStream {
    type Op = api::ops::CreateLogStream;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let group = input.log_group_name.as_deref().unwrap_or_default();
        let name = input.log_stream_name.as_deref().unwrap_or_default();
        permissions::on_stream(call, view, "logs:CreateLogStream", group, name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = groups::find(tx, call, &input.log_group_name.unwrap_or_default())?.id;
        let key = (group, input.log_stream_name.unwrap_or_default().into());
        if tx.get::<LogStream>(&key).is_some() {
            return Err(errors::resource_already_exists_exception(
                "The specified log stream already exists",
            ));
        }
        let row = LogStream { key, id: tx.dice.id(), created_at: tx.now() };
        tx.put(row);
        Ok(api::CreateLogStreamResponse {})
    }
}
