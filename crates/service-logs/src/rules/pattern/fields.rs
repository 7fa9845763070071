//! Space-delimited fields: `[ip, user, ..., status = 4*, bytes > 1000]`.

use super::compare::Comparison;
use super::cursor::Cursor;
use super::{BadPattern, bad};

#[derive(Clone, Debug)]
enum Condition {
    Anything,
    Is(Comparison),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// Fields before and behind `...`; without it, behind is `None`.
#[derive(Clone, Debug)]
pub struct Fields {
    before: Vec<Condition>,
    behind: Option<Vec<Condition>>,
}

pub fn parse(cursor: &mut Cursor<'_>) -> Result<Fields, BadPattern> {
    cursor.expect("[")?;
    let mut fields = Fields { before: Vec::new(), behind: None };
    if cursor.take("]") {
        return Ok(fields);
    }
    loop {
        if cursor.take("...") {
            if fields.behind.replace(Vec::new()).is_some() {
                return bad("... can stand only once");
            }
        } else {
            let condition = any(cursor, &mut None)?;
            fields.behind.as_mut().unwrap_or(&mut fields.before).push(condition);
        }
        if cursor.take("]") {
            return Ok(fields);
        }
        cursor.expect(",")?;
    }
}

fn any(cursor: &mut Cursor<'_>, name: &mut Option<String>) -> Result<Condition, BadPattern> {
    let mut conditions = vec![all(cursor, name)?];
    while cursor.take("||") {
        conditions.push(all(cursor, name)?);
    }
    Ok(match conditions.len() {
        1 => conditions.remove(0),
        _ => Condition::Any(conditions),
    })
}

fn all(cursor: &mut Cursor<'_>, name: &mut Option<String>) -> Result<Condition, BadPattern> {
    let mut conditions = vec![one(cursor, name)?];
    while cursor.take("&&") {
        conditions.push(one(cursor, name)?);
    }
    Ok(match conditions.len() {
        1 => conditions.remove(0),
        _ => Condition::All(conditions),
    })
}

fn one(cursor: &mut Cursor<'_>, name: &mut Option<String>) -> Result<Condition, BadPattern> {
    if cursor.take("(") {
        cursor.enter()?;
        let inner = any(cursor, name)?;
        cursor.leave();
        cursor.expect(")")?;
        return Ok(inner);
    }
    cursor.skip_space();
    let found = cursor.take_while(|c| c.is_alphanumeric() || "_-.".contains(c));
    if found.is_empty() {
        return bad("the name of a field is missing");
    }
    // AWS: the conditions of one field are all about that field.
    if name.as_deref().is_some_and(|name| name != found) {
        return bad("conditions of one field must name the same field");
    }
    *name = Some(found.to_owned());
    cursor.skip_space();
    match cursor.peek() {
        Some('=' | '!' | '<' | '>') => Comparison::parse(cursor, "],)|&").map(Condition::Is),
        _ => Ok(Condition::Anything),
    }
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        match self {
            Condition::Anything => true,
            Condition::Is(comparison) => comparison.text(value),
            Condition::All(all) => all.iter().all(|condition| condition.holds(value)),
            Condition::Any(any) => any.iter().any(|condition| condition.holds(value)),
        }
    }
}

fn hold(conditions: &[Condition], values: &[&str]) -> bool {
    conditions.iter().zip(values).all(|(condition, value)| condition.holds(value))
}

impl Fields {
    pub fn matches(&self, message: &str) -> bool {
        let values = split(message);
        let before = self.before.len();
        match &self.behind {
            None => values.len() == before && hold(&self.before, &values),
            Some(behind) => {
                values.len() >= before + behind.len()
                    && hold(&self.before, &values)
                    && hold(behind, &values[values.len() - behind.len()..])
            }
        }
    }
}

/// The fields of a line. AWS: what stands in quotation marks or brackets is one.
fn split(message: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let mut rest = message.trim_start();
    while let Some(first) = rest.chars().next() {
        let close = match first {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        let closed = close.and_then(|close| rest[1..].find(close));
        let (value, end) = match closed {
            Some(at) => (&rest[1..1 + at], at + 2),
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        values.push(value);
        rest = rest[end..].trim_start();
    }
    values
}
