//! The loaded object and what tests do with it.

use std::collections::{BTreeMap, HashMap};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap as KernelMap, MapData, RingBuf};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions};
use detector::source::kernel::object::{Object, ObjectConfig, classifier, xdp};
use detector_common::abi::{
    Clocks, Control, Count, Interface, OverflowCounters, OverflowKey, Totals, map, program,
};
use detector_common::flow::{FlowCounters, FlowKey, Seen};
use detector_common::frame::{Captured, LinkType};
use detector_common::parse::{Decapsulation, Packet, parse};
use detector_common::policy::{Entry, EntryCounters, Prefix, TargetKey};
use detector_tests::{frames, require_root};

/// What BPF_PROG_TEST_RUN takes the interface to be: the loopback device of this namespace.
pub(crate) const INTERFACE: u32 = 1;
pub(crate) const SLOT: u16 = 1;

pub(crate) const PROGRAMS: [&str; 4] =
    [program::XDP_INGRESS, program::XDP_INGRESS_FRAGS, program::TC_INGRESS, program::TC_EGRESS];

/// The same for kernels with additions that return the old value.
pub(crate) const FETCHING: [&str; 4] = [
    program::XDP_INGRESS_FETCH,
    program::XDP_INGRESS_FRAGS_FETCH,
    program::TC_INGRESS_FETCH,
    program::TC_EGRESS_FETCH,
];

pub(crate) fn is_xdp(program: &str) -> bool {
    program.starts_with("xdp_")
}

/// The shortest frame that BPF_PROG_TEST_RUN takes.
pub(crate) const SHORTEST: usize = 14;

/// Whether BPF_PROG_TEST_RUN hands the frame over: at tc it wants an IP header whole where the
/// EtherType says that there is one, and something behind the Ethernet header in any case.
pub(crate) fn takes(program: &str, frame: &[u8]) -> bool {
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

/// Where a program sees a packet that came by no other interface.
pub(crate) fn seen(program: &str) -> Seen {
    if program.starts_with(program::TC_EGRESS) { Seen::Sent } else { Seen::Received }
}

/// The size of `__sk_buff` (include/uapi/linux/bpf.h), which a run at tc may be given.
pub(crate) const SKB_BYTES: usize = 192;

/// The `__sk_buff` of a packet that this device received.
pub(crate) fn skb_received_by(index: u32) -> Vec<u8> {
    const INGRESS_IFINDEX: usize = 36;
    let mut bytes = vec![0; SKB_BYTES];
    bytes[INGRESS_IFINDEX..INGRESS_IFINDEX + 4].copy_from_slice(&index.to_ne_bytes());
    bytes
}

/// The observation point of a program on [`INTERFACE`].
pub(crate) fn point(program: &str) -> u16 {
    SLOT * 2 + u16::from(program.starts_with(program::TC_EGRESS))
}

pub(crate) fn home_prefixes() -> [Prefix; 2] {
    let mut v4 = [0; 16];
    v4[10..13].copy_from_slice(&[0xff, 0xff, 10]);
    let mut v6 = [0; 16];
    v6[0] = 0xfd;
    [Prefix { length: 96 + 8, address: v4 }, Prefix { length: 8, address: v6 }]
}

pub(crate) fn is_home(address: &[u8; 16]) -> bool {
    home_prefixes().iter().any(|prefix| prefix.contains(address))
}

pub(crate) fn home(key: &FlowKey) -> u8 {
    let low = u8::from(is_home(&key.low)) * FlowCounters::HOME_LOW;
    let high = u8::from(is_home(&key.high)) * FlowCounters::HOME_HIGH;
    low | high
}

/// Room for the tests' flows, allocated in no time.
pub(crate) fn small() -> ObjectConfig {
    ObjectConfig { max_flows: 8_192, ..ObjectConfig::default() }
}

/// A tick that no test lives to see.
pub(crate) const FAR: u64 = u64::MAX / 2;

/// An entry that does `action` from now on.
pub(crate) fn entry(action: u8) -> Entry {
    Entry { action, deadline: FAR, reason: 7, ..Entry::default() }
}

pub(crate) fn exception(flags: u8) -> Entry {
    Entry { flags, ..entry(Entry::NEVER) }
}

/// Where an entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Key(TargetKey),
    Prefix(Prefix),
}

impl Place {
    fn kind(&self) -> u8 {
        match self {
            Self::Key(key) => key.kind,
            Self::Prefix(_) => TargetKey::PREFIX,
        }
    }

    /// The bits of `prefix` that are not the prefix's are cleared.
    pub(crate) fn prefix(address: [u8; 16], length: u32) -> Self {
        Self::Prefix(prefix(address, length))
    }
}

pub(crate) fn prefix(address: [u8; 16], length: u32) -> Prefix {
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    Prefix { length, address: (u128::from_be_bytes(address) & mask).to_be_bytes() }
}

/// The loaded object with one interface that the programs know.
pub(crate) struct Kernel {
    pub(crate) object: Object,
    next_number: u32,
}

impl Kernel {
    pub(crate) fn load(config: &ObjectConfig) -> Self {
        require_root().unwrap();
        let object = Object::load(config).unwrap();
        let mut kernel = Self { object, next_number: 1 };
        kernel.set_link(LinkType::Ethernet);
        kernel.add_prefixes(map::HOME, &home_prefixes());
        kernel
    }

    pub(crate) fn set_link(&mut self, link: LinkType) {
        let role = Interface::COUNTS | Interface::COVERS;
        self.set_role(INTERFACE, SLOT + 1, link, role);
    }

    pub(crate) fn set_role(&mut self, index: u32, slot: u16, link: LinkType, role: u8) {
        let interface = Interface { index, slot, link: link as u8, role };
        self.object.set_interface(index, interface).unwrap();
    }

    fn add_prefixes(&mut self, name: &str, prefixes: &[Prefix]) {
        for prefix in prefixes {
            self.trie(name).insert(&trie_key(prefix), 0, 0).unwrap();
        }
    }

    pub(crate) fn run(&mut self, program: &str, frame: &[u8]) -> u32 {
        self.run_as(program, frame, None, 1)
    }

    pub(crate) fn run_as(
        &mut self,
        program: &str,
        frame: &[u8],
        context: Option<&[u8]>,
        repeat: u32,
    ) -> u32 {
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: context,
            repeat,
            ..TestRunOptions::new()
        };
        self.test_run(program, options)
    }

    pub(crate) fn test_run(&mut self, program: &str, options: TestRunOptions<'_>) -> u32 {
        self.ready(program);
        let ebpf = &mut self.object.ebpf;
        let result = if is_xdp(program) {
            xdp(ebpf, program).unwrap().test_run(options)
        } else {
            classifier(ebpf, program).unwrap().test_run(options)
        };
        result.unwrap_or_else(|error| panic!("{program}: {error:?}")).return_value
    }

    /// Loads a program that is not.
    pub(crate) fn ready(&mut self, program: &str) {
        let ebpf = &mut self.object.ebpf;
        let result = if is_xdp(program) {
            xdp(ebpf, program).unwrap().load()
        } else {
            classifier(ebpf, program).unwrap().load()
        };
        match result {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => panic!("{program}: {error}"),
        }
    }

    pub(crate) fn dropped(&mut self, program: &str, frame: &[u8]) -> bool {
        let code = self.run(program, frame);
        is_drop(program, code)
    }

    /// How many of `count` packets pass.
    pub(crate) fn passed(&mut self, program: &str, frame: &[u8], count: u32) -> u32 {
        (0..count).map(|_| u32::from(!self.dropped(program, frame))).sum()
    }

    /// Whether the frame was dropped, and what has become of it.
    pub(crate) fn returned(&mut self, program: &str, frame: &[u8]) -> (bool, Vec<u8>) {
        let mut out = vec![0; frame.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: 1,
            ..TestRunOptions::new()
        };
        let code = self.test_run(program, options);
        (is_drop(program, code), out)
    }

    pub(crate) fn hash<K: aya::Pod, V: aya::Pod>(
        &mut self,
        name: &str,
    ) -> KernelMap<&mut MapData, K, V> {
        KernelMap::try_from(self.object.ebpf.map_mut(name).unwrap()).unwrap()
    }

    pub(crate) fn array<V: aya::Pod>(&mut self, name: &str) -> Array<&mut MapData, V> {
        Array::try_from(self.object.ebpf.map_mut(name).unwrap()).unwrap()
    }

    pub(crate) fn trie(&mut self, name: &str) -> LpmTrie<&mut MapData, [u8; 16], u32> {
        LpmTrie::try_from(self.object.ebpf.map_mut(name).unwrap()).unwrap()
    }

    pub(crate) fn flow(&mut self, key: &FlowKey) -> Option<FlowCounters> {
        self.hash(map::FLOWS).get(key, 0).ok()
    }

    pub(crate) fn flows(&mut self) -> BTreeMap<FlowKey, FlowCounters> {
        self.hash(map::FLOWS).iter().map(Result::unwrap).collect()
    }

    pub(crate) fn overflow(&mut self) -> HashMap<OverflowKey, OverflowCounters> {
        self.hash(map::OVERFLOW).iter().map(Result::unwrap).collect()
    }

    pub(crate) fn totals(&mut self, program: &str) -> Totals {
        self.object.totals(point(program)).unwrap()
    }

    pub(crate) fn now(&mut self) -> u64 {
        self.run(program::READ_CLOCKS, &[0; 64]);
        let clocks: Clocks = self.array(map::CLOCKS).get(&0, 0).unwrap();
        clocks.jiffies
    }

    pub(crate) fn second(&self) -> u64 {
        self.object.clock.ticks_per_second
    }

    /// Places an entry under a number of its own; in effect with [`Self::commit`].
    pub(crate) fn place(&mut self, place: &Place, entry: Entry) -> u32 {
        let number = self.number();
        self.place_as(number, place, entry);
        number
    }

    pub(crate) fn place_as(&mut self, number: u32, place: &Place, entry: Entry) {
        self.write(number, place, entry);
        match place {
            Place::Key(key) => {
                self.hash::<TargetKey, u32>(map::BLOCKS).insert(key, number, 0).unwrap();
            }
            Place::Prefix(prefix) => {
                self.trie(map::PREFIXES).insert(&trie_key(prefix), number, 0).unwrap();
            }
        }
        self.control(|control| control.targets |= 1 << place.kind());
    }

    pub(crate) fn remove(&mut self, place: &Place) {
        match place {
            Place::Key(key) => self.hash::<TargetKey, u32>(map::BLOCKS).remove(key).unwrap(),
            Place::Prefix(prefix) => {
                self.trie(map::PREFIXES).remove(&trie_key(prefix)).unwrap();
            }
        }
    }

    pub(crate) fn except(&mut self, prefix: &Prefix, entry: Entry) -> u32 {
        let number = self.number();
        self.except_as(number, prefix, entry);
        number
    }

    pub(crate) fn except_as(&mut self, number: u32, prefix: &Prefix, entry: Entry) {
        self.write(number, &Place::Prefix(*prefix), entry);
        self.trie(map::NEVER_BLOCK).insert(&trie_key(prefix), number, 0).unwrap();
    }

    pub(crate) fn remove_exception(&mut self, prefix: &Prefix) {
        self.trie(map::NEVER_BLOCK).remove(&trie_key(prefix)).unwrap();
    }

    fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn write(&mut self, number: u32, place: &Place, entry: Entry) {
        self.set_entry_stats(number, EntryCounters::default());
        self.change(number, place, entry);
    }

    /// Gives an entry another value; its counters go on.
    pub(crate) fn change(&mut self, number: u32, place: &Place, mut entry: Entry) {
        if let Place::Prefix(prefix) = place {
            entry.prefix_length = prefix.length as u8;
        }
        self.array(map::POLICY).set(number, entry, 0).unwrap();
    }

    pub(crate) fn entry_stats(&mut self, number: u32) -> EntryCounters {
        self.array(map::HITS).get(&number, 0).unwrap()
    }

    pub(crate) fn set_entry_stats(&mut self, number: u32, hits: EntryCounters) {
        self.array(map::HITS).set(number, hits, 0).unwrap();
    }

    pub(crate) fn control(&mut self, change: impl FnOnce(&mut Control)) {
        let mut control = self.object.control().unwrap();
        change(&mut control);
        self.object.set_control(control).unwrap();
    }

    /// Changes the control word and makes every flow look again.
    pub(crate) fn commit_with(&mut self, change: impl FnOnce(&mut Control)) {
        self.control(change);
        self.commit();
    }

    pub(crate) fn commit(&mut self) {
        self.object.raise_generation().unwrap();
    }

    pub(crate) fn events(&mut self) -> RingBuf<MapData> {
        RingBuf::try_from(self.object.ebpf.take_map(map::EVENTS).unwrap()).unwrap()
    }
}

pub(crate) fn is_drop(program: &str, code: u32) -> bool {
    const XDP_DROP: u32 = 1;
    const XDP_PASS: u32 = 2;
    const TC_ACT_SHOT: u32 = 2;
    const TC_ACT_UNSPEC: u32 = u32::MAX;
    match (is_xdp(program), code) {
        (true, XDP_DROP) | (false, TC_ACT_SHOT) => true,
        (true, XDP_PASS) | (false, TC_ACT_UNSPEC) => false,
        (_, code) => panic!("{program} returned {code}"),
    }
}

fn trie_key(prefix: &Prefix) -> Key<[u8; 16]> {
    Key::new(prefix.length, prefix.address)
}

pub(crate) fn count(packets: u32, bytes: u32) -> Count {
    Count { packets: u64::from(packets), bytes: u64::from(bytes) }
}

pub(crate) fn upload(payload: usize) -> Vec<u8> {
    frames::udp_frame((51_000, 443), &frames::counting(payload))
}

pub(crate) fn parsed(frame: &[u8]) -> Packet {
    let mut packet = Packet::empty();
    let frame = Captured::whole(frame);
    parse(&frame, LinkType::Ethernet, Decapsulation::default(), &mut packet).unwrap();
    packet
}

/// An address of the tests' as keys have it.
pub(crate) fn mapped(v4: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(v4).to_ipv6_mapped().octets()
}

/// A UDP datagram between two addresses of one family.
pub(crate) fn datagram(
    (source, source_port): ([u8; 16], u16),
    (destination, destination_port): ([u8; 16], u16),
    payload: usize,
) -> Vec<u8> {
    let udp = frames::udp((source_port, destination_port), &frames::counting(payload));
    let v4 = |address: [u8; 16]| std::net::Ipv6Addr::from(address).to_ipv4_mapped();
    match (v4(source), v4(destination)) {
        (Some(source), Some(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            let header = frames::V4 { source, destination, ..frames::V4::new(17) };
            frames::ethernet(&[], frames::IPV4, &header.packet(&udp))
        }
        _ => {
            let length = u16::try_from(udp.len()).unwrap();
            let packet = frames::ipv6_between(source, destination, 17, length, &udp);
            frames::ethernet(&[], frames::IPV6, &packet)
        }
    }
}
