//! ResumeSession: session-manager-plugin asks for it when the connection of a session breaks.
//!
//! A command of ExecuteCommand ends with its connection, so there is nothing to go on with.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ssm as api;

pub struct ResumeSession;

impl ReadAction for ResumeSession {
    type Op = api::ops::ResumeSession;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let id = input.session_id.as_deref().unwrap_or_default();
        let arn = call.scope().arn("ssm", format_args!("session/{id}"));
        Demand::on("ssm:ResumeSession", arn).into()
    }

    fn run(_: &Call, _: &View<'_>, input: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        // AWS: without a token the session is over. The plugin tells so and ends; after an error it
        // would ask a few times more, and then wait for a key for ever.
        Ok(api::ResumeSessionResponse { session_id: input.session_id, ..Default::default() })
    }
}
