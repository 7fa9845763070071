//! Members in HTTP headers: scalars, comma-separated lists, and maps by prefix.

use std::borrow::Cow;

use base64::Engine;
use http::HeaderMap;

use crate::blob::BASE64;
use crate::error::ApiError;
use crate::rest::header;
use crate::scalar;
use crate::schema::{Kind, Location, Member, Schema, TimestampFormat};
use crate::shape::{AnyShape, Field, Scalar, Value};

fn malformed(member: &Member) -> ApiError {
    ApiError::malformed_request(format!("The header {} has an invalid value", member.wire))
}

/// Reads all header members of an input.
pub(crate) fn read(headers: &HeaderMap, input: &mut dyn AnyShape) -> Result<(), ApiError> {
    let schema: &'static Schema = input.schema();
    for (index, member) in schema.members().iter().enumerate() {
        match member.location {
            Location::Header => read_one(headers, member, input.field_mut(index))?,
            Location::Headers => read_prefix(headers, member, input.field_mut(index))?,
            _ => {}
        }
    }
    Ok(())
}

fn read_one(
    headers: &HeaderMap,
    member: &'static Member,
    field: &mut dyn Field,
) -> Result<(), ApiError> {
    for value in headers.get_all(member.wire) {
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed(member))?;
        if member.target.kind == Kind::List {
            let element = member.target.element();
            let list = field.list().ok_or_else(|| malformed(member))?;
            let dates = element.target.kind == Kind::Timestamp
                && time_format(member, element) == TimestampFormat::HttpDate;
            let items = if text.trim().is_empty() { Vec::new() } else { split(text, dates) };
            for item in items {
                scalar::put_text(list.push(), element, &item).map_err(|_| malformed(member))?;
            }
            continue;
        }
        if member.json_value {
            let plain = BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let plain = plain.ok_or_else(|| malformed(member))?;
            field.put(Scalar::String(plain)).map_err(|_| malformed(member))?;
            continue;
        }
        scalar::put_text(field, member, text).map_err(|_| malformed(member))?;
    }
    Ok(())
}

fn read_prefix(
    headers: &HeaderMap,
    member: &'static Member,
    field: &mut dyn Field,
) -> Result<(), ApiError> {
    for (name, value) in headers {
        let name = name.as_str();
        let has_prefix = name.len() >= member.wire.len()
            && name[..member.wire.len()].eq_ignore_ascii_case(member.wire);
        if !has_prefix {
            continue;
        }
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed(member))?;
        let map = field.map().ok_or_else(|| malformed(member))?;
        let slot = map.entry(name[member.wire.len()..].to_owned());
        scalar::put_text(slot, member.target.value(), text).map_err(|_| malformed(member))?;
    }
    Ok(())
}

fn time_format(member: &Member, element: &Member) -> TimestampFormat {
    member.timestamp.unwrap_or(element.timestamp_or(TimestampFormat::HttpDate))
}

/// Splits a list at its commas; quoted items may hold commas, and so does every HTTP date.
fn split(text: &str, dates: bool) -> Vec<Cow<'_, str>> {
    if dates {
        let commas: Vec<usize> = text.match_indices(',').map(|(at, _)| at).collect();
        let mut items = Vec::new();
        let mut start = 0;
        for end in commas.iter().skip(1).step_by(2).copied().chain([text.len()]) {
            items.push(Cow::Borrowed(text[start..end].trim()));
            start = (end + 1).min(text.len());
        }
        return items;
    }
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (item, after) = unquote(quoted);
            items.push(Cow::Owned(item));
            match after.trim_start().strip_prefix(',') {
                Some(next) => rest = next.trim_start(),
                None => return items,
            }
            continue;
        }
        match rest.split_once(',') {
            Some((item, next)) => {
                items.push(Cow::Borrowed(item.trim()));
                rest = next.trim_start();
            }
            None => {
                items.push(Cow::Borrowed(rest.trim()));
                return items;
            }
        }
    }
}

/// A quoted item and what follows its closing quote.
fn unquote(text: &str) -> (String, &str) {
    let mut item = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (item, &text[at + 1..]),
            '\\' => item.extend(chars.next().map(|(_, escaped)| escaped)),
            c => item.push(c),
        }
    }
    (item, "")
}

fn quote(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',']) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into();
    }
    text.into()
}

/// Writes all header members of an output.
pub(crate) fn write(output: &dyn AnyShape, headers: &mut HeaderMap) {
    for (index, member) in output.schema().members().iter().enumerate() {
        let value = output.field(index).get();
        match (member.location, value) {
            (Location::Headers, Value::Map(map)) => {
                for (key, value) in map.entries() {
                    let text = scalar::text(member, &value, TimestampFormat::HttpDate);
                    headers.extend(header(&format!("{}{key}", member.wire), &text));
                }
            }
            (Location::Header, Value::List(list)) => {
                let element = member.target.element();
                let format = time_format(member, element);
                let items: Vec<String> = (0..list.len())
                    .map(|index| list.at(index))
                    .map(|value| match value {
                        Value::String(text) => quote(text).into_owned(),
                        value => scalar::text(element, &value, format).into_owned(),
                    })
                    .collect();
                headers.extend(header(member.wire, &items.join(", ")));
            }
            (Location::Header, Value::Absent) => {}
            (Location::Header, value) => {
                let text = scalar::text(member, &value, TimestampFormat::HttpDate);
                let text = if member.json_value { BASE64.encode(&*text).into() } else { text };
                headers.extend(header(member.wire, &text));
            }
            _ => {}
        }
    }
}
