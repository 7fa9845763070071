//! DeregisterManagedInstance: the machine gets no further session.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ssm::{self as api, errors};

use crate::rows::managed_instance::{ManagedInstance, arn_of};

pub struct DeregisterManagedInstance;

impl WriteAction for DeregisterManagedInstance {
    type Op = api::ops::DeregisterManagedInstance;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let id = input.instance_id.as_deref().unwrap_or_default();
        let row = view.get::<ManagedInstance>(&id.into()).filter(|row| row.scope == call.scope());
        let tags = row.into_iter().flat_map(|row| &row.tags);
        Demand::on("ssm:DeregisterManagedInstance", arn_of(call.scope(), id))
            .resource_tags(tags.map(|(key, value)| (key.as_str(), value.as_str())))
            .into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let id = input.instance_id.unwrap_or_default();
        let key = id.as_str().into();
        let row = tx.get::<ManagedInstance>(&key).filter(|row| row.scope == call.scope());
        if row.is_none() {
            return Err(errors::invalid_instance_id(format!(
                "Instance {id} is not registered with this account"
            )));
        }
        tx.delete::<ManagedInstance>(&key);
        Ok(api::DeregisterManagedInstanceResult {})
    }
}
