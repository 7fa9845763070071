//! Shapes for the eyes of operators: absent members are left out, sensitive ones are not shown.

use std::fmt::{Debug, Formatter, Result};

use crate::schema::Schema;
use crate::shape::{AnyShape, Value};

/// The `Debug` of every generated structure.
pub fn debug(shape: &dyn AnyShape, f: &mut Formatter<'_>) -> Result {
    let schema = shape.schema();
    let mut out = f.debug_struct(schema.name);
    for (index, member) in schema.members().iter().enumerate() {
        let value = shape.field(index).get();
        if !matches!(value, Value::Absent) {
            out.field(member.name, &Shown { schema: member.target, value });
        }
    }
    out.finish()
}

struct Shown<'a> {
    schema: &'a Schema,
    value: Value<'a>,
}

impl Debug for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.schema.sensitive {
            return f.write_str("***");
        }
        match &self.value {
            Value::Absent => f.write_str("null"),
            Value::String(text) => Debug::fmt(text, f),
            Value::Boolean(flag) => Debug::fmt(flag, f),
            Value::Integer(number) => Debug::fmt(number, f),
            Value::Double(number) => Debug::fmt(number, f),
            Value::Blob(bytes) => write!(f, "{} bytes", bytes.len()),
            Value::Timestamp(time) => f.write_str(&time.iso8601()),
            Value::Document(document) => write!(f, "{document}"),
            Value::Structure(shape) => debug(*shape, f),
            Value::List(list) => {
                let schema = self.schema.element().target;
                let items = (0..list.len()).map(|index| Shown { schema, value: list.at(index) });
                f.debug_list().entries(items).finish()
            }
            Value::Map(map) => {
                let schema = self.schema.value().target;
                let entries = map.entries().map(|(key, value)| (key, Shown { schema, value }));
                f.debug_map().entries(entries).finish()
            }
        }
    }
}
