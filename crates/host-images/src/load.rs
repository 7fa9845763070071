//! Images from one archive: what `docker save` writes in any of its versions, and OCI layouts. The
//! archive may come from a pipe, so it is read once, front to back; its files become blobs.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::files;
use crate::reference::Reference;
use crate::spec::{
    Answer, Descriptor, ImageConfig, Index, LARGEST_CONFIG, LARGEST_MANIFEST, MOST_LAYERS,
    Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Platform,
};
use crate::store::{Image, Spooled, Store, Work, decompress};
use crate::table::LayerRecord;
use crate::tarstream::{Kind, TarError, TarStream};
use crate::unpack::UnpackError;

const MOST_FILES: usize = 10_000;
const LARGEST_FILE: u64 = 256 << 30;
const MOST_IMAGES: usize = 1000;
/// Indexes may hold indexes; nobody means more than this.
const DEEPEST_INDEX: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The archive's files by their cleaned names; links are followed at look-up.
struct Files {
    by_name: BTreeMap<String, Spooled>,
    links: BTreeMap<String, String>,
}

impl Store {
    /// Loads every image of an archive. `said` hears what is being done.
    pub fn load(&self, archive: impl BufRead, said: &dyn Fn(&str)) -> Result<Vec<Image>> {
        let work = self.work()?;
        let files = Files::read(&work, archive, said)?;
        let images = if let Some(list) = files.json(&work, "manifest.json")? {
            load_saved(&work, &files, &list, said)?
        } else if let Some(index) = files.json(&work, "index.json")? {
            load_layout(&work, &files, &index, said)?
        } else {
            let why = "neither manifest.json nor index.json is in it";
            return Err(Error::invalid("image archive", why));
        };
        if images.is_empty() {
            return Err(Error::invalid("image archive", "it holds no image for this machine"));
        }
        Ok(images)
    }
}

fn reading(error: TarError) -> Error {
    Error::invalid("image archive", error.to_string())
}

impl Files {
    fn read(work: &Work, archive: impl BufRead, said: &dyn Fn(&str)) -> Result<Files> {
        let broken = |e: std::io::Error| Error::invalid("image archive", e.to_string());
        let mut stream = TarStream::new(decompress(archive).map_err(broken)?);
        let mut files = Files { by_name: BTreeMap::new(), links: BTreeMap::new() };
        while let Some(entry) = stream.next().map_err(reading)? {
            let Some(name) = clean(&entry.path) else {
                let shown = String::from_utf8_lossy(&entry.path).into_owned();
                return Err(Error::Unpack(UnpackError::Outside(shown)));
            };
            if files.by_name.len() + files.links.len() >= MOST_FILES {
                return Err(Error::invalid(
                    "image archive",
                    format!("more than {MOST_FILES} files"),
                ));
            }
            match entry.kind {
                Kind::File => {
                    said(&format!("reading {name}"));
                    let spooled = work.spool(&mut stream, LARGEST_FILE)?;
                    files.by_name.insert(name, spooled);
                }
                // Old archives hold a shared layer once, and links to it.
                Kind::Symlink => {
                    let beside = name.rsplit_once('/').map_or("", |(dir, _)| dir);
                    let target = [beside.as_bytes(), b"/", &entry.link].concat();
                    files.links.extend(clean(&target).map(|target| (name, target)));
                }
                Kind::Hardlink => {
                    files.links.extend(clean(&entry.link).map(|target| (name, target)));
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn find(&self, name: &str) -> Result<&Spooled> {
        let mut at = clean(name.as_bytes()).unwrap_or_default();
        for _ in 0..8 {
            match (self.by_name.get(&at), self.links.get(&at)) {
                (Some(found), _) => return Ok(found),
                (None, Some(next)) => at = next.clone(),
                (None, None) => break,
            }
        }
        Err(Error::invalid("image archive", format!("{name:?} is missing in it")))
    }

    /// The bytes of a small file, wherever it is by now.
    fn bytes(&self, work: &Work, name: &str, limit: u64) -> Result<Vec<u8>> {
        let spooled = self.find(name)?;
        let bytes = match files::read_limited(&spooled.path, limit)? {
            None => files::read_limited(&work.store.blob(spooled.digest), limit)?,
            bytes => bytes,
        };
        bytes.ok_or_else(|| Error::invalid("image archive", format!("{name:?} is gone")))
    }

    fn json(&self, work: &Work, name: &str) -> Result<Option<Vec<u8>>> {
        match self.find(name) {
            Ok(_) => self.bytes(work, name, LARGEST_MANIFEST).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Keeps a file as a blob; the second image that shares it finds it kept.
    fn keep(&self, work: &Work, name: &str) -> Result<(Digest, u64)> {
        let spooled = self.find(name)?;
        if spooled.path.exists() {
            work.keep(spooled)?;
        }
        Ok((spooled.digest, spooled.size))
    }
}

/// A path within the archive, `None` if it leads out.
fn clean(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn load_saved(work: &Work, files: &Files, list: &[u8], said: &dyn Fn(&str)) -> Result<Vec<Image>> {
    let bad = |why: String| Error::invalid("manifest.json", why);
    let saved: Vec<SavedImage> = serde_json::from_slice(list).map_err(|e| bad(e.to_string()))?;
    if saved.len() > MOST_IMAGES {
        return Err(bad(format!("more than {MOST_IMAGES} images")));
    }
    let mut images = Vec::new();
    for image in saved {
        let mut names = Vec::new();
        for tag in image.repo_tags.iter().flatten() {
            names.push(tag.parse::<Reference>()?.to_string());
        }
        let bytes = files.bytes(work, &image.config, LARGEST_CONFIG)?;
        let config = ImageConfig::read(&bytes)?;
        if config.rootfs.diff_ids.len() != image.layers.len() {
            return Err(bad(format!(
                "{} layers, but {} in the configuration",
                image.layers.len(),
                config.rootfs.diff_ids.len()
            )));
        }
        let mut blobs = Vec::new();
        for name in &image.layers {
            blobs.push(files.keep(work, name)?);
        }
        said(&format!("unpacking {}", names.first().unwrap_or(&image.config)));
        images.push(assemble(work, &bytes, &blobs, &names)?);
    }
    Ok(images)
}

/// Makes an image of a configuration and its layers' blobs, under a manifest of our own.
pub(crate) fn assemble(
    work: &Work,
    config_bytes: &[u8],
    blobs: &[(Digest, u64)],
    names: &[String],
) -> Result<Image> {
    let config = ImageConfig::read(config_bytes)?;
    let mut layers = Vec::new();
    let mut descriptors = Vec::new();
    for ((blob, blob_size), diff_id) in blobs.iter().zip(&config.rootfs.diff_ids) {
        let size = work.unpack(*blob, *diff_id, &|| false)?;
        layers.push(LayerRecord { diff_id: *diff_id, blob: *blob, blob_size: *blob_size, size });
        let media = if blob == diff_id { OCI_LAYER.into() } else { format!("{OCI_LAYER}+gzip") };
        descriptors.push(descriptor(media, *blob, *blob_size));
    }
    let id = work.put(config_bytes)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.into(),
        config: descriptor(OCI_CONFIG.into(), id, config_bytes.len() as u64),
        layers: descriptors,
    };
    let manifest = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    let manifest = work.put(&manifest)?;
    work.publish(id, manifest, layers, names)
}

fn descriptor(media_type: String, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
}

fn load_layout(
    work: &Work,
    files: &Files,
    index: &[u8],
    said: &dyn Fn(&str),
) -> Result<Vec<Image>> {
    let bad = |e: serde_json::Error| Error::invalid("index.json", e.to_string());
    let index: Index = serde_json::from_slice(index).map_err(bad)?;
    if index.manifests.len() > MOST_IMAGES {
        return Err(Error::invalid("index.json", format!("more than {MOST_IMAGES} images")));
    }
    let mut images = Vec::new();
    for entry in &index.manifests {
        let here = Platform::here();
        if entry.platform.as_ref().is_some_and(|p| !p.os.is_empty() && here.suits(p).is_none()) {
            continue;
        }
        // containerd writes the whole name, and the tag alone into OCI's own annotation.
        let annotation = |key: &str| entry.annotations.get(key);
        let name = annotation("io.containerd.image.name")
            .or(annotation("org.opencontainers.image.ref.name"))
            .and_then(|name| name.parse::<Reference>().ok());
        let names: Vec<String> = name.iter().map(Reference::to_string).collect();
        let Some(manifest) = layout_manifest(work, files, entry, DEEPEST_INDEX)? else { continue };
        said(&format!("unpacking {}", names.first().unwrap_or(&manifest.0.digest.to_string())));
        images.push(layout_image(work, files, &manifest, &names)?);
    }
    Ok(images)
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn layout_manifest(
    work: &Work,
    files: &Files,
    entry: &Descriptor,
    depth: usize,
) -> Result<Option<(Descriptor, Manifest, Vec<u8>)>> {
    if depth == 0 {
        return Err(Error::invalid("index", "nested too deeply"));
    }
    check_named(files, entry.digest)?;
    let bytes = files.bytes(work, &blob_name(entry.digest), LARGEST_MANIFEST)?;
    match Answer::read(&bytes)? {
        Answer::Manifest(manifest) => Ok(Some((entry.clone(), manifest, bytes))),
        Answer::Index(index) => match index.choose(&Platform::here()) {
            Some(chosen) => layout_manifest(work, files, chosen, depth - 1),
            None => Ok(None),
        },
    }
}

/// A layout's file is what its name says, or the archive lies.
fn check_named(files: &Files, digest: Digest) -> Result<()> {
    let actual = files.find(&blob_name(digest))?.digest;
    if actual == digest {
        return Ok(());
    }
    Err(Error::Digest { what: "a blob of the archive", expected: digest, actual })
}

fn layout_image(
    work: &Work,
    files: &Files,
    (entry, manifest, bytes): &(Descriptor, Manifest, Vec<u8>),
    names: &[String],
) -> Result<Image> {
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        check_named(files, blob.digest)?;
    }
    let config_name = blob_name(manifest.config.digest);
    let config_bytes = files.bytes(work, &config_name, LARGEST_CONFIG)?;
    let config = ImageConfig::read(&config_bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() || diff_ids.len() > MOST_LAYERS {
        let why =
            format!("{} layers, {} in the configuration", manifest.layers.len(), diff_ids.len());
        return Err(Error::invalid("manifest", why));
    }
    let mut layers = Vec::new();
    for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
        let (blob, blob_size) = files.keep(work, &blob_name(layer.digest))?;
        let size = work.unpack(blob, *diff_id, &|| false)?;
        layers.push(LayerRecord { diff_id: *diff_id, blob, blob_size, size });
    }
    let id = work.put(&config_bytes)?;
    work.put(bytes)?;
    work.publish(id, entry.digest, layers, names)
}

impl Store {
    /// Loads from a file or, without one, from what `from` gives.
    pub fn load_file(&self, path: &std::path::Path, said: &dyn Fn(&str)) -> Result<Vec<Image>> {
        let file = std::fs::File::open(path);
        let file = crate::error::At::at(file, "opening", path)?;
        self.load(std::io::BufReader::with_capacity(128 << 10, file), said)
    }
}
