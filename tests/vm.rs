//! What the agent does on a kernel, one capability after the other: the rows of docs/kernels.md.
//!
//! A program of its own, for it must start without anything else in a virtual machine and be its own
//! source of traffic there. Under `cargo test` it runs on this machine what does no harm there.
#![expect(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "what came of a scenario is told on standard output")]

#[path = "vm/attach.rs"]
mod attach;
#[path = "vm/count.rs"]
mod count;
#[path = "vm/devices.rs"]
mod devices;
#[path = "vm/host.rs"]
mod host;
#[path = "vm/links.rs"]
mod links;
#[path = "vm/load.rs"]
mod load;
#[path = "vm/policy.rs"]
mod policy;
#[path = "vm/stage.rs"]
mod stage;
#[path = "vm/traffic.rs"]
mod traffic;

use std::panic;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// What a scenario came to. One that failed has panicked.
pub(crate) enum Outcome {
    /// The text says in which way, where there are several; else it is empty.
    Pass(String),
    /// The kernel does not have it: why, and how it is done instead.
    NotHere(String),
}

impl Outcome {
    pub(crate) fn pass() -> Self {
        Self::Pass(String::new())
    }
}

/// Where a scenario may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// It changes what belongs to the whole machine, or needs what containers lack.
    VirtualMachine,
}

use Place::{Anywhere, VirtualMachine};

type Scenario = (&'static str, Place, fn() -> Outcome);

/// In the order of the table.
const SCENARIOS: [Scenario; 28] = [
    ("object loads", Anywhere, load::object),
    ("doctor", Anywhere, load::doctor),
    ("release name of another kernel", Anywhere, load::release_name),
    ("cgroup attribution hooks", Anywhere, load::cgroup_hooks),
    ("XDP native", Anywhere, attach::native),
    ("XDP generic", Anywhere, attach::generic),
    ("fragments", Anywhere, attach::fragments),
    ("tc", Anywhere, attach::tc),
    ("events", Anywhere, count::events),
    ("accounting", Anywhere, count::accounting),
    ("IPv6", Anywhere, count::ipv6),
    ("VLAN", Anywhere, count::vlan),
    ("VXLAN opened", Anywhere, count::vxlan),
    ("policy drop", Anywhere, policy::drop_holds),
    ("block and release", Anywhere, policy::block_and_release),
    ("adoption after a restart", Anywhere, policy::adoption),
    ("netem: loss, delay, reordering", VirtualMachine, links::netem),
    ("WireGuard device", VirtualMachine, devices::wireguard),
    ("bridge device", Anywhere, devices::bridge),
    ("VXLAN device", Anywhere, devices::vxlan),
    ("GRE device", VirtualMachine, devices::gre),
    ("interface renamed", Anywhere, links::renamed),
    ("interface moved away", Anywhere, links::moved),
    ("interface taken away", Anywhere, links::taken_away),
    ("pktgen flood", VirtualMachine, links::pktgen),
    ("memory limit: enough", VirtualMachine, host::memory_enough),
    ("memory limit: too little", VirtualMachine, host::memory_too_little),
    ("clock moved by an hour", VirtualMachine, host::clock_step),
];

/// What the last panic said, and where.
static FAILURE: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["traffic", verb, rest @ ..] = words.as_slice() {
        traffic::run(verb, rest);
        return ExitCode::SUCCESS;
    }
    let machine = words.contains(&"--virtual-machine");
    let filter = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let wanted: Vec<Scenario> =
        SCENARIOS.into_iter().filter(|(name, ..)| name.contains(filter)).collect();
    if words.contains(&"--list") {
        wanted.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    // As everywhere, what needs root runs when what is ignored is asked for.
    let runs = |place| match place {
        _ if !machine && !words.contains(&"--ignored") => false,
        Anywhere => true,
        VirtualMachine => machine,
    };
    let (chosen, ignored): (Vec<Scenario>, Vec<Scenario>) =
        wanted.into_iter().partition(|(_, place, _)| runs(*place));
    let failed = run(&chosen);
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let passed = chosen.len() - failed;
    println!("test result: {result}. {passed} passed; {failed} failed; {} ignored", ignored.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one after the other and tells what came of each; returns how many failed.
fn run(scenarios: &[Scenario]) -> usize {
    panic::set_hook(Box::new(|info| {
        *FAILURE.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    let mut failed = 0;
    for (name, _, scenario) in scenarios {
        let (verdict, text) = match panic::catch_unwind(scenario) {
            Ok(Outcome::Pass(text)) => ("PASS", text),
            Ok(Outcome::NotHere(text)) => ("NA", text),
            Err(_) => {
                failed += 1;
                ("FAIL", FAILURE.lock().unwrap_or_else(PoisonError::into_inner).clone())
            }
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("@cell\t{name}\t{verdict}\t{text}");
    }
    failed
}
