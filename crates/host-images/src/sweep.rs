//! What leaves the store: images that nobody wants, and then the blobs and layers that no image
//! needs. Marking happens under the lock, removing after it: a rename away is quick, and deleting a
//! hundred thousand files is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::files::{self, Lock, Mode};
use crate::spec::MOST_LAYERS;
use crate::store::{Image, Store, list_dir};
use crate::table::Table;

/// Downloads that nobody continued for this long are given up.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 3600);

/// When an unused image has to go. The defaults are the ECS agent's.
#[derive(Clone, Debug)]
pub struct Policy {
    /// AWS: ECS_IMAGE_MINIMUM_CLEANUP_AGE, counted from the pull.
    pub minimum_age: Duration,
    /// AWS: ECS_NUM_IMAGES_DELETE_PER_CYCLE.
    pub most: usize,
    /// An image used more recently than this stays, unless the disk is full.
    pub unused_for: Duration,
    /// Percent of the disk in use from which `unused_for` is waived.
    pub disk_percent: u8,
    /// AWS: ECS_EXCLUDE_UNTRACKED_IMAGE; names that stay whatever happens.
    pub keep: Vec<String>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            minimum_age: Duration::from_secs(3600),
            most: 5,
            unused_for: Duration::ZERO,
            disk_percent: 85,
            keep: Vec::new(),
        }
    }
}

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub images: Vec<Digest>,
    pub blobs: u64,
    pub layers: u64,
}

/// What `remove` did, in Docker's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub untagged: Vec<String>,
    pub deleted: Option<Digest>,
}

impl Store {
    /// Removes a name; with the last name, or by id, the image itself.
    pub fn remove(&self, text: &str, force: bool) -> Result<Removed> {
        let removed = self.change(|table| {
            let id = table.look_up(text)?.ok_or_else(|| Error::NoSuchImage(text.into()))?;
            let names = table.names_of(id);
            let named = text.parse::<crate::Reference>().ok();
            let named = named.filter(|name| table.by_reference(name) == Some(id));
            let tags = |names: &[String]| names.iter().filter(|name| !name.contains('@')).count();
            if let Some(name) = &named {
                let name = match name.digest() {
                    Some(digest) => name.pinned(digest).to_string(),
                    None => name.to_string(),
                };
                let rest: Vec<String> = names.iter().filter(|n| **n != name).cloned().collect();
                if tags(&rest) > 0 || (name.contains('@') && !rest.is_empty()) {
                    table.references.remove(&name);
                    return Ok(Removed { untagged: vec![name], deleted: None });
                }
            } else if tags(&names) > 1 && !force {
                let why =
                    format!("{} is referenced by several names: {}", id.short(), names.join(", "));
                return Err(Error::invalid("removal", format!("{why} (must be forced)")));
            }
            self.check_unused(id)?;
            table.references.retain(|_, meant| *meant != id);
            table.images.remove(&id);
            Ok(Removed { untagged: names, deleted: Some(id) })
        })?;
        self.sweep_content()?;
        Ok(removed)
    }

    fn check_unused(&self, id: Digest) -> Result<()> {
        let users: Vec<String> = self
            .leases()?
            .into_iter()
            .filter(|(_, used)| *used == id)
            .map(|(user, _)| user)
            .collect();
        match users.is_empty() {
            true => Ok(()),
            false => Err(Error::InUse { image: id.short(), users: users.join(", ") }),
        }
    }

    /// Removes unused images by age and, where the disk is full, by what was used longest ago.
    pub fn sweep(&self, policy: &Policy, now: Timestamp) -> Result<Swept> {
        let full = self.disk_percent()? >= policy.disk_percent;
        let candidates = self.candidates(policy, now, full)?;
        let images = if candidates.is_empty() {
            Vec::new()
        } else {
            self.change(|table| {
                // Asked again under the lock: a container may have come since.
                let leased: BTreeSet<Digest> = self.leases()?.into_values().collect();
                let mut gone = Vec::new();
                for image in candidates {
                    if !leased.contains(&image.id) && table.images.remove(&image.id).is_some() {
                        table.references.retain(|_, meant| *meant != image.id);
                        gone.push(image.id);
                    }
                }
                Ok(gone)
            })?
        };
        let (blobs, layers) = self.sweep_content()?;
        Ok(Swept { images, blobs, layers })
    }

    fn candidates(&self, policy: &Policy, now: Timestamp, full: bool) -> Result<Vec<Image>> {
        let leased: BTreeSet<Digest> = self.leases()?.into_values().collect();
        let older = |than: Timestamp, age: Duration| {
            Duration::try_from(now.duration_since(than)).is_ok_and(|passed| passed >= age)
        };
        let kept = |image: &Image| {
            let keep: Vec<String> = policy
                .keep
                .iter()
                .filter_map(|name| name.parse::<crate::Reference>().ok())
                .map(|name| name.to_string())
                .collect();
            image.references.iter().any(|name| keep.contains(name))
        };
        let mut candidates = self.list()?;
        candidates.retain(|image| {
            // AWS: images that the agent did not pull are not its to remove. One that was loaded or
            // built here could not be had again.
            image.repository_digest().is_some()
                && !leased.contains(&image.id)
                && !kept(image)
                && older(image.added, policy.minimum_age)
                && (full || older(image.last_used, policy.unused_for))
        });
        candidates.sort_by_key(|image| (image.last_used, image.id));
        candidates.truncate(policy.most);
        Ok(candidates)
    }

    /// How much of the store's disk is in use, as `df` tells it.
    pub fn disk_percent(&self) -> Result<u8> {
        let disk = rustix::fs::statvfs(self.root()).at("looking at the disk of", self.root())?;
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        let usable = used + disk.f_bavail;
        Ok(u8::try_from((used * 100).div_ceil(usable.max(1))).unwrap_or(100))
    }

    /// Removes blobs and layers that no image, no lease and no living work needs.
    pub fn sweep_content(&self) -> Result<(u64, u64)> {
        let trash = self.dir("work").join(format!("{}.trash", uuid::Uuid::new_v4()));
        let (blobs, layers);
        {
            let _lock = self.lock(Mode::Exclusive)?;
            let table = self.table()?;
            let mut needed = self.pinned()?;
            self.add_needs(&table, &mut needed);
            files::make_dir(&trash)?;
            blobs = discard(&self.dir("blobs"), &trash, &needed)?;
            layers = discard(&self.dir("layers"), &trash, &needed)?;
            self.discard_used(&table)?;
        }
        files::remove(&trash)?;
        self.remove_old_partials()?;
        self.remove_idle_locks()?;
        Ok((blobs, layers))
    }

    fn add_needs(&self, table: &Table, needed: &mut BTreeSet<String>) {
        for (id, record) in &table.images {
            needed.extend([id.hex(), record.manifest.hex()]);
            for layer in &record.layers {
                needed.extend([layer.blob.hex(), layer.diff_id.hex()]);
            }
        }
    }

    /// What pulls and builds that are alive have asked to keep.
    fn pinned(&self) -> Result<BTreeSet<String>> {
        let mut pinned = BTreeSet::new();
        for work in list_dir(&self.dir("work"))? {
            if !work.is_dir() || Lock::attempt(&work)?.is_some() {
                continue;
            }
            let most = (MOST_LAYERS as u64 * 1000 + 10_000) * 65;
            let Some(pins) = files::read_limited(&work.join("pins"), most)? else { continue };
            let pins = String::from_utf8_lossy(&pins);
            pinned.extend(pins.lines().map(str::to_owned));
        }
        Ok(pinned)
    }

    fn discard_used(&self, table: &Table) -> Result<()> {
        for path in list_dir(&self.dir("used"))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !Digest::from_hex(name).is_some_and(|id| table.images.contains_key(&id)) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    fn remove_old_partials(&self) -> Result<()> {
        for path in list_dir(&self.dir("partial"))? {
            let name =
                path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let Some(_held) = Lock::attempt(&self.dir("locks").join(format!("blob-{name}")))?
            else {
                continue;
            };
            let age = fs::metadata(&path).and_then(|found| found.modified()).ok();
            let age = age.and_then(|then| SystemTime::now().duration_since(then).ok());
            if age.is_some_and(|age| age > PARTIAL_AGE) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Lock files are removed by who holds them, so whoever waits on one notices and makes another.
    fn remove_idle_locks(&self) -> Result<()> {
        for path in list_dir(&self.dir("locks"))? {
            if let Some(_held) = Lock::attempt(&path)? {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn discard(from: &Path, trash: &Path, needed: &BTreeSet<String>) -> Result<u64> {
    let mut count = 0;
    for path in list_dir(from)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if needed.contains(name) {
            continue;
        }
        let away = trash.join(uuid::Uuid::new_v4().to_string());
        fs::rename(&path, &away).at("removing", &path)?;
        count += 1;
    }
    Ok(count)
}
