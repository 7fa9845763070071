//! Conditions: every operator, its qualifiers, and what an absent key means to each.
//!
//! An operator is three independent things: a comparison that says whether one request value fits
//! any of the policy's values, whether the answer is negated, and how several request values are
//! taken together. Negation wraps the whole comparison, which makes the negated operators the NOR
//! over the policy's values that AWS documents.

use crate::context::Context;
use crate::pattern::{ArnPattern, Literal, Pattern, variable_keys};
use crate::scalar::{Cidr, Number, parse_date};
use std::cmp::Ordering;

/// One operator applied to one key.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    key: Box<str>,
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantifier {
    Plain,
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone)]
enum Operand {
    Text {
        values: Box<[Literal]>,
        ignore_case: bool,
    },
    Like(Box<[Pattern]>),
    Arn(Box<[ArnPattern]>),
    Number(Order, Box<[Number]>),
    Date(Order, Box<[i128]>),
    Bool(Box<[bool]>),
    Binary(Box<[Box<str>]>),
    Address(Box<[Cidr]>),
    /// Whether the key must be absent.
    Null(Box<[bool]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Order::Equal => ordering.is_eq(),
            Order::Less => ordering.is_lt(),
            Order::LessOrEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// An operator's name, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    comparison: Comparison,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Text { ignore_case: bool },
    Like,
    Arn,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Null,
}

impl Operator {
    /// `None` where AWS knows no such operator.
    pub(crate) fn parse(name: &str) -> Option<Operator> {
        let (quantifier, rest) = if let Some(rest) = name.strip_prefix("ForAllValues:") {
            (Quantifier::ForAllValues, rest)
        } else if let Some(rest) = name.strip_prefix("ForAnyValue:") {
            (Quantifier::ForAnyValue, rest)
        } else {
            (Quantifier::Plain, name)
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (comparison, negated) = comparison(base)?;
        // AWS: IfExists may follow any operator but Null, which asks for existence itself.
        if if_exists && matches!(comparison, Comparison::Null) {
            return None;
        }
        Some(Operator { quantifier, if_exists, negated, comparison })
    }

    pub(crate) fn is_date(&self) -> bool {
        matches!(self.comparison, Comparison::Date(_))
    }
}

fn comparison(base: &str) -> Option<(Comparison, bool)> {
    let exact = Comparison::Text { ignore_case: false };
    let folded = Comparison::Text { ignore_case: true };
    Some(match base {
        "StringEquals" => (exact, false),
        "StringNotEquals" => (exact, true),
        "StringEqualsIgnoreCase" => (folded, false),
        "StringNotEqualsIgnoreCase" => (folded, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        // AWS: ArnEquals and ArnLike behave identically, wildcards included.
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        "BinaryEquals" => (Comparison::Binary, false),
        "IpAddress" => (Comparison::Address, false),
        "NotIpAddress" => (Comparison::Address, true),
        "Null" => (Comparison::Null, false),
        _ => {
            let (numeric, order) = match base.strip_prefix("Numeric") {
                Some(order) => (true, order),
                None => (false, base.strip_prefix("Date")?),
            };
            let (order, negated) = match order {
                "Equals" => (Order::Equal, false),
                "NotEquals" => (Order::Equal, true),
                "LessThan" => (Order::Less, false),
                "LessThanEquals" => (Order::LessOrEqual, false),
                "GreaterThan" => (Order::Greater, false),
                "GreaterThanEquals" => (Order::GreaterOrEqual, false),
                _ => return None,
            };
            (if numeric { Comparison::Number(order) } else { Comparison::Date(order) }, negated)
        }
    })
}

impl Condition {
    pub(crate) fn new(operator: Operator, key: &str, values: &[String], variables: bool) -> Self {
        // AWS: variables are read in values of string and ARN operators only.
        let operand = match operator.comparison {
            Comparison::Text { ignore_case } => {
                let literal = |value: &String| Literal::new(value, variables);
                Operand::Text { values: values.iter().map(literal).collect(), ignore_case }
            }
            Comparison::Like => {
                Operand::Like(values.iter().map(|value| Pattern::new(value, variables)).collect())
            }
            Comparison::Arn => {
                Operand::Arn(values.iter().map(|value| ArnPattern::new(value, variables)).collect())
            }
            Comparison::Number(order) => {
                Operand::Number(order, values.iter().filter_map(|v| Number::parse(v)).collect())
            }
            Comparison::Date(order) => {
                Operand::Date(order, values.iter().filter_map(|v| parse_date(v)).collect())
            }
            Comparison::Bool => Operand::Bool(values.iter().filter_map(|v| truth(v)).collect()),
            Comparison::Binary => {
                Operand::Binary(values.iter().map(|value| unpadded(value).into()).collect())
            }
            Comparison::Address => {
                Operand::Address(values.iter().filter_map(|v| Cidr::parse(v)).collect())
            }
            Comparison::Null => Operand::Null(values.iter().filter_map(|v| truth(v)).collect()),
        };
        let Operator { quantifier, if_exists, negated, .. } = operator;
        Condition { key: key.into(), quantifier, if_exists, negated, operand }
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.get(&self.key);
        if let Operand::Null(wanted) = &self.operand {
            return wanted.contains(&values.is_none());
        }
        let Some(values) = values else { return self.holds_without_key() };
        // AWS: to the set operators an empty string is a null data set, the same as no key.
        let empty = values.len() == 1 && values[0].is_empty();
        let accepts = |value: &str| self.operand.accepts(value, context) != self.negated;
        match self.quantifier {
            Quantifier::ForAllValues => empty || values.iter().all(|value| accepts(value)),
            Quantifier::ForAnyValue => !empty && values.iter().any(|value| accepts(value)),
            Quantifier::Plain => {
                values.iter().any(|value| self.operand.accepts(value, context)) != self.negated
            }
        }
    }

    /// AWS: an absent key fails a condition, unless the operator is negated, ends in IfExists, or
    /// speaks for all values (of which there are none).
    fn holds_without_key(&self) -> bool {
        match self.quantifier {
            Quantifier::ForAllValues => true,
            Quantifier::ForAnyValue => self.if_exists,
            Quantifier::Plain => self.if_exists || self.negated,
        }
    }

    /// Every key that an answer depends on: its own and those of variables in its values.
    pub(crate) fn for_each_key<'a>(&'a self, mut visit: impl FnMut(&'a str)) {
        visit(&self.key);
        match &self.operand {
            Operand::Text { values, .. } => {
                values.iter().flat_map(|value| variable_keys(value.parts())).for_each(visit);
            }
            Operand::Like(values) => {
                values.iter().flat_map(|value| variable_keys(value.parts())).for_each(visit);
            }
            Operand::Arn(values) => {
                values.iter().flat_map(|value| variable_keys(value.parts())).for_each(visit);
            }
            _ => {}
        }
    }
}

impl Operand {
    /// Whether one request value fits any of the policy's values.
    fn accepts(&self, value: &str, context: &Context) -> bool {
        match self {
            Operand::Text { values, ignore_case } => {
                values.iter().any(|literal| literal.equals(value, *ignore_case, context))
            }
            Operand::Like(patterns) => patterns.iter().any(|p| p.matches(value, context)),
            Operand::Arn(patterns) => patterns.iter().any(|p| p.matches(value, context)),
            Operand::Number(order, wanted) => Number::parse(value)
                .is_some_and(|have| wanted.iter().any(|want| order.accepts(have.compare(*want)))),
            Operand::Date(order, wanted) => parse_date(value)
                .is_some_and(|have| wanted.iter().any(|want| order.accepts(have.cmp(want)))),
            Operand::Bool(wanted) => truth(value).is_some_and(|have| wanted.contains(&have)),
            Operand::Binary(wanted) => wanted.iter().any(|want| **want == *unpadded(value)),
            Operand::Address(blocks) => blocks.iter().any(|block| block.contains(value)),
            Operand::Null(_) => false,
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Base64 is canonical but for its padding, so equal bytes are equal texts without it.
fn unpadded(base64: &str) -> &str {
    base64.trim().trim_end_matches('=')
}
