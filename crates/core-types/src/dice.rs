//! Randomness as an input: a seeded stream that the engine hands to each step.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::Id128;

/// Cryptographically strong when its seed is (the engine seeds it from the system); replayable in
/// simulation, where the seed is the test's.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha12Rng);

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Dice {
    pub fn seeded(seed: [u8; 32]) -> Self {
        Dice(ChaCha12Rng::from_seed(seed))
    }

    pub fn from_number(seed: u64) -> Self {
        Dice(ChaCha12Rng::seed_from_u64(seed))
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0u8; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, without modulo bias (rejection).
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "a range to draw from is never empty");
        let zone = u64::MAX - u64::MAX % end;
        loop {
            let n = self.number();
            if n < zone {
                return n % end;
            }
        }
    }

    pub fn id(&mut self) -> Id128 {
        Id128(self.bytes())
    }

    /// A dashed version-4 UUID.
    pub fn uuid(&mut self) -> String {
        let mut bytes: [u8; 16] = self.bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Id128(bytes).dashed()
    }

    /// Upper-case base-32 text, as in IAM's ids (`AIDA…`, `AKIA…`).
    pub fn base32(&mut self, len: usize) -> String {
        self.text(BASE32, len)
    }

    pub fn base36(&mut self, len: usize) -> String {
        self.text(BASE36, len)
    }

    /// Letters and digits: secrets that must survive every shell and config file unquoted.
    pub fn base62(&mut self, len: usize) -> String {
        self.text(BASE62, len)
    }

    fn text(&mut self, alphabet: &[u8], len: usize) -> String {
        (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize] as char).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut a, mut b) = (Dice::from_number(7), Dice::from_number(7));
        assert_eq!(a.id(), b.id());
        assert_eq!(a.base32(16), b.base32(16));
        assert_ne!(a.id(), a.id());
    }

    #[test]
    fn uuids_carry_their_version() {
        let uuid = Dice::from_number(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
    }
}
