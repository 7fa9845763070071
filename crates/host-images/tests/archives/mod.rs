//! Archives made by hand, entry by entry, for the tests.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part; tests unwrap")]

use std::fmt::Write;

use sha2::Digest;

pub struct Archive {
    builder: tar::Builder<Vec<u8>>,
}

pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

impl Archive {
    pub fn new() -> Archive {
        Archive { builder: tar::Builder::new(Vec::new()) }
    }

    /// An entry with a name that no honest tool writes.
    pub fn raw(
        mut self,
        kind: tar::EntryType,
        path: &str,
        link: &str,
        data: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Archive {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(data.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        change(&mut header);
        header.set_cksum();
        self.builder.append(&header, data).unwrap();
        self
    }

    pub fn file(self, path: &str, data: &[u8]) -> Archive {
        self.raw(tar::EntryType::Regular, path, "", data, |_| {})
    }

    pub fn dir(self, path: &str, mode: u32) -> Archive {
        self.raw(tar::EntryType::Directory, path, "", b"", |header| header.set_mode(mode))
    }

    pub fn symlink(self, path: &str, to: &str) -> Archive {
        self.raw(tar::EntryType::Symlink, path, to, b"", |_| {})
    }

    pub fn hardlink(self, path: &str, to: &str) -> Archive {
        self.raw(tar::EntryType::Link, path, to, b"", |_| {})
    }

    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Archive {
        self.builder.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    pub fn done(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

pub fn config_of(diff_ids: &[&str]) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let ids: Vec<String> = diff_ids.iter().map(|id| format!("{id:?}")).collect();
    format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/bin/app"],"Env":null}},
        "rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    )
}

/// What `docker save` wrote before it wrote OCI layouts.
pub fn docker_archive(tags: &[&str], layers: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    let config = config_of(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let mut archive = Archive::new();
    let mut names = String::new();
    for (at, layer) in layers.iter().enumerate() {
        archive = archive.file(&format!("{at}/layer.tar"), layer);
        let comma = if at == 0 { "" } else { "," };
        write!(names, "{comma}\"{at}/layer.tar\"").unwrap();
    }
    let tags: Vec<String> = tags.iter().map(|tag| format!("{tag:?}")).collect();
    let list = format!(
        r#"[{{"Config":"config.json","RepoTags":[{}],"Layers":[{names}]}}]"#,
        tags.join(",")
    );
    archive.file("config.json", config.as_bytes()).file("manifest.json", list.as_bytes()).done()
}
