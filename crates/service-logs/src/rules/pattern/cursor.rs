//! Where the parser stands in a pattern's text.

use super::{BadPattern, bad};

pub struct Cursor<'t> {
    rest: &'t str,
    depth: u32,
}

/// Parentheses inside each other.
const DEPTH: u32 = 20;

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Self {
        Cursor { rest: text, depth: 0 }
    }

    pub fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    pub fn starts_with(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// Take this text if it stands here, behind any space.
    pub fn take(&mut self, text: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub fn expect(&mut self, text: &str) -> Result<(), BadPattern> {
        match self.take(text) {
            true => Ok(()),
            false => bad(format!("expected {text} before {:?}", self.shown())),
        }
    }

    pub fn take_while(&mut self, good: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// A word of letters, in whatever case it is written.
    pub fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let Some(head) = self.rest.get(..word.len()) else { return false };
        let behind = self.rest[word.len()..].chars().next();
        let ends = behind.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        if !ends || !head.eq_ignore_ascii_case(word) {
            return false;
        }
        self.rest = &self.rest[word.len()..];
        true
    }

    /// What stands between `"` here and the next, with `\"` inside.
    pub fn quoted(&mut self) -> Result<String, BadPattern> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') if matches!(self.peek(), Some('"' | '\\')) => text.extend(self.next()),
                Some(c) => text.push(c),
                None => return bad("a quotation mark is not closed"),
            }
        }
    }

    /// What stands between `%` here and the next, with `\%` inside.
    pub fn regex(&mut self) -> Result<String, BadPattern> {
        self.expect("%")?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('%') => return Ok(text),
                Some('\\') if self.peek() == Some('%') => text.extend(self.next()),
                Some(c) => text.push(c),
                None => return bad("a regular expression is not closed by %"),
            }
        }
    }

    pub fn enter(&mut self) -> Result<(), BadPattern> {
        self.depth += 1;
        if self.depth > DEPTH { bad("parentheses are too deep") } else { Ok(()) }
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    pub fn end(&mut self) -> Result<(), BadPattern> {
        self.skip_space();
        match self.rest.is_empty() {
            true => Ok(()),
            false => bad(format!("{:?} stands behind its end", self.shown())),
        }
    }

    fn shown(&self) -> String {
        self.rest.chars().take(20).collect()
    }
}
