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
        if !["operations", "signing_name", "validation", "members"].contains(&key.as_str()) {
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
    Ok(Entry { operations, signing_name, validation, members })
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
