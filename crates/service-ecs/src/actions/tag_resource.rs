//! TagResource: on anything of the slice that has tags.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ecs as api;

use crate::rules::{tagged, tags};

pub struct TagResource;

impl WriteAction for TagResource {
    type Op = api::ops::TagResource;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        let given = input.tags.as_deref().unwrap_or_default();
        demand(call, view, "ecs:TagResource", arn).request_tags(tags::pairs(given)).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let given = input.tags.unwrap_or_default();
        tags::check_tags(&given)?;
        let of = tagged::find(tx, call, input.resource_arn.as_deref().unwrap_or_default())?;
        let merged = tags::merged(tagged::tags(tx, &of), &given)?;
        tagged::set(tx, &of, merged);
        Ok(api::TagResourceResponse {})
    }
}

/// A permission on something that may have tags.
pub fn demand(call: &Call, view: &View<'_>, action: &'static str, arn: &str) -> Demand {
    let there = tagged::find(view, call, arn).ok();
    let there = there.map(|of| tagged::tags(view, &of)).unwrap_or_default();
    let arn = if arn.is_empty() { "*" } else { arn };
    Demand::on(action, arn).resource_tags(tags::pairs(there))
}
