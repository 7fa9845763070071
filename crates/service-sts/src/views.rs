//! Credentials as AWS shows them.

use aws_protocol::Timestamp;
use model_sts as api;
use service_iam::ops::Issued;

pub fn credentials(issued: &Issued) -> api::Credentials {
    api::Credentials {
        access_key_id: Some(issued.access_key_id.clone()),
        expiration: Some(Timestamp::from_secs(issued.expires.seconds())),
        secret_access_key: Some(issued.secret.to_string()),
        session_token: Some(issued.token.clone()),
    }
}
