//! A pull: what a name means, then its layers side by side, each fetched, checked, unpacked, and
//! only then the image made visible. Dropping the future is how a pull is cancelled: its layers
//! stop, and what was downloaded stays to be continued.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::files::{self, Lock};
use crate::reference::Reference;
use crate::registry::Partial;
use crate::registry::{Blob, Credentials, Registry, RegistryError, Resolved};
use crate::spec::{Descriptor, ImageConfig, LARGEST_CONFIG, Platform};
use crate::store::{Image, LOCK_INTERVAL, Store, Work};
use crate::table::LayerRecord;

/// Layers that are unpacked at the same time, of all images. Each holds a thread as long as it takes, and
/// what else a host does needs some as well.
static UNPACKING: Semaphore = Semaphore::const_new(3);

const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A registry that always cuts the body a little further on is given up at some point, too.
const MOST_CONTINUATIONS: u32 = 1000;

#[derive(Clone, Debug)]
pub struct PullOptions {
    pub platform: Platform,
    pub credentials: Option<Credentials>,
    /// Layers at a time, as in Docker.
    pub parallel: usize,
    /// Attempts without any progress before a transient failure is final.
    pub attempts: u32,
    /// The wait after the first failure; it doubles.
    pub backoff: Duration,
}

impl Default for PullOptions {
    fn default() -> PullOptions {
        PullOptions {
            platform: Platform::here(),
            credentials: None,
            parallel: 3,
            attempts: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// What a pull is doing; a layer is named by its blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Resolved { digest: Digest, layers: Vec<(Digest, u64)> },
    Exists { layer: Digest },
    Downloading { layer: Digest, done: u64 },
    Retrying { layer: Digest, why: String },
    Unpacking { layer: Digest },
    Done { layer: Digest },
}

pub type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where a pull failed, for AWS's words about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Manifest,
    Layers,
}

impl Stage {
    pub(crate) fn told(self) -> &'static str {
        match self {
            // AWS: stoppedReason "CannotPullContainerError: pull image manifest has been retried
            // 1 time(s): failed to resolve ref …", and "ref pull has been retried …" for content.
            Stage::Manifest => "pull image manifest",
            Stage::Layers => "ref pull",
        }
    }
}

struct Pull {
    registry: Arc<Registry>,
    reference: Reference,
    options: PullOptions,
    work: Work,
    listener: Listener,
    stopped: AtomicBool,
    slots: Semaphore,
}

/// Tells threads that a dropped future cannot stop.
struct StopOnDrop(Arc<Pull>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

impl Store {
    /// Pulls an image, whatever is here already. What is here of it is not fetched again.
    pub async fn pull(
        &self,
        registry: &Arc<Registry>,
        reference: &Reference,
        options: &PullOptions,
        listener: Listener,
    ) -> Result<Image> {
        let resolved = resolve(registry, reference, options).await?;
        let layers = resolved.manifest.layers.iter().map(|l| (l.digest, l.size)).collect();
        listener(Progress::Resolved { digest: resolved.digest, layers });
        let pull = Arc::new(Pull {
            registry: registry.clone(),
            reference: reference.clone(),
            options: options.clone(),
            work: self.work()?,
            listener,
            stopped: AtomicBool::new(false),
            slots: Semaphore::new(options.parallel.max(1)),
        });
        let _stop = StopOnDrop(pull.clone());
        pull.content(&resolved).await
    }
}

async fn resolve(
    registry: &Registry,
    reference: &Reference,
    options: &PullOptions,
) -> Result<Resolved> {
    let mut attempt = 1;
    loop {
        let credentials = options.credentials.as_ref();
        let error = match registry.resolve(reference, credentials, &options.platform).await {
            Ok(resolved) => return Ok(resolved),
            Err(error) => error,
        };
        if attempt >= options.attempts || !is_transient(&error) {
            let source = Box::new(error);
            let reference = Some(reference.to_string());
            return Err(Error::Pull {
                stage: Stage::Manifest,
                attempts: attempt,
                reference,
                source,
            });
        }
        tokio::time::sleep(wait(options, attempt, &error)).await;
        attempt += 1;
    }
}

fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Registry(error) if error.is_transient())
}

fn wait(options: &PullOptions, attempt: u32, error: &Error) -> Duration {
    let asked = match error {
        Error::Registry(error) => error.wait(),
        _ => None,
    };
    let doubled = options.backoff.saturating_mul(1 << (attempt - 1).min(10));
    asked.unwrap_or(doubled).min(LONGEST_WAIT)
}

impl Pull {
    fn tell(&self, progress: Progress) {
        (self.listener)(progress);
    }

    async fn content(self: &Arc<Self>, resolved: &Resolved) -> Result<Image> {
        let manifest = &resolved.manifest;
        self.blob(&manifest.config, false).await?;
        let config_path = self.work.store.blob(manifest.config.digest);
        let bytes = files::read_limited(&config_path, LARGEST_CONFIG)?.unwrap_or_default();
        let config = ImageConfig::read(&bytes)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let (here, there) = (manifest.layers.len(), diff_ids.len());
            let why = format!("{here} layers, but {there} in the configuration");
            return Err(Error::invalid("manifest", why));
        }
        let mut tasks: JoinSet<Result<(Digest, u64)>> = JoinSet::new();
        let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut asked = BTreeSet::new();
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            // The same layer may stand in an image twice.
            if asked.insert((layer.digest, *diff_id)) {
                let (pull, layer, diff_id) = (self.clone(), layer.clone(), *diff_id);
                tasks.spawn(async move { Ok((diff_id, pull.layer(&layer, diff_id).await?)) });
            }
        }
        while let Some(done) = tasks.join_next().await {
            // The first failure ends the pull; dropping the set stops the other layers.
            let (diff_id, size) = done.expect("a layer's task does not panic")?;
            sizes.insert(diff_id, size);
        }
        let layers = manifest.layers.iter().zip(diff_ids).map(|(layer, diff_id)| LayerRecord {
            diff_id: *diff_id,
            blob: layer.digest,
            blob_size: layer.size,
            size: sizes[diff_id],
        });
        self.work.put(&resolved.bytes)?;
        let mut names = vec![self.reference.pinned(resolved.digest).to_string()];
        names.push(self.reference.pinned(resolved.manifest_digest).to_string());
        if self.reference.digest().is_none() {
            names.push(self.reference.to_string());
        }
        self.work.publish(
            manifest.config.digest,
            resolved.manifest_digest,
            layers.collect(),
            &names,
        )
    }

    async fn layer(self: &Arc<Self>, layer: &Descriptor, diff_id: Digest) -> Result<u64> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        self.blob(layer, true).await?;
        let pull = self.clone();
        let blob = layer.digest;
        let _turn = UNPACKING.acquire().await.expect("the semaphore is never closed");
        let unpacked = tokio::task::spawn_blocking(move || {
            pull.tell(Progress::Unpacking { layer: blob });
            pull.work.unpack(blob, diff_id, &|| pull.stopped.load(Ordering::Relaxed))
        });
        let size =
            unpacked.await.expect("unpacking does not panic").map_err(|source| match source {
                Error::Cancelled => source,
                source => Error::Layer { layer: blob, source: Box::new(source) },
            })?;
        self.tell(Progress::Done { layer: blob });
        Ok(size)
    }

    /// Has a blob in the store, under its lock, so that only one process fetches it.
    async fn blob(&self, wanted: &Descriptor, is_layer: bool) -> Result<()> {
        let digest = wanted.digest;
        self.work.pin(digest)?;
        let place = self.work.store.blob(digest);
        let path = self.work.lock_path("blob", digest);
        let lock = loop {
            if place.exists() {
                if is_layer {
                    self.tell(Progress::Exists { layer: digest });
                }
                return Ok(());
            }
            match Lock::attempt(&path)? {
                Some(lock) => break lock,
                None => tokio::time::sleep(LOCK_INTERVAL).await,
            }
        };
        if place.exists() {
            return Ok(());
        }
        let partial_path = self.work.store.dir("partial").join(digest.hex());
        match self.fetch(wanted, &partial_path, is_layer, lock).await {
            Ok(_partial) => self.keep(&partial_path, &place),
            Err(error) => {
                // Room is what is needed most now; and lies are not continued.
                let lied = matches!(error.root(), Error::Digest { .. } | Error::Size { .. });
                if error.is_disk_full() || lied {
                    files::remove(&partial_path)?;
                }
                Err(error)
            }
        }
    }

    fn keep(&self, partial: &Path, place: &Path) -> Result<()> {
        let synced = std::fs::File::open(partial).and_then(|file| file.sync_all());
        synced.at("syncing", partial)?;
        std::fs::rename(partial, place).at("keeping", place)?;
        files::sync_dir(&self.work.store.dir("blobs"))
    }

    async fn fetch(
        &self,
        wanted: &Descriptor,
        path: &Path,
        is_layer: bool,
        lock: Lock,
    ) -> Result<Partial> {
        let digest = wanted.digest;
        let blob = Blob { reference: self.reference.clone(), digest, size: wanted.size };
        let listener = self.listener.clone();
        let told = move |done: u64| {
            if is_layer {
                listener(Progress::Downloading { layer: digest, done });
            }
        };
        let (opened, size) = (path.to_owned(), wanted.size);
        let opening = tokio::task::spawn_blocking(move || Partial::open(&opened, size, lock));
        let mut partial = opening.await.expect("opening does not panic")?;
        let (mut attempt, mut continuations) = (1, 0);
        loop {
            let before = partial.length();
            let credentials = self.options.credentials.as_ref();
            let (after, result) = self.registry.fetch(&blob, credentials, partial, &told).await;
            partial = after;
            let error = match result {
                Ok(()) if partial.digest() == digest => return Ok(partial),
                Ok(()) => {
                    let actual = partial.digest();
                    let what = "failed commit on ref: unexpected commit digest";
                    Error::Digest { what, expected: digest, actual }
                }
                Err(error) => error,
            };
            continuations += 1;
            attempt = if partial.length() > before { 1 } else { attempt + 1 };
            let spent = attempt > self.options.attempts || continuations > MOST_CONTINUATIONS;
            if spent || !is_transient(&error) {
                let source = Box::new(error);
                let attempts = continuations;
                return Err(Error::Pull {
                    stage: Stage::Layers,
                    attempts,
                    reference: None,
                    source,
                });
            }
            self.tell(Progress::Retrying { layer: digest, why: error.to_string() });
            tokio::time::sleep(wait(&self.options, attempt, &error)).await;
        }
    }
}

/// AWS's name for why a container has no image: the first word of its reason.
pub fn error_name(error: &Error) -> &'static str {
    match (error, error.root()) {
        (_, Error::Registry(RegistryError::Authorize(_))) => "CannotPullContainerAuthError",
        // The registry answered, and with nothing that could be used.
        (
            Error::Pull { stage: Stage::Manifest, .. },
            Error::Invalid { .. } | Error::Digest { .. },
        ) => "CannotPullImageManifestError",
        _ => "CannotPullContainerError",
    }
}
