//! The object's programs, ready to be run on frames made up here. Nothing is attached.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData};
use aya::programs::{TestRun as _, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use detector::source::kernel::object::{OBJECT, Object, ObjectConfig, classifier, xdp};
use detector_common::abi::{Control, Interface, map};
use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::frame::LinkType;
use detector_common::policy::{Entry, Mode, PortClass, TargetKey, budget_rule};

/// The device that the kernel runs a program on where none is named: the loopback device.
pub(super) const LOOPBACK: u32 = 1;
/// Of SEQUENCE in the object's bench programs.
pub(super) const POSITIONS: u32 = 1 << 20;
const SEQUENCE: &str = "SEQUENCE";
/// Entries of the policy maps that the bench has room for.
const MAX_ENTRIES: u32 = 1 << 17;
/// The array map behind the programs' one writable global.
const CONTROL: &str = ".bss";

/// A packet and how it goes through a program many times.
const REPEAT: u32 = 200_000;
const RUNS: u32 = 5;

/// A freshly loaded object.
pub(super) struct Bed {
    pub(super) ebpf: Ebpf,
}

impl Bed {
    /// Loads the object with room for `flows` flows. `ticks_per_second` is the kernel's, see
    /// [`ticks_per_second`].
    pub(super) fn load(flows: u32, ticks_per_second: u64) -> Result<Self> {
        let ebpf = EbpfLoader::new()
            .verifier_log_level(VerifierLogLevel::DISABLE)
            .map_max_entries(map::FLOWS, flows)
            .map_max_entries(SEQUENCE, POSITIONS + 1)
            .map_max_entries(map::BLOCKS, MAX_ENTRIES)
            .map_max_entries(map::PREFIXES, MAX_ENTRIES)
            .map_max_entries(map::POLICY, MAX_ENTRIES + 1)
            .map_max_entries(map::HITS, MAX_ENTRIES + 1)
            .load(OBJECT)
            .context("failed to load the BPF object")?;
        let mut bed = Self { ebpf };
        let control =
            Control { ticks_per_second, first_payloads_per_second: 5_000, ..Control::default() };
        bed.array(CONTROL)?.set(0, control, 0).context("failed to set the control word")?;
        bed.register(LOOPBACK, 0)?;
        Ok(bed)
    }

    /// Registers an Ethernet interface with the programs.
    pub(super) fn register(&mut self, index: u32, slot: u16) -> Result<()> {
        let interface =
            Interface { slot: slot + 1, link: LinkType::Ethernet as u8, ..Interface::default() };
        self.array(map::INTERFACES)?
            .set(index, interface, 0)
            .with_context(|| format!("failed to register interface {index}"))
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        Ok(Array::try_from(map)?)
    }

    pub(super) fn load_xdp(&mut self, name: &str) -> Result<()> {
        self.xdp(name)?.load().with_context(|| format!("failed to load {name}"))
    }

    pub(super) fn load_tc(&mut self, name: &str) -> Result<()> {
        let program = classifier(&mut self.ebpf, name)?;
        program.load().with_context(|| format!("failed to load {name}"))
    }

    pub(super) fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        xdp(&mut self.ebpf, name)
    }

    /// Nanoseconds that an XDP program takes for this one packet, a million times.
    pub(super) fn time_xdp(&mut self, name: &str, frame: &[u8]) -> Result<f64> {
        let program = self.xdp(name)?;
        nanoseconds(|repeat| Ok(program.test_run(options(frame, repeat))?))
    }

    pub(super) fn time_tc(&mut self, name: &str, frame: &[u8]) -> Result<f64> {
        let program = classifier(&mut self.ebpf, name)?;
        nanoseconds(|repeat| Ok(program.test_run(options(frame, repeat))?))
    }

    /// Nanoseconds that an XDP program takes for each of the next `count` positions.
    pub(super) fn walk(&mut self, name: &str, frame: &[u8], count: u32) -> Result<f64> {
        self.array(SEQUENCE)?.set(0, 0_u32, 0)?;
        let result = self.xdp(name)?.test_run(options(frame, count))?;
        Ok(per_packet(result.duration))
    }

    /// Says which flow each position's packet belongs to.
    pub(super) fn set_sequence(&mut self, flows: impl Iterator<Item = u32>) -> Result<()> {
        let mut sequence = self.array(SEQUENCE)?;
        for (position, flow) in (1..=POSITIONS).zip(flows) {
            sequence.set(position, flow, 0)?;
        }
        Ok(())
    }

    /// Makes 10.0.0.0/8 the home network, or nothing.
    pub(super) fn set_home(&mut self, on: bool) -> Result<()> {
        let home = Key::new(96 + 8, mapped([10, 0, 0, 0]));
        let mut networks = self.trie(map::HOME)?;
        if on {
            networks.insert(&home, 0, 0)?
        } else {
            networks.remove(&home)?
        }
        Ok(())
    }

    /// Gives new flows from home a budget that they never spend, or none.
    pub(super) fn set_budgets(&mut self, on: bool) -> Result<()> {
        let rule = budget_rule(0, PortClass::Web, false);
        self.array(map::BUDGET_RULES)?.set(rule, 1_u64 << 60, 0)?;
        self.set_home(on)?;
        self.change_control(|control| {
            control.budgets = u64::from(on);
            control.mode = Mode::BLOCK;
        })
    }

    /// Adds `count` entries of all kinds, none of which covers a flow of the bench.
    pub(super) fn fill_policy(&mut self, count: u32) -> Result<()> {
        let entry = Entry { action: Entry::DROP, deadline: u64::MAX, ..Entry::default() };
        for number in 1..=count {
            let [a, b, c, d] = number.to_be_bytes();
            let address = mapped([203 ^ a, b, c, d]);
            let key = match number % 10 {
                0 => {
                    let entry = Entry { prefix_length: 128, ..entry };
                    self.array(map::POLICY)?.set(number, entry, 0)?;
                    self.trie(map::PREFIXES)?.insert(&Key::new(128, address), number, 0)?;
                    continue;
                }
                1 => TargetKey::host(address),
                2 => TargetKey::service(address, [1, 187]),
                3..6 => TargetKey::pair(mapped([10, 1, c, d]), address),
                _ => {
                    TargetKey::flow(&FlowKey { low: address, high: address, ..FlowKey::default() })
                }
            };
            self.array(map::POLICY)?.set(number, entry, 0)?;
            let blocks = self.ebpf.map_mut(map::BLOCKS).context("no map of blocks")?;
            HashMap::<_, TargetKey, u32>::try_from(blocks)?.insert(key, number, 0)?;
        }
        if count == 0 {
            return Ok(());
        }
        self.change_control(|control| control.targets = u64::MAX)
    }

    fn change_control(&mut self, change: impl FnOnce(&mut Control)) -> Result<()> {
        let mut word = self.array::<Control>(CONTROL)?;
        let mut control = word.get(&0, 0)?;
        change(&mut control);
        control.generation += 1;
        word.set(0, control, 0).context("failed to set the control word")
    }

    fn trie(&mut self, name: &str) -> Result<LpmTrie<&mut MapData, [u8; 16], u32>> {
        let map = self.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        Ok(LpmTrie::try_from(map)?)
    }

    /// Opens `count` flows, numbered from `first` on. Returns the nanoseconds for each.
    pub(super) fn open_flows(&mut self, frame: &[u8], first: u32, count: u32) -> Result<f64> {
        self.set_sequence(first..first + count)?;
        self.walk("xdp_many_account", frame, count)
    }

    pub(super) fn flows_data(&self) -> Result<&MapData> {
        match self.ebpf.map(map::FLOWS) {
            Some(aya::maps::Map::HashMap(data)) => Ok(data),
            _ => anyhow::bail!("the BPF object has no hash map {}", map::FLOWS),
        }
    }

    pub(super) fn flows(&self) -> Result<HashMap<&MapData, FlowKey, FlowCounters>> {
        let flows = self.ebpf.map(map::FLOWS).context("the BPF object has no flows")?;
        Ok(HashMap::try_from(flows)?)
    }
}

/// An IPv4 address as keys have it.
fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

/// The kernel's HZ, as the agent finds it.
pub(super) fn ticks_per_second() -> Result<u64> {
    Ok(Object::load(&ObjectConfig::default())?.clock.ticks_per_second)
}

fn options(frame: &[u8], repeat: u32) -> TestRunOptions<'_> {
    TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() }
}

fn nanoseconds(mut run: impl FnMut(u32) -> Result<TestRunResult>) -> Result<f64> {
    let mut sum = 0.0;
    for _ in 0..RUNS {
        sum += per_packet(run(REPEAT)?.duration);
    }
    Ok(sum / f64::from(RUNS))
}

/// The kernel reports whole nanoseconds per packet, rounded down, without the time in which another
/// process had the processor.
fn per_packet(duration: Duration) -> f64 {
    duration.as_nanos() as f64 + 0.5
}

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

/// A TCP segment from 10.1.0.0 to 198.18.0.1 port 443.
pub(super) fn tcp(source_port: u16, flags: u8, payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((40 + payload as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 0, 198, 18, 0, 1]);
    frame.extend(source_port.to_be_bytes());
    frame.extend(443_u16.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(frame.len() + payload, 0x5a);
    frame
}
