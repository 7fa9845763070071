//! The image: this program, which can serve a page, and the libraries that it was started with.
//! Nothing has to be pulled or installed for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use host_images::{Recipe, Reference, Store};

pub const IMAGE: &str = "wharf-demo";
/// Where dynamic loaders are, by the name that programs ask for.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/// Into the store of the hosts.
pub fn make(data_dir: &Path) -> Result<()> {
    let root = data_dir.join("demo");
    let made = build(data_dir, &root);
    let _ = std::fs::remove_dir_all(&root);
    made
}

fn build(data_dir: &Path, root: &Path) -> Result<()> {
    copy(Path::new("/proc/self/exe"), &root.join("wharf"))?;
    for library in libraries()? {
        copy(&library, &root.join(library.strip_prefix("/")?))?;
    }
    let store = Store::open(data_dir.join("images")).context("cannot open the image store")?;
    let command = ["/wharf", "demo-page"].map(str::to_owned);
    let recipe = Recipe { entrypoint: Some(command.to_vec()), ..Recipe::default() };
    let name: Reference = IMAGE.parse()?;
    store.build(root, &recipe, Some(&name), &|_| {})?;
    Ok(())
}

/// What this process has mapped beside itself; none where it is linked statically.
fn libraries() -> Result<BTreeSet<PathBuf>> {
    let maps = std::fs::read_to_string("/proc/self/maps").context("cannot read /proc/self/maps")?;
    let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut all: BTreeSet<PathBuf> =
        files.filter(|path| path.contains(".so")).map(PathBuf::from).collect();
    if !all.is_empty() {
        all.extend(LOADERS.iter().map(PathBuf::from).filter(|path| path.exists()));
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
