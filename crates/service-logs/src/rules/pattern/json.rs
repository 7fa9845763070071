//! Members of JSON lines: `{ ($.user.id = 1) && ($.tags[*] = "web*") }`.

use serde_json::Value;

use super::compare::Comparison;
use super::cursor::Cursor;
use super::{BadPattern, bad};

#[derive(Clone, Debug)]
pub enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Is(Selector, Check),
}

#[derive(Clone, Debug)]
pub enum Check {
    Compares(Comparison),
    Boolean(bool),
    Null,
    Exists(bool),
}

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Element(usize),
    Every,
}

/// `$.a.b[0][*]`, also `$['a.b']`.
#[derive(Clone, Debug)]
pub struct Selector(Vec<Step>);

pub fn parse(cursor: &mut Cursor<'_>) -> Result<Expression, BadPattern> {
    cursor.expect("{")?;
    let expression = any(cursor)?;
    cursor.expect("}")?;
    Ok(expression)
}

fn any(cursor: &mut Cursor<'_>) -> Result<Expression, BadPattern> {
    let mut all_of = vec![all(cursor)?];
    while cursor.take("||") {
        all_of.push(all(cursor)?);
    }
    Ok(if all_of.len() == 1 { all_of.remove(0) } else { Expression::Any(all_of) })
}

fn all(cursor: &mut Cursor<'_>) -> Result<Expression, BadPattern> {
    let mut each = vec![one(cursor)?];
    while cursor.take("&&") {
        each.push(one(cursor)?);
    }
    Ok(if each.len() == 1 { each.remove(0) } else { Expression::All(each) })
}

fn one(cursor: &mut Cursor<'_>) -> Result<Expression, BadPattern> {
    if cursor.take("(") {
        cursor.enter()?;
        let inner = any(cursor)?;
        cursor.leave();
        cursor.expect(")")?;
        return Ok(inner);
    }
    let selector = selector(cursor)?;
    let check = if cursor.take_word("IS") {
        is(cursor)?
    } else if cursor.take_word("EXISTS") {
        Check::Exists(true)
    } else if cursor.take_word("NOT") {
        if !cursor.take_word("EXISTS") {
            return bad("expected EXISTS behind NOT");
        }
        Check::Exists(false)
    } else {
        Check::Compares(Comparison::parse(cursor, "})|&")?)
    };
    Ok(Expression::Is(selector, check))
}

fn is(cursor: &mut Cursor<'_>) -> Result<Check, BadPattern> {
    if cursor.take_word("TRUE") {
        Ok(Check::Boolean(true))
    } else if cursor.take_word("FALSE") {
        Ok(Check::Boolean(false))
    } else if cursor.take_word("NULL") {
        Ok(Check::Null)
    } else {
        bad("expected TRUE, FALSE or NULL behind IS")
    }
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Selector, BadPattern> {
    cursor.expect("$")?;
    let mut steps = Vec::new();
    loop {
        if cursor.starts_with(".") {
            cursor.next();
            let name = cursor.take_while(|c| c.is_alphanumeric() || "_-@:/#".contains(c));
            match name {
                "" if cursor.starts_with("*") => return bad("members cannot be selected by *"),
                "" => return bad("the name of a member is missing"),
                name => steps.push(Step::Member(name.to_owned())),
            }
        } else if cursor.starts_with("[") {
            cursor.next();
            steps.push(bracket(cursor)?);
            cursor.expect("]")?;
        } else {
            return Ok(Selector(steps));
        }
    }
}

fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, BadPattern> {
    if cursor.take("*") {
        return Ok(Step::Every);
    }
    match cursor.peek() {
        Some('"') => cursor.quoted().map(Step::Member),
        Some('\'') => {
            cursor.next();
            let name = cursor.take_while(|c| c != '\'').to_owned();
            cursor.expect("'")?;
            Ok(Step::Member(name))
        }
        _ => match cursor.take_while(|c| c.is_ascii_digit()).parse() {
            Ok(index) => Ok(Step::Element(index)),
            Err(_) => bad("expected a number, * or a name in brackets"),
        },
    }
}

impl Expression {
    pub fn matches(&self, message: &str) -> bool {
        // Most lines that are not JSON are told by their first character.
        if !message.trim_start().starts_with(['{', '[']) {
            return false;
        }
        serde_json::from_str(message).is_ok_and(|document| self.holds(&document))
    }

    fn holds(&self, document: &Value) -> bool {
        match self {
            Expression::All(all) => all.iter().all(|one| one.holds(document)),
            Expression::Any(any) => any.iter().any(|one| one.holds(document)),
            Expression::Is(selector, Check::Exists(wanted)) => {
                selector.any(document, &|_| true) == *wanted
            }
            Expression::Is(selector, check) => selector.any(document, &|value| check.holds(value)),
        }
    }
}

impl Check {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Check::Compares(comparison), Value::String(text)) => comparison.text(text),
            (Check::Compares(comparison), Value::Number(number)) => {
                comparison.number(&number.to_string(), number.as_f64().unwrap_or(f64::NAN))
            }
            (Check::Compares(comparison), Value::Bool(flag)) => {
                comparison.text(if *flag { "true" } else { "false" })
            }
            (Check::Boolean(wanted), Value::Bool(flag)) => flag == wanted,
            (Check::Null, Value::Null) => true,
            _ => false,
        }
    }
}

impl Selector {
    /// Whether any of the selected values passes.
    fn any(&self, document: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
        select(&self.0, document, test)
    }
}

fn select(steps: &[Step], value: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    match step {
        Step::Member(name) => value.get(name).is_some_and(|value| select(rest, value, test)),
        Step::Element(index) => value.get(index).is_some_and(|value| select(rest, value, test)),
        Step::Every => match value {
            Value::Array(values) => values.iter().any(|value| select(rest, value, test)),
            _ => false,
        },
    }
}
