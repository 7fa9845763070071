//! Shapes as plain JSON, as botocore's tests write parameters and results: timestamps are epoch
//! seconds, blobs are base64 (or text), numbers that are none are strings.

use aws_protocol::schema::{Kind, Member, Schema};
use aws_protocol::{AnyShape, Blob, Field, Scalar, Timestamp, Value};
use serde_json::{Map, Value as Json, json};

/// A shape as JSON with base64 blobs.
pub fn of(shape: &dyn AnyShape) -> Json {
    let mut out = Map::new();
    for (index, member) in shape.schema().members().iter().enumerate() {
        let value = shape.field(index).get();
        if !matches!(value, Value::Absent) {
            out.insert(member.name.to_owned(), value_of(member.target, &value));
        }
    }
    Json::Object(out)
}

fn value_of(schema: &Schema, value: &Value<'_>) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::String(text) => json!(text),
        Value::Boolean(flag) => json!(flag),
        Value::Integer(number) => json!(number),
        Value::Double(number) if number.is_nan() => json!("NaN"),
        Value::Double(number) if number.is_infinite() => {
            json!(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Value::Double(number) => json!(number),
        Value::Blob(bytes) => json!(Blob::from(*bytes).to_base64()),
        Value::Timestamp(time) => json!(time.epoch_seconds()),
        Value::Document(document) => floats((*document).clone()),
        Value::Structure(shape) => of(*shape),
        Value::List(list) => {
            let element = schema.element().target;
            (0..list.len()).map(|index| value_of(element, &list.at(index))).collect()
        }
        Value::Map(map) => {
            let target = schema.value().target;
            let entries = map.entries().map(|(k, v)| (k.to_owned(), value_of(target, &v)));
            Json::Object(entries.collect())
        }
    }
}

fn floats(value: Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64().expect("a finite number")),
        Json::Array(items) => items.into_iter().map(floats).collect(),
        Json::Object(entries) => entries.into_iter().map(|(k, v)| (k, floats(v))).collect(),
        other => other,
    }
}

/// How a JSON description spells blobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blobs {
    Text,
    Base64,
}

/// Fills a shape out of its description; members that are null stay absent.
pub fn fill(shape: &mut dyn AnyShape, description: &Json, blobs: Blobs) {
    let schema = shape.schema();
    for (name, value) in description.as_object().expect("a structure is an object") {
        let Some(index) = schema.find(0, |member| member.name == name) else {
            panic!("{} has no member {name}", schema.name);
        };
        fill_field(shape.field_mut(index), &schema.members()[index], value, blobs);
    }
}

fn fill_field(field: &mut dyn Field, member: &'static Member, value: &Json, blobs: Blobs) {
    let schema = member.target;
    if schema.kind == Kind::Document {
        return field.put(Scalar::Document(value.clone())).expect("a document fits");
    }
    if value.is_null() {
        return;
    }
    let scalar = match schema.kind {
        Kind::Structure => return fill(field.structure().expect("a structure"), value, blobs),
        Kind::List => {
            let list = field.list().expect("a list");
            for item in value.as_array().expect("a list is an array") {
                fill_field(list.push(), schema.element(), item, blobs);
            }
            return;
        }
        Kind::Map => {
            let map = field.map().expect("a map");
            for (key, item) in value.as_object().expect("a map is an object") {
                fill_field(map.entry(key.clone()), schema.value(), item, blobs);
            }
            return;
        }
        Kind::String => Scalar::String(match value {
            Json::String(text) => text.clone(),
            // JSON values in headers are described as what they hold.
            other => other.to_string(),
        }),
        Kind::Boolean => Scalar::Boolean(value.as_bool().expect("a boolean")),
        Kind::Integer | Kind::Long => Scalar::Integer(
            value.as_i64().unwrap_or_else(|| value.as_f64().expect("a number") as i64),
        ),
        Kind::Float | Kind::Double => Scalar::Double(match value.as_str() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => value.as_f64().expect("a number"),
        }),
        Kind::Timestamp => {
            let seconds = value.as_f64().expect("a time is a number");
            Scalar::Timestamp(Timestamp::from_epoch_seconds(seconds).expect("a time in range"))
        }
        Kind::Blob => {
            let text = value.as_str().expect("a blob is a text");
            Scalar::Blob(match blobs {
                Blobs::Text => text.to_owned().into(),
                Blobs::Base64 => Blob::from_base64(text).expect("base64").0,
            })
        }
        Kind::Document => unreachable!("documents are handled above"),
    };
    field.put(scalar).expect("the value fits its field");
}
