//! `wharf image`: the images of this machine's hosts. It works on the store in the data directory
//! itself, which running hosts share, so it needs no server.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use host_images::spec::Platform;
use host_images::{
    Credentials, Image, Progress, PullOptions, Recipe, Reference, Registry, Settings, Store,
};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::misuse;
use crate::data_dir::DataDirArgument;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    shared: Shared,
}

#[derive(clap::Args)]
struct Shared {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON", global = true)]
    json: bool,
    /// Show no progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum What {
    /// Load images from an archive: what `docker save` writes, or an OCI layout; also compressed
    Load {
        /// The archive; - is the standard input
        archive: PathBuf,
        /// Name the loaded image so (the archive must hold just one)
        #[arg(short, long)]
        tag: Option<String>,
    },
    /// Make an image of a root file system's archive
    Import {
        /// The archive; - is the standard input
        archive: PathBuf,
        /// What to call the image
        name: String,
        /// TOML with the same members as for `build`
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Make an image of a folder and a small configuration
    ///
    /// The configuration is TOML: from (an image that is here), copy = [{from, to}] (without it the
    /// whole folder becomes /), entrypoint, cmd, env, workdir, user, expose, volumes, labels,
    /// healthcheck = {command, interval, timeout, start_period, retries}, stop_signal, created.
    Build {
        /// The folder
        folder: PathBuf,
        /// What to call the image
        #[arg(short, long)]
        tag: String,
        /// The configuration [default: wharf-image.toml beside or in the folder, if there is one]
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// List the images
    Ls,
    /// Remove images, by name or id
    Rm {
        #[arg(required = true)]
        images: Vec<String>,
        /// Also if an image has several names
        #[arg(short, long)]
        force: bool,
    },
    /// Pull an image from its registry
    Pull {
        image: String,
        /// os/architecture[/variant] [default: this machine's]
        #[arg(long)]
        platform: Option<String>,
        /// NAME; the password is read from the standard input [default: from Docker's configuration]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Registries that need no TLS (loopback never does)
        #[arg(long, value_name = "HOST[:PORT]")]
        insecure_registry: Vec<String>,
        /// A certificate to trust besides the system's
        #[arg(long, value_name = "FILE")]
        ca: Vec<PathBuf>,
        /// Seconds that the registry may be silent
        #[arg(long, default_value_t = 60)]
        patience: u64,
    },
    /// Tell all about images
    Inspect {
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Write images into an archive that Docker and OCI tools load
    Save {
        #[arg(required = true)]
        images: Vec<String>,
        /// The archive; - is the standard output
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Give an image a further name
    Tag { image: String, name: String },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    carry_out(arguments).map_err(|error| {
        // The store's errors tell their causes themselves.
        let own = |cause: &(dyn std::error::Error + 'static)| cause.is::<host_images::Error>();
        let Some(at) = error.chain().position(own) else { return error };
        let texts: Vec<String> = error.chain().take(at + 1).map(ToString::to_string).collect();
        anyhow::Error::msg(texts.join(": "))
    })
}

fn carry_out(arguments: &Arguments) -> Result<ExitCode> {
    let shared = &arguments.shared;
    let dir = shared.data_dir.resolve()?;
    let store = Store::open(dir.path().join("images")).context("cannot open the image store")?;
    match &arguments.what {
        What::Load { archive, tag } => load(&store, shared, archive, tag.as_deref()),
        What::Import { archive, name, config } => {
            let name = reference(name)?;
            let recipe = config.as_deref().map_or(Ok(Recipe::default()), recipe)?;
            let archive = open(archive)?;
            let image =
                busy(shared, |said| Ok(store.import(archive, &recipe, Some(&name), said)?))?;
            told(shared, "imported", &[image])
        }
        What::Build { folder, tag, config } => {
            let name = reference(tag)?;
            let recipe = find_recipe(folder, config.as_deref())?;
            let image =
                busy(shared, |said| Ok(store.build(folder, &recipe, Some(&name), said)?))?;
            told(shared, "built", &[image])
        }
        What::Ls => list(&store, shared),
        What::Rm { images, force } => remove(&store, shared, images, *force),
        What::Pull { image, platform, user, insecure_registry, ca, patience } => {
            let settings = Settings {
                insecure: insecure_registry.iter().cloned().collect::<BTreeSet<_>>(),
                authorities: ca.clone(),
                patience: Duration::from_secs((*patience).max(1)),
                ..Settings::default()
            };
            pull(&store, shared, image, platform.as_deref(), user.as_deref(), settings)
        }
        What::Inspect { images } => inspect(&store, images),
        What::Save { images, output } => save(&store, shared, images, output),
        What::Tag { image, name } => {
            store.tag(image, &reference(name)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn reference(text: &str) -> Result<Reference> {
    match text.parse::<Reference>() {
        Ok(name) => Ok(name),
        Err(error) => misuse(format!("{text:?}: {error}")),
    }
}

fn open(path: &Path) -> Result<Box<dyn io::BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(128 << 10, file)))
}

fn recipe(path: &Path) -> Result<Recipe> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Recipe::read(&text).with_context(|| path.display().to_string())
}

/// A configuration inside of the folder is only meant if parts are copied: it would be in the image.
fn find_recipe(folder: &Path, named: Option<&Path>) -> Result<Recipe> {
    if let Some(named) = named {
        return recipe(named);
    }
    let beside = folder.parent().map(|parent| parent.join("wharf-image.toml"));
    let places = [Some(folder.join("wharf-image.toml")), beside];
    match places.into_iter().flatten().find(|place| place.is_file()) {
        Some(found) => recipe(&found),
        None => Ok(Recipe::default()),
    }
}

/// Shows what is being done while something takes its time.
fn busy<T>(shared: &Shared, work: impl FnOnce(&dyn Fn(&str)) -> Result<T>) -> Result<T> {
    if shared.quiet || shared.json || !io::stderr().is_terminal() {
        return work(&|_| {});
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work(&|what| bar.set_message(what.to_owned()));
    bar.finish_and_clear();
    done
}

fn names(image: &Image) -> Vec<String> {
    let names = image.references.iter().filter_map(|name| name.parse::<Reference>().ok());
    names.filter(|name| name.digest().is_none()).map(|name| name.familiar()).collect()
}

fn told(shared: &Shared, what: &str, images: &[Image]) -> Result<ExitCode> {
    if shared.json {
        println!("{}", Value::Array(images.iter().map(summary).collect()));
        return Ok(ExitCode::SUCCESS);
    }
    for image in images {
        let names = names(image);
        let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
        println!("{what} {names} ({})", image.id);
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(image: &Image) -> Value {
    json!({
        "id": image.id,
        "names": names(image),
        "digests": image.references.iter().filter(|n| n.contains('@')).collect::<Vec<_>>(),
        "platform": image.platform().to_string(),
        "size": image.size,
        "created": image.config.created,
        "added": image.added.to_string(),
        "lastUsed": image.last_used.to_string(),
    })
}

fn load(store: &Store, shared: &Shared, archive: &Path, tag: Option<&str>) -> Result<ExitCode> {
    let name = tag.map(reference).transpose()?;
    let shown = archive.display().to_string();
    let archive = open(archive)?;
    let mut images = busy(shared, |said| {
        store.load(archive, said).with_context(|| format!("cannot load {shown}"))
    })?;
    if let Some(name) = name {
        if images.len() != 1 {
            return misuse(format!("{} images were loaded: --tag is for one", images.len()));
        }
        let id = images[0].id.to_string();
        store.tag(&id, &name)?;
        images = store.find(&id)?.into_iter().collect();
    }
    told(shared, "loaded", &images)
}

fn list(store: &Store, shared: &Shared) -> Result<ExitCode> {
    let images = store.list()?;
    if shared.json {
        return told(shared, "", &images);
    }
    let mut rows = vec![["IMAGE", "ID", "ADDED", "SIZE"].map(str::to_owned)];
    for image in &images {
        let mut names = names(image);
        if names.is_empty() {
            names.push("<none>".into());
        }
        for name in names {
            let added = image.added.strftime("%Y-%m-%d %H:%M").to_string();
            rows.push([name, image.id.short(), added, HumanBytes(image.size).to_string()]);
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (name, id, added) = (width(0), width(1), width(2));
    for row in &rows {
        println!("{:name$}  {:id$}  {:added$}  {}", row[0], row[1], row[2], row[3]);
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(store: &Store, shared: &Shared, images: &[String], force: bool) -> Result<ExitCode> {
    let mut all = Vec::new();
    let mut failed = None;
    for image in images {
        match store.remove(image, force) {
            Ok(removed) => all.push(removed),
            Err(error) if failed.is_none() => failed = Some(error),
            Err(error) => eprintln!("wharf: {error}"),
        }
    }
    if shared.json {
        let told = |r: &host_images::Removed| json!({"untagged": r.untagged, "deleted": r.deleted});
        println!("{}", Value::Array(all.iter().map(told).collect()));
    } else {
        for removed in &all {
            removed.untagged.iter().for_each(|name| println!("untagged {name}"));
            removed.deleted.iter().for_each(|id| println!("deleted {id}"));
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn platform(text: Option<&str>) -> Result<Platform> {
    let Some(text) = text else { return Ok(Platform::here()) };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [os, architecture, rest @ ..] if rest.len() < 2 && !parts.contains(&"") => Ok(Platform {
            os: (*os).into(),
            architecture: (*architecture).into(),
            variant: rest.first().map(|variant| (*variant).into()),
        }),
        _ => misuse(format!("{text:?} is no platform: os/architecture[/variant]")),
    }
}

fn credentials(image: &Reference, user: Option<&str>) -> Result<Option<Credentials>> {
    if let Some(user) = user {
        let mut password = String::new();
        io::stdin()
            .take(1 << 16)
            .read_to_string(&mut password)
            .context("cannot read the password")?;
        return Ok(Some(Credentials::password(user, password.trim_end_matches(['\r', '\n']))));
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    Credentials::from_docker_config(&bytes, image.registry())
        .with_context(|| path.display().to_string())
}

fn pull(
    store: &Store,
    shared: &Shared,
    image: &str,
    wanted: Option<&str>,
    user: Option<&str>,
    settings: Settings,
) -> Result<ExitCode> {
    let image = reference(image)?;
    let options = PullOptions {
        platform: platform(wanted)?,
        credentials: credentials(&image, user)?,
        ..PullOptions::default()
    };
    let registry = Arc::new(Registry::new(settings)?);
    let quiet = shared.quiet || shared.json || !io::stderr().is_terminal();
    let shown = Arc::new(Shown::new(quiet));
    let listener = shown.clone();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let pulled = runtime.block_on(async {
        let pulling = store.pull(&registry, &image, &options, Arc::new(move |p| listener.tell(p)));
        tokio::select! {
            pulled = pulling => pulled,
            // What was downloaded stays, and the next pull goes on from there.
            _ = tokio::signal::ctrl_c() => Err(host_images::Error::Cancelled),
        }
    });
    shown.clear();
    told(shared, "pulled", &[pulled?])
}

/// One line a layer.
struct Shown {
    bars: MultiProgress,
    layers: Mutex<std::collections::BTreeMap<host_images::Digest, ProgressBar>>,
    quiet: bool,
}

impl Shown {
    fn new(quiet: bool) -> Shown {
        Shown { bars: MultiProgress::new(), layers: Mutex::default(), quiet }
    }

    fn clear(&self) {
        let _ = self.bars.clear();
    }

    fn tell(&self, progress: Progress) {
        if self.quiet {
            return;
        }
        let mut layers = self.layers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let say = |layer: &host_images::Digest, what: &str| {
            if let Some(bar) = layers.get(layer) {
                bar.set_message(what.to_owned());
            }
        };
        match progress {
            Progress::Resolved { layers: all, .. } => {
                let style = ProgressStyle::with_template(
                    "{prefix} {bar:30} {bytes:>10}/{total_bytes:10} {wide_msg}",
                );
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                for (layer, size) in all {
                    let bar = self.bars.add(ProgressBar::new(size).with_style(style.clone()));
                    bar.set_prefix(layer.short());
                    bar.set_message("waiting");
                    layers.insert(layer, bar);
                }
            }
            Progress::Exists { layer } => say(&layer, "already here"),
            Progress::Downloading { layer, done } => {
                say(&layer, "downloading");
                if let Some(bar) = layers.get(&layer) {
                    bar.set_position(done);
                }
            }
            Progress::Retrying { layer, why } => say(&layer, &format!("trying again: {why}")),
            Progress::Unpacking { layer } => say(&layer, "unpacking"),
            Progress::Done { layer } => {
                if let Some(bar) = layers.get(&layer) {
                    bar.set_position(bar.length().unwrap_or(0));
                    bar.finish_with_message("done");
                }
            }
        }
    }
}

fn inspect(store: &Store, images: &[String]) -> Result<ExitCode> {
    let mut all = Vec::new();
    for name in images {
        let image = store.find(name)?;
        let image = image.ok_or_else(|| host_images::Error::NoSuchImage(name.clone()))?;
        let mut told = summary(&image);
        told["manifest"] = json!(image.manifest);
        told["config"] = json!(image.config);
        told["layers"] = json!(image.layers);
        all.push(told);
    }
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(ExitCode::SUCCESS)
}

fn save(store: &Store, shared: &Shared, images: &[String], output: &Path) -> Result<ExitCode> {
    if output.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return misuse("an archive is not for a terminal: give --output FILE");
        }
        store.save_images(images, io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Whoever looks sees no archive or a whole one.
    let mut partial = output.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let written = busy(shared, |said| {
        said("writing");
        let file = fs::File::create(&partial)?;
        store.save_images(images, BufWriter::new(file))?;
        Ok(fs::rename(&partial, output)?)
    });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| format!("cannot write {}", output.display()))?;
    Ok(ExitCode::SUCCESS)
}
