//! RegisterManagedInstance: a machine shows an activation's code and becomes a managed instance.
//!
//! AWS's own agent does the same with an operation of this name that is in no published model. The
//! machine makes a secret and tells its digest alone; a repeat with the same digest, after an answer
//! that was lost, gives the same instance and uses the activation only once.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ssm::{self as api, errors};

use crate::rows::activation::Activation;
use crate::rows::managed_instance::{InstanceOfFingerprint, ManagedInstance};
use crate::rules::{activations, secrets};

pub struct RegisterManagedInstance;

impl WriteAction for RegisterManagedInstance {
    type Op = api::ops::RegisterManagedInstance;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demands::Nothing { because: "the activation's code stands in the place of a permission" }
    }

    fn run(
        _: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let id = input.activation_id.unwrap_or_default();
        let code = input.activation_code.unwrap_or_default();
        let row = activations::usable(tx, tx.now(), &id, &code)?.clone();
        let fingerprint = input.fingerprint.unwrap_or_default();
        if !secrets::is_digest(&fingerprint) {
            return Err(errors::invalid_activation("The fingerprint is no SHA-256 digest."));
        }
        let key = (row.id.clone(), fingerprint.as_str().into());
        let known = tx.by::<InstanceOfFingerprint>(&key).next().map(|known| known.id.clone());
        let instance_id = match known {
            Some(id) => id,
            None => register(tx, row, fingerprint)?,
        };
        Ok(api::RegisterManagedInstanceResult { instance_id: Some(instance_id.to_string()) })
    }
}

fn register(tx: &mut Tx<'_>, row: Activation, fingerprint: String) -> Result<Arc<str>, ApiError> {
    activations::check_limit(&row)?;
    let digits = tx.dice.id().to_string();
    let id: Arc<str> = format!("mi-{}", &digits[..17]).into();
    tx.put(ManagedInstance {
        id: id.clone(),
        scope: row.scope,
        activation: row.id.clone(),
        fingerprint,
        role: row.role.clone(),
        name: row.instance_name.clone(),
        registered_at: tx.now(),
        tags: row.tags.clone(),
    });
    tx.put(Activation { registrations: row.registrations + 1, ..row });
    Ok(id)
}
