//! Lines become events: pieces of one line are joined, and lines up to the next that begins one.

use std::borrow::Cow;

use regex::bytes::Regex;

use crate::Line;

/// A text of this many bytes is an event by itself, joined or not.
const LONGEST: usize = 256 * 1024 - 26;
/// A pattern's compiled size is bounded, and with it the time that a line can take.
const LARGEST_PATTERN: usize = 1 << 20;

/// An event, and how many lines it and all before it are made of.
#[derive(Debug, PartialEq)]
pub(super) struct Event<'a> {
    pub millis: i64,
    pub text: Cow<'a, [u8]>,
    pub upto: usize,
}

pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let built = regex::bytes::RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build();
    built
        .map_err(|error| format!("awslogs could not parse multiline pattern key {text:?}: {error}"))
}

/// Docker: a strftime format is a pattern of what it would print; what stands between its letters is
/// a pattern already, so a bracket is written `\[`.
pub(super) fn of_date(format: &str) -> Result<Regex, String> {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        out.push_str(match letters.next() {
            Some('%') => "%",
            Some('A') => r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
            Some('a') => r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
            Some('B') => {
                r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
            }
            Some('b') => r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
            Some('d' | 'H' | 'I' | 'M' | 'm' | 'S' | 'y') => r"\d{2}",
            Some('f') => r"\d{6}",
            Some('j') => r"\d{3}",
            Some('L') => r"\.\d{3}",
            Some('p') => r"[A-Z]{2}",
            Some('w') => r"\d",
            Some('Y') => r"\d{4}",
            Some('Z') => r"[A-Z]{1,4}T",
            Some('z') => r"[+-]\d{4}",
            other => return Err(format!("awslogs does not know %{}", other.map_or(String::new(), String::from))),
        });
    }
    pattern(&out)
}

/// The events that lines make. Without `flush`, a last one that may go on is held back.
pub(super) fn events<'a>(
    lines: &'a [Line],
    begins: Option<&'a Regex>,
    flush: bool,
) -> impl Iterator<Item = Event<'a>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (mut event, mut end, mut whole) = join(lines, at, flush)?;
        if let Some(begins) = begins {
            whole = false;
            while let Some((next, next_end, _)) = join(lines, end, flush) {
                let too_long = event.text.len() + 1 + next.text.len() > LONGEST;
                if begins.is_match(&next.text) || too_long {
                    whole = true;
                    break;
                }
                let text = event.text.to_mut();
                text.push(b'\n');
                text.extend_from_slice(&next.text);
                end = next_end;
            }
        }
        if !whole && !flush {
            return None;
        }
        at = end;
        event.upto = end;
        Some(event)
    })
}

/// A line put together of its pieces: the event, where the next begins, and whether it is whole.
fn join(lines: &[Line], at: usize, flush: bool) -> Option<(Event<'_>, usize, bool)> {
    let first = lines.get(at)?;
    let mut text = Cow::Borrowed(&first.text[..]);
    let mut end = at + 1;
    let mut partial = first.partial;
    while partial && text.len() < LONGEST {
        match lines.get(end) {
            Some(next) if next.source == first.source => {
                text.to_mut().extend_from_slice(&next.text);
                partial = next.partial;
                end += 1;
            }
            // The other output has come between: what is there stands for itself.
            Some(_) => break,
            None if flush => break,
            None => return None,
        }
    }
    Some((Event { millis: first.millis(), text, upto: end }, end, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    fn lines(texts: &[&str]) -> Vec<Line> {
        let line = |(n, text): (usize, &&str)| {
            let partial = text.ends_with('~');
            let text = text.trim_end_matches('~').as_bytes().to_vec();
            Line { source: Source::Stdout, at: n as i64 * 1_000_000, text, partial }
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn texts<'a>(events: impl Iterator<Item = Event<'a>>) -> Vec<(String, usize)> {
        let text = |event: &Event<'_>| String::from_utf8(event.text.to_vec()).unwrap();
        events.map(|event| (text(&event), event.upto)).collect()
    }

    #[test]
    fn pieces_are_joined_and_the_last_waits_for_its_rest() {
        let given = lines(&["a~", "b", "c~"]);
        assert_eq!(texts(events(&given, None, false)), [("ab".to_owned(), 2)]);
        let all = texts(events(&given, None, true));
        assert_eq!(all, [("ab".to_owned(), 2), ("c".to_owned(), 3)]);
    }

    #[test]
    fn a_pattern_begins_events() {
        let given = lines(&["INFO one", " more", "INFO two", " rest"]);
        let begins = pattern("^INFO").unwrap();
        let now = texts(events(&given, Some(&begins), false));
        assert_eq!(now, [("INFO one\n more".to_owned(), 2)]);
        let all = texts(events(&given, Some(&begins), true));
        assert_eq!(all[1], ("INFO two\n rest".to_owned(), 4));
    }

    #[test]
    fn dates_as_docker_knows_them() {
        let date = of_date(r"\[%b %d, %Y %H:%M:%S\]").unwrap();
        assert!(date.is_match(b"[May 01, 2017 19:00:01] A message was logged"));
        assert!(!date.is_match(b"Another line"));
        assert!(of_date("%Q").is_err());
        assert!(pattern("(").is_err());
        assert!(pattern(r"\w{1000}{1000}").is_err());
    }

    #[test]
    fn an_event_without_end_is_cut() {
        let long = format!("{}~", "x".repeat(200_000));
        let given = lines(&[&long, &long, "end"]);
        let all = texts(events(&given, None, true));
        assert_eq!(all.len(), 2);
        let begins = pattern("^never$").unwrap();
        let given = lines(&["y"; 200_000]);
        assert!(texts(events(&given, Some(&begins), false)).len() == 1);
    }
}
