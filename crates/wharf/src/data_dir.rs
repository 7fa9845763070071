//! The data directory: where it is, that it is ours alone, and files in it that appear whole.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::endpoint::Endpoint;

#[derive(Clone, Debug, clap::Args)]
pub struct DataDirArgument {
    /// Where everything is kept [default: /var/lib/wharf as root, else $XDG_DATA_HOME/wharf]
    #[arg(long, env = "WHARF_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl DataDirArgument {
    pub fn resolve(&self) -> Result<DataDir> {
        match &self.data_dir {
            Some(given) => Ok(DataDir { path: given.clone(), given: true }),
            None => Ok(DataDir { path: default_path()?, given: false }),
        }
    }

    /// Name it where the user has not.
    pub fn or(&mut self, path: PathBuf) -> DataDir {
        let path = self.data_dir.get_or_insert(path).clone();
        DataDir { path, given: true }
    }
}

fn default_path() -> Result<PathBuf> {
    if crate::process::is_root() {
        return Ok("/var/lib/wharf".into());
    }
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (Some(base), _) => Ok(base.join("wharf")),
        (None, Some(home)) => Ok(home.join(".local/share/wharf")),
        (None, None) => bail!("neither XDG_DATA_HOME nor HOME is set: give --data-dir"),
    }
}

/// A data directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Whether the user named it, so that commands that we tell the user must name it too.
    given: bool,
}

/// A file that only its owner reads, wherever it is; it appears whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, bytes, 0o600)
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dir = path.parent().unwrap_or(Path::new("."));
    let fresh = dir.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Held for as long as a server runs on the directory; the kernel lets go of it when we end.
pub struct Lock {
    _file: File,
}

impl DataDir {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// ` --data-dir DIR`, where a command needs it to find this directory.
    pub fn flag(&self) -> String {
        if !self.given {
            return String::new();
        }
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        format!(" --data-dir {}", crate::process::shell_quoted(&path.to_string_lossy()))
    }

    /// Make it, readable by its owner alone: keys are in it.
    pub fn create(&self) -> Result<()> {
        let path = &self.path;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            // A directory made beforehand (a mount, a package) is closed like one of our own.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
                .with_context(|| format!("cannot close {} to other users", path.display()))?;
        }
        Ok(())
    }

    /// Take it for this process alone.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).ok();
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let at = Endpoint::read(self).ok().flatten().map(|e| e.first().to_owned());
                let at = at.map(|url| format!(" at {url}")).unwrap_or_default();
                bail!(
                    "{} is in use by another wharf server (pid {}{at}): stop it, or give another \
                     --data-dir",
                    self.path.display(),
                    pid.trim()
                )
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// A file that only its owner reads; it appears whole or not at all.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        self.write(name, bytes, 0o600)
    }

    /// A file for everyone to read: a CA certificate.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<PathBuf> {
        write_whole(&self.path.join(name), bytes, mode)?;
        Ok(self.path.join(name))
    }

    /// A file's bytes, or `None` where there is no such file.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Files whose names begin so, in order.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        Ok(names)
    }

    pub fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.path.join(name));
    }
}
