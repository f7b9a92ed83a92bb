//! The kernel, what this process may do, and whether the programs load.

use std::fs;
use std::io;

use detector_common::abi::{OverflowCounters, OverflowKey};

use super::check::{Check, Report};
use super::features;
use crate::config::{Config, FLOW_ENTRY_BYTES};
use crate::source::kernel::object::{Object, ObjectConfig, built_in, classifier, xdp};
use crate::source::kernel::sockets::{self, Sight};
use crate::units;

/// Capability numbers of include/uapi/linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Sizes for a trial that takes no memory worth mentioning.
const TRIAL: ObjectConfig = ObjectConfig {
    max_flows: 64,
    max_overflow_entries: 64,
    ring_buffer_bytes: 4_096,
    decapsulation: detector_common::parse::Decapsulation::NONE,
    first_payloads_per_second: 0,
    max_blocks: 64,
    max_prefixes: 64,
    max_exceptions: 64,
    max_budgets: 64,
    trace: false,
};

pub(super) fn examine(config: &Config, report: &mut Report) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    report.push(kernel(release.trim()));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = effective_capabilities(&status);
    report.push(capabilities(effective));
    report.push(types());
    report.push(file_system(&fs::read_to_string("/proc/mounts").unwrap_or_default()));
    report.push(compiler(fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")));
    report.push(processors());
    let raises = effective.is_some_and(|effective| has(effective, CAP_SYS_RESOURCE));
    features::examine(raises, report);
    let fixed_bytes = programs(report);
    let available = available_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    report.push(memory(map_bytes(config) + fixed_bytes, available));
}

/// Whether the agent would see sockets that go past its programs.
fn sockets(object: &mut Object) -> Check {
    const SUBJECT: &str = "sockets";
    match sockets::sight(object).map(Sight::gap) {
        Ok(None) => Check::ok(SUBJECT, "past the programs: seen, with the process"),
        Ok(Some(gap)) => Check::ok(SUBJECT, format!("past the programs: {gap}")),
        Err(error) => Check::warning(
            SUBJECT,
            format!("past the programs: not seen: {error:#}"),
            "use a kernel with CONFIG_CGROUP_BPF, and mount cgroup2 at /sys/fs/cgroup",
        ),
    }
}

/// Only its name: what it can do it is asked, see [`features`].
fn kernel(release: &str) -> Check {
    Check::ok("kernel", format!("Linux {release}, {}", std::env::consts::ARCH))
}

/// The capability bits in `/proc/self/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn has(effective: u64, capability: u32) -> bool {
    effective >> capability & 1 != 0
}

/// Those that are missing; CAP_SYS_ADMIN replaces the two that were split off it in 5.8.
fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let needed = [
        ("CAP_BPF", CAP_BPF, true),
        ("CAP_NET_ADMIN", CAP_NET_ADMIN, false),
        ("CAP_PERFMON", CAP_PERFMON, true),
    ];
    needed
        .into_iter()
        .filter(|&(_, number, split)| {
            !(has(effective, number) || split && has(effective, CAP_SYS_ADMIN))
        })
        .map(|(name, ..)| name)
        .collect()
}

fn capabilities(effective: Option<u64>) -> Check {
    const SUBJECT: &str = "capabilities";
    const REMEDY: &str = "run as root, or with AmbientCapabilities=CAP_BPF CAP_NET_ADMIN \
        CAP_PERFMON \
                          as packaging/detector.service does";
    let Some(effective) = effective else {
        return Check::warning(
            SUBJECT,
            "failed to read the capabilities from /proc/self/status",
            REMEDY,
        );
    };
    match missing_capabilities(effective).as_slice() {
        [] => Check::ok(SUBJECT, "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"),
        [one] => Check::problem(SUBJECT, format!("{one} is missing"), REMEDY),
        several => Check::problem(SUBJECT, format!("{} are missing", several.join(", ")), REMEDY),
    }
}

fn types() -> Check {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    match fs::metadata(PATH) {
        Ok(file) => Check::ok("btf", format!("{PATH}, {}", units::bytes(file.len()))),
        Err(_) => Check::warning(
            "btf",
            format!("no {PATH}: the programs run, but the verifier's errors have less detail"),
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

/// Where a BPF file system is mounted, if one is.
fn bpf_mount(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next()? == "bpf").then_some(place)
    })
}

fn file_system(mounts: &str) -> Check {
    let finding = match bpf_mount(mounts) {
        Some(place) => format!("mounted at {place}"),
        None => "not mounted: the agent mounts one of its own when kernel.pin is true".to_owned(),
    };
    Check::ok("bpffs", finding)
}

fn compiler(setting: io::Result<String>) -> Check {
    const SUBJECT: &str = "jit";
    const REMEDY: &str = "sysctl -w net.core.bpf_jit_enable=1";
    match setting.as_deref().map(str::trim) {
        Ok("0") => Check::warning(
            SUBJECT,
            "off: each packet costs several times the processor time",
            REMEDY,
        ),
        Ok(_) => Check::ok(SUBJECT, "on"),
        // The setting is the first network namespace's, and others do not show it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::ok(SUBJECT, "hidden in this network namespace")
        }
        Err(error) => Check::warning(
            SUBJECT,
            format!("failed to read net.core.bpf_jit_enable: {error}"),
            "run as root to read it",
        ),
    }
}

/// Counts a list such as `0-3,8,10-11`.
fn count_processors(list: &str) -> Option<u32> {
    let mut count = 0;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

fn processors() -> Check {
    let list = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    match count_processors(&list) {
        Some(count) => Check::ok("processors", format!("{count} possible")),
        None => Check::warning(
            "processors",
            "failed to read their number",
            "mount sysfs: the size of per-processor maps depends on it",
        ),
    }
}

/// Loads the object and lets it go. Returns the bytes of the maps whose size is not configured.
fn programs(report: &mut Report) -> u64 {
    const SUBJECT: &str = "programs";
    if built_in().is_err() {
        let remedy = "run `cargo xtask setup`, which builds bpf-linker, then build again";
        report.push(Check::problem(
            SUBJECT,
            "this build has no kernel programs".to_owned(),
            remedy,
        ));
        return 0;
    }
    let mut object = match Object::load(&TRIAL) {
        Ok(object) => object,
        Err(error) => {
            let remedy = "see capabilities, features and memory; Linux 5.10 or later is needed";
            report.push(Check::problem(SUBJECT, format!("{error:#}"), remedy));
            return 0;
        }
    };
    let mut told = Vec::new();
    for name in [object.programs.tc_ingress, object.programs.tc_egress] {
        told.extend(classifier(&mut object.ebpf, name).ok().and_then(|program| {
            let count = program.info().ok()?.verified_instruction_count()?;
            Some(verified(name, count))
        }));
    }
    let loaded = object.load_xdp();
    if let Ok((name, _)) = &loaded {
        told.extend(xdp(&mut object.ebpf, name).ok().and_then(|program| {
            let count = program.info().ok()?.verified_instruction_count()?;
            Some(verified(name, count))
        }));
    }
    if told.is_empty() {
        told.push("this kernel does not report the number of instructions".to_owned());
    }
    report.push(Check::ok(SUBJECT, format!("load; verified: {}", told.join(", "))));
    report.push(sockets(&mut object));
    report.push(match loaded {
        Ok((name, None)) => Check::ok("xdp", format!("{name}: takes frames of several buffers")),
        Ok((name, Some(reason))) => Check::warning(
            "xdp",
            format!("{name}: {reason}"),
            "use Linux 5.18 or later for native XDP with an MTU above a page",
        ),
        Err(error) => Check::warning(
            "xdp",
            format!("{error:#}"),
            "the agent uses tc for received packets: set kernel.xdp = \"tc\" to hide this warning",
        ),
    });
    let rate = object.clock.ticks_per_second;
    report.push(Check::ok("clock", format!("{rate} ticks a second (HZ)")));
    let trial = sized_bytes(TRIAL.max_flows, TRIAL.max_overflow_entries, TRIAL.ring_buffer_bytes);
    object.map_memory_bytes().unwrap_or(0).saturating_sub(trial)
}

fn verified(name: &str, count: u32) -> String {
    format!("{name} {} instructions", units::count(u64::from(count)))
}

/// Bytes of the maps whose size is configured.
fn map_bytes(config: &Config) -> u64 {
    let kernel = &config.kernel;
    sized_bytes(kernel.max_flows.get(), kernel.max_overflow_entries.get(), kernel.ring_buffer_bytes)
}

fn sized_bytes(flows: u32, overflow_entries: u32, ring_buffer_bytes: u32) -> u64 {
    const OVERFLOW_ENTRY_BYTES: u64 =
        48 + (size_of::<OverflowKey>() + size_of::<OverflowCounters>()) as u64;
    u64::from(flows) * FLOW_ENTRY_BYTES
        + u64::from(overflow_entries) * OVERFLOW_ENTRY_BYTES
        + u64::from(ring_buffer_bytes)
}

/// What the kernel says is free for the taking.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

fn memory(needed: u64, available: Option<u64>) -> Check {
    const REMEDY: &str = "lower kernel.max_flows";
    let finding = format!("the maps take {} of kernel memory", units::bytes(needed));
    let Some(available) = available else {
        return Check::ok("memory", finding);
    };
    let finding = format!("{finding}, {} are available", units::bytes(available));
    if needed > available {
        Check::problem("memory", finding, REMEDY)
    } else if needed > available / 2 {
        Check::warning("memory", finding, REMEDY)
    } else {
        Check::ok("memory", finding)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn a_release_of_any_name_is_only_told() {
        for release in ["5.10.0-32", "7.3-cloud-amd64", "six", ""] {
            let check = kernel(release);
            assert_eq!(check.outcome, Outcome::Ok);
            assert!(check.finding.contains(release), "{}", check.finding);
        }
    }

    #[test]
    fn capabilities_that_are_missing_are_named() {
        let status = "Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n";
        assert_eq!(effective_capabilities(status), Some(0x1ff_ffff_ffff));
        assert!(missing_capabilities(0x1ff_ffff_ffff).is_empty());
        assert_eq!(missing_capabilities(0), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing_capabilities(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << CAP_NET_ADMIN | 1 << CAP_BPF), ["CAP_PERFMON"]);
        assert_eq!(capabilities(Some(0)).outcome, Outcome::Problem);
        assert_eq!(capabilities(None).outcome, Outcome::Warning);
    }

    #[test]
    fn the_bpf_file_system_is_found() {
        let mounts = "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n";
        assert_eq!(bpf_mount(mounts), Some("/sys/fs/bpf"));
        assert_eq!(bpf_mount("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn the_compiler_is_on_off_absent_or_unknown() {
        let outcome = |setting| compiler(setting).outcome;
        assert_eq!(outcome(Ok("1\n".to_owned())), Outcome::Ok);
        assert_eq!(outcome(Ok("0\n".to_owned())), Outcome::Warning);
        assert_eq!(outcome(Err(Error::from(ErrorKind::NotFound))), Outcome::Ok);
        assert_eq!(outcome(Err(Error::from(ErrorKind::PermissionDenied))), Outcome::Warning);
    }

    #[test]
    fn processors_are_counted() {
        for (list, expected) in [
            ("0\n", Some(1)),
            ("0-1", Some(2)),
            ("0-3,8,10-11", Some(7)),
            ("3-1", None),
            ("", None),
        ] {
            assert_eq!(count_processors(list), expected, "{list}");
        }
    }

    #[test]
    fn memory_is_measured_against_what_is_there() {
        let meminfo = "MemTotal: 10 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available_bytes(meminfo), Some(2 << 20));
        assert_eq!(memory(3 << 20, Some(2 << 20)).outcome, Outcome::Problem);
        assert_eq!(memory(3 << 19, Some(2 << 20)).outcome, Outcome::Warning);
        assert_eq!(memory(1, Some(2 << 20)).outcome, Outcome::Ok);
        assert_eq!(memory(1, None).outcome, Outcome::Ok);
    }
}
