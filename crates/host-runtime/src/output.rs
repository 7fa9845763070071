//! A container's output for whoever has the folder of its log files: in these files, or with a Docker
//! Engine, where a note in the folder says with which. Nothing is kept twice, and no agent is asked.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::logs::Follower;
use crate::{LogReader, LogsFrom, Runtime};

/// Who keeps the output, and by which name.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub socket: PathBuf,
    pub container: String,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("engine.json")
}

impl Kept {
    /// Say so in the folder.
    pub fn note(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(Error::file("cannot make", dir))?;
        let path = file(dir);
        let text = serde_json::to_vec(self).map_err(|error| Error::Create(error.to_string()))?;
        fs::write(&path, text).map_err(Error::file("cannot write", &path))
    }

    fn of(dir: &Path) -> Result<Option<Kept>> {
        let path = file(dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("cannot read", &path)(error)),
        };
        let parsed = serde_json::from_slice(&bytes).map_err(std::io::Error::from);
        parsed.map(Some).map_err(Error::file("cannot understand", &path))
    }
}

/// The output that a folder of [`crate::LogFiles`] is for, whether or not its container still runs.
pub async fn output(dir: PathBuf, from: LogsFrom) -> Result<Box<dyn LogReader>> {
    let Some(kept) = Kept::of(&dir)? else { return Ok(Box::new(Follower::open(dir, from)?)) };
    // Whose container it is matters to lists alone.
    let engine = Docker::at(&kept.socket, "").await?;
    engine.logs(&kept.container, from).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_who_keeps_its_output() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Kept::of(dir.path()).unwrap(), None);
        let kept = Kept { socket: "/run/d.sock".into(), container: "t-0".into() };
        kept.note(dir.path()).unwrap();
        assert_eq!(Kept::of(dir.path()).unwrap(), Some(kept));
        fs::write(file(dir.path()), "{").unwrap();
        let said = crate::reason(&Kept::of(dir.path()).unwrap_err());
        assert!(said.starts_with("cannot understand /"), "{said}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let gone = Kept { socket: dir.path().join("none"), container: "t-0".into() };
        gone.note(dir.path()).unwrap();
        let asked = runtime.block_on(output(dir.path().to_owned(), LogsFrom::default()));
        assert!(matches!(asked.err(), Some(Error::Away(_))));
    }
}
