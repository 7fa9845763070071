//! The identity of a machine that joined with an activation (AWS: ECS Anywhere): a secret that the
//! machine made, and the id of the managed instance that it became.
//!
//! Both stand in a file that only the agent's user may read. The secret is on the disk before the
//! activation is used, so that a machine that dies in between, or never hears the answer, asks again
//! as the same one and takes one registration.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::connect::Connector;
use super::credentials::Credentials;
use super::http::exchange;
use super::identity::{IdentityError, Lent};
use crate::tasks::random;

/// In the agent's data directory.
const FILE: &str = "identity.json";

/// What the control plane's operator gave.
#[derive(Clone, Debug)]
pub struct Activation {
    pub id: String,
    pub code: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    activation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    secret: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    #[error("cannot {what} {path}")]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is no identity: {source}")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("this machine joined with the activation {known} already: remove {path} to join anew")]
    Another { known: String, path: PathBuf },
    #[error("this machine never finished joining with the activation {known}: its code is needed")]
    Unfinished { known: String },
}

pub struct Managed {
    path: PathBuf,
    endpoint: String,
    kept: Mutex<Kept>,
    code: Option<String>,
}

impl Managed {
    /// The identity in this folder, or one that the activation will give; `None` where there is
    /// neither.
    pub fn open(
        dir: &Path,
        endpoint: &str,
        activation: Option<Activation>,
    ) -> Result<Option<Managed>, ManagedError> {
        let path = dir.join(FILE);
        let kept = match std::fs::read(&path) {
            Ok(bytes) => {
                let damaged = |source| ManagedError::Damaged { path: path.clone(), source };
                Some(serde_json::from_slice::<Kept>(&bytes).map_err(damaged)?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(ManagedError::File { what: "read", path, source }),
        };
        let kept = match (kept, &activation) {
            (None, None) => return Ok(None),
            (None, Some(given)) => {
                let secret = hex::encode(random::<32>());
                let kept = Kept { activation_id: given.id.clone(), instance_id: None, secret };
                write(&path, &kept)?;
                kept
            }
            (Some(kept), Some(given)) if kept.activation_id != given.id => {
                return Err(ManagedError::Another { known: kept.activation_id, path });
            }
            (Some(Kept { activation_id: known, instance_id: None, .. }), None) => {
                return Err(ManagedError::Unfinished { known });
            }
            (Some(kept), _) => kept,
        };
        Ok(Some(Managed {
            path,
            endpoint: endpoint.to_owned(),
            kept: Mutex::new(kept),
            code: activation.map(|activation| activation.code),
        }))
    }

    /// A session, after joining where that is still to be done.
    pub async fn fetch(&self, connector: &Connector) -> Result<Lent, IdentityError> {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let instance_id = match kept.instance_id {
            Some(id) => id,
            None => {
                let id = self.register(connector, &kept).await?;
                tracing::info!("this machine is {id}");
                kept.instance_id = Some(id.clone());
                // What is not written is asked for again, and is the same.
                write(&self.path, &kept).map_err(|error| self.unreadable(error))?;
                let mut known = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *known = kept.clone();
                id
            }
        };
        let input = json!({ "InstanceId": instance_id, "Secret": kept.secret });
        let told = self.call(connector, "RequestManagedInstanceRoleToken", &input).await?;
        read(&told).ok_or_else(|| self.unreadable("it is not whole"))
    }

    async fn register(&self, connector: &Connector, kept: &Kept) -> Result<String, IdentityError> {
        let input = json!({
            "ActivationId": kept.activation_id,
            "ActivationCode": self.code,
            "Fingerprint": hex::encode(Sha256::digest(&kept.secret)),
        });
        let told = self.call(connector, "RegisterManagedInstance", &input).await?;
        let id = told["InstanceId"].as_str().filter(|id| id.starts_with("mi-"));
        id.map(str::to_owned).ok_or_else(|| self.unreadable("no instance is named"))
    }

    fn unreadable(&self, reason: impl std::fmt::Display) -> IdentityError {
        IdentityError::Unreadable { from: self.endpoint.clone(), reason: reason.to_string() }
    }

    /// With no signature: there are no keys yet.
    async fn call(
        &self,
        connector: &Connector,
        operation: &str,
        input: &Value,
    ) -> Result<Value, IdentityError> {
        let request = Request::post(&self.endpoint)
            .header("x-amz-target", format!("AmazonSSM.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("user-agent", super::api::user_agent())
            .body(Bytes::from(input.to_string()))
            .map_err(|error| self.unreadable(error))?;
        let (status, body) = exchange(connector, request).await?;
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(told);
        }
        let code = told["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = told["message"].as_str().or(told["Message"].as_str()).unwrap_or_default();
        match code {
            "InvalidActivation" | "InvalidInstanceId" => {
                Err(IdentityError::Refused(format!("{code}: {message}")))
            }
            _ => Err(IdentityError::Answer {
                from: self.endpoint.clone(),
                status,
                body: format!("{code}: {message}"),
            }),
        }
    }
}

fn read(told: &Value) -> Option<Lent> {
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    let credentials = Credentials {
        access_key: text("AccessKeyId")?,
        secret: text("SecretAccessKey")?,
        token: Some(text("SessionToken")?),
    };
    let seconds = told["TokenExpirationDate"].as_f64()?;
    let ends = Timestamp::from_second(seconds as i64).ok()?;
    Some(Lent { credentials, ends })
}

/// Whole or not at all, and for nobody else's eyes at any time.
fn write(path: &Path, kept: &Kept) -> Result<(), ManagedError> {
    let failed = |source| ManagedError::File { what: "write", path: path.to_owned(), source };
    let fresh = path.with_extension("new");
    let text = serde_json::to_vec(kept).expect("an identity is plain data");
    let written = || {
        let _ = std::fs::remove_file(&fresh);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    fn activation(id: &str) -> Option<Activation> {
        Some(Activation { id: id.into(), code: "c".into() })
    }

    #[test]
    fn the_secret_is_kept_before_it_is_used_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let open = |given| Managed::open(dir.path(), "http://localhost", given);
        assert!(open(None).unwrap().is_none());
        let secret = |managed: &Managed| managed.kept.lock().unwrap().secret.clone();
        let first = open(activation("a")).unwrap().unwrap();
        let path = dir.path().join(FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(secret(&open(activation("a")).unwrap().unwrap()), secret(&first));
        assert!(matches!(open(activation("b")), Err(ManagedError::Another { .. })));
        assert!(matches!(open(None), Err(ManagedError::Unfinished { .. })));
        let mut kept = first.kept.lock().unwrap().clone();
        kept.instance_id = Some("mi-0".into());
        write(&path, &kept).unwrap();
        assert!(open(None).unwrap().is_some());
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(open(None), Err(ManagedError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in ".{0,80}", number in any::<f64>()) {
            let _ = read(&json!({ "AccessKeyId": text, "SecretAccessKey": text,
                "SessionToken": text, "TokenExpirationDate": number }));
        }
    }
}
