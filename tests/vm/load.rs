//! What the kernel takes and what it says of itself.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;

use aya::programs::{ProgramError, ProgramType};
use detector::source::kernel::object::{Object, ObjectConfig, classifier, xdp};
use detector_common::abi::program;
use detector_common::parse::Decapsulation;
use detector_tests::watch::{HOME, START, detector};
use detector_tests::{Background, Scratch, run_checked};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::Told;
use crate::stage::{CLIENT, Stage, features};

/// Half of what the kernel's limit is: room for what is still to come.
const MOST_INSTRUCTIONS: u32 = 500_000;

/// The object with all tunnels opened, which is the most the verifier ever sees of it.
pub(crate) fn object(told: &mut Told) {
    let decapsulation = Decapsulation::ALL;
    let config = ObjectConfig { max_flows: 64, decapsulation, ..ObjectConfig::default() };
    let mut object = Object::load(&config).unwrap();
    let mut names = vec![
        object.programs.tc_ingress,
        object.programs.tc_egress,
        object.programs.xdp,
        program::CLOSE_FLOWS,
        program::REMOVE_FLOWS,
        program::SET_BUDGET,
        program::READ_CLOCKS,
    ];
    if features().fragments {
        names.push(object.programs.xdp_frags);
    }
    for name in names {
        let count = verified(&mut object, name);
        println!("@verified\t{}\t{count}", name.trim_end_matches("_fetch"));
        assert!(count < MOST_INSTRUCTIONS, "{name}: {count} instructions");
    }
    drop(object);
    let mut tracing = Object::load(&ObjectConfig { trace: true, ..config }).unwrap();
    let name = tracing.programs.xdp;
    xdp(&mut tracing.ebpf, name).unwrap().load().unwrap();
    told.pass("object loads");
}

/// Instructions that the verifier walked through.
fn verified(object: &mut Object, name: &str) -> u32 {
    let is_xdp = name.starts_with("xdp");
    if is_xdp {
        match xdp(&mut object.ebpf, name).unwrap().load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let info = if is_xdp {
        xdp(&mut object.ebpf, name).unwrap().info()
    } else {
        classifier(&mut object.ebpf, name).unwrap().info()
    };
    info.unwrap().verified_instruction_count().unwrap_or_else(|| from_the_log(object, name))
}

/// Before Linux 5.16 only the verifier's log tells, and the library hands that out of failures alone:
/// so the program is verified in full, and then there is no descriptor to hand it out by.
fn from_the_log(object: &mut Object, name: &str) -> u32 {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Each new descriptor has the lowest number that is free.
    let close = || {
        let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
        setrlimit(Resource::RLIMIT_NOFILE, free, limit.1).unwrap();
    };
    let refused = if name.starts_with("xdp") {
        let program = xdp(&mut object.ebpf, name).unwrap();
        program.unload().unwrap();
        close();
        program.load()
    } else {
        let program = classifier(&mut object.ebpf, name).unwrap();
        program.unload().unwrap();
        close();
        program.load()
    };
    setrlimit(Resource::RLIMIT_NOFILE, limit.0, limit.1).unwrap();
    let Err(ProgramError::LoadError { verifier_log, .. }) = refused else {
        panic!("{name}: {refused:?}")
    };
    let log = verifier_log.to_string();
    let count = log.lines().find_map(|line| line.strip_prefix("processed ")?.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{name}: {log}"))
}

/// Every row of `detector doctor` is one that `detector run` agrees with.
pub(crate) fn doctor(told: &mut Told) {
    let mut command = std::process::Command::new(detector());
    let said = run_checked(command.args(["doctor", "--format", "json", "--interface", "lo"]));
    let said = said.unwrap();
    let rows: BTreeMap<String, Value> = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (row["check"].as_str().unwrap().to_owned(), row))
        .collect();
    let known = features();
    for (row, there, with, without) in [
        ("tc", known.tcx, "tcx", "clsact: filters of a killed agent stay"),
        ("fragments", known.fragments, "yes", "no"),
        ("additions", known.fetching_additions, "return the old", "return nothing"),
        ("memlock", known.memory_by_group, "by control group", "raises it at start"),
        ("live frames", known.live_frames, "yes", "no"),
        ("batches", known.batches, "yes", "no"),
        ("programs", true, "load", ""),
    ] {
        let finding = rows.get(row).unwrap_or_else(|| panic!("no {row} in {said}"));
        let expected = if there { with } else { without };
        let text = finding["finding"].as_str().unwrap();
        assert!(text.contains(expected), "{row}: {text}");
    }
    told.pass("doctor");
}

/// An agent that is told another kernel's release does what it does without.
pub(crate) fn release_name(told: &mut Told) {
    let known = features();
    let ingress = if known.fragments { "native XDP with fragments" } else { "native XDP" };
    let egress = if known.tcx { "tcx" } else { "tc clsact" };
    let stage = Stage::new();
    let folders = Scratch::new("release").unwrap();
    let (run, state) = (folders.join("run"), folders.join("state"));
    let text = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n{HOME}");
    let config = folders.write("detector.toml", text).unwrap();
    let mut command = stage.client().command("setarch");
    command.args([std::env::consts::ARCH, "--uname-2.6"]).arg(detector());
    command.args(["run", "--interface", CLIENT, "--config"]).arg(config);
    let mut agent = Background::start(&mut command).unwrap();
    agent.wait_for_line("stop with Ctrl-C", START).unwrap();
    let said = agent.output();
    agent.terminate().unwrap();
    assert!(agent.wait(START).unwrap().success(), "{}", agent.output());
    let expected = format!("watching {CLIENT}: ingress {ingress}, egress {egress}");
    assert!(said.contains(&expected), "no {expected:?} in {said}");
    told.pass("release name of another kernel");
}

/// Those that would tell which process a connection belongs to: the kernel takes programs of their
/// kinds. The agent loads none of them yet.
pub(crate) fn cgroup_hooks(told: &mut Told) {
    use aya::sys::is_program_supported;
    const CAPABILITY: &str = "cgroup attribution hooks";
    for (kind, name) in [
        (ProgramType::CgroupSockAddr, "connect and sendmsg"),
        (ProgramType::CgroupSock, "sock_create"),
        (ProgramType::SockOps, "sock_ops"),
    ] {
        match is_program_supported(kind) {
            Ok(true) => {}
            Ok(false) => {
                told.not_here(CAPABILITY, &format!("the kernel takes no program at {name}"));
                return;
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    told.pass(CAPABILITY);
}
