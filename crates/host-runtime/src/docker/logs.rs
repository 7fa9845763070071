//! A container's output from the daemon. It keeps and rotates what it likes, so an acknowledgement
//! says nothing to it; a position is a second and how many lines of it and later were given. A line's
//! time alone is no position: those of both streams may stand in another order than their times.

use std::cmp::Ordering;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{FutureExt, Stream, StreamExt};

use super::told;
use crate::error::Result;
use crate::{LogLine, LogPosition, LogReader, LogsFrom, Stream as Which};

/// How long until a container that does not run yet is looked at again.
const AGAIN: Duration = Duration::from_millis(50);
/// Lines given at once.
const BATCH: usize = 1024;

type Piece = Result<LogOutput, bollard::errors::Error>;
type Pieces = Pin<Box<dyn Stream<Item = Piece> + Send>>;

struct Reader {
    client: Client,
    id: String,
    follow: bool,
    /// The container had ended before this connection was made.
    is_last: bool,
    /// `None` behind a connection that broke off.
    pieces: Option<Pieces>,
    at: LogPosition,
    /// Lines of this connection that were given before.
    again: u64,
    terminal: bool,
}

/// The daemon is asked for output since a whole second.
const SECOND: u64 = 1_000_000_000;

pub fn open(client: &Client, id: &str, from: LogsFrom, terminal: bool) -> impl LogReader + use<> {
    Reader {
        client: client.clone(),
        id: id.to_owned(),
        follow: from.follow,
        is_last: false,
        pieces: None,
        at: from.position,
        again: 0,
        terminal,
    }
}

/// Since which second the daemon is asked for what comes after a position, and how many lines of its
/// answer were given before.
fn asked(at: LogPosition) -> (i32, u64) {
    (i32::try_from(at.major / SECOND).unwrap_or(0), at.minor)
}

/// The position after one more line, of this time.
fn after(at: LogPosition, time: u64) -> LogPosition {
    let second = time - time % SECOND;
    match second.cmp(&at.major) {
        Ordering::Greater => LogPosition { major: second, minor: 1 },
        Ordering::Equal => LogPosition { minor: at.minor + 1, ..at },
        // The daemon does not give it again to who asks since the later second.
        Ordering::Less => at,
    }
}

async fn has_ended(client: &Client, id: &str) -> Result<bool> {
    use bollard::models::ContainerStateStatusEnum::{DEAD, EXITED, REMOVING};
    let answer = client.inspect_container(id, None).await.map_err(told)?;
    let status = answer.state.and_then(|state| state.status);
    Ok(matches!(status, Some(DEAD | EXITED | REMOVING)))
}

impl Reader {
    /// The connection, from the place after what was given.
    fn pieces(&mut self) -> &mut Pieces {
        self.pieces.get_or_insert_with(|| {
            let since;
            (since, self.again) = asked(self.at);
            let options = LogsOptionsBuilder::default()
                .follow(self.follow)
                .stdout(true)
                .stderr(true)
                .timestamps(true)
                .since(since)
                .build();
            Box::pin(self.client.logs(&self.id, Some(options)))
        })
    }

    /// A piece as a line, unless it was given already. After an error the next question asks anew.
    fn take(&mut self, piece: Piece, lines: &mut Vec<LogLine>) -> Result<()> {
        match piece {
            Ok(piece) => {
                lines.extend(self.line(piece));
                Ok(())
            }
            Err(error) => {
                self.pieces = None;
                Err(told(error))
            }
        }
    }

    fn line(&mut self, piece: LogOutput) -> Option<LogLine> {
        let stream = match piece {
            LogOutput::StdErr { .. } => Which::Stderr,
            _ => Which::Stdout,
        };
        let bytes = piece.into_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let (stamp, text) = text.split_once(' ')?;
        let stamp: jiff::Timestamp = stamp.parse().ok()?;
        let time = u64::try_from(stamp.as_nanosecond()).ok()?;
        if self.again > 0 {
            self.again -= 1;
            return None;
        }
        self.at = after(self.at, time);
        let partial = !text.ends_with('\n');
        let mut text = text.strip_suffix('\n').unwrap_or(text);
        if self.terminal {
            text = text.strip_suffix('\r').unwrap_or(text);
        }
        Some(LogLine { stream, time, text: text.to_owned(), partial, next: self.at })
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self) -> Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while lines.is_empty() {
            let Some(piece) = self.pieces().next().await else {
                if !self.follow || self.is_last {
                    break;
                }
                // The daemon follows only what runs when it is asked: before that it tells what is
                // there, nothing, and ends. Once the container has ended, one more look has the rest.
                self.pieces = None;
                self.is_last = has_ended(&self.client, &self.id).await?;
                if !self.is_last {
                    tokio::time::sleep(AGAIN).await;
                }
                continue;
            };
            self.take(piece, &mut lines)?;
            while lines.len() < BATCH {
                let Some(Some(piece)) = self.pieces().next().now_or_never() else { break };
                if let Err(error) = self.take(piece, &mut lines) {
                    // What is here already is given first; the connection is made anew for the rest.
                    if lines.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(lines)
    }

    async fn acknowledge(&mut self, _: LogPosition) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whenever a connection ends: what the daemon gives to the next one, without those given
        /// before, is what comes next, unless it is older than a second that was already seen.
        #[test]
        fn each_line_is_given_once(times in prop::collection::vec(0_u64..4 * SECOND, 0..30), cut in 0_usize..30) {
            let cut = cut.min(times.len());
            let at = times[..cut].iter().fold(LogPosition::default(), |at, time| after(at, *time));
            let (since, again) = asked(at);
            let since = u64::try_from(since).unwrap() * SECOND;
            let told = times.iter().filter(|time| **time >= since).skip(again as usize);
            let next = times[cut..].iter().filter(|time| **time >= since);
            prop_assert!(told.eq(next));
        }
    }
}
