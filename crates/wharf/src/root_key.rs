//! The root user's access key: made at the first start, or given by the environment.

use anyhow::{Context, Result};
use core_types::Dice;
use serde::{Deserialize, Serialize};

use crate::commands::misuse;
use crate::data_dir::DataDir;

const FILE: &str = "root-key.json";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// A secret does not get into logs by way of `{:?}`.
impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RootKey({})", self.access_key_id)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct RootKeyArguments {
    /// The root user's access key id; made at the first start if not given
    #[arg(long, env = "WHARF_ROOT_ACCESS_KEY_ID", value_name = "ID")]
    root_access_key_id: Option<String>,
    /// The secret of that key
    #[arg(long, env = "WHARF_ROOT_SECRET_ACCESS_KEY", value_name = "SECRET")]
    #[arg(hide_env_values = true)]
    root_secret_access_key: Option<String>,
}

impl RootKeyArguments {
    pub fn given(&self) -> Result<Option<RootKey>> {
        let (id, secret) = match (&self.root_access_key_id, &self.root_secret_access_key) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id, secret),
            (Some(_), None) => {
                return misuse("WHARF_ROOT_ACCESS_KEY_ID needs WHARF_ROOT_SECRET_ACCESS_KEY");
            }
            (None, Some(_)) => {
                return misuse("WHARF_ROOT_SECRET_ACCESS_KEY needs WHARF_ROOT_ACCESS_KEY_ID");
            }
        };
        if let Some(wrong) = fault_of_id(id) {
            return misuse(format!("WHARF_ROOT_ACCESS_KEY_ID {wrong}"));
        }
        // AWS's secrets have 40 characters. A short one could be guessed from a single signature.
        let printable = |b: u8| b.is_ascii_graphic();
        if !(16..=128).contains(&secret.len()) || !secret.bytes().all(printable) {
            return misuse(
                "WHARF_ROOT_SECRET_ACCESS_KEY must be 16 to 128 printable ASCII characters \
                 without spaces",
            );
        }
        let (access_key_id, secret_access_key) = (id.clone(), secret.clone());
        Ok(Some(RootKey { access_key_id, secret_access_key }))
    }
}

/// AWS: an access key id is 16 to 128 word characters.
fn fault_of_id(id: &str) -> Option<&'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !(16..=128).contains(&id.len()) || !id.bytes().all(word) {
        return Some("must be 16 to 128 letters and digits, as in AKIAIOSFODNN7EXAMPLE");
    }
    // AWS: keys beginning with ASIA are temporary and need a session token.
    id.starts_with("ASIA").then_some("must not begin with ASIA, which is for temporary keys")
}

impl RootKey {
    pub fn generate() -> Result<RootKey> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("the system gives no random bytes")?;
        let mut dice = Dice::seeded(seed);
        Ok(RootKey {
            access_key_id: format!("AKIA{}", dice.base32(16)),
            secret_access_key: dice.base62(40),
        })
    }

    pub fn load(dir: &DataDir) -> Result<Option<RootKey>> {
        let Some(bytes) = dir.read(FILE)? else { return Ok(None) };
        let key = serde_json::from_slice(&bytes);
        key.map(Some).with_context(|| format!("{} is damaged", dir.path().join(FILE).display()))
    }

    /// Keep it where `wharf env` looks; written only where that changes anything.
    pub fn keep(&self, dir: &DataDir) -> Result<()> {
        if RootKey::load(dir).ok().flatten().as_ref() == Some(self) {
            return Ok(());
        }
        self.save(dir)
    }

    fn save(&self, dir: &DataDir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("root-key.json")?;
        dir.write_private(FILE, &text).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: Option<&str>, secret: Option<&str>) -> Result<Option<RootKey>> {
        RootKeyArguments {
            root_access_key_id: id.map(Into::into),
            root_secret_access_key: secret.map(Into::into),
        }
        .given()
    }

    #[test]
    fn both_or_none_and_in_shape() {
        let (id, secret) = (Some("AKIAIOSFODNN7EXAMPLE"), Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCY"));
        assert!(given(None, None).unwrap().is_none());
        assert!(given(id, secret).unwrap().is_some());
        for (id, secret) in [
            (id, None),
            (None, secret),
            (Some("test"), secret),
            (Some("ASIAIOSFODNN7EXAMPLE"), secret),
            (Some("AKIA IOSFODNN7EXAMPL"), secret),
            (id, Some("short")),
            (id, Some("has a space in the middle")),
            (id, Some("")),
        ] {
            assert!(given(id, secret).is_err(), "{id:?} {secret:?}");
        }
    }

    #[test]
    fn made_keys_pass_their_own_rules() {
        let (one, other) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        assert_ne!(one, other);
        assert!(given(Some(&one.access_key_id), Some(&one.secret_access_key)).is_ok());
        assert_eq!(one.access_key_id.len(), 20);
    }
}
