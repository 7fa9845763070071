//! The shapes that the chosen operations reach, and the Rust names they get.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::model::{Model, references, target};
use super::names::{self, Unique};

/// The reached shapes with their names.
pub struct Shapes {
    /// Shape name → Rust type name, for structures and enums.
    pub types: BTreeMap<String, String>,
    /// Shape name → name of its static table.
    pub schemas: BTreeMap<String, String>,
    /// Structures that contain themselves without a list or map between: (outer, member's shape).
    boxed: BTreeSet<(String, String)>,
}

impl Shapes {
    pub fn is_boxed(&self, outer: &str, inner: &str) -> bool {
        self.boxed.contains(&(outer.to_owned(), inner.to_owned()))
    }

    pub fn type_of(&self, shape: &str) -> Result<&str> {
        self.types.get(shape).map(String::as_str).with_context(|| format!("{shape} has no type"))
    }

    pub fn schema_of(&self, shape: &str) -> Result<&str> {
        let name = self.schemas.get(shape).map(String::as_str);
        name.with_context(|| format!("{shape} has no schema"))
    }
}

pub fn of(model: &Model) -> Result<Shapes> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = Vec::new();
    for (_, operation) in &model.operations {
        for part in ["input", "output"] {
            if let Some(reference) = operation.get(part) {
                waiting.push(target(reference)?.to_owned());
            }
        }
        for error in operation["errors"].as_array().into_iter().flatten() {
            waiting.push(target(error)?.to_owned());
        }
    }
    while let Some(name) = waiting.pop() {
        if !reached.insert(name.clone()) || model.shape_type(&name)? == "document" {
            continue;
        }
        for reference in references(model.shape(&name)?) {
            waiting.push(target(reference)?.to_owned());
        }
    }
    name_all(model, &reached)
}

fn name_all(model: &Model, reached: &BTreeSet<String>) -> Result<Shapes> {
    let mut type_names = Unique::default();
    let mut schema_names = Unique::default();
    let mut shapes =
        Shapes { types: BTreeMap::new(), schemas: BTreeMap::new(), boxed: BTreeSet::new() };
    for name in reached {
        let typed = model.shape_type(name)? == "structure" || model.is_enum(name)?;
        if typed {
            shapes.types.insert(name.clone(), type_names.name(names::type_name(name)));
        }
        shapes.schemas.insert(name.clone(), schema_names.name(names::constant(name)));
    }
    for outer in reached {
        for inner in structure_members(model, outer)? {
            if reaches(model, &inner, outer)? {
                shapes.boxed.insert((outer.clone(), inner));
            }
        }
    }
    Ok(shapes)
}

fn structure_members(model: &Model, name: &str) -> Result<Vec<String>> {
    if model.shape_type(name)? != "structure" {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for reference in references(model.shape(name)?) {
        let inner = target(reference)?;
        if model.shape_type(inner)? == "structure" {
            found.push(inner.to_owned());
        }
    }
    Ok(found)
}

/// Whether a structure holds another by value, however deep.
fn reaches(model: &Model, from: &str, to: &str) -> Result<bool> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from.to_owned()];
    while let Some(name) = waiting.pop() {
        if name == to {
            return Ok(true);
        }
        if seen.insert(name.clone()) {
            waiting.extend(structure_members(model, &name)?);
        }
    }
    Ok(false)
}
