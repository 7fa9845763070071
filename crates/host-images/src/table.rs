//! Which images there are and what they are called: one small file, replaced whole under the
//! store's lock. An image is known by its configuration's digest, as in Docker.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::files;

const FORMAT: u32 = 1;
const LARGEST_TABLE: u64 = 256 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    format: u32,
    pub images: BTreeMap<Digest, Record>,
    /// Full names with a tag or a digest, and the image that each means.
    pub references: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub manifest: Digest,
    pub layers: Vec<LayerRecord>,
    /// When it came into this store, RFC 3339.
    pub added: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub diff_id: Digest,
    /// The archive as it came, usually compressed.
    pub blob: Digest,
    pub blob_size: u64,
    /// Bytes of the unpacked files.
    pub size: u64,
}

impl Table {
    pub fn load(path: &Path) -> Result<Table> {
        let Some(bytes) = files::read_limited(path, LARGEST_TABLE)? else {
            return Ok(Table {
                format: FORMAT,
                images: BTreeMap::new(),
                references: BTreeMap::new(),
            });
        };
        let why = |e: serde_json::Error| {
            Error::invalid("image table", format!("{}: {e}", path.display()))
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format: found } = serde_json::from_slice(&bytes).map_err(why)?;
        if found > FORMAT {
            return Err(Error::Newer { path: path.to_owned(), found });
        }
        serde_json::from_slice(&bytes).map_err(why)
    }

    pub fn save(&self, path: &Path, beside: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).expect("a table of strings and numbers is JSON");
        files::write_whole(path, beside, &bytes, true)
    }

    pub fn names_of(&self, id: Digest) -> Vec<String> {
        let own = self.references.iter().filter(|(_, meant)| **meant == id);
        own.map(|(name, _)| name.clone()).collect()
    }

    /// By full name, id, or the beginning of an id: Docker's order.
    pub fn look_up(&self, text: &str) -> Result<Option<Digest>> {
        if let Ok(id) = text.parse::<Digest>() {
            return Ok(self.images.contains_key(&id).then_some(id));
        }
        if let Ok(reference) = text.parse::<crate::Reference>()
            && let Some(id) = self.by_reference(&reference).or_else(|| self.by_manifest(&reference))
        {
            return Ok(Some(id));
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits.is_empty() || digits.len() > 64 || !is_hex {
            return Ok(None);
        }
        let mut found = self.images.keys().filter(|id| id.hex().starts_with(digits));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::Ambiguous(text.into())),
            (found, _) => Ok(found.copied()),
        }
    }

    /// What was loaded or built here stands under no repository's digest, and may have lost its tag
    /// to another; its content is what a digest asks for.
    fn by_manifest(&self, reference: &crate::Reference) -> Option<Digest> {
        let wanted = reference.digest()?;
        let mut all = self.images.iter().filter(|(_, record)| record.manifest == wanted);
        all.next().map(|(id, _)| *id)
    }

    /// A digest is a stronger claim than the tag beside it.
    pub fn by_reference(&self, reference: &crate::Reference) -> Option<Digest> {
        let name = match reference.digest() {
            Some(digest) => reference.pinned(digest).to_string(),
            None => reference.to_string(),
        };
        self.references.get(&name).copied()
    }
}
