//! The small file beside each pin: what the agent must know of a task's network after a kill -9. Both lie in memory
//! and go with a reboot, as the network itself does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Attachment;
use crate::error::{Error, Result};

pub fn pin(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.net"))
}

fn file(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// Written aside and renamed, so that it is there whole or not at all.
pub fn write(folder: &Path, task: &Attachment) -> Result<()> {
    let path = file(folder, &task.id);
    let aside = folder.join(format!("{}.new", task.id));
    let text = serde_json::to_vec(task).expect("an attachment has no map with odd keys");
    fs::write(&aside, text).map_err(|e| Error::file("write", &aside, e))?;
    fs::rename(&aside, &path).map_err(|e| Error::file("write", &path, e))
}

pub fn remove(folder: &Path, id: &str) -> Result<()> {
    let path = file(folder, id);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let error = |e| Error::file("read the folder", folder, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        names.extend(entry.map_err(error)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

pub fn read_all(folder: &Path) -> Result<Vec<Attachment>> {
    let mut tasks = Vec::new();
    for name in names(folder)?.iter().filter(|name| name.ends_with(".json")) {
        let path = folder.join(name);
        let text = fs::read(&path).map_err(|e| Error::file("read", &path, e))?;
        tasks.push(
            serde_json::from_slice(&text).map_err(|source| Error::Unreadable { path, source })?,
        );
    }
    Ok(tasks)
}

/// Pins without a task.
pub fn strays(folder: &Path, tasks: &BTreeMap<String, Attachment>) -> Result<Vec<String>> {
    let all = names(folder)?;
    let ids = all.iter().filter_map(|name| name.strip_suffix(".net"));
    Ok(ids.filter(|id| !tasks.contains_key(*id)).map(str::to_owned).collect())
}
