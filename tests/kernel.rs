//! The programs of the object, run by hand: nothing is attached and no interface is needed.
//!
//! What they leave in their maps is compared with what the same packets leave on the host, byte for
//! byte, and with what the policy maps ask for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap as KernelMap, MapData, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions};
use detector::source::kernel::object::{OBJECT, Object, ObjectConfig, classifier, xdp};
use detector_common::abi::{
    CheckpointEvent, Count, EventKind, FRAGMENT_SECONDS, FragmentKey, FragmentPorts, HEAD_BYTES,
    HeadEvent, Interface, OverflowCounters, OverflowKey, Totals, map, program,
};
use detector_common::flow::{Checkpoint, Clock, Direction, FlowCounters, FlowKey, Plain, Recorded};
use detector_common::frame::{Captured, Frame, LinkType, Segmentation, Word};
use detector_common::parse::{Decapsulation, Fragment, Packet, parse, skipped_frames};
use detector_common::policy::{Block, Cached, Prefix};
use detector_tests::frames::{self, Sample, samples};
use detector_tests::require_root;
use object::{Object as _, ObjectSection as _, SectionKind};

/// What BPF_PROG_TEST_RUN takes the interface to be: the loopback device of this namespace.
const INTERFACE: u32 = 1;
const SLOT: u16 = 1;

const PROGRAMS: [&str; 4] =
    [program::XDP_INGRESS, program::XDP_INGRESS_FRAGS, program::TC_INGRESS, program::TC_EGRESS];

fn is_xdp(program: &str) -> bool {
    program == program::XDP_INGRESS || program == program::XDP_INGRESS_FRAGS
}

/// The shortest frame that BPF_PROG_TEST_RUN takes.
const SHORTEST: usize = 14;

/// Whether BPF_PROG_TEST_RUN hands the frame over: at tc it wants an IP header whole where the
/// EtherType says that there is one, and something behind the Ethernet header in any case.
fn takes(program: &str, frame: &[u8]) -> bool {
    if is_xdp(program) {
        return frame.len() >= SHORTEST;
    }
    let header = match frame.get(12..14) {
        Some([0x08, 0x00]) => 20,
        Some([0x86, 0xdd]) => 40,
        _ => 1,
    };
    frame.len() >= SHORTEST + header
}

/// The observation point of a program on [`INTERFACE`].
fn point(program: &str) -> u16 {
    SLOT * 2 + u16::from(program == program::TC_EGRESS)
}

fn home_prefixes() -> [Prefix; 2] {
    let mut v4 = [0; 16];
    v4[10..13].copy_from_slice(&[0xff, 0xff, 10]);
    let mut v6 = [0; 16];
    v6[0] = 0xfd;
    [Prefix { length: 96 + 8, address: v4 }, Prefix { length: 8, address: v6 }]
}

fn home(key: &FlowKey) -> u8 {
    let is_home = |address| home_prefixes().iter().any(|prefix| prefix.contains(address));
    let low = u8::from(is_home(&key.low)) * FlowCounters::HOME_LOW;
    let high = u8::from(is_home(&key.high)) * FlowCounters::HOME_HIGH;
    low | high
}

/// The loaded object with one interface that the programs know.
struct Kernel {
    object: Object,
}

impl Kernel {
    fn load(config: &ObjectConfig) -> Self {
        require_root().unwrap();
        let mut object = Object::load(config).unwrap();
        for name in [program::XDP_INGRESS, program::XDP_INGRESS_FRAGS] {
            xdp(&mut object.ebpf, name).unwrap().load().unwrap();
        }
        let mut kernel = Self { object };
        kernel.set_link(LinkType::Ethernet);
        kernel.add_prefixes(map::HOME, &home_prefixes());
        kernel
    }

    fn set_link(&mut self, link: LinkType) {
        let interface = Interface { slot: SLOT + 1, link: link as u8, reserved: 0 };
        self.object.set_interface(INTERFACE, interface).unwrap();
    }

    fn add_prefixes(&mut self, name: &str, prefixes: &[Prefix]) {
        let map = self.object.ebpf.map_mut(name).unwrap();
        let mut trie: LpmTrie<_, [u8; 16], u32> = LpmTrie::try_from(map).unwrap();
        for prefix in prefixes {
            trie.insert(&Key::new(prefix.length, prefix.address), 1, 0).unwrap();
        }
    }

    fn run(&mut self, program: &str, frame: &[u8]) -> u32 {
        self.run_as(program, frame, None, 1)
    }

    fn run_as(&mut self, program: &str, frame: &[u8], context: Option<&[u8]>, repeat: u32) -> u32 {
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: context,
            repeat,
            ..TestRunOptions::new()
        };
        let ebpf = &mut self.object.ebpf;
        let result = if is_xdp(program) {
            xdp(ebpf, program).unwrap().test_run(options)
        } else {
            classifier(ebpf, program).unwrap().test_run(options)
        };
        result
            .unwrap_or_else(|error| panic!("{program}, {} bytes: {error:?}", frame.len()))
            .return_value
    }

    fn dropped(&mut self, program: &str, frame: &[u8]) -> bool {
        const XDP_DROP: u32 = 1;
        const XDP_PASS: u32 = 2;
        const TC_ACT_SHOT: u32 = 2;
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        match (is_xdp(program), self.run(program, frame)) {
            (true, XDP_DROP) | (false, TC_ACT_SHOT) => true,
            (true, XDP_PASS) | (false, TC_ACT_UNSPEC) => false,
            (_, code) => panic!("{program} returned {code}"),
        }
    }

    fn hash<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> KernelMap<&mut MapData, K, V> {
        KernelMap::try_from(self.object.ebpf.map_mut(name).unwrap()).unwrap()
    }

    fn flow(&mut self, key: &FlowKey) -> Option<FlowCounters> {
        self.hash(map::FLOWS).get(key, 0).ok()
    }

    fn flows(&mut self) -> BTreeMap<FlowKey, FlowCounters> {
        self.hash(map::FLOWS).iter().map(Result::unwrap).collect()
    }

    fn overflow(&mut self) -> HashMap<OverflowKey, OverflowCounters> {
        self.hash(map::OVERFLOW).iter().map(Result::unwrap).collect()
    }

    fn totals(&mut self, program: &str) -> Totals {
        self.object.totals(point(program)).unwrap()
    }

    fn now(&mut self) -> u64 {
        self.run(program::READ_CLOCKS, &[0; 64]);
        let map = self.object.ebpf.map_mut(map::CLOCKS).unwrap();
        let clocks: aya::maps::Array<_, detector_common::abi::Clocks> =
            aya::maps::Array::try_from(map).unwrap();
        clocks.get(&0, 0).unwrap().jiffies
    }

    fn block(&mut self, key: FlowKey, deadline: u64) {
        let block = Block { deadline, reason: 7, ..Block::default() };
        self.hash(map::BLOCKS).insert(key, block, 0).unwrap();
        self.object.raise_generation().unwrap();
    }

    fn blocked(&mut self, key: &FlowKey) -> Block {
        self.hash(map::BLOCKS).get(key, 0).unwrap()
    }

    fn events(&mut self) -> RingBuf<MapData> {
        RingBuf::try_from(self.object.ebpf.take_map(map::EVENTS).unwrap()).unwrap()
    }
}

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
    point: u16,
    generation: u64,
    decapsulation: Decapsulation,
    ticks_per_second: u64,
    flows: BTreeMap<FlowKey, FlowCounters>,
    totals: Totals,
    fragments: HashMap<FragmentKey, FragmentPorts>,
}

impl Host {
    fn new(program: &str, kernel: &mut Kernel, decapsulation: Decapsulation) -> Self {
        let control = kernel.object.control().unwrap();
        Self {
            point: point(program),
            generation: control.generation,
            decapsulation,
            ticks_per_second: control.ticks_per_second,
            flows: BTreeMap::new(),
            totals: Totals::default(),
            fragments: HashMap::new(),
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
            flow
        });
        let recorded = flow.record::<Plain>(&packet, self.point, &clock);
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
        } else if let Some(ports) = self.fragments.get(&key) {
            packet.key =
                packet.key.with_ports(packet.direction, ports.source_port, ports.destination_port);
        } else {
            self.totals.fragments_unknown += count(packet.segments, packet.ip_bytes);
        }
    }
}

fn count(packets: u32, bytes: u32) -> Count {
    Count { packets: u64::from(packets), bytes: u64::from(bytes) }
}

/// What the events say is compared by tests of their own.
fn without_events(totals: Totals) -> Totals {
    Totals { events_lost: 0, heads_refused: 0, ..totals }
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
    assert_eq!(host.totals.unaccounted(), (0, 0), "{program}");
    let ended = kernel.now();
    for half in host.flows.values().flat_map(|flow| &flow.halves).filter(|half| half.packets > 0) {
        assert!((started..=ended).contains(&half.first_seen) && half.first_seen <= half.last_seen);
        assert!((started..=ended).contains(&half.last_seen));
    }
}

const ALL_TUNNELS: Decapsulation = Decapsulation { vxlan: true, gre: true, gtp_u: true };

fn config(decapsulation: Decapsulation) -> ObjectConfig {
    ObjectConfig { decapsulation, ..small() }
}

/// Room for the tests' flows, allocated in no time.
fn small() -> ObjectConfig {
    ObjectConfig { max_flows: 8_192, ..ObjectConfig::default() }
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
        let frame = Captured::whole(&sample.bytes);
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
    assert!([1, 6, 17, 47, 50, 58, 132, 253].iter().all(|protocol| protocols.contains(protocol)));
}

// Super-packets.

/// A `struct __sk_buff` in which only the segmentation is set.
fn context(segmentation: Segmentation) -> Vec<u8> {
    const LENGTH: usize = 192;
    const GSO_SEGS: usize = 164;
    const GSO_SIZE: usize = 176;
    let mut bytes = vec![0; LENGTH];
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

// Policy.

fn upload(payload: usize) -> Vec<u8> {
    frames::udp_frame((51_000, 443), &frames::counting(payload))
}

fn parsed(frame: &[u8]) -> Packet {
    let mut packet = Packet::empty();
    let frame = Captured::whole(frame);
    parse(&frame, LinkType::Ethernet, Decapsulation::default(), &mut packet).unwrap();
    packet
}

const FAR: u64 = u64::MAX / 2;

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_block_drops_and_counts() {
    let frame = upload(100);
    let Packet { key, direction, .. } = parsed(&frame);
    let bytes = frame.len() as u64 - 14;
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&small());
        assert!(!kernel.dropped(program, &frame), "{program}");
        kernel.block(key, FAR);
        for _ in 0..3 {
            assert!(kernel.dropped(program, &frame), "{program}");
        }
        let dropped = Count { packets: 3, bytes: 3 * bytes };
        let totals = kernel.totals(program);
        assert_eq!(totals.dropped, dropped, "{program}");
        assert_eq!(totals.flows, Count { packets: 4, bytes: 4 * bytes });
        assert_eq!(totals.unaccounted(), (0, 0));
        let flow = kernel.flow(&key).unwrap();
        let half = flow.half(direction);
        let in_flow = Count { packets: half.dropped_packets, bytes: half.dropped_bytes };
        assert_eq!(in_flow, dropped, "{program}");
        let block = kernel.blocked(&key);
        assert_eq!(Count { packets: block.packets, bytes: block.bytes }, dropped, "{program}");
        // Another flow of the same hosts is not meant.
        assert!(!kernel.dropped(program, &frames::udp_frame((51_001, 443), b"other")));

        kernel.hash::<FlowKey, Block>(map::BLOCKS).remove(&key).unwrap();
        kernel.object.raise_generation().unwrap();
        assert!(!kernel.dropped(program, &frame), "{program}: released");
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_block_is_there_before_its_flow() {
    let frame = upload(100);
    let mut kernel = Kernel::load(&small());
    kernel.block(parsed(&frame).key, FAR);
    assert!(kernel.dropped(program::XDP_INGRESS, &frame));
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn never_block_wins_over_a_block() {
    let v6 = frames::ethernet(
        &[],
        frames::IPV6,
        &frames::ipv6(17, &frames::udp((51_000, 443), b"kept alive")),
    );
    for frame in [upload(100), v6] {
        let Packet { key, .. } = parsed(&frame);
        let address = |address| [Prefix { length: 120, address }];
        for spared in [address(key.low), address(key.high)] {
            let mut kernel = Kernel::load(&small());
            kernel.add_prefixes(map::NEVER_BLOCK, &spared);
            kernel.block(key, FAR);
            for program in PROGRAMS {
                assert!(!kernel.dropped(program, &frame), "{program}");
            }
            assert_eq!(kernel.blocked(&key).packets, 0);
        }
    }
}

/// Nobody takes the block away, as after the death of the agent.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_block_ends_at_its_deadline() {
    let frame = upload(100);
    let Packet { key, .. } = parsed(&frame);
    let mut kernel = Kernel::load(&small());
    let second = kernel.object.clock.ticks_per_second;
    let deadline = kernel.now() + second / 2;
    kernel.block(key, deadline);
    assert!(kernel.dropped(program::TC_EGRESS, &frame));
    let mut held = 0;
    while kernel.dropped(program::TC_EGRESS, &frame) {
        held += 1;
        assert!(kernel.now() <= deadline + second / 10, "the block outlived its deadline");
    }
    assert!(held > 0 && kernel.now() >= deadline);
    // A new flow does not meet the expired block either.
    kernel.hash::<FlowKey, FlowCounters>(map::FLOWS).remove(&key).unwrap();
    assert!(!kernel.dropped(program::TC_EGRESS, &frame));
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn packets_of_a_closing_flow_are_late() {
    let keys: Vec<Vec<u8>> =
        (0..5).map(|port| frames::udp_frame((52_000 + port, 443), b"closing")).collect();
    let mut kernel = Kernel::load(&small());
    for frame in &keys {
        kernel.run(program::XDP_INGRESS, frame);
    }
    let marks: Vec<u8> = keys[..4].iter().flat_map(|frame| parsed(frame).key.to_bytes()).collect();
    kernel.run_as(program::CLOSE_FLOWS, &marks, None, 4);
    for frame in &keys {
        let closing = Cached(kernel.flow(&parsed(frame).key).unwrap().policy).is_closing();
        assert_eq!(closing, frame != &keys[4]);
        assert!(!kernel.dropped(program::XDP_INGRESS, frame));
    }
    let bytes = keys[0].len() as u64 - 14;
    let totals = kernel.totals(program::XDP_INGRESS);
    assert_eq!(totals.late, Count { packets: 4, bytes: 4 * bytes });
    assert_eq!(totals.flows, Count { packets: 6, bytes: 6 * bytes });
    // What is deleted had counted all that its total says.
    let mut deleted = Count::default();
    for frame in &keys {
        let key = parsed(frame).key;
        let flow = kernel.flow(&key).unwrap();
        kernel.hash::<FlowKey, FlowCounters>(map::FLOWS).remove(&key).unwrap();
        for half in &flow.halves {
            deleted += Count { packets: half.packets, bytes: half.ip_bytes };
        }
    }
    assert_eq!(deleted, totals.flows);
    kernel.run(program::XDP_INGRESS, &keys[0]);
    let totals = kernel.totals(program::XDP_INGRESS);
    assert_eq!(totals.flows.packets, 7, "a deleted flow opens again");
    assert_eq!(totals.unaccounted(), (0, 0));
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_map_overflows_by_home_host() {
    let config = ObjectConfig { max_flows: 8, max_overflow_entries: 2, ..small() };
    let mut kernel = Kernel::load(&config);
    let from = |host: u8, port: u16| {
        let header = frames::V4 { source: [10, 0, 0, host], ..frames::V4::new(17) };
        let packet = header.packet(&frames::udp((port, 443), &frames::counting(1_000)));
        frames::ethernet(&[], frames::IPV4, &packet)
    };
    for host in 1..=4 {
        for port in 0..50 {
            kernel.run(program::TC_EGRESS, &from(host, 1_000 + port));
        }
    }
    let bytes = from(1, 1).len() as u64 - 14;
    let totals = kernel.totals(program::TC_EGRESS);
    let flows = kernel.flows();
    let entries = kernel.overflow();
    let counted: u64 = entries.values().map(|entry| entry.packets).sum();
    // The kernel may keep a few more entries than asked for, per processor.
    assert!((8..100).contains(&flows.len()), "{} flows", flows.len());
    assert_eq!(totals.flows.packets, flows.len() as u64);
    assert_eq!(totals.overflow.packets, 200 - flows.len() as u64);
    assert_eq!(totals.overflow.bytes, totals.overflow.packets * bytes);
    assert_eq!(totals.overflow_rest.packets, totals.overflow.packets - counted);
    assert_eq!(totals.overflow_rest.bytes, totals.overflow_rest.packets * bytes);
    assert!(totals.overflow_rest.packets > 0, "{entries:?}");
    assert_eq!(totals.unaccounted(), (0, 0));
    assert!(entries.keys().all(|key| key.outbound == 1 && key.address[12..15] == [10, 0, 0]));
    // The theft that starts after the flood crosses a checkpoint of its own.
    let mut events = kernel.events();
    let mut kinds = BTreeSet::new();
    while let Some(record) = events.next() {
        kinds.insert(u32::from_ne_bytes(record[..4].try_into().unwrap()));
    }
    assert!(kinds.contains(&(EventKind::OverflowCheckpoint as u32)), "{kinds:?}");
    // A block holds without a flow, too.
    let key = parsed(&from(1, 1_049)).key;
    kernel.block(key, FAR);
    assert!(kernel.flow(&key).is_none());
    assert!(kernel.dropped(program::TC_EGRESS, &from(1, 1_049)));
    assert_eq!(kernel.blocked(&key).packets, 1);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn two_points_count_once_until_one_is_silent() {
    let frame = upload(100);
    let Packet { key, direction, .. } = parsed(&frame);
    let mut kernel = Kernel::load(&small());
    for _ in 0..5 {
        kernel.run(program::TC_EGRESS, &frame);
        kernel.run(program::XDP_INGRESS, &frame);
    }
    let owner = |kernel: &mut Kernel| kernel.flow(&key).unwrap().half(direction).owner;
    assert_eq!(owner(&mut kernel), point(program::TC_EGRESS) + 1);
    assert_eq!(kernel.totals(program::XDP_INGRESS).duplicates.packets, 5);
    assert_eq!(kernel.totals(program::XDP_INGRESS).unaccounted(), (0, 0));
    // Another point's packets in the answer's direction are its own.
    let answer = frames::V4::new(17).back().packet(&frames::udp((443, 51_000), b"answer"));
    kernel.run(program::XDP_INGRESS, &frames::ethernet(&[], frames::IPV4, &answer));
    assert_eq!(kernel.totals(program::XDP_INGRESS).flows.packets, 1);
    // The owner is silent for a second, by the kernel's own clock.
    let second = kernel.object.clock.ticks_per_second;
    let quiet = kernel.flow(&key).unwrap().half(direction).last_seen + second;
    detector_tests::poll_until(std::time::Duration::from_secs(5), || {
        (kernel.now() >= quiet).then_some(())
    })
    .unwrap();
    kernel.run(program::XDP_INGRESS, &frame);
    assert_eq!(owner(&mut kernel), point(program::XDP_INGRESS) + 1);
    assert_eq!(kernel.totals(program::XDP_INGRESS).owner_moves, 1);
    kernel.run(program::TC_EGRESS, &frame);
    assert_eq!(kernel.totals(program::TC_EGRESS).duplicates.packets, 1);
    assert_eq!(kernel.flow(&key).unwrap().half(direction).packets, 6);
}

// Events.

/// An event in the ring, with the parts that tests look at.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Kind of checkpoint, packets and outbound IP bytes of the copy.
    Checkpoint(u8, u64, u64),
    Head {
        payload: u32,
        bytes: Vec<u8>,
    },
}

fn drain(events: &mut RingBuf<MapData>, direction: Direction) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(record) = events.next() {
        let word =
            |offset: usize| u32::from_ne_bytes(record[offset..offset + 4].try_into().unwrap());
        let long =
            |offset: usize| u64::from_ne_bytes(record[offset..offset + 8].try_into().unwrap());
        if word(0) == EventKind::Checkpoint as u32 {
            assert_eq!(record.len(), size_of::<CheckpointEvent>());
            let half = std::mem::offset_of!(CheckpointEvent, counters)
                + std::mem::offset_of!(FlowCounters, halves)
                + direction as usize * 128;
            assert_eq!(record[5], direction as u8);
            seen.push(Seen::Checkpoint(record[4], long(half), long(half + 8)));
        } else {
            assert_eq!(word(0), EventKind::Head as u32);
            assert_eq!(record.len(), size_of::<HeadEvent>());
            let length = usize::from(u16::from_ne_bytes(record[6..8].try_into().unwrap()));
            let start = std::mem::offset_of!(HeadEvent, bytes);
            let bytes = record[start..start + length].to_vec();
            seen.push(Seen::Head { payload: word(8), bytes });
        }
    }
    seen
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn checkpoints_arrive_with_the_counters_at_the_crossing() {
    let frame = upload(1_000);
    let packet = parsed(&frame);
    let size = u64::from(packet.ip_bytes);
    let mut expected = vec![Seen::Checkpoint(Checkpoint::Packets as u8, 7, 7 * size)];
    for checkpoint in [1_u64 << 14, 1 << 16, 1 << 18, 1 << 20] {
        let packets = checkpoint.div_ceil(size);
        expected.push(Seen::Checkpoint(Checkpoint::Bytes as u8, packets, packets * size));
    }
    for program in PROGRAMS {
        let config = ObjectConfig { heads_per_second: 0, ..small() };
        let mut kernel = Kernel::load(&config);
        let mut events = kernel.events();
        kernel.run_as(program, &frame, None, 1_100);
        assert_eq!(drain(&mut events, packet.direction), expected, "{program}");
        assert_eq!(kernel.totals(program).events_lost, 0);
    }
}

/// Inbound bytes cross no byte checkpoint.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_download_has_no_byte_checkpoints() {
    let packet = frames::V4::new(17).back().packet(&frames::udp((443, 51_000), &[0; 1_000]));
    let frame = frames::ethernet(&[], frames::IPV4, &packet);
    let config = ObjectConfig { heads_per_second: 0, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    kernel.run_as(program::XDP_INGRESS, &frame, None, 100);
    let seen = drain(&mut events, parsed(&frame).direction);
    assert_eq!(seen, [Seen::Checkpoint(Checkpoint::Packets as u8, 7, 7 * 1_028)]);
}

/// Heads of every length around the words and the bound of a copy.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_carry_the_first_bytes() {
    let lengths = [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1_400];
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&small());
        let mut events = kernel.events();
        for length in lengths {
            let payload: Vec<u8> =
                frames::counting(length).iter().map(|byte| byte ^ 0xa5).collect();
            let port = 53_000 + u16::try_from(length).unwrap();
            let frame = frames::udp_frame((port, 443), &payload);
            kernel.run(program, &frame);
            let bytes = payload[..length.min(HEAD_BYTES)].to_vec();
            // The plain XDP program copies in words, Linux below 5.18 having nothing else.
            let whole =
                if program == program::XDP_INGRESS { bytes.len() / 4 * 4 } else { bytes.len() };
            let seen = drain(&mut events, parsed(&frame).direction);
            let [Seen::Head { payload, bytes: head }] = seen.as_slice() else {
                panic!("{program}, {length} bytes: {seen:?}");
            };
            assert_eq!(*payload as usize, length, "{program}");
            assert!(head.len() >= whole, "{program}, {length} bytes: {} handed up", head.len());
            assert_eq!(head[..], bytes[..head.len()], "{program}, {length} bytes");
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_last_as_long_as_the_story_may() {
    const REPEATS: usize = 40;
    let udp = |ports| frames::udp_frame(ports, b"message");
    let tcp = |ports| frames::tcp_frame(ports, 1, 0x18, b"message");
    let ping = frames::icmp(8, 0, 7, b"message");
    let ping = frames::ethernet(&[], frames::IPV4, &frames::V4::new(1).packet(&ping));
    for (frame, expected) in [
        (udp((54_000, 443)), 4),
        (udp((54_000, 53)), REPEATS),
        (udp((53, 54_000)), REPEATS),
        (tcp((54_000, 443)), 4),
        (tcp((54_000, 8080)), 12),
        (tcp((587, 54_000)), 32),
        (tcp((54_000, 21)), REPEATS),
        (ping, 32),
    ] {
        for program in PROGRAMS {
            let mut kernel = Kernel::load(&small());
            let mut events = kernel.events();
            kernel.run_as(program, &frame, None, REPEATS as u32);
            let heads = drain(&mut events, parsed(&frame).direction)
                .into_iter()
                .filter(|seen| matches!(seen, Seen::Head { .. }));
            assert_eq!(heads.count(), expected, "{program}, {frame:?}");
        }
    }
}

/// All frames run on one processor within one second, or within two: the budget is per second.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_beyond_the_budget_are_refused_and_counted() {
    let config = ObjectConfig { heads_per_second: 10, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    let frame = frames::udp_frame((55_000, 53), b"query");
    kernel.run_as(program::XDP_INGRESS, &frame, None, 100);
    let seen = drain(&mut events, parsed(&frame).direction);
    let heads = seen.iter().filter(|seen| matches!(seen, Seen::Head { .. })).count() as u64;
    assert!(heads == 10 || heads == 20, "{heads} heads");
    assert_eq!(kernel.totals(program::XDP_INGRESS).heads_refused, 100 - heads);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn events_without_room_are_counted() {
    let config = ObjectConfig { ring_buffer_bytes: 4_096, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    let frame = frames::udp_frame((55_000, 53), b"query");
    kernel.run_as(program::TC_INGRESS, &frame, None, 50);
    let seen = drain(&mut events, parsed(&frame).direction).len() as u64;
    // Fifty heads and the seventh packet's checkpoint.
    assert_eq!(kernel.totals(program::TC_INGRESS).events_lost, 51 - seen);
    assert!((1..20).contains(&seen), "{seen} events");
}

/// A fragment is given its first one's ports for so long and no longer: here only that the constant
/// is what both sides use; time is not waited for.
const _: () = assert!(FRAGMENT_SECONDS == 30);

// The object.

/// Every instruction of every program, by section.
fn instructions() -> Vec<(String, usize, [u8; 8])> {
    let file = object::File::parse(OBJECT).unwrap();
    let mut instructions = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let name = section.name().unwrap().to_owned();
        let mut chunks = section.data().unwrap().as_chunks::<8>().0.iter().enumerate();
        while let Some((index, instruction)) = chunks.next() {
            instructions.push((name.clone(), index, *instruction));
            // A 64-bit immediate takes two places.
            if instruction[0] == 0x18 {
                chunks.next();
            }
        }
    }
    instructions
}

/// Linux 5.10 has addition without a fetch and no other atomic instruction.
fn needs_5_12(instruction: &[u8; 8]) -> Option<bool> {
    const STX_ATOMIC_WORD: u8 = 0xc3;
    const STX_ATOMIC_DOUBLE: u8 = 0xdb;
    let [code, _, _, _, immediate @ ..] = instruction;
    matches!(*code, STX_ATOMIC_WORD | STX_ATOMIC_DOUBLE)
        .then(|| i32::from_le_bytes(*immediate) != 0)
}

#[test]
fn atomics_are_those_of_linux_5_10() {
    assert_eq!(needs_5_12(&[0xdb, 0, 0, 0, 0, 0, 0, 0]), Some(false));
    assert_eq!(needs_5_12(&[0xdb, 0, 0, 0, 1, 0, 0, 0]), Some(true), "a fetch");
    assert_eq!(needs_5_12(&[0xc3, 0, 0, 0, 0x40, 0, 0, 0]), Some(true), "an or");
    assert_eq!(needs_5_12(&[0x7b, 0, 0, 0, 1, 0, 0, 0]), None, "a plain store");

    let instructions = instructions();
    let atomics: Vec<_> =
        instructions.iter().filter_map(|place| Some((place, needs_5_12(&place.2)?))).collect();
    assert!(instructions.len() > 1_000 && atomics.len() > 20, "the disassembly found nothing");
    for ((section, index, instruction), newer) in atomics {
        assert!(!newer, "{section}, instruction {index}: {instruction:02x?}");
    }
}

/// The configuration's sizes, not the tests'.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn map_memory_is_bounded_at_the_defaults() {
    let defaults = detector::config::Config::default();
    let kernel = Kernel::load(&ObjectConfig {
        max_flows: defaults.kernel.max_flows.get(),
        max_overflow_entries: defaults.kernel.max_overflow_entries.get(),
        ring_buffer_bytes: defaults.kernel.ring_buffer_bytes,
        ..small()
    });
    let bytes = kernel.object.map_memory_bytes().unwrap();
    println!("maps: {bytes} bytes");
    assert!(bytes > defaults.flow_map_bytes());
    assert!(bytes < 128 << 20, "{bytes} bytes of maps at the default configuration");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_verifier_has_room_to_spare() {
    let closed = Decapsulation::default();
    for decapsulation in [
        closed,
        Decapsulation { vxlan: true, ..closed },
        Decapsulation { gre: true, ..closed },
        Decapsulation { gtp_u: true, ..closed },
        ALL_TUNNELS,
    ] {
        println!("{decapsulation:?}");
        let mut kernel = Kernel::load(&config(decapsulation));
        for name in PROGRAMS {
            let ebpf = &mut kernel.object.ebpf;
            let info = if is_xdp(name) {
                xdp(ebpf, name).unwrap().info()
            } else {
                classifier(ebpf, name).unwrap().info()
            };
            let count = info.unwrap().verified_instruction_count().unwrap();
            println!("  {name}: {count} instructions verified");
            assert!(count > 0 && count < 500_000, "{name}: {count} instructions");
        }
    }
}
