//! The store: blobs by digest, layers unpacked once for all images, a table of what they make.
//! Several processes share it without a daemon. Whatever is unfinished stands in a work directory
//! that is locked by its maker, so whoever comes next can tell the dead's from the living's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::digest::{Digest, Hashing};
use crate::error::{At, Error, Result, is_full};
use crate::files::{self, Lock, Mode};
use crate::spec::{Answer, ImageConfig, LARGEST_CONFIG, LARGEST_MANIFEST, Manifest, Platform};
use crate::table::{LayerRecord, Record, Table};
use crate::tarstream::TarStream;
use crate::unpack::{self, Limits};

/// How often a lock that another process holds is asked for again.
pub(crate) const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// An open store; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    limits: Limits,
}

/// An image that is wholly here.
#[derive(Clone, Debug)]
pub struct Image {
    /// The configuration's digest: Docker's image id.
    pub id: Digest,
    pub manifest: Digest,
    /// Full names by tag, and by digest where it came from a registry.
    pub references: Vec<String>,
    pub config: ImageConfig,
    /// Unpacked directories, for overlayfs's `lowerdir`: lowest first.
    pub layers: Vec<PathBuf>,
    /// Bytes of the unpacked layers, shared ones included.
    pub size: u64,
    pub added: Timestamp,
    pub last_used: Timestamp,
}

impl Image {
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// The digest that a name of this image stands for, which is `imageDigest`: the one in the name,
    /// else the one that its repository led to, be it an index. An image that no registry has is
    /// known by its own manifest.
    pub fn digest_of(&self, name: &crate::Reference) -> Digest {
        let repository = format!("{}@", name.name());
        let led = self.references.iter().filter_map(|text| text.strip_prefix(&*repository));
        let mut led = led.filter_map(|text| text.parse().ok());
        let index = || led.find(|digest| *digest != self.manifest);
        name.digest().or_else(index).unwrap_or(self.manifest)
    }

    /// The digest by which a registry knows the image; none where it was loaded or built here.
    pub fn repository_digest(&self) -> Option<Digest> {
        let digests = self.references.iter().filter_map(|name| name.split_once('@'));
        let mut digests = digests.filter_map(|(_, digest)| digest.parse().ok());
        digests.next()
    }
}

impl Store {
    /// Opens or makes the store in `root`, and removes what dead processes left unfinished.
    pub fn open(root: impl Into<PathBuf>) -> Result<Store> {
        Store::open_with(root, Limits::default())
    }

    pub fn open_with(root: impl Into<PathBuf>, limits: Limits) -> Result<Store> {
        let store = Store { inner: Arc::new(Inner { root: root.into(), limits }) };
        for part in ["blobs", "layers", "work", "partial", "locks", "leases", "used"] {
            files::make_dir(&store.dir(part))?;
        }
        store.table()?;
        store.remove_dead_work()?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    pub(crate) fn dir(&self, part: &str) -> PathBuf {
        self.inner.root.join(part)
    }

    /// Whoever changes what exists holds this alone; whoever announces a wish holds it shared.
    pub(crate) fn lock(&self, mode: Mode) -> Result<Lock> {
        Lock::take(&self.inner.root.join("lock"), mode)
    }

    pub(crate) fn table(&self) -> Result<Table> {
        Table::load(&self.inner.root.join("table.json"))
    }

    /// Changes the table under the lock.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Table) -> Result<T>) -> Result<T> {
        let _lock = self.lock(Mode::Exclusive)?;
        let mut table = self.table()?;
        let out = change(&mut table)?;
        self.save(&table)?;
        Ok(out)
    }

    /// The caller holds the lock alone.
    pub(crate) fn save(&self, table: &Table) -> Result<()> {
        table.save(&self.inner.root.join("table.json"), &self.dir("work"))
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.dir("blobs").join(digest.hex())
    }

    pub(crate) fn layer(&self, diff_id: Digest) -> PathBuf {
        self.dir("layers").join(diff_id.hex())
    }

    /// The image of a name, an id or the beginning of an id.
    pub fn find(&self, text: &str) -> Result<Option<Image>> {
        let table = self.table()?;
        match table.look_up(text)? {
            Some(id) => self.image(&table, id),
            None => Ok(None),
        }
    }

    /// All images, newest first.
    pub fn list(&self) -> Result<Vec<Image>> {
        let table = self.table()?;
        let mut images = Vec::new();
        for id in table.images.keys() {
            images.extend(self.image(&table, *id)?);
        }
        images.sort_by(|a, b| b.added.cmp(&a.added).then(a.id.cmp(&b.id)));
        Ok(images)
    }

    /// `None` if it was removed meanwhile, for reading takes no lock.
    pub(crate) fn image(&self, table: &Table, id: Digest) -> Result<Option<Image>> {
        let Some(record) = table.images.get(&id) else { return Ok(None) };
        let Some(bytes) = files::read_limited(&self.blob(id), LARGEST_CONFIG)? else {
            return Ok(None);
        };
        let added: Timestamp = record.added.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let layers = record.layers.iter().map(|layer| self.layer(layer.diff_id).join("fs"));
        Ok(Some(Image {
            id,
            manifest: record.manifest,
            references: table.names_of(id),
            config: ImageConfig::read(&bytes)?,
            layers: layers.collect(),
            size: record.layers.iter().map(|layer| layer.size).sum(),
            added,
            last_used: self.last_used(id).unwrap_or(added).max(added),
        }))
    }

    fn last_used(&self, id: Digest) -> Option<Timestamp> {
        let touched = fs::metadata(self.dir("used").join(id.hex())).ok()?.modified().ok()?;
        Timestamp::try_from(touched).ok()
    }

    /// Notes that a container was made of the image. Only the file's time counts: it need not
    /// survive a power cut, and a start should not wait for a disk.
    pub(crate) fn touch(&self, id: Digest) -> Result<()> {
        let path = self.dir("used").join(id.hex());
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(&path);
        file.and_then(|file| file.set_modified(SystemTime::now())).at("noting use in", path)
    }

    /// Gives an image of this store a further name.
    pub fn tag(&self, image: &str, name: &crate::Reference) -> Result<()> {
        self.change(|table| {
            let id = table.look_up(image)?;
            let id = id.ok_or_else(|| Error::NoSuchImage(image.into()))?;
            table.references.insert(name.to_string(), id);
            Ok(())
        })
    }

    /// A manifest that is here, and its bytes.
    pub fn manifest(&self, digest: Digest) -> Result<(Manifest, Vec<u8>)> {
        let path = self.blob(digest);
        let bytes = files::read_limited(&path, LARGEST_MANIFEST)?;
        let bytes =
            bytes.ok_or_else(|| Error::invalid("image store", format!("{digest} is gone")))?;
        match Answer::read(&bytes)? {
            Answer::Manifest(manifest) => Ok((manifest, bytes)),
            Answer::Index(_) => Err(Error::invalid("image store", format!("{digest} is an index"))),
        }
    }

    fn remove_dead_work(&self) -> Result<()> {
        let _lock = self.lock(Mode::Exclusive)?;
        for path in list_dir(&self.dir("work"))? {
            if path.is_dir() && Lock::attempt(&path)?.is_none() {
                continue;
            }
            files::remove(&path)?;
        }
        Ok(())
    }

    pub(crate) fn work(&self) -> Result<Work> {
        let _lock = self.lock(Mode::Shared)?;
        let dir = self.dir("work").join(uuid::Uuid::new_v4().to_string());
        files::make_dir(&dir)?;
        let lock = Lock::take(&dir, Mode::Exclusive)?;
        Ok(Work { store: self.clone(), dir, _lock: lock })
    }
}

pub(crate) fn list_dir(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).at("listing", path)?;
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>();
    paths.at("listing", path)
}

/// One pull, load or build in progress: a place for its files, and a list of what it needs, which
/// the sweep leaves alone for as long as this lives.
#[derive(Debug)]
pub(crate) struct Work {
    pub store: Store,
    dir: PathBuf,
    _lock: Lock,
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = files::remove(&self.dir);
    }
}

/// A blob in a work directory, with its digest known.
pub(crate) struct Spooled {
    pub path: PathBuf,
    pub digest: Digest,
    pub size: u64,
}

impl Work {
    /// A place for a file, which goes with the work.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// From now on the sweep leaves this blob or layer alone, be it here already or not.
    pub fn pin(&self, digest: Digest) -> Result<()> {
        let _lock = self.store.lock(Mode::Shared)?;
        let path = self.dir.join("pins");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let line = format!("{}\n", digest.hex());
        file.and_then(|mut file| file.write_all(line.as_bytes())).at("pinning in", path)
    }

    /// Copies a stream into the work directory.
    pub fn spool(&self, from: &mut impl Read, limit: u64) -> Result<Spooled> {
        let path = self.dir.join(uuid::Uuid::new_v4().to_string());
        let file = File::create_new(&path).at("creating", &path)?;
        let mut into = Hashing::new(file);
        let mut limited = from.take(limit.saturating_add(1));
        io::copy(&mut limited, &mut into).at("writing", &path)?;
        let (_, digest, size) = into.finish();
        if size > limit {
            let _ = files::remove(&path);
            return Err(Error::invalid("archive", format!("a file of more than {limit} bytes")));
        }
        Ok(Spooled { path, digest, size })
    }

    /// Moves a file of the work directory among the blobs.
    pub fn keep(&self, spooled: &Spooled) -> Result<()> {
        self.pin(spooled.digest)?;
        let place = self.store.blob(spooled.digest);
        let synced = File::open(&spooled.path).and_then(|file| file.sync_all());
        synced.at("syncing", &spooled.path)?;
        fs::rename(&spooled.path, &place).at("keeping", &place)?;
        files::sync_dir(&self.store.dir("blobs"))
    }

    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        self.pin(digest)?;
        let place = self.store.blob(digest);
        if !place.exists() {
            files::write_whole(&place, &self.dir, bytes, true)?;
        }
        Ok(digest)
    }

    pub fn lock_path(&self, kind: &str, digest: Digest) -> PathBuf {
        self.store.dir("locks").join(format!("{kind}-{}", digest.hex()))
    }

    /// Makes sure that a layer is unpacked, from a blob that is here. Gives its unpacked size.
    /// Blocks: while another process unpacks the same layer, it waits for that.
    pub fn unpack(&self, blob: Digest, diff_id: Digest, stop: &dyn Fn() -> bool) -> Result<u64> {
        self.pin(diff_id)?;
        let place = self.store.layer(diff_id);
        let path = self.lock_path("layer", diff_id);
        let _lock = loop {
            if let Some(size) = unpacked_size(&place)? {
                return Ok(size);
            }
            if stop() {
                return Err(Error::Cancelled);
            }
            match Lock::attempt(&path)? {
                Some(lock) => break lock,
                None => std::thread::sleep(LOCK_INTERVAL),
            }
        };
        if let Some(size) = unpacked_size(&place)? {
            return Ok(size);
        }
        let temporary = self.dir.join(format!("layer-{}", diff_id.hex()));
        files::make_dir(&temporary)?;
        let done = self.unpack_into(&temporary, blob, diff_id, stop).and_then(|size| {
            fs::rename(&temporary, &place).at("keeping layer", &place)?;
            files::sync_dir(&self.store.dir("layers"))?;
            Ok(size)
        });
        if done.is_err() {
            // The room is needed now, not when the whole pull ends.
            let _ = files::remove(&temporary);
        }
        done
    }

    fn unpack_into(
        &self,
        dir: &Path,
        blob: Digest,
        diff_id: Digest,
        stop: &dyn Fn() -> bool,
    ) -> Result<u64> {
        let root = dir.join("fs");
        fs::create_dir(&root).at("making directory", &root)?;
        // What the archive does not say about its root is what a distribution's root is.
        let plain = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&root, plain).at("setting mode of", &root)?;
        let path = self.store.blob(blob);
        let file = File::open(&path).at("opening", &path)?;
        let compressed = file.metadata().at("looking at", &path)?.len();
        let stream =
            Stoppable { inner: decompress(BufReader::new(file)).at("reading", &path)?, stop };
        let mut archive = TarStream::new(Hashing::new(stream));
        let unpacked = unpack::unpack(&mut archive, &root, compressed, &self.store.inner.limits);
        if stop() {
            return Err(Error::Cancelled);
        }
        let unpacked = unpacked.map_err(|error| full_or(error, dir))?;
        let mut rest = archive.into_inner();
        drain(&mut rest, compressed)?;
        let (_, actual, _) = rest.finish();
        if actual != diff_id {
            let what = "the unpacked layer is not what the image's configuration names";
            return Err(Error::Digest { what, expected: diff_id, actual });
        }
        let note = dir.join("size");
        fs::write(&note, unpacked.bytes.to_string()).at("writing", &note)?;
        // One call for thousands of files: after it, a power cut finds the layer whole.
        let opened = File::open(dir).at("opening", dir)?;
        rustix::fs::syncfs(&opened).at("syncing", dir)?;
        Ok(unpacked.bytes)
    }

    /// Names an image whose blobs and layers are all here, and makes it visible.
    pub fn publish(
        &self,
        id: Digest,
        manifest: Digest,
        layers: Vec<LayerRecord>,
        names: &[String],
    ) -> Result<Image> {
        let added = Timestamp::now().to_string();
        let table = self.store.change(|table| {
            table.images.insert(id, Record { manifest, layers, added });
            for name in names {
                table.references.insert(name.clone(), id);
            }
            Ok(table.clone())
        })?;
        let image = self.store.image(&table, id)?;
        image.ok_or_else(|| Error::invalid("image store", format!("{id} vanished")))
    }
}

/// What follows an archive's end belongs to its digest, but nobody needs gigabytes of it.
fn drain(rest: &mut impl Read, compressed: u64) -> Result<()> {
    let most = (1 << 30) + compressed;
    let drained = io::copy(&mut rest.take(most), &mut io::sink());
    let drained = drained.map_err(|e| Error::invalid("layer", e.to_string()))?;
    if drained == most {
        return Err(Error::invalid("layer", "endless data after the archive"));
    }
    Ok(())
}

fn full_or(error: unpack::UnpackError, dir: &Path) -> Error {
    match error {
        unpack::UnpackError::Io { source, .. } if is_full(&source) => {
            Error::DiskFull { doing: "unpacking a layer", path: dir.to_owned() }
        }
        other => other.into(),
    }
}

fn unpacked_size(place: &Path) -> Result<Option<u64>> {
    let note = files::read_limited(&place.join("size"), 32)?;
    Ok(note.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()))
}

/// Ends a long copy when it is cancelled.
struct Stoppable<'s, R> {
    inner: R,
    stop: &'s dyn Fn() -> bool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if (self.stop)() {
            return Err(io::Error::other("cancelled"));
        }
        self.inner.read(into)
    }
}

/// Largest window a zstd stream may demand: what its reference tool allows by default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Opens a stream that is gzip, zstd or plain. Its first bytes tell; media types often lie.
pub(crate) fn decompress<'r>(mut from: impl io::BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut start = [0; 4];
    let mut have = 0;
    while have < start.len() {
        match from.read(&mut start[have..])? {
            0 => break,
            n => have += n,
        }
    }
    let whole = io::Cursor::new(start[..have].to_vec()).chain(from);
    Ok(match start {
        [0x1f, 0x8b, ..] => {
            let inner = flate2::bufread::MultiGzDecoder::new(BufReader::new(whole));
            Box::new(BufReader::with_capacity(64 << 10, inner))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut inner = zstd::stream::read::Decoder::new(whole)?;
            inner.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(64 << 10, inner))
        }
        _ => Box::new(whole),
    })
}
