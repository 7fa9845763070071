//! A structure held as values by index, behind the same traits as a generated one.

use std::collections::BTreeMap;

use aws_protocol::schema::{Kind, Schema};
use aws_protocol::{AnyShape, Field, ListField, MapField, Mismatch, Scalar, Value};

pub struct DynamicShape {
    schema: &'static Schema,
    fields: Vec<DynamicField>,
}

impl DynamicShape {
    pub fn new(schema: &'static Schema) -> Self {
        let fields = schema.members().iter().map(|member| DynamicField::new(member.target));
        DynamicShape { schema, fields: fields.collect() }
    }
}

impl std::fmt::Debug for DynamicShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.schema.name, super::canonical::of(self))
    }
}

impl AnyShape for DynamicShape {
    fn schema(&self) -> &'static Schema {
        self.schema
    }
    fn field(&self, index: usize) -> &dyn Field {
        &self.fields[index]
    }
    fn field_mut(&mut self, index: usize) -> &mut dyn Field {
        &mut self.fields[index]
    }
}

pub struct DynamicField {
    schema: &'static Schema,
    held: Held,
}

enum Held {
    Absent,
    Scalar(Scalar),
    List(DynamicList),
    Map(DynamicMap),
    Structure(Box<DynamicShape>),
}

struct DynamicList {
    element: &'static Schema,
    items: Vec<DynamicField>,
}

struct DynamicMap {
    value: &'static Schema,
    entries: BTreeMap<String, DynamicField>,
}

impl DynamicField {
    fn new(schema: &'static Schema) -> Self {
        DynamicField { schema, held: Held::Absent }
    }
}

impl Field for DynamicField {
    fn get(&self) -> Value<'_> {
        match &self.held {
            Held::Absent => Value::Absent,
            Held::List(list) => Value::List(list),
            Held::Map(map) => Value::Map(map),
            Held::Structure(shape) => Value::Structure(&**shape),
            Held::Scalar(scalar) => match scalar {
                Scalar::String(text) => Value::String(text),
                Scalar::Boolean(flag) => Value::Boolean(*flag),
                Scalar::Integer(number) => Value::Integer(*number),
                Scalar::Double(number) => Value::Double(*number),
                Scalar::Blob(bytes) => Value::Blob(bytes),
                Scalar::Timestamp(time) => Value::Timestamp(*time),
                Scalar::Document(document) => Value::Document(document),
            },
        }
    }

    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let value = match (self.schema.kind, value) {
            (Kind::Float, Scalar::Double(n)) => Scalar::Double(f64::from(n as f32)),
            (Kind::Float | Kind::Double, Scalar::Integer(n)) => Scalar::Double(n as f64),
            (Kind::Integer, Scalar::Integer(n)) if i32::try_from(n).is_err() => {
                return Err(Mismatch);
            }
            (Kind::String, value @ Scalar::String(_))
            | (Kind::Boolean, value @ Scalar::Boolean(_))
            | (Kind::Integer | Kind::Long, value @ Scalar::Integer(_))
            | (Kind::Double, value @ Scalar::Double(_))
            | (Kind::Blob, value @ Scalar::Blob(_))
            | (Kind::Timestamp, value @ Scalar::Timestamp(_))
            | (Kind::Document, value @ Scalar::Document(_)) => value,
            _ => return Err(Mismatch),
        };
        self.held = Held::Scalar(value);
        Ok(())
    }

    fn list(&mut self) -> Option<&mut dyn ListField> {
        if self.schema.kind != Kind::List {
            return None;
        }
        if matches!(self.held, Held::Absent) {
            let element = self.schema.element().target;
            self.held = Held::List(DynamicList { element, items: Vec::new() });
        }
        match &mut self.held {
            Held::List(list) => Some(list),
            _ => None,
        }
    }

    fn map(&mut self) -> Option<&mut dyn MapField> {
        if self.schema.kind != Kind::Map {
            return None;
        }
        if matches!(self.held, Held::Absent) {
            let value = self.schema.value().target;
            self.held = Held::Map(DynamicMap { value, entries: BTreeMap::new() });
        }
        match &mut self.held {
            Held::Map(map) => Some(map),
            _ => None,
        }
    }

    fn structure(&mut self) -> Option<&mut dyn AnyShape> {
        if self.schema.kind != Kind::Structure {
            return None;
        }
        if matches!(self.held, Held::Absent) {
            self.held = Held::Structure(Box::new(DynamicShape::new(self.schema)));
        }
        match &mut self.held {
            Held::Structure(shape) => Some(&mut **shape),
            _ => None,
        }
    }
}

impl ListField for DynamicList {
    fn len(&self) -> usize {
        self.items.len()
    }
    fn at(&self, index: usize) -> Value<'_> {
        self.items[index].get()
    }
    fn push(&mut self) -> &mut dyn Field {
        self.items.push(DynamicField::new(self.element));
        self.items.last_mut().expect("an element was just pushed")
    }
}

impl MapField for DynamicMap {
    fn len(&self) -> usize {
        self.entries.len()
    }
    fn entries<'a>(&'a self) -> Box<dyn Iterator<Item = (&'a str, Value<'a>)> + 'a> {
        Box::new(self.entries.iter().map(|(key, value)| (key.as_str(), value.get())))
    }
    fn entry(&mut self, key: String) -> &mut dyn Field {
        let value = self.value;
        self.entries.entry(key).or_insert_with(|| DynamicField::new(value))
    }
}
