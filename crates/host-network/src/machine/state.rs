//! What a data directory's machine side must know across restarts: its range and who has which address. A second copy
//! lies beside the pins, for the `clean` that comes after the data directory is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::addresses::{Vpc, Zone};
use crate::error::{Error, Result};

/// The file's name, in the data directory and beside the pins.
pub(crate) const STATE: &str = "network.json";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MachineState {
    pub data_dir: PathBuf,
    pub vpc: Option<Vpc>,
    pub hosts: BTreeMap<String, HostRecord>,
    /// Links of the machine that forward since Wharf asked for it.
    #[serde(default)]
    pub forwarding: BTreeSet<String>,
}

/// A host as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    pub name: String,
    pub zone: Zone,
    pub address: Ipv4Addr,
}

impl MachineState {
    pub fn read(folder: &Path) -> Result<MachineState> {
        let path = folder.join(STATE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(MachineState::default());
            }
            Err(error) => return Err(Error::file("read", path, error)),
        };
        serde_json::from_slice(&text).map_err(|source| Error::Unreadable { path, source })
    }

    pub fn write(&self, data_dir: &Path, run: &Path) -> Result<()> {
        fs::create_dir_all(data_dir).map_err(|e| Error::file("create", data_dir, e))?;
        for folder in [data_dir, run] {
            self.write_to(folder)
                .map_err(|e| Error::file("write the network's state in", folder, e))?;
        }
        Ok(())
    }

    fn write_to(&self, folder: &Path) -> io::Result<()> {
        let aside = folder.join(format!("{STATE}.new"));
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec_pretty(self).map_err(io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(&aside, folder.join(STATE))?;
        File::open(folder)?.sync_all()
    }
}
