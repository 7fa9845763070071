//! Which calls are under way: the rows' calls that are due, one of a hook at a time and only so many
//! at once. What finds no place waits as the row that it is.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use core_state::{Change, State};
use plane_engine::{Engine, News, Refusal};
use tokio::task::JoinSet;

use crate::caller::{CallError, Caller};

/// Lists of changes that may wait until they are looked at.
const NEWS: usize = 1024;
/// Calls at once.
const AT_ONCE: usize = 64;

pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A call that is due.
#[derive(Clone, Debug)]
pub struct Call<K> {
    /// By what its answer is known.
    pub key: K,
    /// One of these is called at a time.
    pub hook: Arc<str>,
    pub url: Arc<str>,
    pub body: String,
}

/// The rows, as the calls see them.
pub trait World: Send + Sync + 'static {
    type Key: Clone + Send + Sync + 'static;

    /// Whether a step's changes may have made a call due.
    fn is_concerned(&self, changes: &[Change]) -> bool;

    fn due(&self, state: &State, each: &mut dyn FnMut(Call<Self::Key>));

    /// What came of a call.
    fn tell<'a>(
        &'a self,
        engine: &'a Engine,
        key: Self::Key,
        answer: &'a Result<Bytes, CallError>,
    ) -> Future<'a, Result<(), Refusal>>;
}

/// Make calls as rows ask for them, for as long as this process leads. Ends with the process.
pub async fn run<W: World>(world: Arc<W>, engine: Engine, caller: Arc<Caller>) {
    let mut feed = engine.feed(NEWS);
    let mut leading = engine.leading();
    let mut under_way: HashSet<Arc<str>> = HashSet::new();
    let mut calls: JoinSet<Arc<str>> = JoinSet::new();
    let mut look = true;
    loop {
        if std::mem::take(&mut look) && *leading.borrow_and_update() {
            let published = engine.view();
            world.due(&published.state, &mut |call| {
                if under_way.len() < AT_ONCE && under_way.insert(call.hook.clone()) {
                    let make = make(world.clone(), engine.clone(), caller.clone(), call);
                    calls.spawn(make);
                }
            });
        }
        tokio::select! {
            changed = leading.changed() => match changed {
                Ok(()) => look = true,
                Err(_) => return,
            },
            news = feed.next() => look = match news {
                News::Changed(_, changes) => world.is_concerned(&changes),
                News::Everything => true,
            },
            Some(done) = calls.join_next() => {
                match done {
                    Ok(hook) => drop(under_way.remove(&hook)),
                    // It ended with another, below.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => {
                        // Which hook it was nobody knows: all that are due are called again.
                        tracing::error!("a webhook's call failed: {error}");
                        calls.abort_all();
                        under_way.clear();
                    }
                }
                look = true;
            }
        }
    }
}

/// One call, until what came of it is told.
async fn make<W: World>(
    world: Arc<W>,
    engine: Engine,
    caller: Arc<Caller>,
    call: Call<W::Key>,
) -> Arc<str> {
    let answer = caller.call(&call.url, call.body.into()).await;
    if let Err(error) = &answer {
        tracing::info!(hook = &*call.hook, "a webhook's call: {error}");
    }
    let mut wait = Duration::from_millis(50);
    loop {
        match world.tell(&engine, call.key.clone(), &answer).await {
            Err(Refusal::Busy(_) | Refusal::NotDurable(_)) => {}
            Ok(()) => break,
            Err(refusal) => {
                // Whoever leads now calls it again.
                tracing::debug!("a webhook's answer was not taken: {refusal}");
                break;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
    call.hook
}
