//! DeleteLogStream. Its lines are not shown any more.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_logs as api;

use crate::rows::stream::LogStream;
use crate::rules::{groups, permissions};

pub struct DeleteLogStream;

impl WriteAction for DeleteLogStream {
    type Op = api::ops::DeleteLogStream;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let group = input.log_group_name.as_deref().unwrap_or_default();
        let name = input.log_stream_name.as_deref().unwrap_or_default();
        permissions::on_stream(call, view, "logs:DeleteLogStream", group, name).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let group = groups::find(tx, call, &input.log_group_name.unwrap_or_default())?;
        let name = input.log_stream_name.unwrap_or_default();
        let key = groups::find_stream(tx, group, &name)?.key.clone();
        tx.delete::<LogStream>(&key);
        Ok(api::DeleteLogStreamResponse {})
    }
}
