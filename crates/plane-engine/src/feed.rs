//! What was published, told to those who act on it: the links to hosts, the balancers' tables.
//!
//! A feed hands on the change lists of durable revisions, after they can be read. It is bounded, and
//! nobody waits for its reader: one that falls behind, and one whose process comes to lead or follows
//! another, is told to look at everything anew instead. So a lost list costs a scan and nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use core_state::Change;
use tokio::sync::Notify;

/// What a reader of a feed is told. The view that it takes afterwards is at least as new.
#[derive(Clone)]
pub enum News {
    /// One step's changes, and the revision that they led to.
    Changed(u64, Arc<[Change]>),
    /// Anything may have changed.
    Everything,
}

#[derive(Default)]
struct Waiting {
    lists: VecDeque<(u64, Arc<[Change]>)>,
    everything: bool,
}

struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    capacity: usize,
}

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The reader's end. Dropping it ends the feed.
pub struct Feed(Arc<Queue>);

impl Feed {
    /// The next news. The first is always [`News::Everything`].
    pub async fn next(&mut self) -> News {
        loop {
            let news = self.0.with(|waiting| {
                if std::mem::take(&mut waiting.everything) {
                    return Some(News::Everything);
                }
                let (revision, changes) = waiting.lists.pop_front()?;
                Some(News::Changed(revision, changes))
            });
            if let Some(news) = news {
                return news;
            }
            self.0.arrived.notified().await;
        }
    }
}

/// All feeds of an engine.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<Vec<Weak<Queue>>>);

impl Feeds {
    pub fn open(&self, capacity: usize) -> Feed {
        let everything = Waiting { everything: true, ..Waiting::default() };
        let (waiting, arrived) = (Mutex::new(everything), Notify::new());
        let queue = Arc::new(Queue { waiting, arrived, capacity });
        self.all(|feeds| feeds.push(Arc::downgrade(&queue)));
        Feed(queue)
    }

    fn all<T>(&self, act: impl FnOnce(&mut Vec<Weak<Queue>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn each(&self, tell: impl Fn(&Queue)) {
        self.all(|feeds| {
            feeds.retain(|feed| {
                let Some(queue) = feed.upgrade() else { return false };
                tell(&queue);
                queue.arrived.notify_one();
                true
            });
        });
    }

    /// The changes of a step that is published.
    pub fn tell(&self, revision: u64, changes: Vec<Change>) {
        if changes.is_empty() || self.all(|feeds| feeds.is_empty()) {
            return;
        }
        let changes: Arc<[Change]> = changes.into();
        self.each(|queue| {
            queue.with(|waiting| {
                if waiting.everything {
                    // Whoever looks at everything sees this as well.
                } else if waiting.lists.len() >= queue.capacity {
                    waiting.lists.clear();
                    waiting.everything = true;
                } else {
                    waiting.lists.push_back((revision, changes.clone()));
                }
            });
        });
    }

    /// A state was published of which no changes are at hand.
    pub fn tell_everything(&self) {
        self.each(|queue| {
            queue.with(|waiting| {
                waiting.lists.clear();
                waiting.everything = true;
            });
        });
    }
}
