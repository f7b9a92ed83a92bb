//! The BPF object: loaded with the sizes of the configuration, its programs chosen by what this
//! kernel accepts.
//!
//! Nothing is attached here, so that tests and benchmarks can run the programs by themselves.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use aya::maps::{Array, MapData};
use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel, include_bytes_aligned};
use detector_common::abi::{Control, Interface, MAX_INTERFACES, PointTotals, map, program};
use detector_common::parse::Decapsulation;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use super::clock::{KernelClock, read_clock};
use super::features::Features;
use super::refusal::{explain_load, first_line};
use super::sys::namespace_cookie;
use crate::config::Config;

/// The object, as the build made it: empty where it had no bpf-linker.
pub const OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/detector-ebpf"));

/// The object to load.
///
/// # Errors
///
/// A build without it, with the remedy.
pub fn built_in() -> anyhow::Result<&'static [u8]> {
    not_empty(OBJECT)
}

fn not_empty(object: &[u8]) -> anyhow::Result<&[u8]> {
    ensure!(
        !object.is_empty(),
        "this detector was built without kernel programs because bpf-linker was missing: run \
         `cargo xtask setup`, then build again"
    );
    Ok(object)
}

/// aya-log's ring buffer where lines are asked for, and where it is only there.
const TRACE_BYTES: u32 = 128 << 10;
const PAGE_BYTES: u32 = 4 << 10;

/// Sizes and switches that are fixed once the object is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ObjectConfig {
    pub max_flows: u32,
    pub max_overflow_entries: u32,
    /// A power of two of at least a page.
    pub ring_buffer_bytes: u32,
    pub decapsulation: Decapsulation,
    /// First payloads each processor may hand up in a second; 0 for none.
    pub first_payloads_per_second: u64,
    pub max_blocks: u32,
    pub max_prefixes: u32,
    pub max_exceptions: u32,
    pub max_budgets: u32,
    /// Cold paths write to the log.
    pub trace: bool,
}

impl ObjectConfig {
    /// What a configuration asks for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            max_flows: config.kernel.max_flows.get(),
            max_overflow_entries: config.kernel.max_overflow_entries.get(),
            ring_buffer_bytes: config.kernel.ring_buffer_bytes,
            decapsulation: config.decapsulation(),
            first_payloads_per_second: if config.payload_samples.enabled {
                config.payload_samples.per_second
            } else {
                0
            },
            max_blocks: config.block.max_blocks.get(),
            max_prefixes: config.block.max_prefixes.get(),
            max_exceptions: config.block.max_exceptions.get(),
            max_budgets: config.budget.max_entries.get(),
            trace: config.kernel.trace,
        }
    }

    /// The highest number of an entry: number 0 means none.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.max_blocks.saturating_add(self.max_prefixes).saturating_add(self.max_exceptions)
    }

    fn map_sizes(&self) -> [(&'static str, u32); 10] {
        let numbers = self.max_entries().saturating_add(1);
        [
            (map::FLOWS, self.max_flows),
            (map::OVERFLOW, self.max_overflow_entries),
            (map::EVENTS, self.ring_buffer_bytes),
            (map::BLOCKS, self.max_blocks),
            (map::PREFIXES, self.max_prefixes),
            (map::NEVER_BLOCK, self.max_exceptions),
            (map::POLICY, numbers),
            (map::HITS, numbers),
            (map::BUDGETS, self.max_budgets),
            (map::AYA_LOGS, if self.trace { TRACE_BYTES } else { PAGE_BYTES }),
        ]
    }
}

impl Default for ObjectConfig {
    fn default() -> Self {
        Self {
            max_flows: 65_536,
            max_overflow_entries: 4_096,
            ring_buffer_bytes: 1 << 20,
            decapsulation: Decapsulation::default(),
            first_payloads_per_second: 5_000,
            max_blocks: 65_536,
            max_prefixes: 16_384,
            max_exceptions: 4_096,
            max_budgets: 65_536,
            trace: false,
        }
    }
}

/// The names of the programs that are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programs {
    pub xdp: &'static str,
    pub xdp_frags: &'static str,
    pub tc_ingress: &'static str,
    pub tc_egress: &'static str,
}

impl Programs {
    /// For kernels whose atomic addition returns the old value.
    pub const FETCH: Self = Self {
        xdp: program::XDP_INGRESS_FETCH,
        xdp_frags: program::XDP_INGRESS_FRAGS_FETCH,
        tc_ingress: program::TC_INGRESS_FETCH,
        tc_egress: program::TC_EGRESS_FETCH,
    };
    /// For all others.
    pub const PLAIN: Self = Self {
        xdp: program::XDP_INGRESS,
        xdp_frags: program::XDP_INGRESS_FRAGS,
        tc_ingress: program::TC_INGRESS,
        tc_egress: program::TC_EGRESS,
    };
}

/// The loaded object.
#[derive(Debug)]
pub struct Object {
    pub ebpf: Ebpf,
    pub clock: KernelClock,
    pub features: Features,
    /// Those that this kernel takes.
    pub programs: Programs,
}

/// The programs that the agent runs itself.
const OWN_PROGRAMS: [&str; 4] =
    [program::READ_CLOCKS, program::CLOSE_FLOWS, program::REMOVE_FLOWS, program::SET_BUDGET];

impl Object {
    /// Creates the maps and loads the programs that need no interface. XDP is loaded on demand,
    /// see [`Object::load_xdp`].
    ///
    /// # Errors
    ///
    /// No privilege, a kernel that is too old, memory that cannot be had: with the remedy.
    pub fn load(config: &ObjectConfig) -> anyhow::Result<Self> {
        Self::load_pinned(config, None, &[])
    }

    /// The same with the maps of these names taken from a directory of pins, where they are, or
    /// pinned there.
    pub fn load_pinned(
        config: &ObjectConfig,
        pins: Option<&Path>,
        names: &[&str],
    ) -> anyhow::Result<Self> {
        let bytes = built_in()?;
        let features = Features::ask().map_err(explain_load)?;
        ensure!(
            features.batches,
            "this kernel cannot read maps in batches: use Linux 5.10 or later"
        );
        let bits = config.decapsulation.bits();
        let trace = u32::from(config.trace);
        let page = page_size()?;
        // 0 where the kernel has no name for it: every namespace is meant.
        let cookie = namespace_cookie().unwrap_or(0);
        let mut loader = EbpfLoader::new();
        loader
            // Logs are asked for again, in full, when a program is refused.
            .verifier_log_level(VerifierLogLevel::DISABLE | VerifierLogLevel::STATS)
            .override_global("DECAPSULATION", &bits, true)
            .override_global("TRACE_KERNEL", &trace, true)
            .override_global("PAGE_SIZE", &page, true)
            .override_global("NETNS_COOKIE", &cookie, true);
        for (name, entries) in config.map_sizes() {
            loader.map_max_entries(name, entries);
        }
        for name in names {
            if let Some(folder) = pins {
                loader.map_pin_path(name, folder.join(name));
            }
        }
        let mut ebpf = loader.load(bytes).map_err(|error| explain_load(anyhow!(error)))?;
        for name in OWN_PROGRAMS {
            load_classifier(&mut ebpf, name)?;
        }
        let programs = load_tc(&mut ebpf, features)?;
        let clock = read_clock(&mut ebpf)?;
        let mut object = Self { ebpf, clock, features, programs };
        let control = Control {
            // Flows that were left by another agent remember a lower one: what they remember was
            // decided by other rules.
            generation: boot_microseconds()?,
            ticks_per_second: clock.ticks_per_second,
            first_payloads_per_second: config.first_payloads_per_second,
            ..Control::default()
        };
        object.set_control(control)?;
        Ok(object)
    }

    /// Loads the XDP program that takes frames of several buffers; where this kernel has none, the
    /// plain one. Returns which, and the reason for the lesser choice.
    pub fn load_xdp(&mut self) -> anyhow::Result<(&'static str, Option<String>)> {
        let refused = if self.features.fragments {
            let name = self.programs.xdp_frags;
            match xdp(&mut self.ebpf, name)?.load() {
                Ok(()) | Err(ProgramError::AlreadyLoaded) => return Ok((name, None)),
                Err(error) => first_line(&error),
            }
        } else {
            "it needs Linux 5.18".to_owned()
        };
        self.load_plain_xdp()?;
        let refused = format!("this kernel has no XDP on fragments: {refused}");
        Ok((self.programs.xdp, Some(refused)))
    }

    /// Loads the XDP program for frames of one buffer, for drivers that refuse the other.
    pub fn load_plain_xdp(&mut self) -> anyhow::Result<()> {
        match xdp(&mut self.ebpf, self.programs.xdp)?.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
            Err(error) => Err(explain_load(anyhow!(error))),
        }
    }

    /// The control word as the programs see it.
    pub fn control(&mut self) -> anyhow::Result<Control> {
        let control: Array<_, Control> = Array::try_from(self.map_mut(CONTROL)?)?;
        control.get(&0, 0).context("failed to read the control word")
    }

    /// Replaces the control word.
    pub fn set_control(&mut self, value: Control) -> anyhow::Result<()> {
        let mut control: Array<_, Control> = Array::try_from(self.map_mut(CONTROL)?)?;
        control.set(0, value, 0).context("failed to write the control word")
    }

    /// Makes flows look at the policy maps again. Called once after a batch of changes.
    pub fn raise_generation(&mut self) -> anyhow::Result<u64> {
        let mut control = self.control()?;
        control.generation += 1;
        self.set_control(control)?;
        Ok(control.generation)
    }

    /// Registers an interface with the programs; a zeroed entry makes them forget it.
    pub fn set_interface(&mut self, index: u32, interface: Interface) -> anyhow::Result<()> {
        let mut interfaces: Array<_, Interface> = Array::try_from(self.map_mut(map::INTERFACES)?)?;
        let slots = interfaces.len();
        interfaces
            .set(index % slots, interface, 0)
            .with_context(|| format!("failed to register interface {index}"))
    }

    /// What the entry for an interface index holds.
    pub fn interface(&mut self, index: u32) -> anyhow::Result<Interface> {
        let interfaces: Array<_, Interface> = Array::try_from(self.map_mut(map::INTERFACES)?)?;
        let slots = interfaces.len();
        interfaces.get(&(index % slots), 0).context("failed to read an interface's entry")
    }

    /// The slots of the interfaces that have an entry, by the low bits of their index.
    pub(super) fn interfaces(&mut self) -> anyhow::Result<BTreeMap<u32, u16>> {
        let interfaces: Array<_, Interface> = Array::try_from(self.map_mut(map::INTERFACES)?)?;
        let mut slots = BTreeMap::new();
        for (index, entry) in (0..).zip(interfaces.iter()) {
            let entry = entry.context("failed to read the interfaces' entries")?;
            if let Some(slot) = entry.slot.checked_sub(1) {
                slots.insert(index, slot);
            }
        }
        Ok(slots)
    }

    /// The totals of one observation point, all processors added up.
    pub fn totals(&mut self, point: u16) -> anyhow::Result<detector_common::abi::Totals> {
        let totals: aya::maps::PerCpuArray<_, PointTotals> =
            aya::maps::PerCpuArray::try_from(self.map_mut(map::TOTALS)?)?;
        let values =
            totals.get(&u32::from(point), 0).context("failed to read an interface's totals")?;
        let mut sum = detector_common::abi::Totals::default();
        for value in values.iter() {
            sum += value.totals;
        }
        Ok(sum)
    }

    pub(super) fn map_mut(&mut self, name: &str) -> anyhow::Result<&mut aya::maps::Map> {
        self.ebpf.map_mut(name).with_context(|| format!("the BPF object has no map {name}"))
    }

    /// A map's data, for what aya has no call for.
    pub(super) fn map_data(&self, name: &str) -> anyhow::Result<&MapData> {
        match self.ebpf.map(name) {
            Some(aya::maps::Map::HashMap(data)) => Ok(data),
            _ => Err(anyhow!("the BPF object has no hash map {name}")),
        }
    }

    /// Runs a tc program of the object on a frame made up by the agent.
    pub(super) fn run_classifier(
        &mut self,
        name: &str,
        frame: &[u8],
        repeat: u32,
    ) -> anyhow::Result<()> {
        run_classifier(&mut self.ebpf, name, frame, repeat)
    }
}

fn load_classifier(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<()> {
    classifier(ebpf, name)?
        .load()
        .map_err(|error| explain_load(anyhow!(error)))
        .with_context(|| format!("failed to load program {name}"))
}

/// Loads the tc programs in the variant that this kernel takes, and says which that is.
fn load_tc(ebpf: &mut Ebpf, features: Features) -> anyhow::Result<Programs> {
    let programs = if features.fetching_additions {
        Programs::FETCH
    } else {
        tracing::info!(
            "atomic additions return nothing before Linux 5.12: budgets are exact to one packet \
             for each processor"
        );
        Programs::PLAIN
    };
    for name in [programs.tc_ingress, programs.tc_egress] {
        load_classifier(ebpf, name)?;
    }
    Ok(programs)
}

/// Since boot, suspended time among them: it never goes back.
fn boot_microseconds() -> anyhow::Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).context("failed to read a clock")?;
    let microseconds = i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_nsec()) / 1_000;
    u64::try_from(microseconds).context("the time since boot is out of range")
}

fn page_size() -> anyhow::Result<u32> {
    let page = sysconf(SysconfVar::PAGE_SIZE).context("failed to read the size of a page")?;
    page.and_then(|bytes| u32::try_from(bytes).ok()).context("the size of a page is out of range")
}

/// The array map behind the programs' one writable global.
const CONTROL: &str = ".bss";

/// An Ethernet header and the longest IP header without extensions, rounded up; less than two keys.
const SHORTEST_FRAME: usize = 64;

pub(super) fn run_classifier(
    ebpf: &mut Ebpf,
    name: &str,
    frame: &[u8],
    repeat: u32,
) -> anyhow::Result<()> {
    // The kernel reads an Ethernet header into it and wants the IP header whole that it may
    // announce.
    let mut padded = frame.to_vec();
    padded.resize(frame.len().max(SHORTEST_FRAME), 0);
    let options = TestRunOptions { data_in: Some(&padded), repeat, ..TestRunOptions::new() };
    classifier(ebpf, name)?
        .test_run(options)
        .map(drop)
        .with_context(|| format!("failed to run program {name}"))
}

/// A tc program of the object.
pub fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name);
    program
        .with_context(|| format!("the BPF object has no program {name}"))?
        .try_into()
        .context("failed to use the BPF object: a tc program is of another type")
}

/// An XDP program of the object.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name);
    program
        .with_context(|| format!("the BPF object has no program {name}"))?
        .try_into()
        .context("failed to use the BPF object: an XDP program is of another type")
}

const _: () = assert!(MAX_INTERFACES <= u16::MAX as u32 / 2);

#[cfg(test)]
mod tests {
    use super::not_empty;

    #[test]
    fn a_build_without_kernel_programs_says_what_to_do() {
        let refusal = not_empty(&[]).unwrap_err().to_string();
        assert!(refusal.contains("run `cargo xtask setup`, then build again"), "{refusal}");
        assert_eq!(not_empty(&[1]).unwrap(), [1]);
    }
}
