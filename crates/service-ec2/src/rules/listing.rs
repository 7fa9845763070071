//! What all Describe actions have in common: ids, filters with wildcards, pages, and the errors about them.

use aws_protocol::ApiError;
use core_step::page::{self, Page};
use model_ec2 as api;

/// AWS: a page without a size of its own.
const PAGE: usize = 1000;

/// What a caller asks of a list.
#[derive(Default)]
pub struct Asked<'a> {
    pub ids: Option<&'a [String]>,
    pub filters: Option<&'a [api::Filter]>,
    pub max_results: Option<i32>,
    pub next_token: Option<&'a str>,
    pub dry_run: Option<bool>,
}

/// How a kind of thing is listed.
pub struct Kind<T> {
    pub list: &'static str,
    pub id: fn(&T) -> &str,
    /// AWS's error for an id that there is not.
    pub missing: (&'static str, &'static str),
    /// The filters that it knows.
    pub filters: &'static [&'static str],
    /// What a filter looks at.
    pub value: fn(&T, &str) -> Vec<String>,
}

pub fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", 400, text)
}

/// The error for a thing that there is not: `code` and what AWS calls it.
pub fn missing((code, noun): (&'static str, &str), id: &str) -> ApiError {
    ApiError::new(code, 400, format!("The {noun} ID '{id}' does not exist"))
}

/// A page of those that were asked for.
pub fn select<T>(kind: &Kind<T>, asked: &Asked<'_>, mut all: Vec<T>) -> Result<Page<T>, ApiError> {
    check_dry_run(asked.dry_run)?;
    let filters = asked.filters.unwrap_or_default();
    for filter in filters {
        check_filter(filter, kind.filters)?;
    }
    let size = match asked.max_results {
        None => PAGE,
        Some(size) if (5..=1000).contains(&size) => size as usize,
        Some(size) => {
            return Err(invalid(format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
            )));
        }
    };
    if let Some(ids) = asked.ids.filter(|ids| !ids.is_empty()) {
        if asked.max_results.is_some() {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                400,
                "The parameter MaxResults cannot be used with the parameter for IDs in the same request",
            ));
        }
        for id in ids {
            if !all.iter().any(|item| (kind.id)(item) == id) {
                return Err(missing(kind.missing, id));
            }
        }
        all.retain(|item| ids.iter().any(|id| id == (kind.id)(item)));
    }
    all.retain(|item| {
        filters.iter().all(|filter| {
            matches(filter, &(kind.value)(item, filter.name.as_deref().unwrap_or_default()))
        })
    });
    all.sort_by(|a, b| (kind.id)(a).cmp((kind.id)(b)));
    let after = page::open(kind.list, asked.next_token)
        .map_err(|_| ApiError::new("InvalidNextToken", 400, "The specified token is invalid"))?;
    let rest =
        all.into_iter().filter(|item| after.as_deref().is_none_or(|after| (kind.id)(item) > after));
    Ok(page::page(kind.list, size, rest, |item| (kind.id)(item).to_owned()))
}

/// AWS: whoever may do it and asks whether, is told so by an error.
pub fn check_dry_run(dry_run: Option<bool>) -> Result<(), ApiError> {
    match dry_run {
        Some(true) => Err(ApiError::new(
            "DryRunOperation",
            412,
            "Request would have succeeded, but DryRun flag is set.",
        )),
        _ => Ok(()),
    }
}

pub fn check_filter(filter: &api::Filter, known: &[&str]) -> Result<(), ApiError> {
    let name = filter.name.as_deref().unwrap_or("null");
    let tags = name == "tag-key" || name == "tag-value" || name.starts_with("tag:");
    if !tags && !known.contains(&name) {
        return Err(invalid(format!("The filter '{name}' is invalid")));
    }
    Ok(())
}

/// One of the values fits one of the patterns.
pub fn matches(filter: &api::Filter, values: &[String]) -> bool {
    let patterns = filter.values.as_deref().unwrap_or_default();
    patterns
        .iter()
        .any(|pattern| values.iter().any(|value| fits(pattern.as_bytes(), value.as_bytes())))
}

/// AWS: `*` is any text, `?` any character, a backslash takes their meaning away. Linear in the product of the lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let (step, literal) = match pattern.get(p) {
            Some(b'\\') if p + 1 < pattern.len() => (2, Some(pattern[p + 1])),
            Some(b'?') => (1, None),
            Some(b'*') => {
                again = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(byte) => (1, Some(*byte)),
            None if t == text.len() => return true,
            None => (0, Some(0)),
        };
        if p < pattern.len() && t < text.len() && literal.is_none_or(|byte| byte == text[t]) {
            p += step;
            t += 1;
            continue;
        }
        match &mut again {
            Some((star, from)) if *from < text.len() => {
                *from += 1;
                (p, t) = (*star, *from);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_awss() {
        for (pattern, text, expected) in [
            ("us-*", "us-east-1a", true),
            ("*1?", "us-east-1a", true),
            ("*-*-*b", "us-east-1a", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            (r"\*", "a", false),
            (r"a\*b", "a*b", true),
            ("a*", "ba", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_ends_and_a_text_fits_itself(pattern in "[ab*?\\\\]{0,24}", text in "[ab]{0,24}") {
            let _ = fits(pattern.as_bytes(), text.as_bytes());
            prop_assert!(fits(text.as_bytes(), text.as_bytes()));
        }
    }
}
