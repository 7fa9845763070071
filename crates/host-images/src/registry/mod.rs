//! Registries: the pulling half of the OCI distribution protocol. A registry may hang, lie, cut
//! short or send us elsewhere; none of it costs more than a clear error, and nobody but the host
//! that a password is for gets to see it.

mod auth;
mod challenge;
mod download;
mod transport;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName};
use http::{HeaderMap, Method, StatusCode};

pub use auth::{Credentials, CredentialsError};
pub(crate) use download::{Blob, Partial};
pub use transport::{Registry, Settings};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::Reference;
use crate::spec::{
    Answer, DOCKER_LIST, DOCKER_MANIFEST, Index, LARGEST_MANIFEST, Manifest, OCI_INDEX,
    OCI_MANIFEST, Platform,
};

/// What goes wrong at a registry, in containerd's words, which `stoppedReason` shows on AWS.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{0}: not found")]
    NotFound(String),
    #[error(
        "pull access denied, repository does not exist or may require authorization: \
         server message: {0}"
    )]
    Denied(String),
    #[error("failed to authorize: {0}")]
    Authorize(String),
    #[error("unexpected status from {method} request to {url}: {status}{message}")]
    Status {
        method: Method,
        url: String,
        status: StatusCode,
        message: String,
        wait: Option<Duration>,
    },
    #[error("failed to do request: {method} {url:?}: {why}")]
    Request { method: Method, url: String, why: String },
    #[error("{url} sent nothing for {} s", after.as_secs())]
    Stalled { url: String, after: Duration },
    #[error("the answer of {url} broke off: {why}")]
    Broken { url: String, why: String },
    #[error("{url} leads to {to:?}, which is refused: {why}")]
    Redirect { url: String, to: String, why: &'static str },
    #[error("{url} sent more than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    Platform(String),
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl RegistryError {
    /// Whether asking again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            RegistryError::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            RegistryError::Request { .. }
            | RegistryError::Stalled { .. }
            | RegistryError::Broken { .. } => true,
            _ => false,
        }
    }

    /// How long the registry asks us to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            RegistryError::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// An image as a registry describes it: the manifest for a platform, and what the name meant.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Of what the name led to, an index perhaps: what `imageDigest` shows.
    pub digest: Digest,
    pub manifest_digest: Digest,
    pub manifest: Manifest,
    pub bytes: Bytes,
}

impl Registry {
    /// Asks what a name means for a platform. Nothing is kept.
    pub async fn resolve(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        platform: &Platform,
    ) -> Result<Resolved> {
        let (digest, answer, bytes) = self.manifest(reference, credentials).await?;
        let index = match answer {
            Answer::Manifest(manifest) => {
                return Ok(Resolved { digest, manifest_digest: digest, manifest, bytes });
            }
            Answer::Index(index) => index,
        };
        let chosen = self.choose(&index, platform)?;
        let (manifest_digest, answer, bytes) =
            self.manifest(&reference.pinned(chosen), credentials).await?;
        match answer {
            Answer::Manifest(manifest) => Ok(Resolved { digest, manifest_digest, manifest, bytes }),
            Answer::Index(_) => Err(Error::invalid("manifest", "an index within an index")),
        }
    }

    fn choose(&self, index: &Index, platform: &Platform) -> Result<Digest> {
        let chosen = index.choose(platform).map(|descriptor| descriptor.digest);
        Ok(chosen.ok_or_else(|| {
            RegistryError::Platform(format!("{}/{}", platform.os, platform.architecture))
        })?)
    }

    async fn manifest(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<(Digest, Answer, Bytes)> {
        let path = format!("manifests/{}", reference.wanted());
        let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("media types are header text"));
        let answer = self.get(reference, &path, headers, credentials).await;
        let answer = answer.map_err(|error| match error {
            RegistryError::Status { status: StatusCode::NOT_FOUND, .. } => {
                RegistryError::NotFound(reference.to_string())
            }
            other => other,
        })?;
        let told = answer.headers.get(HeaderName::from_static("docker-content-digest"));
        let told = told.and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        let bytes = answer.whole(LARGEST_MANIFEST).await?;
        let actual = Digest::of(&bytes);
        for expected in reference.digest().into_iter().chain(told) {
            if expected != actual {
                return Err(Error::Digest { what: "the manifest", expected, actual });
            }
        }
        Ok((actual, Answer::read(&bytes)?, bytes))
    }
}
