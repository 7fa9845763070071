//! Sessions that somebody lends this host, and that are fetched anew before they end: by the
//! instance metadata of a machine in a cloud, or by the control plane for a machine that was
//! activated.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::api::{Api, Backoff};
use super::credentials::Credentials;
use super::http::HttpError;
use super::managed::Managed;
use super::metadata::Metadata;

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Whoever lends has decided: trying again changes nothing.
    #[error("{0}")]
    Refused(String),
    #[error("{from} answered {status}: {body}")]
    Answer { from: String, status: u16, body: String },
    #[error("{from} does not give a session: {reason}")]
    Unreadable { from: String, reason: String },
}

/// Who lends.
pub enum Source {
    Metadata(Metadata),
    Managed(Managed),
}

/// A session, and when it ends.
pub struct Lent {
    pub credentials: Credentials,
    pub ends: Timestamp,
}

/// The longest time after which a session is asked for again; a short one is asked for when half of
/// its life is over.
const LONGEST: Duration = Duration::from_secs(30 * 60);
const SHORTEST: Duration = Duration::from_secs(1);

impl Source {
    async fn fetch(&self, api: &Api) -> Result<Lent, IdentityError> {
        match self {
            Source::Metadata(metadata) => metadata.fetch(&api.connector).await,
            Source::Managed(managed) => managed.fetch(&api.connector).await,
        }
    }
}

/// Fetch once and lend it to the calls; how long it may be used without another.
pub async fn renew(api: &Api, source: &Source) -> Result<Duration, IdentityError> {
    let Lent { credentials, ends } = source.fetch(api).await?;
    let left = ends.duration_since(Timestamp::now());
    let left = Duration::try_from(left).unwrap_or_default();
    api.lend(credentials);
    Ok((left / 2).clamp(SHORTEST, LONGEST))
}

/// For as long as the agent runs. `first` is how long the session that is there may be used.
pub async fn keep_fresh(api: Arc<Api>, source: Source, first: Duration) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 2.0);
    let mut wait = first;
    loop {
        sleep(wait).await;
        wait = match renew(&api, &source).await {
            Ok(wait) => {
                backoff.reset();
                wait
            }
            Err(error) => {
                tracing::warn!("this host's session is not renewed: {error}");
                backoff.wait()
            }
        };
    }
}
