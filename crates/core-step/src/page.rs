//! Pages of lists: a cursor is the last key shown, sealed into an opaque token.
//!
//! A token carries the operation it belongs to and a checksum over both, so that one that was cut,
//! altered or meant for another list is refused instead of silently starting somewhere. It holds
//! nothing secret: a list only ever shows rows of the caller's own account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The first byte of every token; raised when the form changes.
const FORM: u8 = 1;
const CHECK: usize = 12;
const LONGEST: usize = 8192;

/// A token that this list did not give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadToken;

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

fn check(list: &str, cursor: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(b"wharf page token");
    hash.update((list.len() as u64).to_be_bytes());
    hash.update(list);
    hash.update(cursor);
    let mut out = [0; CHECK];
    out.copy_from_slice(&hash.finalize()[..CHECK]);
    out
}

/// Make a token for the list of this name.
pub fn seal(list: &str, cursor: &str) -> String {
    let mut bytes = vec![FORM];
    bytes.extend(check(list, cursor.as_bytes()));
    bytes.extend(cursor.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The cursor inside a token of this list. An absent or empty token is the list's beginning.
pub fn open(list: &str, token: Option<&str>) -> Result<Option<String>, BadToken> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    if token.len() > LONGEST {
        return Err(BadToken);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let (head, cursor) = bytes.split_at_checked(1 + CHECK).ok_or(BadToken)?;
    if head[0] != FORM || head[1..] != check(list, cursor) {
        return Err(BadToken);
    }
    String::from_utf8(cursor.to_vec()).map(Some).map_err(|_| BadToken)
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
