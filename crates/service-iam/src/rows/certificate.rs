//! Certificates that were uploaded.

use std::fmt;
use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::entity::{Entity, Head, Key, Tags, fold};

/// A certificate for load balancers, with its private key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerCertificate {
    #[serde(flatten)]
    pub head: Head,
    pub body: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Arc<str>>,
    /// Never shown again; for the balancer alone.
    pub private_key: Arc<str>,
    pub expires_at: Time,
    #[serde(default)]
    pub tags: Tags,
}

/// A private key does not get into logs by way of `{:?}`.
impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate({}, until {})", self.arn(), self.expires_at)
    }
}

impl Row for ServerCertificate {
    type Key = Key;
    const TABLE: &'static str = "iam-server-certificates";

    fn key(&self) -> Key {
        (self.head.account, fold(&self.head.name))
    }
}

impl Entity for ServerCertificate {
    const KIND: &'static str = "server-certificate";
    const MISSING: &'static str = "The Server Certificate with name {} cannot be found.";

    fn head(&self) -> &Head {
        &self.head
    }
}

/// A certificate with which a user of old signed requests to SOAP services. Kept and shown only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningCertificate {
    pub account: AccountId,
    pub id: Arc<str>,
    /// The user's name in lower case; empty for the root user.
    pub user: Arc<str>,
    pub body: Arc<str>,
    pub active: bool,
    pub uploaded_at: Time,
}

impl Row for SigningCertificate {
    type Key = Key;
    const TABLE: &'static str = "iam-signing-certificates";

    fn key(&self) -> Key {
        (self.account, self.id.clone())
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<CertificatesOf>();
    }
}

/// The signing certificates of a user, by the user's key.
pub struct CertificatesOf;

impl Index for CertificatesOf {
    type Row = SigningCertificate;
    type Key = Key;

    fn keys(row: &SigningCertificate, add: &mut dyn FnMut(Key)) {
        add((row.account, row.user.clone()));
    }
}
