//! Tests inside a small virtual machine whose kernel has cgroup v2 and nothing else: what most
//! users' machines are, and a build machine with cgroup v1 cannot show.
//!
//! The guest is Debian's cloud kernel with a file system of ours in memory: busybox, the test
//! programs (at the paths they were built at, with the libraries that they name) and the kernel's
//! modules. Its init runs the programs one by one and tells their end on the serial line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run this crate's tests in the guest, and nothing else
    #[arg(long, short)]
    package: Option<String>,
    /// Of the crate, this test program alone
    #[arg(long, requires = "package")]
    test: Option<String>,
    /// MiB of memory of the guest
    #[arg(long, default_value_t = 4096)]
    memory: u32,
    /// Passed on to each test program
    #[arg(last = true, requires = "package")]
    filters: Vec<String>,
}

/// What runs in the guest.
struct Run {
    package: String,
    /// All of the crate's, without.
    test: Option<String>,
    filters: Vec<String>,
}

impl Arguments {
    /// What was asked for, or else all that depends on the version of cgroups: the runtimes, and hosts
    /// whose tasks live, are limited, measured, taken over and cleaned away.
    fn runs(&self) -> Vec<Run> {
        let run = |package: &str, test: Option<&str>, filters: &[&str]| Run {
            package: package.to_owned(),
            test: test.map(str::to_owned),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        };
        match &self.package {
            Some(package) => vec![Run {
                package: package.clone(),
                test: self.test.clone(),
                filters: self.filters.clone(),
            }],
            None => vec![run("host-runtime", None, &[]), run("wharf", Some("hosts"), HOSTS)],
        }
    }
}

/// Tests of whole hosts, by the beginnings of their names.
const HOSTS: &[&str] = &[
    "agents::",
    "cleaning::",
    "exec::",
    "fields::",
    "inside::",
    "life::",
    "metadata::",
    "rollouts::",
];
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "/bin/busybox";
const EMULATOR: &str = "qemu-system-x86_64";
/// Programs that tests start and busybox does not have as they need them.
const TOOLS: &[&str] = &["ip", "nsenter", "setsid", "tar", "unshare"];
/// Runtimes that tests go without where a machine lacks them.
const RUNTIMES: &[&str] =
    &["runc", "dockerd", "containerd", "containerd-shim-runc-v2", "docker-init"];
/// The line that ends a run; its number is how many programs failed.
const END: &str = "WHARF-GUEST-END";
/// Directories of modules that containers and their networks need.
const MODULES: &[&str] = &["kernel/net", "kernel/fs/overlayfs", "kernel/lib", "kernel/drivers/net"];

pub fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    if let Some(why) = impossible() {
        println!("skipped: {why}");
        return Ok(());
    }
    let work = root.join("target/guest");
    fs::create_dir_all(&work)?;
    let kernel = kernel(&work)?;
    let programs = programs(root, &arguments.runs())?;
    let image = image(&work, &kernel, &programs)?;
    boot(&kernel, &image, arguments.memory)
}

/// Why there can be no guest here, in one line.
fn impossible() -> Option<&'static str> {
    let there = |program: &str| {
        let mut tried = Command::new(program);
        tried.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok()
    };
    if !there(EMULATOR) || !there("apt-get") || !Path::new(BUSYBOX).exists() {
        return Some("it needs apt-get and Debian's qemu-system-x86 and busybox-static");
    }
    None
}

struct Kernel {
    image: PathBuf,
    modules: PathBuf,
    version: String,
}

/// Debian's kernel, unpacked and not installed.
fn kernel(work: &Path) -> Result<Kernel> {
    let unpacked = work.join("kernel");
    if !unpacked.join("boot").exists() {
        let depends = output(Command::new("apt-cache").args(["depends", KERNEL]))?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package = package.with_context(|| format!("apt knows no {KERNEL}"))?;
        let status = Command::new("apt-get")
            .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(work)
            .status()?;
        ensure!(status.success(), "apt-get download {package} failed");
        let archive =
            first(work, |name| name.starts_with("linux-image") && name.ends_with(".deb"))?;
        let draft = work.join("kernel.new");
        let _ = fs::remove_dir_all(&draft);
        let status = Command::new("dpkg").arg("-x").arg(archive).arg(&draft).status()?;
        ensure!(status.success(), "dpkg cannot unpack the kernel");
        fs::rename(draft, &unpacked)?;
    }
    let image = first(&unpacked.join("boot"), |name| name.starts_with("vmlinuz"))?;
    let modules = first(&unpacked.join("lib/modules"), |_| true)?;
    let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Kernel { image, modules, version })
}

fn first(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!("nothing of that name in {}", directory.display())
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.stderr(Stdio::inherit()).output()?;
    ensure!(done.status.success(), "{command:?} failed");
    Ok(String::from_utf8(done.stdout)?)
}

/// What is built for the guest.
#[derive(Default)]
struct Programs {
    /// With what is passed on to each.
    tests: Vec<(PathBuf, Vec<String>)>,
    /// Programs that tests start.
    others: Vec<PathBuf>,
}

/// The programs that this machine's tests run, as they are.
fn programs(root: &Path, runs: &[Run]) -> Result<Programs> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--no-run", "--locked"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root);
    let messages = output(&mut command)?;
    let mut programs = Programs::default();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else { continue };
        // `path+file:///…/crates/wharf#0.1.0`, `path+file:///…/wharf#wharf@0.1.0`
        let package = message["package_id"].as_str().unwrap_or_default();
        let package = package.rsplit('/').next().and_then(|last| last.split('#').next());
        let target = message["target"]["name"].as_str();
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        let wanted = runs.iter().find(|run| {
            package == Some(&*run.package) && (run.test.is_none() || run.test.as_deref() == target)
        });
        match wanted {
            Some(run) if is_test => programs.tests.push((path, run.filters.clone())),
            _ if !is_test => programs.others.push(path),
            _ => {}
        }
    }
    ensure!(!programs.tests.is_empty(), "there are no tests to run");
    Ok(programs)
}

/// The guest's file system as one archive.
fn image(work: &Path, kernel: &Kernel, programs: &Programs) -> Result<PathBuf> {
    let tree = work.join("tree");
    let _ = fs::remove_dir_all(&tree);
    for directory in ["bin", "proc", "sys", "dev", "tmp", "run", "new", "etc", "root", "var"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    fs::copy(BUSYBOX, tree.join("bin/busybox"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    let tests = programs.tests.iter().map(|(test, _)| test);
    for program in tests.chain(&programs.others) {
        put(program, program, &tree)?;
    }
    for tool in TOOLS.iter().chain(RUNTIMES) {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output()?;
        match std::str::from_utf8(&found.stdout)?.trim() {
            "" if RUNTIMES.contains(tool) => println!("the guest goes without {tool}"),
            path => put(Path::new(path), &Path::new("/bin").join(tool), &tree)?,
        }
    }
    let modules = tree.join("lib/modules").join(&kernel.version);
    for part in MODULES {
        let to = modules.join(part);
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        let from = kernel.modules.join(part);
        let status = Command::new("cp").arg("-a").arg(from).arg(&to).status()?;
        ensure!(status.success(), "the kernel's modules cannot be copied");
    }
    for list in ["modules.builtin", "modules.order"] {
        let _ = fs::copy(kernel.modules.join(list), modules.join(list));
    }
    let depmod = ["depmod", "-b"];
    let status = Command::new(BUSYBOX).args(depmod).arg(&tree).arg(&kernel.version).status()?;
    ensure!(status.success(), "depmod failed");
    write_program(&tree.join("init"), &first_init())?;
    write_program(&tree.join("second"), &second_init(programs))?;
    let archive = work.join("initramfs.gz");
    let pack = format!(
        "cd '{}' && {BUSYBOX} find . | {BUSYBOX} cpio -o -H newc 2>/dev/null | {BUSYBOX} gzip -1 > '{}'",
        tree.display(),
        archive.display()
    );
    let status = Command::new("sh").args(["-c", &pack]).status()?;
    ensure!(status.success(), "the guest's file system cannot be packed");
    Ok(archive)
}

/// A program at a path of the guest's, without what only debuggers read, and its libraries.
fn put(program: &Path, at: &Path, tree: &Path) -> Result<()> {
    let to = inside(at, tree)?;
    let mut strip = Command::new("strip");
    let status = strip.arg("--strip-debug").arg("-o").arg(&to).arg(program).status()?;
    ensure!(status.success(), "{} cannot be stripped", program.display());
    // `libc.so.6 => /lib/…/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`
    // A static program has none, which `ldd` tells as a failure.
    let libraries = Command::new("ldd").arg(program).stderr(Stdio::null()).output()?.stdout;
    let libraries = String::from_utf8(libraries)?;
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = inside(Path::new(library), tree)?;
        if !to.exists() {
            fs::copy(library, to)?;
        }
    }
    Ok(())
}

/// Where a path of the guest's is, with the directories above it made.
fn inside(path: &Path, tree: &Path) -> Result<PathBuf> {
    let to = tree.join(path.strip_prefix("/").unwrap_or(path));
    fs::create_dir_all(to.parent().context("a file lies somewhere")?)?;
    Ok(to)
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The kernel's first root cannot be pivoted away, which containers do: everything moves to another.
fn first_init() -> String {
    "#!/bin/busybox sh\n\
     /bin/busybox --install -s /bin\n\
     export PATH=/bin\n\
     mount -t tmpfs -o size=80% tmpfs /new\n\
     for part in /*; do case $part in\n\
         /new|/init) ;;\n\
         *) cp -a $part /new/ ;;\n\
     esac; done\n\
     exec switch_root /new /second\n"
        .to_owned()
}

fn second_init(programs: &Programs) -> String {
    let run = |(test, filters): &(PathBuf, Vec<String>)| {
        let test = test.display();
        let filters: String = filters.iter().map(|filter| format!(" '{filter}'")).collect();
        format!("echo '── {test}'; '{test}' --test-threads=2{filters} || failed=$((failed + 1))\n")
    };
    let runs: String = programs.tests.iter().map(run).collect();
    format!(
        "#!/bin/busybox sh\n\
         export PATH=/bin HOME=/root WHARF_GUEST=1 RUST_BACKTRACE=1\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sysfs /sys\n\
         mount -t devtmpfs dev /dev\n\
         echo /bin/modprobe > /proc/sys/kernel/modprobe\n\
         mkdir -p /dev/pts /dev/shm\n\
         mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts\n\
         mount -t tmpfs shm /dev/shm\n\
         mount -t tmpfs run /run\n\
         mount -t tmpfs tmp /tmp\n\
         mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
         mkdir /sys/fs/cgroup/init\n\
         echo 1 > /sys/fs/cgroup/init/cgroup.procs\n\
         for controller in cpu cpuset memory pids io; do\n\
             echo +$controller > /sys/fs/cgroup/cgroup.subtree_control\n\
         done\n\
         for module in overlay veth bridge nf_tables nft_chain_nat nft_masq nft_redir nft_ct \\\n\
             nft_fib_inet nft_reject_inet br_netfilter dummy; do modprobe $module 2>/dev/null; done\n\
         ip link set lo up\n\
         hostname guest\n\
         failed=0\n\
         {runs}\
         echo '{END}' $failed\n\
         poweroff -f\n"
    )
}

fn boot(kernel: &Kernel, image: &Path, memory: u32) -> Result<()> {
    println!("── a guest with {} and cgroup v2", kernel.version);
    let mut guest = Command::new(EMULATOR)
        // Emulated: a machine that is a guest itself may offer KVM and then hang in it.
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
        .args(["-nographic", "-no-reboot"])
        .args(["-nodefaults", "-serial", "stdio", "-m", &format!("{memory}M")])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image)
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the guest")?;
    let lines = guest.stdout.take().context("the guest's serial line is piped")?;
    let mut failed = None;
    for line in std::io::BufRead::lines(std::io::BufReader::new(lines)) {
        let line = line?;
        let line = line.trim_end();
        match line.strip_prefix(END) {
            Some(number) => failed = number.trim().parse::<u32>().ok(),
            None => println!("{line}"),
        }
    }
    guest.wait()?;
    match failed {
        Some(0) => Ok(()),
        Some(number) => bail!("{number} test programs failed in the guest"),
        None => bail!("the guest ended without a word"),
    }
}
