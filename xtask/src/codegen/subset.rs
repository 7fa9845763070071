//! `models/subset.toml`: services, their operations, and what the models do not say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// What is generated of one service.
pub struct Entry {
    /// `None` for all operations.
    pub operations: Option<Vec<String>>,
    pub signing_name: Option<String>,
    pub validation: Validation,
    /// Members that clients send and the published model leaves out: shape, member, its shape.
    pub members: Vec<(String, String, String)>,
    /// Operations that are called without a signature, and that the published model leaves out.
    pub unsigned: Vec<Unsigned>,
}

/// An operation by its members and their shapes; all of its input is required.
pub struct Unsigned {
    pub name: String,
    pub input: Vec<(String, String)>,
    pub output: Vec<(String, String)>,
    pub errors: Vec<String>,
}

/// Which constraints are checked by the model; mirrors `aws_protocol::Validation`.
pub struct Validation {
    pub code: Option<String>,
    pub required: bool,
    pub bounds: bool,
    pub pattern: bool,
    pub values: bool,
}

pub fn read(path: &Path) -> Result<BTreeMap<String, Entry>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let table: Table = text.parse()?;
    table
        .into_iter()
        .map(|(id, value)| {
            let Value::Table(table) = value else { bail!("{id} is no table") };
            let entry = entry(&table).with_context(|| format!("in [{id}]"))?;
            Ok((id, entry))
        })
        .collect()
}

fn entry(table: &Table) -> Result<Entry> {
    for key in table.keys() {
        let known = ["operations", "signing_name", "validation", "members", "unsigned"];
        if !known.contains(&key.as_str()) {
            bail!("unknown key {key}");
        }
    }
    let operations = match table.get("operations") {
        Some(Value::String(all)) if all == "*" => None,
        Some(Value::Array(names)) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            Some(names.collect::<Option<_>>().context("operations are names")?)
        }
        _ => bail!("operations must be \"*\" or a list of names"),
    };
    let signing_name = table.get("signing_name").and_then(Value::as_str).map(str::to_owned);
    let validation = validation(table.get("validation").and_then(Value::as_table))?;
    let members = members(table.get("members").and_then(Value::as_table))?;
    let unsigned = unsigned(table.get("unsigned").and_then(Value::as_table))?;
    Ok(Entry { operations, signing_name, validation, members, unsigned })
}

fn unsigned(table: Option<&Table>) -> Result<Vec<Unsigned>> {
    let mut all = Vec::new();
    for (name, operation) in table.into_iter().flatten() {
        let pairs = |part: &str| {
            let members = operation.get(part).and_then(Value::as_table);
            let members = members.with_context(|| format!("{name} has no {part}"))?;
            let pair = |(member, shape): (&String, &Value)| {
                let shape = shape.as_str().context("a member names its shape")?;
                Ok((member.clone(), shape.to_owned()))
            };
            members.iter().map(pair).collect::<Result<Vec<_>>>()
        };
        let errors = operation.get("errors").and_then(Value::as_array).into_iter().flatten();
        let errors = errors.map(|error| error.as_str().map(str::to_owned));
        let errors = errors.collect::<Option<_>>().context("errors are names")?;
        let (input, output) = (pairs("input")?, pairs("output")?);
        all.push(Unsigned { name: name.clone(), input, output, errors });
    }
    Ok(all)
}

fn members(table: Option<&Table>) -> Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for (shape, members) in table.into_iter().flatten() {
        for (member, target) in members.as_table().context("members stand under their shape")? {
            let target = target.as_str().context("a member names its shape")?;
            all.push((shape.clone(), member.clone(), target.to_owned()));
        }
    }
    Ok(all)
}

fn validation(table: Option<&Table>) -> Result<Validation> {
    let mut rules =
        Validation { code: None, required: true, bounds: true, pattern: true, values: true };
    for (key, value) in table.into_iter().flatten() {
        if key == "code" {
            rules.code = Some(value.as_str().context("code is a text")?.to_owned());
            continue;
        }
        let flag = value.as_bool().context("a validation rule is true or false")?;
        match key.as_str() {
            "required" => rules.required = flag,
            "bounds" => rules.bounds = flag,
            "pattern" => rules.pattern = flag,
            "values" => rules.values = flag,
            _ => bail!("unknown validation rule {key}"),
        }
    }
    Ok(rules)
}
