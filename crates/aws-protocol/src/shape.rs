//! Object-safe access to a value through its schema: codecs see `&dyn AnyShape` and `&dyn Field`.
//!
//! A generated structure only answers "which field is member i"; everything else is written once
//! here for the dozen Rust types a member can have. So a codec is compiled once, not per type.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde_json::Value as Json;

use crate::schema::Schema;
use crate::timestamp::Timestamp;

/// A structure whose members can be reached by their index in the schema.
pub trait AnyShape: Any + Send + Sync + Debug {
    fn schema(&self) -> &'static Schema;
    fn field(&self, index: usize) -> &dyn Field;
    fn field_mut(&mut self, index: usize) -> &mut dyn Field;
}

impl dyn AnyShape {
    /// The concrete structure, if it is a `T`.
    pub fn downcast_ref<T: AnyShape>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }

    /// The concrete structure by value, if it is a `T`.
    pub fn downcast<T: AnyShape>(self: Box<Self>) -> Option<Box<T>> {
        (self as Box<dyn Any>).downcast().ok()
    }
}

/// A generated structure: its schema is known from the type alone.
pub trait Shape: AnyShape + Field + Clone + Default + PartialEq {
    const SCHEMA: &'static Schema;
}

/// What a field holds, borrowed.
pub enum Value<'a> {
    Absent,
    String(&'a str),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Blob(&'a [u8]),
    Timestamp(Timestamp),
    Document(&'a Json),
    List(&'a dyn ListField),
    Map(&'a dyn MapField),
    Structure(&'a dyn AnyShape),
}

/// A scalar on its way into a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    String(String),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Blob(Bytes),
    Timestamp(Timestamp),
    Document(Json),
}

/// A value does not fit the field: the wrong type, or a number out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

/// Any place that holds a value: a member, a list element, a map value.
pub trait Field {
    fn get(&self) -> Value<'_>;
    fn put(&mut self, _value: Scalar) -> Result<(), Mismatch> {
        Err(Mismatch)
    }
    /// Makes the field an (empty, if absent) list.
    fn list(&mut self) -> Option<&mut dyn ListField> {
        None
    }
    fn map(&mut self) -> Option<&mut dyn MapField> {
        None
    }
    fn structure(&mut self) -> Option<&mut dyn AnyShape> {
        None
    }
}

/// A list behind a field.
pub trait ListField {
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn at(&self, index: usize) -> Value<'_>;
    fn push(&mut self) -> &mut dyn Field;
}

/// A map behind a field.
pub trait MapField {
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn entries<'a>(&'a self) -> Box<dyn Iterator<Item = (&'a str, Value<'a>)> + 'a>;
    fn entry(&mut self, key: String) -> &mut dyn Field;
}

impl<T: Field + Default> Field for Option<T> {
    #[inline]
    fn get(&self) -> Value<'_> {
        match self {
            Some(value) => value.get(),
            None => Value::Absent,
        }
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let mut inner = T::default();
        inner.put(value)?;
        *self = Some(inner);
        Ok(())
    }
    fn list(&mut self) -> Option<&mut dyn ListField> {
        self.get_or_insert_default().list()
    }
    fn map(&mut self) -> Option<&mut dyn MapField> {
        self.get_or_insert_default().map()
    }
    fn structure(&mut self) -> Option<&mut dyn AnyShape> {
        self.get_or_insert_default().structure()
    }
}

impl<T: Field + Default> Field for Box<T> {
    fn get(&self) -> Value<'_> {
        (**self).get()
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        (**self).put(value)
    }
    fn structure(&mut self) -> Option<&mut dyn AnyShape> {
        (**self).structure()
    }
}

impl<T: Field + Default> Field for Vec<T> {
    fn get(&self) -> Value<'_> {
        Value::List(self)
    }
    fn list(&mut self) -> Option<&mut dyn ListField> {
        Some(self)
    }
}

impl<T: Field + Default> ListField for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }
    fn at(&self, index: usize) -> Value<'_> {
        self[index].get()
    }
    fn push(&mut self) -> &mut dyn Field {
        self.push(T::default());
        self.last_mut().expect("an element was just pushed")
    }
}

impl<T: Field + Default> Field for BTreeMap<String, T> {
    fn get(&self) -> Value<'_> {
        Value::Map(self)
    }
    fn map(&mut self) -> Option<&mut dyn MapField> {
        Some(self)
    }
}

impl<T: Field + Default> MapField for BTreeMap<String, T> {
    fn len(&self) -> usize {
        self.len()
    }
    fn entries<'a>(&'a self) -> Box<dyn Iterator<Item = (&'a str, Value<'a>)> + 'a> {
        Box::new(self.iter().map(|(key, value)| (key.as_str(), value.get())))
    }
    fn entry(&mut self, key: String) -> &mut dyn Field {
        self.entry(key).or_default()
    }
}

impl Field for String {
    fn get(&self) -> Value<'_> {
        Value::String(self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::String(text) = value else { return Err(Mismatch) };
        *self = text;
        Ok(())
    }
}

impl Field for bool {
    fn get(&self) -> Value<'_> {
        Value::Boolean(*self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Boolean(flag) = value else { return Err(Mismatch) };
        *self = flag;
        Ok(())
    }
}

impl Field for i32 {
    fn get(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Integer(number) = value else { return Err(Mismatch) };
        *self = i32::try_from(number).map_err(|_| Mismatch)?;
        Ok(())
    }
}

impl Field for i64 {
    fn get(&self) -> Value<'_> {
        Value::Integer(*self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Integer(number) = value else { return Err(Mismatch) };
        *self = number;
        Ok(())
    }
}

impl Field for f64 {
    fn get(&self) -> Value<'_> {
        Value::Double(*self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        match value {
            Scalar::Double(number) => *self = number,
            Scalar::Integer(number) => *self = number as f64,
            _ => return Err(Mismatch),
        }
        Ok(())
    }
}

impl Field for f32 {
    fn get(&self) -> Value<'_> {
        Value::Double(f64::from(*self))
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let mut wide = 0f64;
        wide.put(value)?;
        *self = wide as f32;
        Ok(())
    }
}

impl Field for Json {
    fn get(&self) -> Value<'_> {
        Value::Document(self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Document(document) = value else { return Err(Mismatch) };
        *self = document;
        Ok(())
    }
}

impl Field for Timestamp {
    fn get(&self) -> Value<'_> {
        Value::Timestamp(*self)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Timestamp(time) = value else { return Err(Mismatch) };
        *self = time;
        Ok(())
    }
}

impl Field for crate::Blob {
    fn get(&self) -> Value<'_> {
        Value::Blob(&self.0)
    }
    fn put(&mut self, value: Scalar) -> Result<(), Mismatch> {
        let Scalar::Blob(bytes) = value else { return Err(Mismatch) };
        self.0 = bytes;
        Ok(())
    }
}
