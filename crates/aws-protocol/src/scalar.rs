//! Scalars out of text and into it: forms, XML, headers, labels and query strings all spell them
//! alike.

use std::borrow::Cow;

use base64::Engine;

use crate::blob::{BASE64, Blob};
use crate::schema::{Kind, Member, TimestampFormat};
use crate::shape::{Field, Mismatch, Scalar, Value};
use crate::timestamp::Timestamp;

/// Parses text by the member's kind and puts it into the field.
pub(crate) fn put_text(field: &mut dyn Field, member: &Member, text: &str) -> Result<(), Mismatch> {
    let value = match member.target.kind {
        Kind::String => Scalar::String(text.to_owned()),
        Kind::Boolean => Scalar::Boolean(match text.trim() {
            "true" | "True" | "TRUE" => true,
            "false" | "False" | "FALSE" => false,
            _ => return Err(Mismatch),
        }),
        Kind::Integer | Kind::Long => Scalar::Integer(text.trim().parse().map_err(|_| Mismatch)?),
        Kind::Float | Kind::Double => Scalar::Double(match text.trim() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            number => {
                let parsed: f64 = number.parse().map_err(|_| Mismatch)?;
                // Rust also reads `inf` and `nan`, which AWS does not.
                if !parsed.is_finite() {
                    return Err(Mismatch);
                }
                parsed
            }
        }),
        Kind::Blob => Scalar::Blob(Blob::from_base64(text.trim()).ok_or(Mismatch)?.0),
        Kind::Timestamp => Scalar::Timestamp(Timestamp::parse_any(text).ok_or(Mismatch)?),
        Kind::Document => Scalar::Document(serde_json::from_str(text).map_err(|_| Mismatch)?),
        Kind::List | Kind::Map | Kind::Structure => return Err(Mismatch),
    };
    field.put(value)
}

/// A scalar as text, as XML, headers, labels and query strings spell it.
pub(crate) fn text<'a>(
    member: &Member,
    value: &Value<'a>,
    time_default: TimestampFormat,
) -> Cow<'a, str> {
    match *value {
        Value::String(text) => text.into(),
        Value::Boolean(flag) => if flag { "true" } else { "false" }.into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Double(number) => double_text(number, member.target.kind).into(),
        Value::Blob(bytes) => BASE64.encode(bytes).into(),
        Value::Timestamp(time) => time.format(member.timestamp_or(time_default)).into(),
        Value::Document(document) => document.to_string().into(),
        Value::Absent | Value::List(_) | Value::Map(_) | Value::Structure(_) => "".into(),
    }
}

fn double_text(number: f64, kind: Kind) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    // Debug keeps `.0` on whole numbers, as AWS's Java front ends do.
    if kind == Kind::Float { format!("{:?}", number as f32) } else { format!("{number:?}") }
}
