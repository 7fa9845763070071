//! What an activation may say, and who may use it.

use std::time::Duration;

use aws_protocol::{ApiError, Timestamp};
use core_state::State;
use core_types::Time;
use model_ssm::errors;

use super::secrets;
use crate::rows::activation::Activation;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// AWS: thirty days at most.
const LONGEST: u32 = 30;

/// AWS: a day, where nothing is said.
pub fn expiry(now: Time, asked: Option<Timestamp>) -> Result<Time, ApiError> {
    let Some(asked) = asked else { return Ok(now + DAY) };
    let at = Time(asked.as_millis());
    if at <= now {
        return Err(errors::invalid_parameters("The expiration date must be in the future."));
    }
    if at > now + DAY * LONGEST {
        return Err(errors::invalid_parameters(format!(
            "The expiration date must be within {LONGEST} days of now."
        )));
    }
    Ok(at)
}

/// The activation, for a machine that has its code.
pub fn usable<'s>(
    state: &'s State,
    now: Time,
    id: &str,
    code: &str,
) -> Result<&'s Activation, ApiError> {
    let row = state.get::<Activation>(&id.into());
    let row = row.filter(|row| row.code_digest == secrets::digest(code)).ok_or_else(|| {
        errors::invalid_activation(
            "The activation isn't valid. The activation might have been deleted, or the \
             ActivationId and the ActivationCode don't match.",
        )
    })?;
    if row.expires_at <= now {
        return Err(errors::invalid_activation("The activation has expired."));
    }
    Ok(row)
}

/// AWS: an activation is good for so many machines, one unless told otherwise.
pub fn check_limit(row: &Activation) -> Result<(), ApiError> {
    match row.registrations < row.limit {
        true => Ok(()),
        false => Err(errors::invalid_activation(format!(
            "The registration limit ({}) of the activation has been reached.",
            row.limit
        ))),
    }
}
