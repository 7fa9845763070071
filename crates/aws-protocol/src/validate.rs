//! Input against the model's constraints, worded as AWS's front ends word it.
//!
//! `2 validation errors detected: Value 'x' at 'a' failed to satisfy constraint: …; Value null at
//! 'b' failed to satisfy constraint: Member must not be null`

use std::fmt::Write as _;

use crate::error::{ApiError, Common};
use crate::schema::{Bounds, Kind, Member, Schema};
use crate::service::Validation;
use crate::shape::{AnyShape, Value};

/// More violations than this are not looked for: a list of a million bad elements is one bad list.
const MAX_VIOLATIONS: usize = 100;

struct Checker<'a> {
    rules: &'a Validation,
    violations: Vec<String>,
    path: String,
}

/// Checks an input; the error lists all violations at once.
pub fn check(input: &dyn AnyShape, rules: &Validation) -> Result<(), ApiError> {
    let mut checker = Checker { rules, violations: Vec::new(), path: String::new() };
    checker.structure(input);
    let violations = checker.violations;
    if violations.is_empty() {
        return Ok(());
    }
    let count = violations.len();
    let plural = if count == 1 { "" } else { "s" };
    let text = format!("{count} validation error{plural} detected: {}", violations.join("; "));
    Err(match rules.code {
        Some(code) => ApiError::new(code, 400, text),
        None => ApiError::common(Common::Validation, text),
    })
}

impl Checker<'_> {
    fn structure(&mut self, shape: &dyn AnyShape) {
        for (index, member) in shape.schema().members().iter().enumerate() {
            if self.violations.len() >= MAX_VIOLATIONS {
                return;
            }
            let value = shape.field(index).get();
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            push_lower_camel(&mut self.path, member.name);
            match value {
                Value::Absent if member.required && self.rules.required => {
                    self.violate(member.target, "null", "Member must not be null");
                }
                Value::Absent => {}
                value => self.value(member, &value),
            }
            self.path.truncate(length);
        }
    }

    fn value(&mut self, member: &Member, value: &Value<'_>) {
        let schema = member.target;
        match value {
            Value::Structure(shape) => self.structure(*shape),
            Value::List(list) => {
                let problem = self.length_problem(schema, list.len());
                self.report(schema, value, problem);
                self.elements(schema, *list, value);
            }
            Value::Map(map) => {
                let problem = self.length_problem(schema, map.len());
                self.report(schema, value, problem);
                self.entries(schema, *map, value);
            }
            value => {
                for problem in self.scalar_problems(schema, value) {
                    self.report(schema, value, Some(problem));
                }
            }
        }
    }

    fn elements(&mut self, schema: &Schema, list: &dyn crate::ListField, whole: &Value<'_>) {
        let element = schema.element();
        for index in 0..list.len() {
            if self.violations.len() >= MAX_VIOLATIONS {
                return;
            }
            let value = list.at(index);
            let length = self.path.len();
            if is_aggregate(element.target.kind) {
                let _ = write!(self.path, ".{}.member", index + 1);
                self.value(element, &value);
                self.path.truncate(length);
                continue;
            }
            // AWS: elements that are scalars are reported once, for the list as a whole.
            if !self.scalar_problems(element.target, &value).is_empty() {
                let all = self.constraint_list(element.target);
                self.report(
                    schema,
                    whole,
                    Some(format!("Member must satisfy constraint: [{all}]")),
                );
                return;
            }
        }
    }

    fn entries(&mut self, schema: &Schema, map: &dyn crate::MapField, whole: &Value<'_>) {
        let (key_schema, value_schema) = (schema.key().target, schema.value().target);
        let mut bad_key = false;
        let mut bad_value = false;
        for (key, value) in map.entries() {
            bad_key |= !self.scalar_problems(key_schema, &Value::String(key)).is_empty();
            if is_aggregate(value_schema.kind) {
                let length = self.path.len();
                let _ = write!(self.path, ".{key}.member");
                self.value(schema.value(), &value);
                self.path.truncate(length);
            } else {
                bad_value |= !self.scalar_problems(value_schema, &value).is_empty();
            }
        }
        for (bad, what, part) in [(bad_key, "keys", key_schema), (bad_value, "value", value_schema)]
        {
            if bad {
                let all = self.constraint_list(part);
                self.report(
                    schema,
                    whole,
                    Some(format!("Map {what} must satisfy constraint: [{all}]")),
                );
            }
        }
    }

    /// Everything that a scalar of this schema must satisfy, in AWS's order.
    fn constraint_list(&self, schema: &Schema) -> String {
        let mut all = Vec::new();
        let what = if schema.kind == Kind::String || schema.kind == Kind::Blob {
            "length"
        } else {
            "value"
        };
        if let Some(max) = schema.bounds.max {
            all.push(format!("Member must have {what} less than or equal to {max}"));
        }
        if let Some(min) = schema.bounds.min {
            all.push(format!("Member must have {what} greater than or equal to {min}"));
        }
        if let Some(pattern) = schema.pattern {
            all.push(format!("Member must satisfy regular expression pattern: {}", pattern.text));
        }
        if !schema.values.is_empty() {
            all.push(enum_problem(schema));
        }
        all.join(", ")
    }

    fn length_problem(&self, schema: &Schema, length: usize) -> Option<String> {
        if !self.rules.bounds {
            return None;
        }
        outside(schema.bounds, length as f64)
            .map(|bound| format!("Member must have length {bound}"))
    }

    fn scalar_problems(&self, schema: &Schema, value: &Value<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        match *value {
            Value::String(text) => {
                if self.rules.values && !schema.values.is_empty() && !schema.values.contains(&text)
                {
                    problems.push(enum_problem(schema));
                }
                problems.extend(self.length_problem(schema, text.chars().count()));
                let pattern = schema.pattern.filter(|_| self.rules.pattern);
                if let Some(pattern) = pattern
                    && pattern.regex().is_some_and(|regex| !regex.is_match(text))
                {
                    let text = pattern.text;
                    problems
                        .push(format!("Member must satisfy regular expression pattern: {text}"));
                }
            }
            Value::Blob(bytes) => problems.extend(self.length_problem(schema, bytes.len())),
            Value::Integer(number) => problems.extend(self.range_problem(schema, number as f64)),
            Value::Double(number) => problems.extend(self.range_problem(schema, number)),
            _ => {}
        }
        problems
    }

    fn range_problem(&self, schema: &Schema, number: f64) -> Option<String> {
        if !self.rules.bounds {
            return None;
        }
        outside(schema.bounds, number).map(|bound| format!("Member must have value {bound}"))
    }

    fn report(&mut self, schema: &Schema, value: &Value<'_>, problem: Option<String>) {
        if let Some(problem) = problem {
            let mut shown = String::from("'");
            show(&mut shown, value);
            shown.push('\'');
            self.violate(schema, &shown, &problem);
        }
    }

    fn violate(&mut self, schema: &Schema, value: &str, problem: &str) {
        let path = &self.path;
        // AWS: a sensitive value is not repeated.
        let shown = if schema.sensitive { String::new() } else { format!(" {value}") };
        self.violations
            .push(format!("Value{shown} at '{path}' failed to satisfy constraint: {problem}"));
    }
}

fn is_aggregate(kind: Kind) -> bool {
    matches!(kind, Kind::List | Kind::Map | Kind::Structure)
}

fn enum_problem(schema: &Schema) -> String {
    format!("Member must satisfy enum value set: [{}]", schema.values.join(", "))
}

fn outside(bounds: Bounds, number: f64) -> Option<String> {
    match (bounds.min, bounds.max) {
        (_, Some(max)) if number > max as f64 => Some(format!("less than or equal to {max}")),
        (Some(min), _) if number < min as f64 => Some(format!("greater than or equal to {min}")),
        _ => None,
    }
}

/// AWS names members with a small first letter: `RoleName` is `roleName`, `SSHPublicKey` is
/// `sSHPublicKey`.
fn push_lower_camel(path: &mut String, name: &str) {
    let mut chars = name.chars();
    if let Some(first) = chars.next() {
        path.push(first.to_ascii_lowercase());
        path.push_str(chars.as_str());
    }
}

/// A value as Java prints it.
fn show(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Absent => out.push_str("null"),
        Value::String(text) => out.push_str(text),
        Value::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Integer(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Double(number) => {
            let _ = write!(out, "{number:?}");
        }
        Value::Blob(bytes) => {
            let length = bytes.len();
            let _ = write!(out, "java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
        }
        Value::Timestamp(time) => out.push_str(&time.iso8601()),
        Value::Document(document) => {
            let _ = write!(out, "{document}");
        }
        Value::List(list) => {
            out.push('[');
            for index in 0..list.len() {
                if index > 0 {
                    out.push_str(", ");
                }
                show(out, &list.at(index));
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, value)) in map.entries().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push('=');
                show(out, &value);
            }
            out.push('}');
        }
        Value::Structure(shape) => {
            out.push_str(shape.schema().name);
            out.push('(');
            let mut first = true;
            for (index, member) in shape.schema().members().iter().enumerate() {
                let value = shape.field(index).get();
                if matches!(value, Value::Absent) {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push_str(", ");
                }
                push_lower_camel(out, member.name);
                out.push('=');
                if member.target.sensitive {
                    out.push_str("***");
                } else {
                    show(out, &value);
                }
            }
            out.push(')');
        }
    }
}
