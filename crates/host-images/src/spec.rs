//! Manifests, indexes and image configurations, as Docker's schema 2 and OCI write them. Read
//! leniently (Docker writes `null` for what is empty), within limits; the bytes that a digest names
//! are always kept as they came. Own types, because Docker's `Healthcheck`, `Shell` and `OnBuild`
//! have no place in OCI's.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};

pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// What registries bound manifests to, by the distribution specification's advice.
pub const LARGEST_MANIFEST: u64 = 4 << 20;
pub const LARGEST_CONFIG: u64 = 8 << 20;
/// overlayfs stacks up to 500 directories; Docker stops at 125 and nobody has missed more.
pub const MOST_LAYERS: usize = 400;
const MOST_MANIFESTS: usize = 1000;

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// What this machine runs.
    pub fn here() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        let variant = (architecture == "arm64").then(|| "v8".to_owned());
        Platform { os: "linux".into(), architecture: architecture.into(), variant }
    }

    /// How well `other` runs here: `None` is not at all, and more is better. An unnamed variant of
    /// arm64 is v8, and an amd64 image may ask for no microarchitecture beyond the base.
    pub fn suits(&self, other: &Platform) -> Option<u8> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        let plain = |p: &Platform| match (p.architecture.as_str(), p.variant.as_deref()) {
            (_, None | Some("")) | ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            (_, Some(variant)) => Some(variant.to_owned()),
        };
        match (plain(self), plain(other)) {
            (a, b) if a == b => Some(2),
            (Some(_), None) => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

/// What a registry answers when asked for a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default, deserialize_with = "or_default")]
    schema_version: u32,
    #[serde(default, deserialize_with = "or_default")]
    media_type: String,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Answer {
    /// Which of the two it is, its own members say; a Content-Type header may lie.
    pub fn read(bytes: &[u8]) -> Result<Answer> {
        let bad = |why: String| Error::invalid("manifest", why);
        if bytes.len() as u64 > LARGEST_MANIFEST {
            return Err(bad(format!("larger than {LARGEST_MANIFEST} bytes")));
        }
        let shape: Shape = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if shape.schema_version != 2 || shape.media_type.starts_with(DOCKER_SCHEMA_1) {
            return Err(bad(format!(
                "schema version {} is not supported, only 2",
                shape.schema_version
            )));
        }
        match (shape.manifests.is_some(), shape.config.is_some()) {
            (true, true) => Err(bad("both an index and a manifest".into())),
            (false, false) => Err(bad("neither an index nor a manifest".into())),
            (true, false) => {
                let index: Index = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
                if index.manifests.len() > MOST_MANIFESTS {
                    return Err(bad(format!("more than {MOST_MANIFESTS} manifests")));
                }
                Ok(Answer::Index(index))
            }
            (false, true) => {
                let manifest: Manifest =
                    serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
                if manifest.layers.len() > MOST_LAYERS {
                    return Err(bad(format!("more than {MOST_LAYERS} layers")));
                }
                if manifest.config.size > LARGEST_CONFIG {
                    return Err(bad(format!("a configuration of {} bytes", manifest.config.size)));
                }
                Ok(Answer::Manifest(manifest))
            }
        }
    }
}

impl Index {
    /// The best for a platform; an entry that names none (or an attestation) is no candidate,
    /// unless it is the only one.
    pub fn choose(&self, platform: &Platform) -> Option<&Descriptor> {
        if let [only] = self.manifests.as_slice()
            && only.platform.as_ref().is_none_or(|p| p.os.is_empty())
        {
            return Some(only);
        }
        let mut best: Option<(u8, &Descriptor)> = None;
        for candidate in &self.manifests {
            let Some(suits) = candidate.platform.as_ref().and_then(|p| platform.suits(p)) else {
                continue;
            };
            // The first of equals, as containerd takes them.
            if best.is_none_or(|(most, _)| suits > most) {
                best = Some((suits, candidate));
            }
        }
        best.map(|(_, descriptor)| descriptor)
    }
}

/// An image's configuration: what a container of it runs, and its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub config: RunConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub os: String,
    pub rootfs: RootFs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_layer: Option<bool>,
}

/// What a container definition does not say, the image's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Docker's health check; times are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

impl ImageConfig {
    pub fn read(bytes: &[u8]) -> Result<ImageConfig> {
        let bad = |why: String| Error::invalid("image configuration", why);
        if bytes.len() as u64 > LARGEST_CONFIG {
            return Err(bad(format!("larger than {LARGEST_CONFIG} bytes")));
        }
        let config: ImageConfig = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if config.rootfs.diff_ids.len() > MOST_LAYERS {
            return Err(bad(format!("more than {MOST_LAYERS} layers")));
        }
        Ok(config)
    }

    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(architecture: &str, variant: Option<&str>) -> Descriptor {
        let platform = Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(str::to_owned),
        };
        let digest = Digest::of(format!("{platform}").as_bytes());
        Descriptor {
            media_type: OCI_MANIFEST.into(),
            digest,
            size: 1,
            platform: Some(platform),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn the_platform_chooses() {
        let all = [
            entry("unknown", None),
            entry("amd64", Some("v3")),
            entry("amd64", None),
            entry("arm64", Some("v8")),
        ];
        let index =
            Index { schema_version: 2, media_type: OCI_INDEX.into(), manifests: all.to_vec() };
        let at = |os: &str, architecture: &str, variant: Option<&str>| {
            let platform = Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.map(str::to_owned),
            };
            index.choose(&platform).map(|d| d.digest)
        };
        assert_eq!(at("linux", "amd64", None), Some(all[2].digest));
        assert_eq!(at("linux", "amd64", Some("v3")), Some(all[1].digest));
        assert_eq!(at("linux", "arm64", None), Some(all[3].digest));
        assert_eq!(at("linux", "arm64", Some("v8")), Some(all[3].digest));
        assert_eq!(at("linux", "s390x", None), None);
        assert_eq!(at("windows", "amd64", None), None);
    }

    #[test]
    fn nulls_are_nothing() {
        let text = br#"{"architecture":"amd64","os":"linux","history":null,
            "config":{"Env":null,"Cmd":["sh"],"Entrypoint":null,"Volumes":null,"Labels":null,
            "ExposedPorts":{"80/tcp":{}},"Healthcheck":{"Test":["CMD","true"],"Interval":5}},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = ImageConfig::read(text).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.exposed_ports.contains_key("80/tcp"));
        assert_eq!(config.config.healthcheck.unwrap().interval, Some(5));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion":1}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"manifests":[],"config":{}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha256:../../etc","size":1}}"#,
        ] {
            assert!(Answer::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Answer::read(&bytes).is_ok();
            let _ = ImageConfig::read(&bytes).is_ok();
        }

        #[test]
        fn a_bent_manifest_is_read_or_refused(at in 0usize..400, with in any::<u8>()) {
            let manifest = Manifest {
                schema_version: 2,
                media_type: OCI_MANIFEST.into(),
                config: entry("amd64", None),
                layers: vec![entry("a", None), entry("b", Some("c"))],
            };
            let mut bytes = serde_json::to_vec(&manifest).unwrap();
            prop_assert_eq!(Answer::read(&bytes).unwrap(), Answer::Manifest(manifest));
            let at = at % bytes.len();
            bytes[at] = with;
            let _ = Answer::read(&bytes).is_ok();
        }
    }
}
