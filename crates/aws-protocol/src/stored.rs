//! Shapes at rest: rows embed them through serde, in a JSON form of our own.
//!
//! The form uses AWS's member names, keeps all members and tolerates unknown ones, so a newer
//! binary reads what an older one wrote. Generated types also implement serde's traits this way,
//! so `Option<api::X>` and `Vec<api::X>` in a row need no attribute.

use serde::de::DeserializeSeed;
use serde::{Deserializer, Serialize, Serializer};

use crate::json::{self, Context, Dialect, StructureSeed, StructureView};
use crate::limits::Budget;
use crate::shape::Shape;

/// The shape as JSON text.
pub fn to_json<T: Shape>(shape: &T) -> Vec<u8> {
    json::write(shape, Dialect::Stored)
}

/// Reads what `to_json` wrote.
pub fn from_json<T: Shape>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut shape = T::default();
    json::read(bytes, &mut shape, Dialect::Stored)?;
    Ok(shape)
}

/// For `#[serde(with = "aws_protocol::stored")]`.
pub fn serialize<T: Shape, S: Serializer>(shape: &T, serializer: S) -> Result<S::Ok, S::Error> {
    StructureView { shape, dialect: Dialect::Stored }.serialize(serializer)
}

/// For `#[serde(with = "aws_protocol::stored")]`.
pub fn deserialize<'de, T: Shape, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let mut shape = T::default();
    let budget = Budget::unlimited();
    let context = Context { dialect: Dialect::Stored, depth: 0, budget: &budget };
    StructureSeed { shape: &mut shape, context }.deserialize(deserializer)?;
    Ok(shape)
}
