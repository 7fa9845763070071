//! ExecuteCommand on this host: commands in containers, each on a socket of its own to the plane.
//!
//! The plane tells of a session over ACS; this end dials back, signed as ACS is, and what then travels
//! is the data channel, whose rules `aws_agent::exec` knows. A session outlives the ACS socket by which
//! it was told, and ends with its command, its client, its container or the server through which it
//! goes, whichever is first.

mod command;
mod talk;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_agent::acs::Exec as Asked;
use aws_agent::channel::MAX_MESSAGE;
use aws_agent::exec::ExecError;
use futures_util::{SinkExt, StreamExt};
use http::Uri;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::clock;
use crate::plane::api::Api;
use crate::plane::connect::ConnectError;
use crate::plane::socket::{Socket, SocketError, query};
use crate::tasks::Tasks;
use command::Target;
use talk::Talk;

/// Sessions that are open at one time. As many again are answered, with a refusal.
const SESSIONS: usize = 64;
/// Frames that wait for the socket.
const OUTGOING: usize = 32;
/// How long what was said last may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Channel(#[from] ExecError),
    #[error("its socket has ended")]
    Gone,
    #[error("nothing was heard for too long")]
    Silent,
}

/// All sessions of this host.
pub struct Sessions {
    api: Arc<Api>,
    tasks: Arc<Tasks>,
    cluster: String,
    instance: String,
    /// By id: the plane repeats itself until it is heard.
    open: Mutex<BTreeSet<String>>,
}

impl Sessions {
    pub fn new(
        api: Arc<Api>,
        tasks: Arc<Tasks>,
        cluster: String,
        instance: String,
    ) -> Arc<Sessions> {
        Arc::new(Sessions { api, tasks, cluster, instance, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begin a session that the plane at this endpoint asks for.
    pub fn begin(self: &Arc<Self>, endpoint: &str, asked: Asked) {
        if asked.expires_at <= clock::now().millis() {
            return tracing::warn!(session = asked.session_id, "a session came too late");
        }
        let crowded = {
            let mut open = self.open();
            if open.len() >= 2 * SESSIONS {
                return tracing::warn!(session = asked.session_id, "far too many sessions");
            }
            let crowded = open.len() >= SESSIONS;
            if !open.insert(asked.session_id.clone()) {
                return;
            }
            crowded
        };
        let (sessions, endpoint) = (self.clone(), endpoint.to_owned());
        tokio::spawn(async move {
            let id = asked.session_id.clone();
            tracing::info!(session = id, task = asked.task_arn, "a session begins");
            match sessions.run(&endpoint, asked, crowded).await {
                Ok(()) => tracing::info!(session = id, "a session has ended"),
                Err(error) => tracing::info!(session = id, "a session broke off: {error}"),
            }
            sessions.open().remove(&id);
        });
    }

    async fn run(&self, endpoint: &str, asked: Asked, crowded: bool) -> Result<(), SessionError> {
        let names = [
            ("clusterArn", self.cluster.as_str()),
            ("containerInstanceArn", self.instance.as_str()),
        ];
        let url = format!("{}{}?{}", server(endpoint)?, asked.path, query(&names));
        let socket = Socket::dial(&self.api, &url, MAX_MESSAGE).await?;
        let (mut sink, source) = socket.into_inner().split();
        let (queue, mut frames) = mpsc::channel::<Vec<u8>>(OUTGOING);
        // Apart from the reading: acknowledgements are heard also while the client's screen is held.
        let mut writer = tokio::spawn(async move {
            while let Some(bytes) = frames.recv().await {
                if sink.send(Message::binary(bytes)).await.is_err() {
                    return;
                }
            }
            let _ = sink.close().await;
        });
        let target = match crowded {
            true => Err("the host has too many sessions".to_owned()),
            false => Ok(Target::new(self.tasks.clone(), &asked)),
        };
        let ended = Talk::new(&asked, target, queue).run(source).await;
        if tokio::time::timeout(FAREWELL, &mut writer).await.is_err() {
            writer.abort();
        }
        ended
    }
}

/// The server behind an endpoint of DiscoverPollEndpoint.
fn server(endpoint: &str) -> Result<String, SocketError> {
    let uri = endpoint.parse::<Uri>().ok();
    let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
    let Some((scheme, authority)) = parts else {
        return Err(ConnectError::Url(endpoint.to_owned()).into());
    };
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_on_the_server_of_the_endpoint() {
        assert_eq!(server("http://10.0.0.1:4566/_wharf/acs").unwrap(), "http://10.0.0.1:4566");
        assert_eq!(server("https://plane.example/_wharf/acs").unwrap(), "https://plane.example");
        assert!(server("plane").is_err());
    }
}
