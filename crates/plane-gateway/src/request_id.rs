//! Request ids in AWS's form: they only have to differ, so a counter behind a random start does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

static START: LazyLock<[u8; 16]> = LazyLock::new(|| {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
});
static COUNT: AtomicU64 = AtomicU64::new(0);

const HEX: &[u8; 16] = b"0123456789abcdef";

pub fn next() -> Arc<str> {
    let mut id = *START;
    // An odd multiplier spreads the counter over the visible digits.
    let n = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (byte, n) in id.iter_mut().zip(n.to_be_bytes()) {
        *byte ^= n;
    }
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in id {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    str::from_utf8(&text).expect("hex digits and dashes are ASCII").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_look_like_those_of_aws() {
        let (one, other) = (next(), next());
        assert_ne!(one, other);
        for id in [one, other] {
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12]);
            assert!(id.bytes().all(|b| b == b'-' || HEX.contains(&b)));
        }
    }
}
