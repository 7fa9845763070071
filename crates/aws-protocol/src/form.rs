//! `application/x-www-form-urlencoded` as a tree: `Tags.member.1.Key=x` becomes nested nodes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::limits::{MAX_FORM_PAIRS, MAX_KEY_SEGMENTS};

/// A node: the value of its own key, and what stands below it.
#[derive(Default, Debug)]
pub(crate) struct Node<'a> {
    pub value: Option<String>,
    pub children: BTreeMap<Cow<'a, str>, Node<'a>>,
}

impl<'a> Node<'a> {
    /// Parses pairs of a form or a query string into the tree.
    pub fn add_form(&mut self, text: &'a str) -> Result<(), ApiError> {
        for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count >= MAX_FORM_PAIRS {
                return Err(ApiError::malformed_request("The request has too many parameters"));
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.add(decode(key)?, decode(value)?.into_owned())?;
        }
        Ok(())
    }

    fn add(&mut self, key: Cow<'a, str>, value: String) -> Result<(), ApiError> {
        if key.split('.').count() > MAX_KEY_SEGMENTS {
            return Err(ApiError::malformed_request("A parameter is nested too deeply"));
        }
        let mut node = self;
        match key {
            Cow::Borrowed(key) => {
                for segment in key.split('.') {
                    node = node.children.entry(Cow::Borrowed(segment)).or_default();
                }
            }
            Cow::Owned(key) => {
                for segment in key.split('.') {
                    node = node.children.entry(Cow::Owned(segment.to_owned())).or_default();
                }
            }
        }
        node.value = Some(value);
        Ok(())
    }

    pub fn child(&self, name: &str) -> Option<&Node<'a>> {
        self.children.get(name)
    }

    /// The children with numbers for names, in the numbers' order.
    pub fn numbered(&self) -> Vec<&Node<'a>> {
        let mut found: Vec<(u32, &Node<'a>)> = self
            .children
            .iter()
            .filter_map(|(name, node)| name.parse().ok().map(|number| (number, node)))
            .collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, node)| node).collect()
    }
}

/// Percent-decoding with `+` as a space.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, ApiError> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|error| {
        ApiError::malformed_request("A parameter is not UTF-8").with_source(error)
    })?;
    Ok(Cow::Owned(decoded.into_owned()))
}

/// Body bytes as text.
pub(crate) fn text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body)
        .map_err(|error| ApiError::malformed_request("The body is not UTF-8").with_source(error))
}
