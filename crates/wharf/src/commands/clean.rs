//! `wharf clean`: removes everything that Wharf left on this machine for a data directory, but the
//! directory itself. It works by the directory's name, and so also when nothing of it is left.
//!
//! A host with tasks leaves hundreds of things, so they are counted; `-v` names them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use host_network::{CGROUP, CleanOptions, Cleaned, Leftover, Tag, What, clean, leftovers};
use host_runtime::{Docker, reason};

use crate::data_dir::DataDirArgument;
use crate::runtime::Engine;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// List what would be removed, and remove nothing
    #[arg(long, env = "WHARF_DRY_RUN")]
    dry_run: bool,
    /// Name each thing
    #[arg(long, short, env = "WHARF_VERBOSE")]
    verbose: bool,
    /// Print JSON
    #[arg(long, env = "WHARF_JSON")]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = arguments.data_dir.resolve()?;
    let options = CleanOptions::new(dir.path());
    let engine = Engine { host: std::env::var("DOCKER_HOST").ok(), tag: Tag::of(dir.path()) };
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.dry_run {
        let mut found = threads.block_on(in_engine(&engine, false)).removed;
        found.extend(leftovers(&options)?);
        let cleaned = Cleaned { removed: found, ..Cleaned::default() };
        print(&cleaned, arguments, "would remove")?;
        return Ok(ExitCode::SUCCESS);
    }
    // A running server would make anew what is taken away under it.
    let _lock = match dir.path().exists() {
        true => Some(dir.lock()?),
        false => None,
    };
    let mut cleaned = threads.block_on(in_engine(&engine, true));
    let of_kernel = clean(&options)?;
    cleaned.removed.extend(of_kernel.removed);
    cleaned.failed.extend(of_kernel.failed);
    print(&cleaned, arguments, "removed")?;
    Ok(if cleaned.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a Docker Engine keeps of this data directory's host, if there is one; its networks and cgroups
/// are the kernel's. Everybody else's containers and images are left alone.
async fn in_engine(engine: &Engine, remove: bool) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let asked = async {
        let docker = Docker::find(engine.host.as_deref(), engine.tag.as_str()).await?;
        let Some(docker) = docker else { return Ok(()) };
        let kept = docker.kept().await?;
        let left = |kind| move |name: &String| Leftover { kind, name: name.clone() };
        let containers = kept.containers.iter().map(left(What::Container));
        let all = containers.chain(kept.images.iter().map(left(What::Image)));
        let failed = if remove { docker.remove(&kept).await } else { Vec::new() };
        cleaned.removed.extend(all.filter(|one| !failed.iter().any(|(name, _)| *name == one.name)));
        for (name, error) in failed {
            let kind = match kept.images.contains(&name) {
                true => What::Image,
                false => What::Container,
            };
            cleaned.failed.push((Leftover { kind, name }, reason(&error)));
        }
        Ok::<_, host_runtime::Error>(())
    };
    if let Err(error) = asked.await {
        eprintln!("wharf: the Docker Engine was not looked at: {}", reason(&error));
    }
    cleaned
}

fn print(cleaned: &Cleaned, arguments: &Arguments, verb: &str) -> anyhow::Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string(cleaned)?);
        return Ok(());
    }
    let mut kinds: BTreeMap<What, BTreeSet<&str>> = BTreeMap::new();
    for leftover in &cleaned.removed {
        if arguments.verbose {
            println!("{verb} {leftover}");
        }
        kinds.entry(leftover.kind).or_default().insert(counted_as(leftover));
    }
    for (kind, names) in kinds.iter().filter(|_| !arguments.verbose) {
        let ((one, more), names) = (kind.words(), names.iter().copied().collect::<Vec<_>>());
        match (kind, &names[..]) {
            (What::HostsFile | What::Forwarding, _) | (_, [_]) => {
                println!("{verb} {one} {}", names.join(", "));
            }
            _ => println!("{verb} {} {more}", names.len()),
        }
    }
    for (leftover, why) in &cleaned.failed {
        eprintln!("wharf: could not remove {leftover}: {why}");
    }
    if cleaned.removed.is_empty() && cleaned.failed.is_empty() {
        println!("nothing to remove");
    }
    Ok(())
}

/// A cgroup of version 1 is a folder in each controller's tree, and counts once.
fn counted_as(leftover: &Leftover) -> &str {
    let name = leftover.name.as_str();
    match (leftover.kind, name.strip_prefix("/sys/fs/cgroup/")) {
        (What::Cgroup, Some(path)) => {
            let controller = path.find('/').filter(|_| !path.starts_with(CGROUP));
            controller.map_or(path, |end| &path[end + 1..])
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_counts_once_whatever_the_version() {
        let counted = |name: String| counted_as(&Leftover { kind: What::Cgroup, name }).to_owned();
        let own = format!("{CGROUP}/abc/host");
        for tree in ["cpu,cpuacct/", "memory/", ""] {
            assert_eq!(counted(format!("/sys/fs/cgroup/{tree}{own}")), own);
        }
    }
}
