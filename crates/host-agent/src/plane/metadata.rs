//! The instance metadata service of a machine in a cloud, as far as it says who the machine is: the
//! session of its instance profile.

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde::Deserialize;

use super::connect::Connector;
use super::credentials::Credentials;
use super::http::exchange;
use super::identity::{IdentityError, Lent};

/// AWS: where a machine of EC2 finds it.
pub const ENDPOINT: &str = "http://169.254.169.254";
const PROFILES: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "x-aws-ec2-metadata-token";

pub struct Metadata {
    pub endpoint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

impl Metadata {
    pub async fn fetch(&self, connector: &Connector) -> Result<Lent, IdentityError> {
        let token = self.token(connector).await?;
        let names = self.get(connector, PROFILES, token.as_deref()).await?;
        let name = names.lines().next().map(str::trim).filter(|name| !name.is_empty());
        let unreadable = |reason: &str| IdentityError::Unreadable {
            from: format!("{}{PROFILES}", self.endpoint),
            reason: reason.to_owned(),
        };
        let name = name.ok_or_else(|| unreadable("no instance profile is named"))?;
        let text = self.get(connector, &format!("{PROFILES}{name}"), token.as_deref()).await?;
        read(&text).map_err(|error| unreadable(&error))
    }

    /// AWS: the second version of the service asks for a token, the first knows none.
    async fn token(&self, connector: &Connector) -> Result<Option<String>, IdentityError> {
        let url = format!("{}/latest/api/token", self.endpoint);
        let asked = Request::put(&url).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
        let (status, body) = exchange(connector, self.request(asked)?).await?;
        Ok((status == 200).then(|| String::from_utf8_lossy(&body).trim().to_owned()))
    }

    async fn get(
        &self,
        connector: &Connector,
        path: &str,
        token: Option<&str>,
    ) -> Result<String, IdentityError> {
        let from = format!("{}{path}", self.endpoint);
        let mut asked = Request::get(&from);
        if let Some(token) = token {
            asked = asked.header(TOKEN, token);
        }
        let (status, body) = exchange(connector, self.request(asked)?).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => Ok(body),
            _ => Err(IdentityError::Answer { from, status, body }),
        }
    }

    fn request(&self, asked: http::request::Builder) -> Result<Request<Bytes>, IdentityError> {
        asked.body(Bytes::new()).map_err(|error| IdentityError::Unreadable {
            from: self.endpoint.clone(),
            reason: error.to_string(),
        })
    }
}

fn read(text: &str) -> Result<Lent, String> {
    let Session { access_key_id, secret_access_key, token, expiration } =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let token = Some(token);
    let credentials = Credentials { access_key: access_key_id, secret: secret_access_key, token };
    let ends: Timestamp = expiration.parse().map_err(|error: jiff::Error| error.to_string())?;
    Ok(Lent { credentials, ends })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_is_read() {
        let text = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA1",
            "SecretAccessKey":"s","Token":"t","Expiration":"2026-11-21T18:00:00Z"}"#;
        let lent = read(text).unwrap();
        assert_eq!(lent.credentials.access_key, "ASIA1");
        assert_eq!(lent.ends.to_string(), "2026-11-21T18:00:00Z");
        assert!(read(r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = read(&text);
        }
    }
}
