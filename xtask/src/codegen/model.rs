//! A service's model: the JSON as it is, with the few questions that the generator asks of it.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::source::Source;
use super::subset::{Entry, Unsigned};

/// The model of one service, restricted to the chosen operations.
pub struct Model {
    pub id: String,
    pub metadata: Value,
    pub shapes: Map<String, Value>,
    /// Chosen operations, sorted by name.
    pub operations: Vec<(String, Value)>,
    /// The names of all others, sorted.
    pub absent: Vec<String>,
    pub pagination: Map<String, Value>,
    pub signing_name: String,
    pub validation: String,
}

impl Model {
    pub fn read(source: &Source, id: &str, entry: &Entry) -> Result<Model> {
        let mut service = source.read(id, "service-2.json")?;
        let metadata = service["metadata"].take();
        let Value::Object(mut shapes) = service["shapes"].take() else { bail!("no shapes") };
        let Value::Object(mut all) = service["operations"].take() else { bail!("no operations") };
        for (shape, member, target) in &entry.members {
            let members = shapes.get_mut(shape).and_then(|shape| shape["members"].as_object_mut());
            let members = members.with_context(|| format!("no structure {shape}"))?;
            let member = members.insert(member.clone(), serde_json::json!({ "shape": target }));
            if member.is_some() {
                bail!("the model has by now what is added to {shape}");
            }
        }
        for one in &entry.unsigned {
            add_unsigned(one, &mut all, &mut shapes)?;
        }
        if let Some(unknown) =
            entry.operations.iter().flatten().find(|name| !all.contains_key(name.as_str()))
        {
            bail!("the model has no operation {unknown}");
        }
        // S3's deprecated operations have the same method and URI as their successors.
        let rest = text(&metadata, "protocol").is_some_and(|name| name.starts_with("rest-"));
        let chosen = |name: &String| match &entry.operations {
            Some(names) => {
                names.contains(name) || entry.unsigned.iter().any(|one| one.name == *name)
            }
            None => !(rest && flag(&all[name], "deprecated")),
        };
        let mut absent: Vec<String> = all.keys().filter(|name| !chosen(name)).cloned().collect();
        absent.sort();
        let names: Vec<&String> = all.keys().filter(|name| chosen(name)).collect();
        let mut operations: Vec<(String, Value)> =
            names.into_iter().map(|name| (name.clone(), all[name].clone())).collect();
        operations.sort_by(|a, b| a.0.cmp(&b.0));
        let pagination = match source.read(id, "paginators-1.json") {
            Ok(Value::Object(mut file)) => match file.remove("pagination") {
                Some(Value::Object(pagination)) => pagination,
                _ => Map::new(),
            },
            _ => Map::new(),
        };
        let signing_name = entry.signing_name.clone().or_else(|| text(&metadata, "signingName"));
        let signing_name = signing_name.or_else(|| text(&metadata, "endpointPrefix"));
        Ok(Model {
            id: id.to_owned(),
            shapes,
            operations,
            absent,
            pagination,
            signing_name: signing_name.context("no signing name")?,
            validation: validation(&entry.validation),
            metadata,
        })
    }

    pub fn shape(&self, name: &str) -> Result<&Value> {
        self.shapes.get(name).with_context(|| format!("no shape {name}"))
    }

    pub fn shape_type(&self, name: &str) -> Result<&str> {
        let shape = self.shape(name)?;
        if flag(shape, "document") {
            return Ok("document");
        }
        shape["type"].as_str().with_context(|| format!("{name} has no type"))
    }

    pub fn is_enum(&self, name: &str) -> Result<bool> {
        let shape = self.shape(name)?;
        Ok(shape["type"] == "string" && shape.get("enum").is_some())
    }
}

/// The operation as the model would have it, with structures of its own.
fn add_unsigned(
    one: &Unsigned,
    operations: &mut Map<String, Value>,
    shapes: &mut Map<String, Value>,
) -> Result<()> {
    let mut structure = |suffix: &str, members: &[(String, String)], required: bool| {
        let name = format!("{}{suffix}", one.name);
        let of = |(member, shape): &(String, String)| (member.clone(), json!({ "shape": shape }));
        let needed: Vec<&String> =
            members.iter().filter(|_| required).map(|(member, _)| member).collect();
        let members: Map<String, Value> = members.iter().map(of).collect();
        let shape = json!({ "type": "structure", "members": members, "required": needed });
        match shapes.insert(name.clone(), shape) {
            Some(_) => bail!("the model has by now a shape {name}"),
            None => Ok(json!({ "shape": name })),
        }
    };
    let (input, output) =
        (structure("Request", &one.input, true)?, structure("Result", &one.output, false)?);
    let errors: Vec<Value> = one.errors.iter().map(|error| json!({ "shape": error })).collect();
    let operation = json!({
        "name": one.name,
        "http": { "method": "POST", "requestUri": "/" },
        "input": input,
        "output": output,
        "errors": errors,
        "authtype": "none",
    });
    if operations.insert(one.name.clone(), operation).is_some() {
        bail!("the model has by now an operation {}", one.name);
    }
    Ok(())
}

pub fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

pub fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The shape that a member, element, key or value refers to.
pub fn target(reference: &Value) -> Result<&str> {
    reference["shape"].as_str().context("a reference without a shape")
}

/// Everything a shape refers to.
pub fn references(shape: &Value) -> Vec<&Value> {
    let members = shape.get("members").and_then(Value::as_object);
    let mut all: Vec<&Value> = members.into_iter().flat_map(Map::values).collect();
    all.extend(["member", "key", "value"].iter().filter_map(|part| shape.get(part)));
    all
}

fn validation(rules: &super::subset::Validation) -> String {
    format!(
        "aws_protocol::Validation {{ code: {:?}, required: {}, bounds: {}, pattern: {}, values: {} }}",
        rules.code, rules.required, rules.bounds, rules.pattern, rules.values
    )
}
