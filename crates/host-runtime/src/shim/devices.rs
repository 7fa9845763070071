//! Who may use which device, for cgroup v2: it has no files for that, a small program of the
//! kernel's own machine decides instead. The rules are those of `config.json`; runc reads them itself.

use std::fs::File;
use std::path::Path;

use serde_json::Value;

use super::kernel::{self, Instruction};
use crate::error::{Error, Result};

const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// What the program is called with lies behind r1: kind and access, major, minor.
const LOAD: u8 = 0x61;
const SHIFT_RIGHT: u8 = 0x74;
const AND: u8 = 0x54;
const COPY: u8 = 0xbc;
const SET: u8 = 0xb7;
const UNLESS: u8 = 0x56;
const EXIT: u8 = 0x95;

fn step(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, value }
}

/// Confine a group to what the rules allow. Everything may be refused by the first rule and allowed
/// by later ones; nothing else is asked of it.
pub fn confine(dir: &Path, rules: &[Value]) -> Result<()> {
    let allowed: Vec<&Value> = rules.iter().filter(|rule| rule["allow"] == true).collect();
    let everything = |rule: &&&Value| rule["type"] == "a";
    if allowed.iter().any(|rule| everything(&rule)) {
        return Ok(());
    }
    let group = File::open(dir).map_err(Error::file("cannot open", dir))?;
    kernel::confine_devices(&group, &program(&allowed)).map_err(Error::system(
        "cannot confine devices (a kernel with CONFIG_CGROUP_BPF is needed)",
    ))
}

fn program(allowed: &[&Value]) -> Vec<Instruction> {
    // r2 kind, r3 access, r4 major, r5 minor.
    let mut steps = vec![
        step(LOAD, 2, 1, 0, 0),
        step(COPY, 3, 2, 0, 0),
        step(SHIFT_RIGHT, 3, 0, 0, 16),
        step(AND, 2, 0, 0, 0xffff),
        step(LOAD, 4, 1, 4, 0),
        step(LOAD, 5, 1, 8, 0),
    ];
    for rule in allowed {
        steps.extend(one(rule));
    }
    steps.extend([step(SET, 0, 0, 0, 0), step(EXIT, 0, 0, 0, 0)]);
    steps
}

/// Allow if all of it fits, else go on behind it.
fn one(rule: &Value) -> Vec<Instruction> {
    let number = |name: &str| rule[name].as_i64().and_then(|number| i32::try_from(number).ok());
    let access = rule["access"].as_str().unwrap_or("");
    let beyond = [('m', MKNOD), ('r', READ), ('w', WRITE)]
        .iter()
        .filter(|(letter, _)| !access.contains(*letter))
        .map(|(_, bit)| bit)
        .sum();
    let kind = if rule["type"] == "b" { 1 } else { 2 };
    let mut conditions = vec![(2, kind)];
    conditions.extend(number("major").map(|major| (4, major)));
    conditions.extend(number("minor").map(|minor| (5, minor)));
    let mut steps = vec![step(COPY, 6, 3, 0, 0), step(AND, 6, 0, 0, beyond)];
    conditions.insert(0, (6, 0));
    let count = conditions.len();
    for (index, (register, value)) in conditions.into_iter().enumerate() {
        // Over the conditions that are left, and over the two steps that allow.
        let over = i16::try_from(count - index - 1 + 2).expect("five conditions at most");
        steps.push(step(UNLESS, register, 0, over, value));
    }
    steps.extend([step(SET, 0, 0, 0, 1), step(EXIT, 0, 0, 0, 0)]);
    steps
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    /// Where cgroup2 is mounted, also beside version 1.
    fn unified() -> Option<String> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        line.split(' ').nth(4).map(str::to_owned)
    }

    #[test]
    fn a_group_may_use_what_it_was_given() {
        let (true, Some(mount)) = (rustix::process::geteuid().is_root(), unified()) else {
            println!("skipped: root and cgroup2 are needed");
            return;
        };
        let dir = Path::new(&mount).join(format!("hrt-devices-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let rules = [
            json!({ "allow": false, "type": "a", "access": "rwm" }),
            json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" }),
            json!({ "allow": true, "type": "c", "major": 1, "minor": 5, "access": "r" }),
        ];
        let confined = confine(&dir, &rules);
        let tries = |script: &str| {
            let enter = format!("echo $$ > {}/cgroup.procs && {script}", dir.display());
            Command::new("/bin/sh").args(["-c", &enter]).status().unwrap().success()
        };
        let found = [
            tries("echo x > /dev/null"),
            tries("head -c1 /dev/zero > /dev/null"),
            tries("true > /dev/zero"),
            tries("head -c1 /dev/urandom > /dev/null"),
        ];
        // The last of its processes may leave a moment after it was waited for.
        while std::fs::remove_dir(&dir).is_err() {
            std::thread::yield_now();
        }
        confined.unwrap();
        assert_eq!(found, [true, true, false, false]);
    }
}
