//! Why a kernel did not take the object, and what can be done about it, in one line.

use anyhow::anyhow;
use aya::programs::ProgramError;

/// Puts the remedy before the reason for the failures that people meet, on one line.
pub(super) fn explain_load(error: anyhow::Error) -> anyhow::Error {
    let number = error.chain().find_map(|cause| {
        cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
    });
    let cause = refusal(&error).unwrap_or_else(|| last_line(&error.root_cause().to_string()));
    let remedy = match number {
        Some(libc::EPERM) if !nix::unistd::geteuid().is_root() => {
            "no permission to load BPF programs: run as root, or with CAP_BPF, CAP_NET_ADMIN and \
             CAP_PERFMON"
        }
        Some(libc::EPERM) => {
            "the kernel refuses BPF programs: run with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or \
             with CAP_SYS_ADMIN before Linux 5.8"
        }
        Some(libc::EACCES) => {
            "the kernel's verifier refused a program: run with CAP_PERFMON, or report this line \
             with the kernel's release"
        }
        Some(libc::ENOMEM | libc::E2BIG) => {
            "not enough memory for the BPF maps: lower kernel.max_flows"
        }
        _ => "failed to load the BPF object: Linux 5.10 or later is needed",
    };
    anyhow!("{remedy}: {cause}")
}

/// What the verifier's log ends with: its reason.
fn refusal(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ProgramError>() {
        Some(ProgramError::LoadError { verifier_log, .. }) => {
            let log = verifier_log.to_string();
            let reason = |line: &&str| !line.is_empty() && !is_statistics(line);
            log.lines().map(str::trim).rfind(reason).map(str::to_owned)
        }
        _ => None,
    })
}

/// The lines with which the verifier closes every log.
fn is_statistics(line: &str) -> bool {
    ["verification time", "stack depth", "processed "].iter().any(|start| line.starts_with(start))
}

fn last_line(text: &str) -> String {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

pub(super) fn first_line(error: &ProgramError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
