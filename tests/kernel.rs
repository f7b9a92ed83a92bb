//! The programs of the object, run by hand: nothing is attached and no interface is needed.
//!
//! What they leave in their maps is compared with what the same packets leave on the host, byte for
//! byte, and with what the policy maps ask for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "kernel/accounting.rs"]
mod accounting;
#[path = "kernel/bed.rs"]
mod bed;
#[path = "kernel/blocks.rs"]
mod blocks;
#[path = "kernel/budgets.rs"]
mod budgets;
#[path = "kernel/events.rs"]
mod events;
#[path = "kernel/loaded.rs"]
mod loaded;
#[path = "kernel/mutants.rs"]
mod mutants;
#[path = "kernel/random.rs"]
mod random;
#[path = "kernel/rates.rs"]
mod rates;
#[path = "kernel/trace.rs"]
mod trace;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bed::{Kernel, PROGRAMS, SHORTEST, SKB_BYTES, count, home, seen, small, takes};
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{
    Count, FRAGMENT_SECONDS, FragmentKey, FragmentPorts, MAX_FRAGMENTS, Totals, map, program,
};
use detector_common::flow::{Clock, FlowCounters, FlowKey, Plain, Recorded, Seen};
use detector_common::frame::{Captured, Frame, LinkType, Segmentation, Word};
use detector_common::parse::{
    Decapsulation, Fragment, Packet, goes_to_group, parse, skipped_frames,
};
use detector_common::policy::Cached;
use detector_tests::frames::{self, Sample, samples};

/// A frame as a hook hands it over: with what the stack says about segments.
struct Handed<'a> {
    captured: Captured<'a>,
    segmentation: Segmentation,
}

impl Frame for Handed<'_> {
    fn wire_len(&self) -> u32 {
        self.captured.wire_len()
    }

    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        self.captured.load(offset)
    }

    fn segmentation(&self) -> Segmentation {
        self.segmentation
    }
}

/// The host's side of the comparison: the same parser and counters, in a hash map.
struct Host {
    seen: Seen,
    generation: u64,
    decapsulation: Decapsulation,
    ticks_per_second: u64,
    flows: BTreeMap<FlowKey, FlowCounters>,
    totals: Totals,
    fragments: HashMap<FragmentKey, FragmentPorts>,
    unopened: BTreeMap<u32, Count>,
}

impl Host {
    fn new(program: &str, kernel: &mut Kernel, decapsulation: Decapsulation) -> Self {
        let control = kernel.object.control().unwrap();
        Self {
            seen: seen(program),
            generation: control.generation,
            decapsulation,
            ticks_per_second: control.ticks_per_second,
            flows: BTreeMap::new(),
            totals: Totals::default(),
            fragments: HashMap::new(),
            unopened: BTreeMap::new(),
        }
    }

    /// Accounts what the kernel has just accounted, at the tick that it says it did so.
    fn account(
        &mut self,
        frame: &Handed<'_>,
        link: LinkType,
        kernel: &mut Kernel,
    ) -> Option<FlowKey> {
        let mut packet = Packet::empty();
        if let Err(skip) = parse(frame, link, self.decapsulation, &mut packet) {
            let (packets, bytes) = skipped_frames(frame);
            let count = count(packets, bytes);
            self.totals.frames += count;
            self.totals.skipped[skip as usize] += count;
            if skip.is_unopened() {
                *self.unopened.entry(packet.unopened).or_default() += count;
            }
            return None;
        }
        self.totals.frames += count(packet.segments, packet.frame_bytes);
        self.totals.link_bytes += u64::from(packet.frame_bytes - packet.ip_bytes);
        self.totals.flows += count(packet.segments, packet.ip_bytes);
        self.resolve(&mut packet, kernel);
        let now = kernel.flow(&packet.key)?.half(packet.direction).last_seen;
        let clock = Clock { now, ticks_per_second: self.ticks_per_second };
        let flow = self.flows.entry(packet.key).or_insert_with(|| {
            let mut flow = FlowCounters::default();
            let policy = Cached::pass(self.generation);
            flow.open(home(&packet.key), policy, 0, packet.direction as u8);
            flow.to_group = u8::from(goes_to_group(frame, link));
            flow
        });
        let recorded = flow.record::<Plain>(&packet, self.seen, &clock);
        assert!(matches!(recorded, Recorded::Counted(_)));
        Some(packet.key)
    }

    fn resolve(&mut self, packet: &mut Packet, kernel: &mut Kernel) {
        let (source, source_port) = packet.key.source(packet.direction);
        let (destination, destination_port) = packet.key.destination(packet.direction);
        if packet.fragment == Fragment::None {
            return;
        }
        let (identification, protocol) = (packet.identification, packet.key.protocol);
        let key = FragmentKey { source, destination, identification, protocol, padding: [0; 3] };
        if packet.fragment == Fragment::First {
            let table = kernel.hash::<FragmentKey, FragmentPorts>(map::FRAGMENTS);
            let seen = table.get(&key, 0).expect("a first fragment is remembered").seen;
            let ports = FragmentPorts { seen, source_port, destination_port, reserved: 0 };
            assert_eq!(table.get(&key, 0).unwrap(), ports);
            self.fragments.insert(key, ports);
        } else if let Some(ports) = self.fragments.get(&key)
            && self.remembers(&key, kernel)
        {
            packet.key =
                packet.key.with_ports(packet.direction, ports.source_port, ports.destination_port);
        } else {
            self.totals.fragments_unknown += count(packet.segments, packet.ip_bytes);
        }
    }

    /// The kernel's table of first fragments forgets the oldest, and nothing before it is nearly full.
    fn remembers(&self, key: &FragmentKey, kernel: &mut Kernel) -> bool {
        let known = kernel.hash::<FragmentKey, FragmentPorts>(map::FRAGMENTS).get(key, 0).is_ok();
        let full = self.fragments.len() as u32 > MAX_FRAGMENTS / 2;
        assert!(known || full, "{key:?} was forgotten among {}", self.fragments.len());
        known
    }
}

/// What the events say is compared by tests of their own.
fn without_events(totals: Totals) -> Totals {
    Totals { events_lost: 0, first_payloads_refused: 0, ..totals }
}

/// Runs every frame through one program and through the host.
fn compare(program: &'static str, config: &ObjectConfig, samples: &[Sample]) {
    let mut kernel = Kernel::load(config);
    let mut host = Host::new(program, &mut kernel, config.decapsulation);
    let started = kernel.now();
    let mut link = LinkType::Ethernet;
    for sample in samples {
        if !takes(program, &sample.bytes) {
            continue;
        }
        if sample.link != link {
            link = sample.link;
            kernel.set_link(link);
        }
        let what = || format!("{program}: {}", sample.name);
        assert!(!kernel.dropped(program, &sample.bytes), "{} was dropped", what());
        let captured = Captured::whole(&sample.bytes);
        let frame = Handed { captured, segmentation: Segmentation::default() };
        let key = host.account(&frame, sample.link, &mut kernel);
        if let Some(key) = key {
            assert_eq!(kernel.flow(&key).as_ref(), host.flows.get(&key), "{}", what());
        }
        assert_eq!(without_events(kernel.totals(program)), host.totals, "{}", what());
    }
    assert_eq!(kernel.flows(), host.flows, "{program}: all flows");
    let unopened = kernel.hash::<u32, Count>(map::UNOPENED);
    let unopened: BTreeMap<u32, Count> = unopened.iter().map(Result::unwrap).collect();
    assert_eq!(unopened, host.unopened, "{program}: by what they are");
    assert_eq!(host.totals.unaccounted(), (0, 0), "{program}");
    let ended = kernel.now();
    for half in host.flows.values().flat_map(|flow| &flow.halves).filter(|half| half.packets > 0) {
        assert!((started..=ended).contains(&half.first_seen) && half.first_seen <= half.last_seen);
        assert!((started..=ended).contains(&half.last_seen));
    }
}

const ALL_TUNNELS: Decapsulation = Decapsulation::ALL;

fn config(decapsulation: Decapsulation) -> ObjectConfig {
    ObjectConfig { decapsulation, ..small() }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn kernel_and_host_count_alike() {
    let samples = samples();
    assert!(samples.len() > 150);
    for decapsulation in [Decapsulation::default(), ALL_TUNNELS] {
        for program in PROGRAMS {
            compare(program, &config(decapsulation), &samples);
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn kernel_and_host_count_cut_frames_alike() {
    for (decapsulation, programs) in
        [(Decapsulation::default(), &PROGRAMS[..]), (ALL_TUNNELS, &PROGRAMS[1..3])]
    {
        for program in programs {
            let cut: Vec<Sample> =
                samples().iter().flat_map(|sample| frames::cuts(sample, SHORTEST)).collect();
            compare(program, &config(decapsulation), &cut);
        }
    }
}

/// The samples reach what they are there for.
#[test]
fn the_samples_cover_every_reason_and_protocol() {
    let mut skips = BTreeSet::new();
    let mut protocols = BTreeSet::new();
    for sample in samples().iter().flat_map(|sample| frames::cuts(sample, 0)).chain(samples()) {
        let mut packet = Packet::empty();
        let captured = Captured::whole(&sample.bytes);
        let frame = Handed { captured, segmentation: Segmentation::default() };
        match parse(&frame, sample.link, Decapsulation::default(), &mut packet) {
            Ok(()) => {
                protocols.insert(packet.key.protocol);
            }
            Err(skip) => {
                skips.insert(skip as usize);
            }
        }
    }
    assert_eq!(skips.len(), detector_common::parse::Skip::COUNT);
    assert!(
        [1, 6, 17, 33, 47, 50, 58, 132, 136, 253]
            .iter()
            .all(|protocol| protocols.contains(protocol))
    );
}

// Super-packets.

/// A `struct __sk_buff` in which only the segmentation is set.
fn context(segmentation: Segmentation) -> Vec<u8> {
    const GSO_SEGS: usize = 164;
    const GSO_SIZE: usize = 176;
    let mut bytes = vec![0; SKB_BYTES];
    bytes[GSO_SEGS..GSO_SEGS + 4].copy_from_slice(&segmentation.count.to_ne_bytes());
    bytes[GSO_SIZE..GSO_SIZE + 4].copy_from_slice(&segmentation.size.to_ne_bytes());
    bytes
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn super_packets_count_as_on_the_wire() {
    let data = frames::counting(3_000);
    let segment = |words| frames::tcp((50_000, 80), 1, 0x18, words, &data);
    let too_long = frames::V4 { total: Some(0), ..frames::V4::new(6) };
    let samples = [
        frames::tcp_frame((50_000, 80), 1, 0x18, &data),
        frames::ethernet(&[frames::VLAN], frames::IPV6, &frames::ipv6(6, &segment(8))),
        frames::ethernet(&[], frames::IPV4, &too_long.packet(&segment(5))),
        frames::ethernet(&[], 0x88b5, &data),
    ];
    // The stack's own count, none, and one segment.
    let segmentations = [(3, 1_000), (0, 1_000), (0, 999), (3, 1_460), (1, 3_000), (0, 65_000)];
    for program in [program::TC_INGRESS, program::TC_EGRESS] {
        let mut kernel = Kernel::load(&small());
        let mut host = Host::new(program, &mut kernel, Decapsulation::default());
        for bytes in &samples {
            for (count, size) in segmentations {
                let segmentation = Segmentation { count, size };
                kernel.run_as(program, bytes, Some(&context(segmentation)), 1);
                let frame = Handed { captured: Captured::whole(bytes), segmentation };
                host.account(&frame, LinkType::Ethernet, &mut kernel);
                let what = format!("{program}, {segmentation:?}, {} bytes", bytes.len());
                assert_eq!(without_events(kernel.totals(program)), host.totals, "{what}");
            }
        }
        assert_eq!(kernel.flows(), host.flows, "{program}");
        assert_eq!(host.totals.unaccounted(), (0, 0));
        assert!(host.totals.frames.packets > (samples.len() * segmentations.len()) as u64);
    }
}

/// A fragment is given its first one's ports for so long and no longer: here only that the constant
/// is what both sides use; time is not waited for.
const _: () = assert!(FRAGMENT_SECONDS == 30);
