//! Pages: ECS lists give up to 100 entries and a token for the rest.

use aws_protocol::ApiError;
use core_step::page;
use model_ecs::errors;

/// How many entries a page of an ECS list has.
pub fn size(asked: Option<i32>) -> Result<usize, ApiError> {
    size_up_to(asked, 100)
}

/// The same where AWS has another limit.
pub fn size_up_to(asked: Option<i32>, most: usize) -> Result<usize, ApiError> {
    match asked.map(usize::try_from) {
        None => Ok(most),
        Some(Ok(n)) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(errors::invalid_parameter_exception(format!(
            "maxResults must be between 1 and {most}."
        ))),
    }
}

/// Where the page begins: behind this cursor; empty for the beginning.
pub fn after(list: &str, token: Option<&str>) -> Result<String, ApiError> {
    page::open(list, token)
        .map(Option::unwrap_or_default)
        .map_err(|_| errors::invalid_parameter_exception("Invalid token."))
}

/// A value that is none of an enum's.
pub fn bad_value(what: &str, value: &str) -> ApiError {
    errors::invalid_parameter_exception(format!("Invalid value for {what}: {value}"))
}
