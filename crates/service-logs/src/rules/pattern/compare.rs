//! Comparing a value with what a pattern says of it.

use regex::{Regex, RegexBuilder};

use super::cursor::Cursor;
use super::{BadPattern, bad};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
pub enum Operand {
    /// With `*` for any characters.
    Text(String),
    /// As it was written, and its value.
    Number(String, f64),
    Regex(Regex),
}

#[derive(Clone, Debug)]
pub struct Comparison {
    operator: Operator,
    operand: Operand,
}

/// AWS: no parentheses, and no symbols but these.
pub fn regex(text: &str) -> Result<Regex, BadPattern> {
    const SYMBOLS: &str = " _#=@/;,-:^$?[]{}|\\*+.\"'<>&~";
    let good = |c: char| c.is_ascii_alphanumeric() || SYMBOLS.contains(c);
    if let Some(wrong) = text.chars().find(|c| !good(*c)) {
        return bad(format!("{wrong:?} is not supported in a regular expression"));
    }
    let built = RegexBuilder::new(text).size_limit(1 << 20).build();
    built.map_err(|_| BadPattern(format!("%{text}% is no regular expression")))
}

impl Operator {
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Operator, BadPattern> {
        for (text, operator) in [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ] {
            if cursor.take(text) {
                return Ok(operator);
            }
        }
        bad("expected a comparison: =, !=, <, <=, > or >=")
    }
}

impl Comparison {
    /// An operator and its operand; a bare word ends at one of `ends`.
    pub fn parse(cursor: &mut Cursor<'_>, ends: &str) -> Result<Comparison, BadPattern> {
        let operator = Operator::parse(cursor)?;
        cursor.skip_space();
        let operand = match cursor.peek() {
            Some('"') => Operand::Text(cursor.quoted()?),
            Some('%') => Operand::Regex(regex(&cursor.regex()?)?),
            _ => bare(cursor.take_while(|c| !c.is_whitespace() && !ends.contains(c)))?,
        };
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && !matches!(operand, Operand::Number(..)) {
            return bad("only numbers are compared by <, <=, > and >=");
        }
        Ok(Comparison { operator, operand })
    }

    pub fn text(&self, value: &str) -> bool {
        let equal = match &self.operand {
            Operand::Text(pattern) => glob(pattern, value),
            Operand::Regex(regex) => regex.is_match(value),
            Operand::Number(written, number) => match self.operator {
                Operator::Equal | Operator::NotEqual => {
                    written == value || value.parse() == Ok(*number)
                }
                _ => return value.parse().is_ok_and(|value| self.ordered(value, *number)),
            },
        };
        equal == (self.operator == Operator::Equal)
    }

    pub fn number(&self, written: &str, value: f64) -> bool {
        match &self.operand {
            Operand::Number(_, number) => self.ordered(value, *number),
            Operand::Text(_) | Operand::Regex(_) => self.text(written),
        }
    }

    fn ordered(&self, value: f64, number: f64) -> bool {
        match self.operator {
            Operator::Equal => value == number,
            Operator::NotEqual => value != number,
            Operator::Less => value < number,
            Operator::LessOrEqual => value <= number,
            Operator::Greater => value > number,
            Operator::GreaterOrEqual => value >= number,
        }
    }
}

fn bare(text: &str) -> Result<Operand, BadPattern> {
    if text.is_empty() {
        return bad("a value is missing");
    }
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match text.parse::<f64>() {
        Ok(number) if digits => Ok(Operand::Number(text.to_owned(), number)),
        _ => Ok(Operand::Text(text.to_owned())),
    }
}

/// `*` stands for any characters, also none. Each star is tried where its next text comes first.
pub fn glob(pattern: &str, value: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
