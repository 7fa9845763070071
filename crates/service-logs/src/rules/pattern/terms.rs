//! Terms: all of them, or any of those behind `?`, none of those behind `-`.

use regex::Regex;

use super::cursor::Cursor;
use super::{BadPattern, bad, compare};

#[derive(Clone, Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Term::Text(text) => message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Terms {
    all: Vec<Term>,
    any: Vec<Term>,
    none: Vec<Term>,
}

pub fn parse(cursor: &mut Cursor<'_>) -> Result<Terms, BadPattern> {
    let mut terms = Terms::default();
    loop {
        cursor.skip_space();
        let list = match cursor.peek() {
            None => break,
            Some('?') => {
                cursor.next();
                &mut terms.any
            }
            Some('-') => {
                cursor.next();
                &mut terms.none
            }
            Some(_) => &mut terms.all,
        };
        list.push(match cursor.peek() {
            Some('"') => Term::Text(cursor.quoted()?),
            Some('%') => Term::Regex(compare::regex(&cursor.regex()?)?),
            _ => Term::Text(word(cursor)?),
        });
    }
    // AWS: beside terms of the other kinds, those behind `?` are ignored.
    if !terms.all.is_empty() || !terms.none.is_empty() {
        terms.any.clear();
    }
    Ok(terms)
}

fn word(cursor: &mut Cursor<'_>) -> Result<String, BadPattern> {
    let word = cursor.take_while(|c| !c.is_whitespace());
    // AWS: a term with other characters stands in quotation marks.
    let good = |c: char| c.is_alphanumeric() || "_.:@/$#*,;=&+~|!'-\\<>".contains(c);
    match word.chars().find(|c| !good(*c)) {
        _ if word.is_empty() => bad("a term is missing"),
        Some(wrong) => bad(format!("a term with {wrong:?} must stand in quotation marks")),
        None => Ok(word.to_owned()),
    }
}

impl Terms {
    pub fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| term.is_in(message))
            && !self.none.iter().any(|term| term.is_in(message))
            && (self.any.is_empty() || self.any.iter().any(|term| term.is_in(message)))
    }
}
