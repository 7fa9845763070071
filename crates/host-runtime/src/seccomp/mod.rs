//! Docker's default seccomp profile, twice: compiled for the kernel (the embedded runtime installs
//! it right before the program starts) and as the OCI document (for runc).

mod table;

use std::collections::BTreeMap;

use caps::Capability;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::error::{Error, Result};
use table::{BY_CAPABILITY, CLONE_NAMESPACES, COMMON, Call, LEGACY, PERSONALITIES};

/// The first number that no kernel of the table's day had; calls from here on answer ENOSYS, so
/// that a newer libc falls back instead of believing that it is forbidden.
const UNKNOWN_FROM: i64 = 463;
const UNKNOWN_TO: i64 = 520;

fn allowed(capabilities: &[Capability]) -> Vec<Call> {
    let mut calls: Vec<Call> = COMMON.iter().chain(LEGACY).copied().collect();
    for (capability, more) in BY_CAPABILITY {
        if capabilities.contains(capability) {
            calls.extend_from_slice(more);
        }
    }
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// The programs to install, in this order; the kernel takes the strictest answer of all.
pub fn compile(capabilities: &[Capability]) -> Result<Vec<BpfProgram>> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::Start(format!("seccomp: cannot {what} the default profile: {error}"))
    };
    let arch = std::env::consts::ARCH.try_into().map_err(|e| failed("compile", &e))?;
    let rules = rules(capabilities).map_err(|e| failed("write", &e))?;
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let mut absent: BTreeMap<i64, Vec<SeccompRule>> =
        (UNKNOWN_FROM..UNKNOWN_TO).map(|number| (number, vec![])).collect();
    if !capabilities.contains(&Capability::CAP_SYS_ADMIN) {
        // Its flags lie in memory where no filter can look; without it libc takes `clone`.
        absent.insert(libc::SYS_clone3, vec![]);
    }
    let mut programs = Vec::new();
    for (rules, otherwise, then) in
        [(rules, denied, SeccompAction::Allow), (absent, SeccompAction::Allow, missing)]
    {
        let filter =
            SeccompFilter::new(rules, otherwise, then, arch).map_err(|e| failed("write", &e))?;
        programs.push(BpfProgram::try_from(filter).map_err(|e| failed("compile", &e))?);
    }
    Ok(programs)
}

fn rules(
    capabilities: &[Capability],
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let condition = SeccompCondition::new;
    let rule = |c: SeccompCondition| SeccompRule::new(vec![c]);
    let (whole, half) = (SeccompCmpArgLen::Qword, SeccompCmpArgLen::Dword);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        allowed(capabilities).into_iter().map(|(_, number)| (number, vec![])).collect();
    // Both filters must agree: what the second one answers is let through here.
    for number in (UNKNOWN_FROM..UNKNOWN_TO).chain([libc::SYS_clone3]) {
        rules.insert(number, vec![]);
    }
    let vsock = condition(0, half.clone(), SeccompCmpOp::Ne, libc::AF_VSOCK as u64)?;
    rules.insert(libc::SYS_socket, vec![rule(vsock)?]);
    let personality = PERSONALITIES
        .iter()
        .map(|value| rule(condition(0, half.clone(), SeccompCmpOp::Eq, *value)?))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_personality, personality);
    if !capabilities.contains(&Capability::CAP_SYS_ADMIN) {
        let plain = condition(0, whole, SeccompCmpOp::MaskedEq(CLONE_NAMESPACES), 0)?;
        rules.insert(libc::SYS_clone, vec![rule(plain)?]);
    }
    Ok(rules)
}

/// The same as an OCI document.
pub fn document(capabilities: &[Capability]) -> Result<LinuxSeccomp> {
    build_document(capabilities).map_err(|error| Error::Create(format!("seccomp: {error}")))
}

fn build_document(capabilities: &[Capability]) -> Result<LinuxSeccomp, oci_spec::OciSpecError> {
    let admin = capabilities.contains(&Capability::CAP_SYS_ADMIN);
    let names = allowed(capabilities)
        .into_iter()
        .map(|(name, _)| name.trim_start_matches("SYS_").to_owned())
        .collect::<Vec<_>>();
    let mut calls = vec![
        LinuxSyscallBuilder::default()
            .names(names)
            .action(LinuxSeccompAction::ScmpActAllow)
            .build()?,
        guarded("socket", LinuxSeccompOperator::ScmpCmpNe, libc::AF_VSOCK as u64, None)?,
    ];
    for value in PERSONALITIES {
        calls.push(guarded("personality", LinuxSeccompOperator::ScmpCmpEq, value, None)?);
    }
    if !admin {
        let masked = LinuxSeccompOperator::ScmpCmpMaskedEq;
        calls.push(guarded("clone", masked, CLONE_NAMESPACES, Some(0))?);
        calls.push(
            LinuxSyscallBuilder::default()
                .names(vec!["clone3".to_owned()])
                .action(LinuxSeccompAction::ScmpActErrno)
                .errno_ret(libc::ENOSYS as u32)
                .build()?,
        );
    }
    let arches = if cfg!(target_arch = "x86_64") {
        vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
    } else {
        vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]
    };
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(libc::EPERM as u32)
        .architectures(arches)
        .syscalls(calls)
        .build()
}

fn guarded(
    name: &str,
    operator: LinuxSeccompOperator,
    value: u64,
    second: Option<u64>,
) -> Result<LinuxSyscall, oci_spec::OciSpecError> {
    let mut argument = LinuxSeccompArgBuilder::default().index(0usize).value(value).op(operator);
    if let Some(second) = second {
        argument = argument.value_two(second);
    }
    LinuxSyscallBuilder::default()
        .names(vec![name.to_owned()])
        .action(LinuxSeccompAction::ScmpActAllow)
        .args(vec![argument.build()?])
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_come_from_one_table() {
        let programs = compile(&[]).unwrap();
        assert_eq!(programs.len(), 2);
        assert!(programs[0].len() < 4096, "the kernel's limit of one program");
        let document = document(&[]).unwrap();
        let names = document.syscalls().as_ref().unwrap()[0].names().clone();
        assert!(names.contains(&"read".to_owned()) && !names.contains(&"mount".to_owned()));
        let more = allowed(&[Capability::CAP_SYS_ADMIN]);
        assert!(more.iter().any(|(name, _)| *name == "SYS_mount"));
    }
}
