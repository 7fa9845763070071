//! A container's output from the daemon. It keeps and rotates what it likes, so an acknowledgement
//! says nothing to it; a position is a time and how many lines of exactly that time were seen.

use std::pin::Pin;

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{FutureExt, Stream, StreamExt};

use super::told;
use crate::error::Result;
use crate::{LogLine, LogPosition, LogReader, LogsFrom, Stream as Which};

/// Lines given at once.
const BATCH: usize = 1024;

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

struct Reader {
    pieces: Pieces,
    after: LogPosition,
    at: LogPosition,
    terminal: bool,
}

pub fn open(client: &Client, id: &str, from: LogsFrom, terminal: bool) -> impl LogReader + use<> {
    let since = i32::try_from(from.position.major / 1_000_000_000).unwrap_or(0);
    let options = LogsOptionsBuilder::default()
        .follow(from.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since)
        .build();
    let pieces: Pieces = Box::pin(client.logs(id, Some(options)));
    Reader { pieces, after: from.position, at: LogPosition::default(), terminal }
}

impl Reader {
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
        let same = self.at.major == time;
        self.at = LogPosition { major: time, minor: if same { self.at.minor + 1 } else { 1 } };
        if self.at <= self.after {
            return None;
        }
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
        while let Some(piece) = self.pieces.next().await {
            lines.extend(self.line(piece.map_err(told)?));
            while lines.len() < BATCH {
                let Some(Some(piece)) = self.pieces.next().now_or_never() else { break };
                lines.extend(self.line(piece.map_err(told)?));
            }
            if !lines.is_empty() {
                break;
            }
        }
        Ok(lines)
    }

    async fn acknowledge(&mut self, _: LogPosition) -> Result<()> {
        Ok(())
    }
}
