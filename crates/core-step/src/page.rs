//! Pages of lists: a cursor is the last key shown, sealed into an opaque token.
//!
//! The seal binds a token to its list, so that one that was cut, altered or meant for another list
//! is refused instead of silently starting somewhere. It keeps no secret and needs no secret key:
//! a list only ever shows rows of the caller's own account.

use aws_protocol::token;
pub use aws_protocol::token::BadToken;

const SEAL: &[u8] = b"wharf page token";

/// One page, and the token for the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Take up to `size` items; `cursor` tells where an item stands.
pub fn page<T>(
    list: &str,
    size: usize,
    rows: impl IntoIterator<Item = T>,
    cursor: impl Fn(&T) -> String,
) -> Page<T> {
    let mut rows = rows.into_iter();
    let items: Vec<T> = rows.by_ref().take(size).collect();
    let more = items.len() == size && rows.next().is_some();
    let next = items.last().filter(|_| more).map(|last| seal(list, &cursor(last)));
    Page { items, next }
}

/// Make a token for the list of this name.
pub fn seal(list: &str, cursor: &str) -> String {
    token::seal(SEAL, list, cursor.as_bytes())
}

/// The cursor inside a token of this list. An absent or empty token is the list's beginning.
pub fn open(list: &str, token: Option<&str>) -> Result<Option<String>, BadToken> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let cursor = token::open(SEAL, list, token)?;
    String::from_utf8(cursor).map(Some).map_err(|_| BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let all: Vec<u32> = (0..25).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let after = open("L", token.as_deref()).unwrap().map(|c| c.parse::<u32>().unwrap());
            let rows = all.iter().copied().filter(|n| after.is_none_or(|after| *n > after));
            let Page { items, next } = page("L", 5, rows, u32::to_string);
            seen.extend(items);
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_token_of_another_list_or_an_altered_one_is_refused() {
        let token = seal("ListClusters", "web");
        assert_eq!(open("ListClusters", Some(&token)), Ok(Some("web".into())));
        assert_eq!(open("ListTasks", Some(&token)), Err(BadToken));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(open("ListClusters", Some(&altered)).is_err(), "{altered}");
        }
        assert!(open("ListClusters", Some("not a token")).is_err());
        assert_eq!(open("ListClusters", None), Ok(None));
    }
}
