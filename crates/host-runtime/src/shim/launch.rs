//! The last steps inside the container: seccomp, then the user and what is left of root's powers,
//! then the program.
//!
//! The order is the point. A filter may be installed by whoever may administer the system, or by
//! anybody with no-new-privileges; Docker does not set the latter (`su` and `ping` work), so the
//! filter goes in first and privileges go last.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use caps::{CapSet, Capability, CapsHashSet};
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Uid};
use oci_spec::runtime::Spec;
use seccompiler::BpfProgram;

use crate::bundle;
use crate::error::Result;
use crate::spec::ContainerSpec;
use crate::users::Identity;
use crate::{capabilities, seccomp};

use super::kernel;

#[derive(Clone)]
pub struct Launch {
    filters: Arc<Vec<BpfProgram>>,
    confined: bool,
    capabilities: Vec<Capability>,
    identity: Identity,
    init: bool,
    pause: bool,
    /// Closed by a successful exec; otherwise it says why there was none.
    report: Arc<OwnedFd>,
}

impl Launch {
    pub fn new(
        spec: &ContainerSpec,
        identity: &Identity,
        init: bool,
        report: OwnedFd,
    ) -> Result<Self> {
        let capabilities = capabilities::of(spec)?;
        let confined = bundle::confined(spec);
        let filters = if confined { seccomp::compile(&capabilities)? } else { Vec::new() };
        Ok(Self {
            filters: Arc::new(filters),
            confined,
            capabilities,
            identity: identity.clone(),
            init,
            pause: spec.pause,
            report: Arc::new(report),
        })
    }

    fn tell(&self, text: &str) {
        if let Ok(fd) = self.report.try_clone() {
            let _ = std::fs::File::from(fd).write_all(text.as_bytes());
        }
    }

    fn confine(&self) -> Result<(), String> {
        for filter in self.filters.iter() {
            kernel::install(filter).map_err(|error| format!("seccomp: {error}"))?;
        }
        // A container that should have a filter and has none must not start.
        let status = std::fs::read_to_string("/proc/thread-self/status")
            .or_else(|_| std::fs::read_to_string("/proc/self/status"))
            .map_err(|error| format!("seccomp: cannot see whether it is on: {error}"))?;
        let on = status
            .lines()
            .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"));
        if self.confined && !on {
            return Err("seccomp: no filter is installed after installing it".into());
        }
        Ok(())
    }

    fn drop_powers(&self) -> Result<(), String> {
        let keep: CapsHashSet = self.capabilities.iter().copied().collect();
        let told =
            |what: &'static str| move |error: caps::errors::CapsError| format!("{what}: {error}");
        for capability in capabilities::all() {
            if !keep.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)
                    .map_err(told("cannot drop from the bounding set"))?;
            }
        }
        let groups: Vec<Gid> = self.identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (uid, gid) = (Uid::from_raw(self.identity.uid), Gid::from_raw(self.identity.gid));
        nix::unistd::setgroups(&groups).map_err(|errno| format!("setgroups: {errno}"))?;
        nix::unistd::setresgid(gid, gid, gid).map_err(|errno| format!("setgid: {errno}"))?;
        nix::unistd::setresuid(uid, uid, uid).map_err(|errno| format!("setuid: {errno}"))?;
        if uid.is_root() {
            caps::set(None, CapSet::Effective, &keep).map_err(told("capset"))?;
            caps::set(None, CapSet::Permitted, &keep).map_err(told("capset"))?;
            caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(told("capset"))?;
        }
        Ok(())
    }

    fn go(&self, spec: &Spec) -> Result<(), String> {
        let process = spec.process().as_ref().ok_or("no process")?;
        let args = process.args().clone().unwrap_or_default();
        let env = process.env().clone().unwrap_or_default();
        self.confine()?;
        self.drop_powers()?;
        if self.pause {
            super::init::pause();
        }
        // Again, as the user who shall be there.
        std::env::set_current_dir(process.cwd())
            .map_err(|error| format!("chdir to cwd {:?}: {error}", process.cwd()))?;
        let program = find(&args[0], &env).map_err(|why| format!("exec: {:?}: {why}", args[0]))?;
        if self.init {
            super::init::become_init().map_err(|errno| format!("fork: {errno}"))?;
        }
        // What the shim blocks for itself, a program would have blocked for good.
        SigSet::empty().thread_set_mask().map_err(|errno| format!("sigmask: {errno}"))?;
        let pairs = env.iter().filter_map(|pair| pair.split_once('='));
        let error =
            Command::new(&program).arg0(&args[0]).args(&args[1..]).env_clear().envs(pairs).exec();
        Err(format!("exec {}: {}", program.display(), plain(&error)))
    }
}

/// The kernel's words without Rust's "(os error N)", in the case that runtimes use.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl Executor for Launch {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let text = self.go(spec).err().unwrap_or_default();
        self.tell(&text);
        // Behind an init this is a process of its own, which must not go on as the engine.
        std::process::exit(127)
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        if self.pause {
            return Ok(());
        }
        let process = spec.process().as_ref();
        let args = process.and_then(|p| p.args().clone()).unwrap_or_default();
        let env = process.and_then(|p| p.env().clone()).unwrap_or_default();
        let name = args.first().map_or("", String::as_str);
        match find(name, &env) {
            Ok(_) => Ok(()),
            Err(why) => {
                let text = format!("exec: {name:?}: {why}");
                self.tell(&text);
                Err(ExecutorValidationError::ArgValidationError(text))
            }
        }
    }

    fn setup_envs(
        &self,
        _: std::collections::HashMap<String, String>,
    ) -> Result<(), ExecutorSetEnvsError> {
        // The program gets its environment from `exec`, in the order given.
        Ok(())
    }
}

/// As execvp(3) looks, with the words that runc has for what it finds.
fn find(name: &str, env: &[String]) -> Result<PathBuf, String> {
    if name.contains('/') {
        return runnable(Path::new(name)).map(|()| name.into());
    }
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("");
    let mut refused = None;
    for dir in path.split(':') {
        let dir = if dir.is_empty() { "." } else { dir };
        let candidate = Path::new(dir).join(OsStr::new(name));
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(why) if why != "no such file or directory" => refused = Some(why),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| "executable file not found in $PATH".into()))
}

fn runnable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).map_err(|error| plain(&error))?;
    if meta.is_dir() {
        return Err("is a directory".into());
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err("permission denied".into());
    }
    Ok(())
}
