//! Who we are to a registry: a name and password, or a token that renews itself; given, or out of
//! Docker's configuration file, which the ECS agent's `ECS_ENGINE_AUTH_DATA` has the form of.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Deserialize;

use crate::reference::DEFAULT_REGISTRY;

#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// Docker's `identitytoken`: exchanged for short tokens.
    Identity(String),
}

/// Passwords are in no log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Password { user, .. } => write!(f, "Password({user:?})"),
            Credentials::Identity(_) => f.write_str("Identity"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("the registry credentials are no Docker configuration: {0}")]
    Malformed(String),
    #[error(
        "the credentials of {registry} are kept by docker-credential-{program}, which is not asked"
    )]
    Program { registry: String, program: String },
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

impl Credentials {
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials::Password { user: user.into(), password: password.into() }
    }

    /// What Docker's `config.json` (or the older `.dockercfg`, which is its `auths` alone) has for a
    /// registry.
    pub fn from_docker_config(
        bytes: &[u8],
        registry: &str,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let malformed = |e: serde_json::Error| CredentialsError::Malformed(e.to_string());
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
        let is_whole =
            ["auths", "credHelpers", "credsStore"].iter().any(|key| value.get(key).is_some());
        if !is_whole {
            // A whole configuration may also hold none of these: then its members are no entries.
            let entries = value.as_object().into_iter().flatten();
            let entries = entries.filter_map(|(host, entry)| {
                Some((host.clone(), serde_json::from_value::<Entry>(entry.clone()).ok()?))
            });
            return find(entries.collect(), registry);
        }
        let config: DockerConfig = serde_json::from_value(value).map_err(malformed)?;
        if let Some(found) = find(config.auths, registry)? {
            return Ok(Some(found));
        }
        let program = config.helpers.get(registry).cloned();
        match program {
            Some(program) => Err(CredentialsError::Program { registry: registry.into(), program }),
            // With a store, an empty entry says that the store knows; without, we are anonymous.
            None => {
                if let Some(program) = config.store {
                    tracing::debug!(registry, program, "the credential store is not asked");
                }
                Ok(None)
            }
        }
    }

    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Credentials::Password { user, password } = self else { return None };
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn find(
    entries: BTreeMap<String, Entry>,
    registry: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    for (key, entry) in entries {
        if host_of(&key) == host_of(registry)
            && let Some(found) = entry.read()?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Docker keeps Docker Hub's entry under `https://index.docker.io/v1/`.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    match key.split_once('/').map_or(key, |(host, _)| host) {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        host => host,
    }
}

impl Entry {
    fn read(self) -> Result<Option<Credentials>, CredentialsError> {
        let full = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = full(self.identitytoken) {
            return Ok(Some(Credentials::Identity(token)));
        }
        if let Some(user) = full(self.username) {
            let password = self.password.unwrap_or_default();
            return Ok(Some(Credentials::Password { user, password }));
        }
        let Some(auth) = full(self.auth) else { return Ok(None) };
        let malformed =
            || CredentialsError::Malformed("auth is not base64 of user:password".into());
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| malformed())?;
        let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
        Ok(Some(Credentials::password(user, password.trim_end_matches('\0'))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, registry: &str) -> Option<Credentials> {
        Credentials::from_docker_config(text.as_bytes(), registry).unwrap()
    }

    #[test]
    fn all_forms_of_the_file_are_read() {
        let me = Some(Credentials::password("me", "pw:x"));
        let auth = STANDARD.encode("me:pw:x");
        let new = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(found(&new, "docker.io"), me);
        assert_eq!(found(&new, "other.io"), None);
        let old = format!(r#"{{"https://r.io:5000":{{"auth":"{auth}","email":"e"}}}}"#);
        assert_eq!(found(&old, "r.io:5000"), me);
        assert_eq!(found(r#"{"r.io":{"username":"me","password":"pw:x"}}"#, "r.io"), me);
        let token = r#"{"auths":{"r.io":{"identitytoken":"t"}}}"#;
        assert_eq!(found(token, "r.io"), Some(Credentials::Identity("t".into())));
        assert_eq!(found(r#"{"auths":{"r.io":{}}}"#, "r.io"), None);
        assert_eq!(found(r#"{"HttpHeaders":{"a":"b"}}"#, "r.io"), None);
        let helped = br#"{"credHelpers":{"r.io":"pass"}}"#;
        assert!(Credentials::from_docker_config(helped, "r.io").is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Credentials::password("me", "secret")).contains("secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[{}\":,a-z\\[\\]]{0,60}", auth in ".{0,20}") {
            let _ = Credentials::from_docker_config(text.as_bytes(), "r").is_ok();
            let text = serde_json::json!({"auths": {"r": {"auth": auth}}}).to_string();
            let _ = Credentials::from_docker_config(text.as_bytes(), "r").is_ok();
        }
    }
}
