//! Wildcard matching: `*` for any run of characters, `?` for exactly one.
//!
//! The pattern is cut at its stars when it is compiled. What stands before the first star must open
//! the text, what stands after the last must close it, and what stands between is found leftmost in
//! order. Leftmost is always right for a glob, so nothing is tried twice and no pattern can make
//! the work grow faster than text × longest piece; pieces without `?` are searched in linear time.

use memchr::memmem::Finder;

/// One element of a pattern after variables are filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Literal(String),
    One,
    Many,
}

/// A compiled wildcard pattern.
#[derive(Debug, Clone)]
pub struct Glob(Shape);

#[derive(Debug, Clone)]
enum Shape {
    Anything,
    Exact(Box<str>),
    Prefix(Box<str>),
    /// No star, but at least one `?`.
    Sized(Piece),
    Starred {
        head: Piece,
        middle: Box<[Piece]>,
        tail: Piece,
    },
}

/// A stretch of pattern without stars.
#[derive(Debug, Clone)]
enum Piece {
    Plain(Box<Finder<'static>>),
    /// `None` stands for `?`.
    Holed(Box<[Option<char>]>),
}

impl Glob {
    /// Compiles `text`, where `*` and `?` are wildcards and everything else stands for itself.
    pub fn new(text: &str) -> Glob {
        Glob::from_tokens(&tokens_of(text))
    }

    pub(crate) fn from_tokens(tokens: &[Token]) -> Glob {
        let mut pieces: Vec<Vec<Option<char>>> = vec![Vec::new()];
        for token in tokens {
            let last = pieces.last_mut().expect("there is always an open piece");
            match token {
                Token::Literal(text) => last.extend(text.chars().map(Some)),
                Token::One => last.push(None),
                Token::Many => pieces.push(Vec::new()),
            }
        }
        let starred = pieces.len() > 1;
        let holed = pieces.iter().flatten().any(Option::is_none);
        if !starred && !holed {
            return Glob(Shape::Exact(plain(&pieces[0]).into()));
        }
        if !starred {
            return Glob(Shape::Sized(Piece::new(pieces.remove(0))));
        }
        let tail = pieces.pop().expect("a starred pattern has two pieces or more");
        let head = pieces.remove(0);
        pieces.retain(|piece| !piece.is_empty());
        if pieces.is_empty() && tail.is_empty() && !holed {
            return Glob(match head.is_empty() {
                true => Shape::Anything,
                false => Shape::Prefix(plain(&head).into()),
            });
        }
        Glob(Shape::Starred {
            head: Piece::new(head),
            middle: pieces.into_iter().map(Piece::new).collect(),
            tail: Piece::new(tail),
        })
    }

    /// Whether the pattern accepts the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Shape::Anything => true,
            Shape::Exact(literal) => text == &**literal,
            Shape::Prefix(literal) => text.starts_with(&**literal),
            Shape::Sized(piece) => piece.opens(text) == Some(text.len()),
            Shape::Starred { head, middle, tail } => {
                let Some(opened) = head.opens(text) else { return false };
                let mut rest = &text[opened..];
                let Some(closed) = tail.closes(rest) else { return false };
                rest = &rest[..closed];
                for piece in middle {
                    let Some(end) = piece.find_end(rest) else { return false };
                    rest = &rest[end..];
                }
                true
            }
        }
    }
}

impl Piece {
    fn new(chars: Vec<Option<char>>) -> Piece {
        if chars.iter().all(Option::is_some) {
            let text = plain(&chars);
            return Piece::Plain(Box::new(Finder::new(text.as_bytes()).into_owned()));
        }
        Piece::Holed(chars.into_boxed_slice())
    }

    /// Where the piece ends if `text` opens with it.
    fn opens(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(finder) => {
                let needle = finder.needle();
                text.as_bytes().starts_with(needle).then_some(needle.len())
            }
            Piece::Holed(wanted) => {
                let mut chars = text.char_indices();
                for want in wanted {
                    let (_, have) = chars.next()?;
                    if want.is_some_and(|want| want != have) {
                        return None;
                    }
                }
                Some(chars.next().map_or(text.len(), |(at, _)| at))
            }
        }
    }

    /// Where the piece begins if `text` closes with it.
    fn closes(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(finder) => {
                let needle = finder.needle();
                text.as_bytes().ends_with(needle).then(|| text.len() - needle.len())
            }
            Piece::Holed(wanted) => {
                let (at, _) = text.char_indices().rev().nth(wanted.len() - 1)?;
                self.opens(&text[at..]).map(|_| at)
            }
        }
    }

    /// Where the leftmost occurrence ends.
    fn find_end(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(finder) => {
                finder.find(text.as_bytes()).map(|at| at + finder.needle().len())
            }
            Piece::Holed(_) => {
                text.char_indices().find_map(|(at, _)| self.opens(&text[at..]).map(|end| at + end))
            }
        }
    }
}

/// Splits pattern text into literals and wildcards.
pub(crate) fn tokens_of(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_tokens(text, &mut tokens);
    tokens
}

pub(crate) fn push_tokens(text: &str, tokens: &mut Vec<Token>) {
    let mut literal_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let wildcard = match byte {
            b'*' => Token::Many,
            b'?' => Token::One,
            _ => continue,
        };
        if at > literal_from {
            tokens.push(Token::Literal(text[literal_from..at].to_owned()));
        }
        tokens.push(wildcard);
        literal_from = at + 1;
    }
    if literal_from < text.len() {
        tokens.push(Token::Literal(text[literal_from..].to_owned()));
    }
}

fn plain(chars: &[Option<char>]) -> String {
    chars.iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook recursive definition, too slow to ship and too simple to be wrong.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((want, rest)) => text.first() == Some(want) && reference(rest, &text[1..]),
        }
    }

    #[test]
    fn known_answers() {
        let table = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("ecs:*", "ecs:RunTask", true),
            ("ecs:*Task*", "ecs:DescribeTasks", true),
            ("ecs:*Task", "ecs:DescribeTasks", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("?", "é", true),
            ("*?", "", false),
            ("*?é", "xé", true),
            ("ab*ab", "ab", false),
            ("ab*ab", "abab", true),
            ("a*b*c", "a-c-b-c", true),
            ("arn:aws:s3:::b/*/x", "arn:aws:s3:::b/1/2/x", true),
        ];
        for (pattern, text, wanted) in table {
            assert_eq!(Glob::new(pattern).matches(text), wanted, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        // Textbook recursion needs more steps here than there are atoms.
        let glob = Glob::new(&"*a".repeat(3_000));
        assert!(!glob.matches(&format!("{}b", "a".repeat(100_000))));
        assert!(Glob::new(&format!("{}*", "*a?".repeat(300))).matches(&"a".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?é]{0,9}", text in "[abé]{0,9}") {
            let p: Vec<char> = pattern.chars().collect();
            let t: Vec<char> = text.chars().collect();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), reference(&p, &t));
        }
    }
}
