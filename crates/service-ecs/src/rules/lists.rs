//! Pages: ECS lists give up to 100 entries and a token for the rest.

use aws_protocol::ApiError;
use model_ecs::errors;

/// How many entries a page of an ECS list has.
pub fn page_size(asked: Option<i32>) -> Result<usize, ApiError> {
    match asked {
        None => Ok(100),
        Some(n @ 1..=100) => Ok(n as usize),
        Some(_) => Err(errors::invalid_parameter_exception(
            "maxResults must be between 1 and 100.",
        )),
    }
}
