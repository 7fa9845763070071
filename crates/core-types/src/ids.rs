//! 128-bit identifiers, printed as AWS prints them: 32 hex digits (tasks, container instances).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Kept as bytes, not as `u128`, so that keys holding it stay small (no 16-byte alignment).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id128(pub [u8; 16]);

impl Id128 {
    /// The dashed form of the same bits, as request ids and deployment tokens are printed.
    pub fn dashed(&self) -> String {
        let hex = self.to_string();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for Id128 {
    type Err = ();

    /// Takes both the plain and the dashed form: older ECS ids carry dashes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0u8; 16];
        let mut digits = 0usize;
        for c in text.bytes() {
            let nibble = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                b'-' if matches!(digits, 8 | 12 | 16 | 20) => continue,
                _ => return Err(()),
            };
            let byte = bytes.get_mut(digits / 2).ok_or(())?;
            *byte = *byte << 4 | nibble;
            digits += 1;
        }
        if digits == 32 { Ok(Id128(bytes)) } else { Err(()) }
    }
}

impl Serialize for Id128 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id128 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(|()| serde::de::Error::custom("an id is 32 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let id = Id128([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.dashed().parse(), Ok(id));
        assert!("xyz".parse::<Id128>().is_err());
        assert!("ab".repeat(17).parse::<Id128>().is_err());
        assert!("ab".repeat(15).parse::<Id128>().is_err());
    }
}
