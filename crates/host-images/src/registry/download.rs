//! One blob, from a registry to a file: continued where it broke off, also by another process; its
//! digest known when the last byte is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::transport::Flowing;
use super::{Credentials, Registry, RegistryError};
use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::files::Lock;
use crate::reference::Reference;

/// Bytes between the network and the disk.
const WAITING: usize = 1 << 20;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Blob {
    pub reference: Reference,
    pub digest: Digest,
    pub size: u64,
}

/// What has come so far.
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    /// Goes with the file: a cancelled download's last chunks are still being written for a moment.
    _lock: Lock,
}

impl Partial {
    /// Opens the file and takes account of what an earlier attempt left. Blocks.
    pub fn open(path: &Path, size: u64, lock: Lock) -> Result<Partial> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut partial = Partial {
            path: path.to_owned(),
            file: file.at("opening", path)?,
            hash: Sha256::new(),
            length: 0,
            _lock: lock,
        };
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = partial.file.read(&mut buffer).at("reading", path)?;
            if n == 0 {
                break;
            }
            partial.hash.update(&buffer[..n]);
            partial.length += n as u64;
        }
        if partial.length > size {
            partial.restart()?;
        }
        Ok(partial)
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    fn restart(&mut self) -> Result<()> {
        (self.hash, self.length) = (Sha256::new(), 0);
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map(drop).at("emptying", &self.path)
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub fn digest(&self) -> Digest {
        let bytes: [u8; 32] = self.hash.clone().finalize().into();
        Digest::from_hex(&hex::encode(bytes)).expect("a SHA-256 has 64 digits")
    }
}

impl Registry {
    /// One attempt to fetch what is missing. What came is kept in `partial` also when it fails.
    pub(crate) async fn fetch(
        &self,
        blob: &Blob,
        credentials: Option<&Credentials>,
        mut partial: Partial,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> (Partial, Result<()>) {
        if partial.length == blob.size {
            return (partial, Ok(()));
        }
        let mut headers = HeaderMap::new();
        if partial.length > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", partial.length));
            headers.insert(RANGE, range.expect("digits are header text"));
        }
        let path = format!("blobs/{}", blob.digest);
        let answer = match self.get(&blob.reference, &path, headers, credentials).await {
            Ok(answer) => answer,
            Err(RegistryError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => {
                let again =
                    RegistryError::Broken { url: path, why: "it cannot be continued".into() };
                let emptied = partial.restart();
                return (partial, emptied.and(Err(again.into())));
            }
            Err(error) => return (partial, Err(error.into())),
        };
        if !continues(&answer, partial.length)
            && let Err(error) = partial.restart()
        {
            return (partial, Err(error));
        }
        receive(answer, blob, partial, told).await
    }
}

/// Whether the answer goes on where we stopped; one that ignores the range starts anew.
fn continues(answer: &Flowing, from: u64) -> bool {
    let start = answer.headers.get(CONTENT_RANGE).and_then(|value| {
        let (start, _) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?;
        start.trim().parse::<u64>().ok()
    });
    from == 0 || (answer.status == StatusCode::PARTIAL_CONTENT && start == Some(from))
}

/// Between the network and the disk: what came is hashed and written on another thread, which goes when
/// nothing waits. So none waits for the network (a registry that hangs must not hold up what else its host
/// does), and what came of a download that is given up is still written.
struct Writing {
    queue: Mutex<Queue>,
    turned: Notify,
}

struct Queue {
    waiting: Vec<Bytes>,
    bytes: usize,
    /// Here while no thread writes, with how the last one fared.
    idle: Option<(Partial, io::Result<()>)>,
}

impl Writing {
    fn new(partial: Partial) -> Arc<Writing> {
        let queue = Queue { waiting: Vec::new(), bytes: 0, idle: Some((partial, Ok(()))) };
        Arc::new(Writing { queue: Mutex::new(queue), turned: Notify::new() })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth going on.
    async fn add(self: &Arc<Self>, chunk: Bytes) -> bool {
        {
            let mut queue = self.queue();
            queue.bytes += chunk.len();
            queue.waiting.push(chunk);
            match queue.idle.take() {
                Some((partial, Ok(()))) => {
                    let writing = self.clone();
                    tokio::task::spawn_blocking(move || writing.write(partial));
                }
                Some(failed) => {
                    queue.idle = Some(failed);
                    return false;
                }
                None => {}
            }
        }
        while self.queue().bytes > WAITING {
            self.turned.notified().await;
        }
        true
    }

    fn write(&self, mut partial: Partial) {
        let mut written = Ok(());
        loop {
            let chunks = {
                let mut queue = self.queue();
                queue.bytes = 0;
                if queue.waiting.is_empty() || written.is_err() {
                    queue.idle = Some((partial, written));
                    break;
                }
                std::mem::take(&mut queue.waiting)
            };
            self.turned.notify_one();
            written = chunks.iter().try_for_each(|chunk| partial.add(chunk));
        }
        self.turned.notify_one();
    }

    /// When all is written.
    async fn end(&self) -> (Partial, io::Result<()>) {
        loop {
            if let Some(idle) = self.queue().idle.take() {
                return idle;
            }
            self.turned.notified().await;
        }
    }
}

async fn receive(
    mut answer: Flowing,
    blob: &Blob,
    partial: Partial,
    told: &(dyn Fn(u64) + Send + Sync),
) -> (Partial, Result<()>) {
    let mut have = partial.length;
    let writing = Writing::new(partial);
    let mut received = Ok(());
    loop {
        match answer.progress().await {
            Ok(Some(chunk)) => {
                have += chunk.len() as u64;
                if have > blob.size {
                    let what = "the blob";
                    received = Err(Error::Size { what, expected: blob.size, actual: have });
                    break;
                }
                told(have);
                if !writing.add(chunk).await {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                received = Err(error.into());
                break;
            }
        }
    }
    let (partial, written) = writing.end().await;
    let result = match written {
        Err(error) => Err(error).at("writing", &partial.path),
        Ok(()) => received.and_then(|()| match partial.length == blob.size {
            true => Ok(()),
            false => Err(Error::from(RegistryError::Broken {
                url: answer.url,
                why: format!("{} of {} bytes came", partial.length, blob.size),
            })),
        }),
    };
    (partial, result)
}
