//! Following a container's output and delivering it, for as long as it takes.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Driver, Feed, Line, LogError, Position};

/// How long a line may be held back in the hope of its other half.
const HELD: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Portions read ahead of what is being delivered.
const AHEAD: usize = 6;
/// Bytes of text that make a delivery worth its while; a service's call costs nearly as much with less.
const WORTH: usize = 1 << 20;
/// Lines held at most: a driver that takes none of so many is made to.
const MOST_HELD: usize = 100_000;

/// How following a container's output came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is delivered.
    Complete,
    /// Patience ended first; the rest is where it was read from, after the last acknowledgement.
    Unfinished,
}

/// A container whose output is being delivered.
pub struct Shipping {
    task: JoinHandle<()>,
}

impl Shipping {
    /// Deliver what the feed gives until it ends.
    pub fn start(feed: Box<dyn Feed>, driver: Box<dyn Driver>) -> Self {
        Shipping { task: tokio::spawn(ship(feed, driver)) }
    }

    /// The container has ended: wait until all is delivered.
    pub async fn finish(mut self, patience: Duration) -> Ended {
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(_) => Ended::Complete,
            Err(_) => {
                self.task.abort();
                Ended::Unfinished
            }
        }
    }
}

/// Dropped, it stops: what is not acknowledged is delivered by whoever follows next.
impl Drop for Shipping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Portion = Vec<(Line, Position)>;

/// Reading goes on while a portion is delivered; both ends meet in bounded channels.
async fn ship(feed: Box<dyn Feed>, driver: Box<dyn Driver>) {
    let (portions, incoming) = mpsc::channel(AHEAD);
    let (delivered, acknowledged) = mpsc::channel(AHEAD);
    let reading = read(feed, portions, acknowledged);
    let delivering = Delivery { driver, delivered, held: Vec::new(), marks: Vec::new() };
    tokio::join!(reading, delivering.run(incoming));
}

async fn read(
    mut feed: Box<dyn Feed>,
    portions: mpsc::Sender<Portion>,
    mut acknowledged: mpsc::Receiver<Position>,
) {
    loop {
        let step = async { (portions.reserve().await, feed.next().await) };
        let (room, lines) = tokio::select! {
            biased;
            // Also while nothing is written, as who follows after this one must not deliver it again;
            // and while there is no room, as the other end may wait to be heard.
            position = acknowledged.recv() => {
                let Some(mut position) = position else { return };
                // The last one says it all.
                while let Ok(later) = acknowledged.try_recv() {
                    position = later;
                }
                acknowledge(&mut *feed, position).await;
                continue;
            }
            step = step => step,
        };
        let Ok(room) = room else { return };
        match lines {
            Ok(lines) if lines.is_empty() => break,
            Ok(lines) => room.send(lines),
            Err(error) => {
                tracing::warn!("a container's output: {error}");
                tokio::time::sleep(LONGEST_WAIT).await;
            }
        }
    }
    drop(portions);
    while let Some(position) = acknowledged.recv().await {
        acknowledge(&mut *feed, position).await;
    }
}

async fn acknowledge(feed: &mut dyn Feed, position: Position) {
    if let Err(error) = feed.acknowledge(position).await {
        tracing::warn!("cannot keep how far a container's output is delivered: {error}");
    }
}

struct Delivery {
    driver: Box<dyn Driver>,
    delivered: mpsc::Sender<Position>,
    /// Read and not delivered: the first halves of something, or what the driver did not take.
    held: Vec<Line>,
    /// Behind each line held.
    marks: Vec<Position>,
}

impl Delivery {
    async fn run(mut self, mut incoming: mpsc::Receiver<Portion>) {
        let mut last_news = Instant::now();
        loop {
            let more = match self.held.is_empty() {
                true => incoming.recv().await,
                false => {
                    let until = last_news + HELD;
                    match tokio::time::timeout_at(until, incoming.recv()).await {
                        Ok(more) => more,
                        Err(_) => {
                            self.deliver(true).await;
                            last_news = Instant::now();
                            continue;
                        }
                    }
                }
            };
            let Some(lines) = more else { break };
            last_news = Instant::now();
            let mut bytes = self.hold(lines);
            // What has been read meanwhile goes along.
            while bytes < WORTH
                && let Ok(lines) = incoming.try_recv()
            {
                bytes += self.hold(lines);
            }
            self.deliver(self.held.len() > MOST_HELD).await;
        }
        self.deliver(true).await;
    }

    /// Put lines behind those held; their bytes.
    fn hold(&mut self, lines: Portion) -> usize {
        let mut bytes = 0;
        for (line, position) in lines {
            bytes += line.text.len();
            self.held.push(line);
            self.marks.push(position);
        }
        bytes
    }

    /// Until the driver has taken what it can. A destination that refuses today is asked again; the
    /// container's files keep meanwhile what they can hold.
    async fn deliver(&mut self, flush: bool) {
        let mut done = 0;
        let mut wait = FIRST_WAIT;
        while done < self.held.len() {
            match self.driver.deliver(&self.held[done..], flush).await {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    wait = FIRST_WAIT;
                    if self.delivered.send(self.marks[done - 1]).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    self.told(&error, wait);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        self.held.drain(..done);
        self.marks.drain(..done);
    }

    /// A lasting trouble is told once.
    fn told(&self, error: &LogError, wait: Duration) {
        if wait == FIRST_WAIT {
            tracing::warn!("log driver: {error}; trying on");
        }
    }
}
