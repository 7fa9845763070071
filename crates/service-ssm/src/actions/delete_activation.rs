//! DeleteActivation: no further machine joins by it. Those that have stay.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ssm::{self as api, errors};

use crate::rows::activation::Activation;

pub struct DeleteActivation;

impl WriteAction for DeleteActivation {
    type Op = api::ops::DeleteActivation;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ssm:DeleteActivation").into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let id = input.activation_id.unwrap_or_default().as_str().into();
        let row = tx.get::<Activation>(&id).filter(|row| row.scope == call.scope());
        if row.is_none() {
            return Err(errors::invalid_activation_id(
                "The activation ID isn't valid. Verify the you entered the correct ActivationId or \
                 ActivationCode and try again.",
            ));
        }
        tx.delete::<Activation>(&id);
        Ok(api::DeleteActivationResult {})
    }
}
