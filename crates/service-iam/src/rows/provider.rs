//! Identity providers outside: OpenID Connect and SAML. Their ARNs are their keys.

use std::sync::Arc;

use core_state::Row;
use core_types::{AccountId, Time};
use serde::{Deserialize, Serialize};

use super::entity::{Key, Tags};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub account: AccountId,
    pub arn: Arc<str>,
    /// Without its scheme, as AWS shows it.
    pub url: Arc<str>,
    pub client_ids: Vec<Arc<str>>,
    pub thumbprints: Vec<Arc<str>>,
    pub created_at: Time,
    #[serde(default)]
    pub tags: Tags,
}

impl Row for OidcProvider {
    type Key = Key;
    const TABLE: &'static str = "iam-oidc-providers";

    fn key(&self) -> Key {
        (self.account, self.arn.clone())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamlProvider {
    pub account: AccountId,
    pub arn: Arc<str>,
    pub uuid: Arc<str>,
    pub metadata: Arc<str>,
    pub created_at: Time,
    pub valid_until: Time,
    #[serde(default)]
    pub tags: Tags,
}

impl Row for SamlProvider {
    type Key = Key;
    const TABLE: &'static str = "iam-saml-providers";

    fn key(&self) -> Key {
        (self.account, self.arn.clone())
    }
}
