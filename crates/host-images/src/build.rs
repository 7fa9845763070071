//! An image from a folder and a few lines of TOML, so that a machine without any builder can make
//! one. The same folder and lines make the same image, bit for bit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufWriter};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::digest::{Digest, Hashing};
use crate::error::{At, Error, Result};
use crate::load::assemble;
use crate::pack::{Look, Packer};
use crate::reference::Reference;
use crate::spec::{
    Empty, Healthcheck, History, ImageConfig, LARGEST_CONFIG, Platform, RootFs, RunConfig,
};
use crate::store::{Image, Spooled, Store, Work, decompress};

/// The configuration of a build: `wharf-image.toml`. What is not said comes from the base image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// An image of the store to build upon; without it, upon nothing.
    #[serde(default)]
    pub from: Option<String>,
    /// What to copy, in order. Without any, the whole folder becomes `/`.
    #[serde(default)]
    pub copy: Vec<Copy>,
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub workdir: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    /// Ports, `80` or `"53/udp"`.
    #[serde(default)]
    pub expose: Vec<Port>,
    #[serde(default)]
    pub volumes: Vec<String>,
    #[serde(default)]
    pub healthcheck: Option<HealthRecipe>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// When the image says it was made: seconds since 1970.
    #[serde(default)]
    pub created: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Relative to the folder, and within it.
    pub from: PathBuf,
    /// Where it goes; a final `/` puts it into that directory.
    pub to: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Port {
    Number(u16),
    Text(String),
}

/// Times are seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRecipe {
    pub command: Vec<String>,
    #[serde(default)]
    pub interval: Option<u32>,
    #[serde(default)]
    pub timeout: Option<u32>,
    #[serde(default)]
    pub start_period: Option<u32>,
    #[serde(default)]
    pub retries: Option<u32>,
}

impl Recipe {
    pub fn read(text: &str) -> Result<Recipe> {
        toml::from_str(text).map_err(|e| Error::invalid("build configuration", e.to_string()))
    }
}

impl Store {
    /// Builds an image of a folder and gives it a name.
    pub fn build(
        &self,
        folder: &Path,
        recipe: &Recipe,
        name: Option<&Reference>,
        said: &dyn Fn(&str),
    ) -> Result<Image> {
        let work = self.work()?;
        let created = recipe.created.unwrap_or(0);
        let (mut config, mut blobs) = self.base(&work, recipe)?;
        said("packing");
        let mtime = u64::try_from(created).map_err(|_| Error::invalid("created", "before 1970"))?;
        let layer = pack(&work, folder, recipe, mtime)?;
        work.keep(&layer)?;
        blobs.push((layer.digest, layer.size));
        config.rootfs.diff_ids.push(layer.digest);
        recipe.apply(&mut config)?;
        let created = Timestamp::from_second(created)
            .map_err(|e| Error::invalid("created", e.to_string()))?
            .to_string();
        config.created = Some(created.clone());
        config.history.push(History {
            created: Some(created),
            created_by: Some("wharf image build".into()),
            ..History::default()
        });
        said("unpacking");
        finish(&work, &config, &blobs, name)
    }

    fn base(&self, work: &Work, recipe: &Recipe) -> Result<(ImageConfig, Vec<(Digest, u64)>)> {
        let Some(from) = &recipe.from else { return Ok((empty(), Vec::new())) };
        let base = self.find(from)?.ok_or_else(|| Error::NoSuchImage(from.clone()))?;
        work.pin(base.id)?;
        let table = self.table()?;
        let record = table.images.get(&base.id).ok_or_else(|| Error::NoSuchImage(from.clone()))?;
        let mut blobs = Vec::new();
        for layer in &record.layers {
            work.pin(layer.blob)?;
            work.pin(layer.diff_id)?;
            blobs.push((layer.blob, layer.blob_size));
        }
        Ok((base.config, blobs))
    }

    /// An image of one layer: a root file system's archive, as `docker import` takes it.
    pub fn import(
        &self,
        archive: impl BufRead,
        recipe: &Recipe,
        name: Option<&Reference>,
        said: &dyn Fn(&str),
    ) -> Result<Image> {
        let work = self.work()?;
        let broken = |e: std::io::Error| Error::invalid("archive", e.to_string());
        said("reading");
        // Unpacked on the way in: then the layer's name does not depend on a compressor.
        let layer = work.spool(&mut decompress(archive).map_err(broken)?, u64::MAX - 1)?;
        work.keep(&layer)?;
        let mut config = empty();
        config.rootfs.diff_ids.push(layer.digest);
        recipe.apply(&mut config)?;
        said("unpacking");
        finish(&work, &config, &[(layer.digest, layer.size)], name)
    }
}

fn empty() -> ImageConfig {
    let Platform { os, architecture, variant } = Platform::here();
    let rootfs = RootFs { kind: "layers".into(), diff_ids: Vec::new() };
    ImageConfig { os, architecture, variant, rootfs, ..ImageConfig::default() }
}

fn finish(
    work: &Work,
    config: &ImageConfig,
    blobs: &[(Digest, u64)],
    name: Option<&Reference>,
) -> Result<Image> {
    let bytes = serde_json::to_vec(config).expect("a configuration is JSON");
    if bytes.len() as u64 > LARGEST_CONFIG {
        return Err(Error::invalid("image configuration", "too large"));
    }
    let names: Vec<String> = name.iter().map(ToString::to_string).collect();
    assemble(work, &bytes, blobs, &names)
}

fn pack(work: &Work, folder: &Path, recipe: &Recipe, mtime: u64) -> Result<Spooled> {
    let path = work.path("build");
    let file = File::create_new(&path).at("creating", &path)?;
    let look = Look { mtime: Some(mtime), owner: Some((0, 0)) };
    let mut packer = Packer::new(Hashing::new(BufWriter::new(file)), look);
    if recipe.copy.is_empty() {
        packer.add(folder, Path::new("/"))?;
    }
    let root = fs::canonicalize(folder).at("opening", folder)?;
    for Copy { from, to } in &recipe.copy {
        let source = folder.join(from);
        let real = fs::canonicalize(&source).at("opening", &source)?;
        if !real.starts_with(&root) {
            let why = format!("{} is outside of {}", from.display(), folder.display());
            return Err(Error::invalid("copy", why));
        }
        let mut target = PathBuf::from(to);
        if to.ends_with('/') && real.is_file() {
            target.push(from.file_name().unwrap_or_default());
        }
        packer.add(&real, &target)?;
    }
    let written = packer.finish().at("writing", &path)?;
    let (buffered, digest, size) = written.finish();
    buffered.into_inner().map_err(|e| e.into_error()).at("writing", &path)?;
    Ok(Spooled { path, digest, size })
}

impl Recipe {
    fn apply(&self, config: &mut ImageConfig) -> Result<()> {
        let run: &mut RunConfig = &mut config.config;
        if let Some(entrypoint) = &self.entrypoint {
            run.entrypoint.clone_from(entrypoint);
            // Docker: a new entrypoint does not take the base's arguments.
            run.cmd.clear();
        }
        if let Some(cmd) = &self.cmd {
            run.cmd.clone_from(cmd);
        }
        for (key, value) in &self.env {
            if key.is_empty() || key.contains('=') {
                return Err(Error::invalid("env", format!("{key:?} is no variable's name")));
            }
            let start = format!("{key}=");
            run.env.retain(|pair| !pair.starts_with(&start));
            run.env.push(format!("{key}={value}"));
        }
        let set = |to: &mut String, from: &Option<String>| {
            if let Some(from) = from {
                to.clone_from(from);
            }
        };
        set(&mut run.working_dir, &self.workdir);
        set(&mut run.user, &self.user);
        set(&mut run.stop_signal, &self.stop_signal);
        for port in &self.expose {
            run.exposed_ports.insert(port.read()?, Empty {});
        }
        run.volumes.extend(self.volumes.iter().map(|path| (path.clone(), Empty {})));
        run.labels.extend(self.labels.clone());
        if let Some(health) = &self.healthcheck {
            run.healthcheck = Some(health.read()?);
        }
        Ok(())
    }
}

impl Port {
    fn read(&self) -> Result<String> {
        let text = match self {
            Port::Number(number) => format!("{number}/tcp"),
            Port::Text(text) if text.contains('/') => text.clone(),
            Port::Text(text) => format!("{text}/tcp"),
        };
        let good = text.split_once('/').is_some_and(|(number, protocol)| {
            number.parse::<u16>().is_ok_and(|n| n > 0) && matches!(protocol, "tcp" | "udp" | "sctp")
        });
        if good { Ok(text) } else { Err(Error::invalid("expose", format!("{text:?} is no port"))) }
    }
}

impl HealthRecipe {
    fn read(&self) -> Result<Healthcheck> {
        let first = self.command.first().map(String::as_str);
        if !matches!(first, Some("CMD" | "CMD-SHELL" | "NONE")) {
            let why = "the command starts with CMD, CMD-SHELL or NONE";
            return Err(Error::invalid("healthcheck", why));
        }
        let nanoseconds = |seconds: Option<u32>| seconds.map(|s| i64::from(s) * 1_000_000_000);
        Ok(Healthcheck {
            test: self.command.clone(),
            interval: nanoseconds(self.interval),
            timeout: nanoseconds(self.timeout),
            start_period: nanoseconds(self.start_period),
            retries: self.retries.map(i64::from),
        })
    }
}
