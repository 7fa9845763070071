//! The process that a container belongs to: single-threaded, in a session and cgroup of its own. It
//! makes the container, holds its output, waits for its end and writes that down.
//!
//! libcontainer clones and goes on with ordinary code in the child, which is sound only in a process
//! of one thread; that alone would call for a process per container.

mod devices;
mod engine;
mod exec;
mod init;
mod kernel;
mod launch;
mod mounts;
mod output;
mod rest;
mod serve;

pub(crate) use serve::short_path;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::bundle::{self, Flavour, Looked};
use crate::cgroups::Group;
use crate::error::{Error, Result};
use crate::inroot::Root;
use crate::record::{self, Answer, Dir, Process, ShimRecord};
use crate::spec::{ContainerSpec, Namespace};
use crate::users;
use engine::Engine;

/// What the agent says when it starts a shim.
pub(crate) struct Arguments {
    dir: Dir,
    engine: Engine,
    /// The cgroup of shims; empty: stay.
    group: String,
    /// The name of an `exec`, where this is one.
    exec: Option<String>,
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let mut arguments = Arguments {
        dir: Dir(PathBuf::new()),
        engine: Engine::Embedded,
        group: String::new(),
        exec: None,
    };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.to_str()? {
            "--dir" => arguments.dir = Dir(value.into()),
            "--runc" => arguments.engine = Engine::Runc(value.into()),
            "--group" => arguments.group = value.into_string().ok()?,
            "--exec" => arguments.exec = Some(value.into_string().ok()?),
            _ => return None,
        }
    }
    arguments.dir.0.is_absolute().then_some(arguments)
}

/// The entry of the re-executed binary; `words` are those behind its name.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(arguments) = parse(words) else {
        eprintln!("a container's shim is started by an agent, not by hand");
        return ExitCode::from(2);
    };
    keep_errors(&arguments.dir);
    let done = match &arguments.exec {
        Some(name) => exec::run(&arguments, name),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            answer(&Answer::failed(&error));
            ExitCode::FAILURE
        }
    }
}

/// What libraries complain about goes to a file in the container's folder: standard error is the
/// container's by the time that most of it is said.
fn keep_errors(dir: &Dir) {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(dir.messages());
    if let Ok(file) = file {
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::ERROR)
            .with_ansi(false)
            .with_writer(std::sync::Arc::new(file))
            .try_init();
    }
}

/// One line to the agent that waits; it may be gone.
fn answer(answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let mut out = std::io::stdout();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let dir = &arguments.dir;
    // Before anything else, so that whoever deletes a half-made container finds this process; and
    // the specification is read after it, so that a deleted one is not made.
    let shim = Process::of(std::process::id()).unwrap_or_default();
    let mut record = ShimRecord { shim, created_at: record::now(), ..Default::default() };
    record::write(&dir.shim(), &record)?;
    let spec: ContainerSpec =
        record::read(&dir.spec())?.ok_or_else(|| Error::NotFound(dir.0.display().to_string()))?;
    rustix::process::setsid().map_err(|e| Error::system("setsid")(e.into()))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| Error::system("become a subreaper")(e.into()))?;
    if !arguments.group.is_empty() {
        let group = Group::new(&arguments.group)?;
        group.create()?;
        group.add(std::process::id())?;
    }
    record.cgroup = spec.cgroup.clone().unwrap_or_default();
    let group = Group::new(&record.cgroup)?;
    record::write(&dir.shim(), &record)?;
    let mut watched = serve::Watched::begin(dir, &spec)?;
    let made = make(arguments, &spec, &group, &mut watched);
    let pid = match made {
        Ok(pid) => pid,
        Err(error) => {
            let _ = group.kill().and_then(|()| group.remove());
            return Err(error);
        }
    };
    record.container = Process::of(pid);
    record::write(&dir.shim(), &record)?;
    answer(&Answer::Ready { pid });
    watched.serve(arguments, &spec, record, &group)
}

/// Mounts, limits, document; then the engine makes the container, which waits for its start.
fn make(
    arguments: &Arguments,
    spec: &ContainerSpec,
    group: &Group,
    watched: &mut serve::Watched,
) -> Result<u32> {
    let dir = &arguments.dir;
    let rootfs = mounts::prepare(dir, spec)?;
    let root = Root::open(&rootfs).map_err(Error::file("cannot open", &rootfs))?;
    let identity = users::resolve_in(&root, spec.process.user.as_deref(), &[])?;
    if let Some(cwd) = &spec.process.cwd {
        if !cwd.starts_with('/') {
            return Err(Error::Create(format!(
                "the working directory '{cwd}' is invalid, it needs to be an absolute path"
            )));
        }
        root.make_dirs(cwd.as_ref()).map_err(Error::file("cannot make", cwd.as_ref()))?;
    }
    let others = others(dir, spec)?;
    let shared_shm = match &spec.namespaces.ipc {
        Namespace::Container(id) => Some(mounts::share_shm(dir, others[id])?),
        _ => None,
    };
    let flavour = arguments.engine.flavour();
    let init_program = match (spec.init, flavour) {
        (true, Flavour::Runc) => Some(init::program()?),
        _ => None,
    };
    group.create()?;
    group.limit(&spec.resources)?;
    let looked = Looked {
        rootfs,
        identity,
        cgroup: record_path(spec),
        own_cgroup: group.unified().is_some(),
        others,
        shared_shm,
        init_program,
    };
    let config = bundle::config(spec, &looked, flavour)?;
    if let (Flavour::Embedded, Some(unified)) = (flavour, group.unified()) {
        let rules = config["linux"]["resources"]["devices"].as_array();
        devices::confine(&unified, rules.map_or(&[], Vec::as_slice))?;
    }
    let path = dir.bundle();
    std::fs::create_dir_all(&path).map_err(Error::file("cannot make", &path))?;
    record::write(&path.join("config.json"), &config)?;
    arguments.engine.create(dir, spec, &looked.identity, watched.stdio()?)
}

fn record_path(spec: &ContainerSpec) -> String {
    spec.cgroup.clone().unwrap_or_default()
}

/// First processes of the containers whose namespaces this one shares.
fn others(dir: &Dir, spec: &ContainerSpec) -> Result<BTreeMap<String, u32>> {
    let all = &spec.namespaces;
    let mut found = BTreeMap::new();
    for wanted in [&all.network, &all.pid, &all.ipc, &all.uts] {
        let Namespace::Container(id) = wanted else { continue };
        crate::check_id(id)?;
        let theirs = Dir(dir.0.with_file_name(id));
        let record: Option<ShimRecord> = record::read(&theirs.shim())?;
        let process = record.and_then(|record| record.container).filter(Process::alive);
        let process = process.ok_or_else(|| {
            Error::Start(format!("cannot join namespaces of a non running container: {id}"))
        })?;
        found.insert(id.clone(), process.pid);
    }
    Ok(found)
}
