//! Who this host is: AWS's chain of credentials, as far as it makes sense on a host of one's own.
//!
//! The environment, a session file that the control plane's own `up` mints and renews, the shared
//! credentials file, and at last what `identity` has fetched. Files are read anew whenever they are
//! needed and may have changed: a file that somebody rotates is followed without a restart.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret: String,
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, have them in {0}, or join \
         with an activation"
    )]
    None(String),
    #[error("cannot read {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a session: {reason}")]
    Session { path: PathBuf, reason: String },
}

/// Where credentials are looked for.
#[derive(Debug, Default)]
pub struct Chain {
    pub environment: Option<Credentials>,
    /// The session that `up` keeps for this host.
    pub session_file: Option<PathBuf>,
    pub shared_file: Option<PathBuf>,
    pub profile: String,
    cached: Mutex<Option<(PathBuf, SystemTime, Credentials)>>,
    lent: Mutex<Option<Credentials>>,
}

/// The session file: what STS calls its credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionFile {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Chain {
    /// From settings by their AWS names.
    pub fn from_settings(get: impl Fn(&str) -> Option<String>) -> Chain {
        let key = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
        let token = get("AWS_SESSION_TOKEN");
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let shared = get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        Chain {
            environment: key.map(|(access_key, secret)| Credentials { access_key, secret, token }),
            session_file: get("WHARF_SESSION_FILE").map(PathBuf::from),
            shared_file: shared.or_else(|| home.map(|home| home.join(".aws/credentials"))),
            profile: get("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
            ..Chain::default()
        }
    }

    /// What was fetched is used where nothing else is there.
    pub fn lend(&self, credentials: Credentials) {
        *self.lent.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
    }

    pub fn current(&self) -> Result<Credentials, CredentialsError> {
        if let Some(given) = &self.environment {
            return Ok(given.clone());
        }
        if let Some(path) = &self.session_file {
            return self.read(path, |text| {
                let bad = |reason: String| CredentialsError::Session { path: path.clone(), reason };
                let file: SessionFile =
                    serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
                Ok(Credentials {
                    access_key: file.access_key_id,
                    secret: file.secret_access_key,
                    token: file.session_token,
                })
            });
        }
        let mut looked = "~/.aws/credentials".to_owned();
        if let Some(path) = &self.shared_file {
            looked = path.display().to_string();
            let found = self.read(path, |text| {
                let none = || CredentialsError::None(looked.clone());
                shared(text, &self.profile).ok_or_else(none)
            });
            match found {
                Err(CredentialsError::None(_)) => {}
                Err(CredentialsError::File { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                found => return found,
            }
        }
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.clone().ok_or(CredentialsError::None(looked))
    }

    fn read(
        &self,
        path: &PathBuf,
        parse: impl FnOnce(&str) -> Result<Credentials, CredentialsError>,
    ) -> Result<Credentials, CredentialsError> {
        let failed = |source| CredentialsError::File { path: path.clone(), source };
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).map_err(failed)?;
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, at, credentials)) = &*cached
            && of == path
            && *at == changed
        {
            return Ok(credentials.clone());
        }
        let credentials = parse(&std::fs::read_to_string(path).map_err(failed)?)?;
        *cached = Some((path.clone(), changed, credentials.clone()));
        Ok(credentials)
    }
}

/// One profile of a shared credentials file.
fn shared(text: &str, profile: &str) -> Option<Credentials> {
    let mut inside = false;
    let (mut access_key, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Credentials { access_key: access_key?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_profile_asked_for_is_read() {
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key=S\n\n[other]\n\
                    aws_access_key_id=B\naws_secret_access_key=T\naws_session_token=K\n";
        assert_eq!(shared(text, "default").unwrap().access_key, "A");
        assert_eq!(shared(text, "other").unwrap().token.as_deref(), Some("K"));
        assert_eq!(shared(text, "third"), None);
    }

    #[test]
    fn what_was_lent_is_the_last_resort() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let profile = "default".to_owned();
        let chain = Chain { shared_file: Some(path.clone()), profile, ..Chain::default() };
        assert!(matches!(chain.current(), Err(CredentialsError::None(_))));
        let (access_key, secret) = ("LENT".to_owned(), "s".to_owned());
        chain.lend(Credentials { access_key, secret, token: None });
        assert_eq!(chain.current().unwrap().access_key, "LENT");
        std::fs::write(&path, "[default]\naws_access_key_id=A\naws_secret_access_key=S\n").unwrap();
        assert_eq!(chain.current().unwrap().access_key, "A");
    }

    #[test]
    fn a_rotated_session_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let chain = Chain { session_file: Some(path.clone()), ..Chain::default() };
        assert!(chain.current().is_err());
        for key in ["ASIA1", "ASIA22"] {
            let text = format!(r#"{{"accessKeyId":"{key}","secretAccessKey":"s"}}"#);
            std::fs::write(&path, text).unwrap();
            let later = SystemTime::now() + std::time::Duration::from_secs(key.len() as u64);
            File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            assert_eq!(chain.current().unwrap().access_key, key);
        }
    }

    use std::fs::File;

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = shared(&text, "default");
        }
    }
}
