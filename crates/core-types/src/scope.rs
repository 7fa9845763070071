//! Accounts and regions: everything a user makes lives in one of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One partition is enough: Wharf's ARNs are those of commercial AWS.
pub const PARTITION: &str = "aws";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError {
    /// An account id is twelve decimal digits.
    Account,
    /// A region is 1 to 23 characters of `a-z`, `0-9` and `-`.
    Region,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeError::Account => "an account id is 12 decimal digits",
            ScopeError::Region => "a region is 1 to 23 characters of a-z, 0-9 and '-'",
        })
    }
}

impl std::error::Error for ScopeError {}

/// A twelve-digit account number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    pub const fn new(number: u64) -> Option<Self> {
        if number < 1_000_000_000_000 { Some(AccountId(number)) } else { None }
    }

    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ScopeError::Account);
        }
        text.parse().map(AccountId).map_err(|_| ScopeError::Account)
    }
}

const REGION_MAX: usize = 23;

/// A region's name, held inline so that scopes are `Copy` and cheap in keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    // Zero-padded; compares like the text because the padding sorts first.
    bytes: [u8; REGION_MAX],
    len: u8,
}

impl Region {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)])
            .expect("only ASCII is let in by from_str")
    }
}

impl Default for Region {
    /// The least region of all: the empty name, which no user can ask for.
    fn default() -> Self {
        Region { bytes: [0; REGION_MAX], len: 0 }
    }
}

impl FromStr for Region {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > REGION_MAX || !text.bytes().all(good) {
            return Err(ScopeError::Region);
        }
        let mut bytes = [0; REGION_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Region { bytes, len: text.len() as u8 })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a regional thing lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub account: AccountId,
    pub region: Region,
}

impl Scope {
    pub fn new(account: AccountId, region: Region) -> Self {
        Scope { account, region }
    }

    /// The ARN of a regional resource of this scope: `arn:aws:{service}:{region}:{account}:{rest}`.
    pub fn arn(&self, service: &str, rest: impl fmt::Display) -> String {
        format!("arn:{PARTITION}:{service}:{}:{}:{rest}", self.region, self.account)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (account, region) = text.split_once('/').ok_or(ScopeError::Region)?;
        Ok(Scope::new(account.parse()?, region.parse()?))
    }
}

/// Serde through the printed form: row keys on disk are readable.
macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(AccountId, Region, Scope);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_keep_their_leading_zeros() {
        let account: AccountId = "000000000042".parse().unwrap();
        assert_eq!(account.to_string(), "000000000042");
        assert!("42".parse::<AccountId>().is_err());
        assert!("12345678901a".parse::<AccountId>().is_err());
    }

    #[test]
    fn regions_order_like_their_names() {
        let mut names = ["us-east-1", "eu-west-1", "us-east-10", "a"];
        let mut regions: Vec<Region> = names.iter().map(|n| n.parse().unwrap()).collect();
        names.sort_unstable();
        regions.sort_unstable();
        assert_eq!(regions.iter().map(|r| r.as_str()).collect::<Vec<_>>(), names);
        assert!("".parse::<Region>().is_err());
        assert!("US-EAST-1".parse::<Region>().is_err());
    }

    #[test]
    fn a_scope_reads_what_it_prints() {
        let scope: Scope = "123456789012/us-east-1".parse().unwrap();
        assert_eq!(scope.to_string().parse(), Ok(scope));
        let arn = scope.arn("ecs", "cluster/c");
        assert_eq!(arn, "arn:aws:ecs:us-east-1:123456789012:cluster/c");
    }
}
