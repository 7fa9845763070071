//! Who uses which image. A running container holds a lease by its own id, and what is leased is
//! never removed. A lease outlives its process, as the container does; its owner gives it back, or
//! drops those of containers that are gone when it starts again.

use std::collections::BTreeMap;
use std::fs;

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::files::{self, Mode};
use crate::store::{Image, Store, list_dir};

const LONGEST_HOLDER: usize = 200;

impl Store {
    /// Finds an image and holds it for `holder`, in one step that no sweep comes between.
    /// Not synced: the power cut that would lose it ends the container as well.
    pub fn lease(&self, holder: &str, image: &str) -> Result<Image> {
        let path = self.dir("leases").join(check_holder(holder)?);
        let _lock = self.lock(Mode::Shared)?;
        let table = self.table()?;
        let found = match table.look_up(image)? {
            Some(id) => self.image(&table, id)?,
            None => None,
        };
        let found = found.ok_or_else(|| Error::NoSuchImage(image.into()))?;
        let text = found.id.to_string();
        files::write_whole(&path, &self.dir("work"), text.as_bytes(), false)?;
        self.touch(found.id)?;
        Ok(found)
    }

    /// Gives a lease back; that there is none is no error.
    pub fn release(&self, holder: &str) -> Result<()> {
        files::remove(&self.dir("leases").join(check_holder(holder)?))
    }

    /// What a holder holds.
    pub fn leased(&self, holder: &str) -> Option<Digest> {
        let path = self.dir("leases").join(check_holder(holder).ok()?);
        fs::read_to_string(path).ok()?.parse().ok()
    }

    /// All leases by holder.
    pub fn leases(&self) -> Result<BTreeMap<String, Digest>> {
        let mut all = BTreeMap::new();
        for path in list_dir(&self.dir("leases"))? {
            let Some(holder) = path.file_name().and_then(|name| name.to_str()) else { continue };
            match fs::read_to_string(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                text => {
                    let text = text.at("reading lease", &path)?;
                    // An empty file is what a power cut makes of it; its container is gone, too.
                    all.extend(text.parse().ok().map(|id| (holder.to_owned(), id)));
                }
            }
        }
        Ok(all)
    }
}

/// Holders are names of files.
fn check_holder(holder: &str) -> Result<&str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if holder.is_empty()
        || holder.len() > LONGEST_HOLDER
        || holder.starts_with('.')
        || !holder.bytes().all(good)
    {
        return Err(Error::invalid("lease", format!("{holder:?} is no name")));
    }
    Ok(holder)
}
