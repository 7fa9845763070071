//! Images to an archive: an OCI layout with Docker's `manifest.json` beside it, as `docker save`
//! writes since version 25, so that both kinds of tools load it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::spec::{Descriptor, Index, OCI_INDEX, OCI_MANIFEST};
use crate::store::{Image, Store};

struct Saver<W: Write> {
    builder: Builder<W>,
    written: BTreeSet<Digest>,
}

impl Store {
    /// Writes images, by name or id. A name that was asked for is the name that is saved.
    pub fn save_images(&self, images: &[String], to: impl Write) -> Result<()> {
        let named = images.iter().map(|name| (name.as_str(), None));
        self.write_archive(named, to)
    }

    /// Writes one image, under another name than those that it has.
    pub fn save_as(&self, image: &str, name: &crate::Reference, to: impl Write) -> Result<()> {
        self.write_archive([(image, Some(name))], to)
    }

    fn write_archive<'a>(
        &self,
        images: impl IntoIterator<Item = (&'a str, Option<&'a crate::Reference>)>,
        to: impl Write,
    ) -> Result<()> {
        let work = self.work()?;
        let mut saver = Saver { builder: Builder::new(to), written: BTreeSet::new() };
        let (mut index, mut list) = (Vec::new(), Vec::new());
        saver.dir("blobs/")?;
        saver.dir("blobs/sha256/")?;
        for (name, other) in images {
            let unknown = || Error::NoSuchImage(name.to_owned());
            let image = self.find(name)?.ok_or_else(unknown)?;
            let table = self.table()?;
            let record = table.images.get(&image.id);
            let record = record.ok_or_else(unknown)?;
            work.pin(image.id)?;
            work.pin(record.manifest)?;
            let mut layers = Vec::new();
            for layer in &record.layers {
                work.pin(layer.blob)?;
                layers.push(blob_name(layer.blob));
            }
            saver.blob(self, image.id)?;
            saver.blob(self, record.manifest)?;
            for layer in &record.layers {
                saver.blob(self, layer.blob)?;
            }
            let tags = match other {
                Some(other) => vec![other.clone()],
                None => tags_of(&image, name),
            };
            let (manifest, bytes) = self.manifest(record.manifest)?;
            let media_type = match manifest.media_type.as_str() {
                "" => OCI_MANIFEST.to_owned(),
                other => other.to_owned(),
            };
            let entry = Descriptor {
                media_type,
                digest: record.manifest,
                size: bytes.len() as u64,
                platform: Some(image.platform()),
                annotations: BTreeMap::new(),
            };
            index.extend(entries(&entry, &tags));
            list.push(json!({
                "Config": blob_name(image.id),
                "RepoTags": tags.iter().map(crate::Reference::familiar).collect::<Vec<_>>(),
                "Layers": layers,
            }));
        }
        let index = Index { schema_version: 2, media_type: OCI_INDEX.into(), manifests: index };
        saver.json("index.json", &json!(index))?;
        saver.json("manifest.json", &Value::Array(list))?;
        saver.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        let mut to = saver.builder.into_inner().at("writing", "the archive")?;
        to.flush().at("writing", "the archive")
    }
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn tags_of(image: &Image, asked: &str) -> Vec<crate::Reference> {
    let parse = |name: &String| name.parse::<crate::Reference>().ok();
    let mut tags: Vec<_> = image.references.iter().filter_map(parse).collect();
    tags.retain(|tag| tag.digest().is_none());
    if let Ok(asked) = asked.parse::<crate::Reference>()
        && tags.contains(&asked)
    {
        tags = vec![asked];
    }
    tags
}

/// One entry a name; an image without one is still in the index.
fn entries(entry: &Descriptor, tags: &[crate::Reference]) -> Vec<Descriptor> {
    let named = tags.iter().map(|tag| {
        let annotations = BTreeMap::from([
            ("io.containerd.image.name".to_owned(), tag.to_string()),
            (
                "org.opencontainers.image.ref.name".to_owned(),
                tag.tag().unwrap_or_default().to_owned(),
            ),
        ]);
        Descriptor { annotations, ..entry.clone() }
    });
    let named: Vec<Descriptor> = named.collect();
    if named.is_empty() { vec![entry.clone()] } else { named }
}

impl<W: Write> Saver<W> {
    fn dir(&mut self, name: &str) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        self.builder.append_data(&mut header, name, std::io::empty()).at("writing", name)
    }

    fn blob(&mut self, store: &Store, digest: Digest) -> Result<()> {
        if !self.written.insert(digest) {
            return Ok(());
        }
        let path = store.blob(digest);
        let file = File::open(&path).at("opening", &path)?;
        let size = file.metadata().at("looking at", &path)?.len();
        self.file(&blob_name(digest), file, size)
    }

    fn json(&mut self, name: &str, value: &Value) -> Result<()> {
        let bytes = value.to_string();
        self.file(name, bytes.as_bytes(), bytes.len() as u64)
    }

    fn file(&mut self, name: &str, data: impl Read, size: u64) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size);
        self.builder.append_data(&mut header, name, data).at("writing", name)
    }
}
