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

/// The same for lists of revisions, whose cursor is `family:revision`.
pub fn after_revision(list: &str, token: Option<&str>) -> Result<Option<(String, u32)>, ApiError> {
    let cursor = after(list, token)?;
    if cursor.is_empty() {
        return Ok(None);
    }
    let place = cursor.split_once(':');
    let place = place.and_then(|(family, n)| Some((family.to_owned(), n.parse().ok()?)));
    place.map(Some).ok_or_else(|| errors::invalid_parameter_exception("Invalid token."))
}

/// A value that is none of an enum's.
pub fn bad_value(what: &str, value: &str) -> ApiError {
    errors::invalid_parameter_exception(format!("Invalid value for {what}: {value}"))
}
