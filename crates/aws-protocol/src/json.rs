//! JSON through serde, steered by the schema: one visitor and one serializer for every shape.
//!
//! serde_json does the text; what is ours is the mapping from member names to fields and the
//! spelling of timestamps, blobs and non-finite numbers. Both directions are generic over serde's
//! traits only in their outermost call, so each is compiled once per format, not per shape.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::blob::{BASE64, Blob};
use crate::limits::{Budget, MAX_DEPTH};
use crate::schema::{Kind, Location, Member, Schema, TimestampFormat};
use crate::shape::{AnyShape, Field, ListField, MapField, Scalar, Value};
use crate::timestamp::Timestamp;
use base64::Engine;

/// Which names members have and how lenient reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The wire: `locationName`s, body members only.
    Wire,
    /// Wharf's own form at rest: AWS's member names, all members, timestamps in milliseconds.
    Stored,
    /// The detail of an event: as on the wire, but for timestamps in ISO 8601.
    Event,
}

impl Dialect {
    fn name(self, member: &Member) -> &'static str {
        match self {
            Dialect::Wire | Dialect::Event => member.wire,
            Dialect::Stored => member.name,
        }
    }

    fn carries(self, member: &Member) -> bool {
        self == Dialect::Stored || member.location == Location::Body
    }
}

/// What a reader carries along: the dialect, how deep it is, and what it may still make.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub dialect: Dialect,
    pub depth: usize,
    pub budget: &'a Budget,
}

impl Context<'_> {
    fn deeper(self) -> Self {
        Context { depth: self.depth + 1, ..self }
    }

    fn spend<E: serde::de::Error>(self, count: usize) -> Result<(), E> {
        if self.budget.spend(count) { Ok(()) } else { Err(E::custom("the input is too large")) }
    }
}

/// Deserializes into a structure.
pub struct StructureSeed<'a> {
    pub shape: &'a mut dyn AnyShape,
    pub context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for StructureSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for StructureSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a structure")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.context.depth > MAX_DEPTH {
            return Err(A::Error::custom("nesting is too deep"));
        }
        let schema = self.shape.schema();
        self.context.spend(schema.members().len())?;
        let mut hint = 0;
        while let Some(found) =
            map.next_key_seed(NameSeed { schema, hint, dialect: self.context.dialect })?
        {
            let Some(index) = found else {
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            };
            hint = index + 1;
            let member = &schema.members()[index];
            map.next_value_seed(FieldSeed {
                field: self.shape.field_mut(index),
                member,
                context: self.context.deeper(),
            })?;
        }
        Ok(())
    }
}

/// Turns a member's name into its index.
struct NameSeed {
    schema: &'static Schema,
    hint: usize,
    dialect: Dialect,
}

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let dialect = self.dialect;
        Ok(self.schema.find(self.hint, |m| dialect.name(m) == name && dialect.carries(m)))
    }
}

/// Deserializes into one field.
struct FieldSeed<'a> {
    field: &'a mut dyn Field,
    member: &'static Member,
    context: Context<'a>,
}

impl FieldSeed<'_> {
    fn put<E: serde::de::Error>(self, value: Scalar, seen: Unexpected<'_>) -> Result<(), E> {
        let kind = self.member.target.kind;
        self.field.put(value).map_err(|_| E::invalid_value(seen, &kind_name(kind)))
    }

    fn number<E: serde::de::Error>(self, number: f64, seen: Unexpected<'_>) -> Result<(), E> {
        let value = match self.member.target.kind {
            Kind::Timestamp => Timestamp::from_epoch_seconds(number).map(Scalar::Timestamp),
            Kind::Float | Kind::Double => Some(Scalar::Double(number)),
            // AWS reads 1.0 as the integer 1.
            Kind::Integer | Kind::Long if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(Scalar::Integer(number as i64))
            }
            _ => None,
        };
        let kind = self.member.target.kind;
        let Some(value) = value else { return Err(E::invalid_type(seen, &kind_name(kind))) };
        self.put(value, seen)
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "String",
        Kind::Boolean => "Boolean",
        Kind::Integer => "Integer",
        Kind::Long => "Long",
        Kind::Float => "Float",
        Kind::Double => "Double",
        Kind::Blob => "Blob",
        Kind::Timestamp => "Timestamp",
        Kind::Document => "Document",
        Kind::List => "List",
        Kind::Map => "Map",
        Kind::Structure => "Structure",
    }
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.member.target.kind == Kind::Document {
            let document = Json::deserialize(deserializer)?;
            return self.put(Scalar::Document(document), Unexpected::Other("document"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_name(self.member.target.kind))
    }

    /// AWS: a null member is an absent one.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        self.put(Scalar::Boolean(flag), Unexpected::Bool(flag))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        let seen = Unexpected::Signed(number);
        match self.member.target.kind {
            Kind::Integer | Kind::Long => self.put(Scalar::Integer(number), seen),
            Kind::Timestamp if self.context.dialect == Dialect::Stored => {
                self.put(Scalar::Timestamp(Timestamp::from_millis(number)), seen)
            }
            _ => self.number(number as f64, seen),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.number(number as f64, Unexpected::Unsigned(number)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.number(number, Unexpected::Float(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let seen = Unexpected::Str(text);
        let value = match self.member.target.kind {
            Kind::String => Some(Scalar::String(text.to_owned())),
            Kind::Blob => Blob::from_base64(text).map(|blob| Scalar::Blob(blob.0)),
            Kind::Timestamp => Timestamp::parse_any(text).map(Scalar::Timestamp),
            Kind::Float | Kind::Double => non_finite(text).map(Scalar::Double),
            _ => None,
        };
        let kind = self.member.target.kind;
        let Some(value) = value else { return Err(E::invalid_type(seen, &kind_name(kind))) };
        self.put(value, seen)
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<(), E> {
        if self.member.target.kind == Kind::String {
            return self.put(Scalar::String(text), Unexpected::Other("text"));
        }
        self.visit_str(&text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let kind = self.member.target.kind;
        let Some(list) = self.field.list() else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &kind_name(kind)));
        };
        let element = self.member.target.element();
        let sparse = self.member.target.sparse;
        while let Some(()) = seq.next_element_seed(ElementSeed {
            list,
            element,
            sparse,
            context: self.context.deeper(),
        })? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let schema = self.member.target;
        if schema.kind == Kind::Structure {
            let shape = self.field.structure().expect("a structure's field holds a structure");
            return StructureSeed { shape, context: self.context }.visit_map(map);
        }
        let Some(target) = self.field.map() else {
            return Err(A::Error::invalid_type(Unexpected::Map, &kind_name(schema.kind)));
        };
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(EntrySeed {
                map: target,
                key,
                value: schema.value(),
                sparse: schema.sparse,
                context: self.context.deeper(),
            })?;
        }
        Ok(())
    }
}

/// Deserializes one list element. A null is kept only by a sparse list.
struct ElementSeed<'a> {
    list: &'a mut dyn ListField,
    element: &'static Member,
    sparse: bool,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.element.target.kind == Kind::Document {
            return self.visit_some(deserializer);
        }
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ElementSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_name(self.element.target.kind))
    }
    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.context.spend(1)?;
        if self.sparse {
            self.list.push();
        }
        Ok(())
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.context.spend(1)?;
        let (member, context) = (self.element, self.context);
        FieldSeed { field: self.list.push(), member, context }.deserialize(deserializer)
    }
}

/// Deserializes one map value; the key is made only once the value is known not to be null.
struct EntrySeed<'a> {
    map: &'a mut dyn MapField,
    key: String,
    value: &'static Member,
    sparse: bool,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.value.target.kind == Kind::Document {
            return self.visit_some(deserializer);
        }
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_name(self.value.target.kind))
    }
    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.context.spend(1)?;
        if self.sparse {
            self.map.entry(self.key);
        }
        Ok(())
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.context.spend(1)?;
        let (member, context) = (self.value, self.context);
        FieldSeed { field: self.map.entry(self.key), member, context }.deserialize(deserializer)
    }
}

/// JSON has no spelling for these numbers, AWS has.
fn non_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Serializes a structure.
pub struct StructureView<'a> {
    pub shape: &'a dyn AnyShape,
    pub dialect: Dialect,
}

impl Serialize for StructureView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (index, member) in self.shape.schema().members().iter().enumerate() {
            if !self.dialect.carries(member) {
                continue;
            }
            let value = self.shape.field(index).get();
            if matches!(value, Value::Absent) {
                continue;
            }
            let view = ValueView { value: &value, member, dialect: self.dialect };
            map.serialize_entry(self.dialect.name(member), &view)?;
        }
        map.end()
    }
}

/// Serializes one value.
pub struct ValueView<'a> {
    pub value: &'a Value<'a>,
    pub member: &'a Member,
    pub dialect: Dialect,
}

impl Serialize for ValueView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let dialect = self.dialect;
        match *self.value {
            Value::Absent => serializer.serialize_unit(),
            Value::String(text) => serializer.serialize_str(text),
            Value::Boolean(flag) => serializer.serialize_bool(flag),
            Value::Integer(number) => serializer.serialize_i64(number),
            Value::Double(number) => serialize_double(number, self.member, serializer),
            Value::Blob(bytes) => serializer.serialize_str(&BASE64.encode(bytes)),
            Value::Timestamp(time) if dialect == Dialect::Stored => {
                serializer.serialize_i64(time.as_millis())
            }
            Value::Timestamp(time) if dialect == Dialect::Event => {
                serializer.serialize_str(&time.format(TimestampFormat::Iso8601))
            }
            Value::Timestamp(time) => serialize_time(time, self.member, serializer),
            Value::Document(document) => document.serialize(serializer),
            Value::Structure(shape) => StructureView { shape, dialect }.serialize(serializer),
            Value::List(list) => {
                let member = self.member.target.element();
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for index in 0..list.len() {
                    let value = list.at(index);
                    seq.serialize_element(&ValueView { value: &value, member, dialect })?;
                }
                seq.end()
            }
            Value::Map(map) => {
                let member = self.member.target.value();
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.entries() {
                    out.serialize_entry(key, &ValueView { value: &value, member, dialect })?;
                }
                out.end()
            }
        }
    }
}

fn serialize_double<S: Serializer>(
    number: f64,
    member: &Member,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if number.is_nan() {
        return serializer.serialize_str("NaN");
    }
    if number.is_infinite() {
        return serializer.serialize_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
    match member.target.kind {
        // A float written through f64 would show digits that it never had.
        Kind::Float => serializer.serialize_f32(number as f32),
        _ => serializer.serialize_f64(number),
    }
}

fn serialize_time<S: Serializer>(
    time: Timestamp,
    member: &Member,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match member.timestamp_or(TimestampFormat::EpochSeconds) {
        TimestampFormat::EpochSeconds if time.as_millis() % 1000 == 0 => {
            serializer.serialize_i64(time.as_millis() / 1000)
        }
        TimestampFormat::EpochSeconds => serializer.serialize_f64(time.epoch_seconds()),
        format => serializer.serialize_str(&time.format(format)),
    }
}

/// Reads a JSON object into a structure.
pub fn read(bytes: &[u8], shape: &mut dyn AnyShape, dialect: Dialect) -> serde_json::Result<()> {
    let budget = match dialect {
        Dialect::Wire | Dialect::Event => Budget::of_request(),
        Dialect::Stored => Budget::unlimited(),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let context = Context { dialect, depth: 0, budget: &budget };
    StructureSeed { shape, context }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// A structure as the detail of an event.
pub fn detail(shape: &dyn AnyShape) -> serde_json::Value {
    let view = StructureView { shape, dialect: Dialect::Event };
    serde_json::to_value(&view).expect("making JSON fails only for keys that are no strings")
}

/// Writes a structure as a JSON object.
pub fn write(shape: &dyn AnyShape, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let written = serde_json::to_writer(&mut out, &StructureView { shape, dialect });
    written.expect("writing JSON to memory fails only for keys that are no strings");
    out
}
