//! Following a container's files and delivering what is in them, for as long as it takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::spool::{Mark, Reader, load_mark, store_mark};
use crate::{Driver, Line, LogError};

/// How much is read before it is delivered.
const PORTION: usize = 2 << 20;
/// How long an idle container's files are left alone.
const LOOK: Duration = Duration::from_millis(100);
/// How long a line may be held back in the hope of its other half.
const HELD: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How following a container's output came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is delivered.
    Complete,
    /// Patience ended first; the rest is still in the files, from the mark on.
    Unfinished,
}

/// A container whose output is being delivered.
pub struct Shipping {
    over: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Shipping {
    /// Follow the files from the stored mark on.
    pub fn start(current: PathBuf, driver: Box<dyn Driver>) -> Self {
        let (over, is_over) = watch::channel(false);
        let follower = Follower {
            reader: Some(Reader::new(&current, load_mark(&current))),
            current,
            held: Vec::new(),
            marks: Vec::new(),
        };
        Shipping { over, task: tokio::spawn(follower.run(driver, is_over)) }
    }

    /// The container has ended: deliver what is there, and stop.
    pub async fn finish(mut self, patience: Duration) -> Ended {
        self.over.send_replace(true);
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(_) => Ended::Complete,
            Err(_) => {
                self.task.abort();
                Ended::Unfinished
            }
        }
    }
}

struct Follower {
    current: PathBuf,
    reader: Option<Reader>,
    /// Read and not delivered: the first halves of something, or what a driver did not take.
    held: Vec<Line>,
    /// Behind each line held.
    marks: Vec<Mark>,
}

impl Follower {
    async fn run(mut self, mut driver: Box<dyn Driver>, mut over: watch::Receiver<bool>) {
        let mut since_new = tokio::time::Instant::now();
        loop {
            let last = *over.borrow_and_update();
            let new = self.read().await;
            if new > 0 {
                since_new = tokio::time::Instant::now();
            }
            let flush = new == 0 && (last || since_new.elapsed() >= HELD);
            if !self.held.is_empty() && (new > 0 || flush) {
                self.deliver(&mut *driver, flush).await;
            }
            if new == 0 {
                if last && self.held.is_empty() {
                    return;
                }
                // Told that it is over, one more look finds what was written until then.
                let _ = tokio::time::timeout(LOOK, over.changed()).await;
            }
        }
    }

    /// Read more into what is held; the number of lines that came.
    async fn read(&mut self) -> usize {
        let Some(mut reader) = self.reader.take() else { return 0 };
        let read = tokio::task::spawn_blocking(move || {
            let lines = reader.read(PORTION);
            (reader, lines)
        });
        let Ok((reader, lines)) = read.await else {
            self.reader = Some(Reader::new(&self.current, load_mark(&self.current)));
            return 0;
        };
        self.reader = Some(reader);
        match lines {
            Ok(lines) => {
                let count = lines.len();
                for (line, mark) in lines {
                    self.held.push(line);
                    self.marks.push(mark);
                }
                count
            }
            Err(source) => {
                let path = self.current.display().to_string();
                tracing::warn!("{}", LogError::Spool { path, source });
                tokio::time::sleep(LONGEST_WAIT).await;
                0
            }
        }
    }

    /// Until the driver has taken what it can. A destination that refuses today is asked again:
    /// the files keep what they can hold meanwhile.
    async fn deliver(&mut self, driver: &mut dyn Driver, flush: bool) {
        let mut done = 0;
        let mut wait = FIRST_WAIT;
        while done < self.held.len() {
            match driver.deliver(&self.held[done..], flush).await {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    wait = FIRST_WAIT;
                    self.mark(self.marks[done - 1]);
                }
                Err(error) => {
                    if wait == FIRST_WAIT {
                        tracing::warn!(files = %self.current.display(), "log driver: {error}");
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        self.held.drain(..done);
        self.marks.drain(..done);
    }

    fn mark(&self, mark: Mark) {
        if let Err(error) = store_mark(&self.current, mark) {
            let path: &Path = &self.current;
            tracing::warn!(files = %path.display(), "cannot keep how far output is delivered: {error}");
        }
    }
}
