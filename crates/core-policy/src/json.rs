//! The JSON reader under policy documents: a tree that keeps member order and refuses duplicates.
//!
//! serde_json does the reading and bounds the depth. Two things are added that policies need: a
//! member named twice is an error (AWS refuses it, a map would keep the last), and the places of
//! the statements in the text are known, because the policy simulator reports them.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Option<Json> {
        serde_json::from_str(text).ok()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("a member is named twice"));
        }
        Ok(Json::Object(members))
    }
}

/// Where the statements of a document stand in its text, in order.
pub(crate) fn statement_spans(text: &str) -> Vec<Range<usize>> {
    #[derive(Deserialize)]
    struct Top<'a> {
        #[serde(borrow, rename = "Statement")]
        statement: Option<&'a RawValue>,
    }
    let Ok(Top { statement: Some(raw) }) = serde_json::from_str::<Top>(text) else {
        return Vec::new();
    };
    // The raw values are slices of `text`, so the distance of their starts is their offset.
    let span = |raw: &RawValue| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        start..start + raw.get().len()
    };
    match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(list) => list.into_iter().map(span).collect(),
        Err(_) => vec![span(raw)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_refused_at_every_level() {
        assert!(Json::parse(r#"{"a":1,"b":1}"#).is_some());
        assert!(Json::parse(r#"{"a":1,"a":1}"#).is_none());
        assert!(Json::parse(r#"[{"x":{"a":1,"\u0061":2}}]"#).is_none());
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        assert!(Json::parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_none());
        assert!(Json::parse(&"{\"a\":".repeat(100_000)).is_none());
    }

    #[test]
    fn spans_cover_the_statements() {
        let text = r#" {"Id":"x", "Statement": [ {"a":1} , {} ]}"#;
        let spans: Vec<&str> = statement_spans(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(spans, [r#"{"a":1}"#, "{}"]);
        let text = r#"{"Statement":{"b":[2]}}"#;
        assert_eq!(&text[statement_spans(text)[0].clone()], r#"{"b":[2]}"#);
    }
}
