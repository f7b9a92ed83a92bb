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
#[path = "vm/past.rs"]
mod past;
#[path = "vm/policy.rs"]
mod policy;
#[path = "vm/stage.rs"]
mod stage;
#[path = "vm/traffic.rs"]
mod traffic;

use std::panic;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Where a scenario may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// It changes what belongs to the whole machine, or needs what containers lack.
    VirtualMachine,
}

use Place::{Anywhere, VirtualMachine};

/// One play of an agent, and the capabilities that it shows: an agent's start is what takes time on
/// an emulated processor.
struct Scenario {
    capabilities: &'static [&'static str],
    place: Place,
    play: fn(&mut Told),
}

const fn scenario(
    capabilities: &'static [&'static str],
    place: Place,
    play: fn(&mut Told),
) -> Scenario {
    Scenario { capabilities, place, play }
}

/// In the order of the table.
const SCENARIOS: [Scenario; 20] = [
    scenario(&["object loads"], Anywhere, load::object),
    scenario(&["doctor"], Anywhere, load::doctor),
    scenario(&["cgroup attribution hooks"], Anywhere, load::cgroup_hooks),
    scenario(
        &["XDP native", "accounting", "IPv6", "VLAN", "VXLAN opened"],
        Anywhere,
        count::native,
    ),
    scenario(&["XDP generic"], Anywhere, attach::generic),
    scenario(&["fragments"], Anywhere, attach::fragments),
    scenario(&["tc", "accounting at tc", "VLAN at tc"], Anywhere, count::at_tc),
    scenario(&["killed at tc"], Anywhere, attach::killed),
    scenario(&["release name of another kernel"], Anywhere, load::release_name),
    scenario(&["events"], Anywhere, count::events),
    scenario(&["sockets past tc"], Anywhere, past::sockets),
    scenario(&["programs put back"], Anywhere, past::programs),
    scenario(&["policy drop", "block and release"], Anywhere, policy::blocks),
    scenario(&["adoption after a restart"], Anywhere, policy::adoption),
    scenario(&["netem: loss, delay, reordering"], VirtualMachine, links::netem),
    scenario(
        &[
            "WireGuard device",
            "bridge device",
            "VXLAN device",
            "GRE device",
            "VLAN device",
            "bond device",
        ],
        VirtualMachine,
        devices::all,
    ),
    scenario(
        &["interface renamed", "interface moved away", "interface taken away"],
        Anywhere,
        links::changes,
    ),
    scenario(&["pktgen flood"], VirtualMachine, links::pktgen),
    scenario(&["memory limit"], VirtualMachine, host::memory),
    scenario(&["clock moved by an hour"], VirtualMachine, host::clock_step),
];

/// Tells what came of a scenario's capabilities, as it goes on.
pub(crate) struct Told(Vec<&'static str>);

impl Told {
    pub(crate) fn pass(&mut self, capability: &'static str) {
        self.pass_as(capability, "");
    }

    /// With the way in which it is done, where there are several.
    pub(crate) fn pass_as(&mut self, capability: &'static str, way: &str) {
        self.tell(capability, "PASS", way);
    }

    /// The kernel does not have it: why, and how it is done instead.
    pub(crate) fn not_here(&mut self, capability: &'static str, why: &str) {
        self.tell(capability, "NA", why);
    }

    fn tell(&mut self, capability: &'static str, verdict: &str, text: &str) {
        let text = abridged(&text.split_whitespace().collect::<Vec<_>>().join(" "));
        println!("@cell\t{capability}\t{verdict}\t{text}");
        self.0.push(capability);
    }
}

/// Both ends of what is too long for a table: reports of agents are, and what differs comes last.
fn abridged(text: &str) -> String {
    const END: usize = 300;
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= 2 * END {
        return text.to_owned();
    }
    let (first, last) = (&letters[..END], &letters[letters.len() - END..]);
    first.iter().chain(&[' ', '…', ' ']).chain(last).collect()
}

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
    let wanted = SCENARIOS.iter().filter(|scenario| {
        scenario.capabilities.iter().any(|capability| capability.contains(filter))
    });
    if words.contains(&"--list") {
        let all = wanted.flat_map(|scenario| scenario.capabilities);
        all.for_each(|capability| println!("{capability}: test"));
        return ExitCode::SUCCESS;
    }
    // As everywhere, what needs root runs when what is ignored is asked for.
    let runs = |place| match place {
        _ if !machine && !words.contains(&"--ignored") => false,
        Anywhere => true,
        VirtualMachine => machine,
    };
    let (chosen, ignored): (Vec<&Scenario>, Vec<&Scenario>) =
        wanted.partition(|scenario| runs(scenario.place));
    let (passed, failed) = run(&chosen);
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {result}. {passed} passed; {failed} failed; {} ignored", ignored.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays one after the other; returns how many capabilities were told well, and how many failed.
fn run(scenarios: &[&Scenario]) -> (usize, usize) {
    panic::set_hook(Box::new(|info| {
        *FAILURE.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let started = Instant::now();
        let mut told = Told(Vec::new());
        let ended = panic::catch_unwind(panic::AssertUnwindSafe(|| (scenario.play)(&mut told)));
        passed += told.0.len();
        let text = FAILURE.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let left: Vec<&str> =
            scenario.capabilities.iter().copied().filter(|each| !told.0.contains(each)).collect();
        assert!(ended.is_err() || left.is_empty(), "nothing was told of {left:?}");
        for capability in left {
            told.tell(capability, "FAIL", &text);
            failed += 1;
        }
        println!("@took\t{}\t{:.1?}", scenario.capabilities[0], started.elapsed());
    }
    (passed, failed)
}
