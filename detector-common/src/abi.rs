//! What passes between the kernel programs and the agent: map names, record layouts, sizes.
//!
//! Any change of a layout or of a meaning here raises [`ABI_VERSION`].

use crate::flow::{Add, Clock, Direction, FlowCounters, FlowKey};
use crate::parse::{Packet, Skip};
use crate::policy::{BudgetKey, DESTINATION_CLASSES, HOME_CLASSES, PORT_CLASSES};

/// Version of everything in this file, of [`FlowKey`], [`FlowCounters`] and the policy entries.
pub const ABI_VERSION: u32 = 3;

/// First outbound byte checkpoint; each next one is four times as far.
pub const CHECKPOINT_FIRST_BYTES: u64 = 16 * 1024;

/// Payload packets of each direction whose first bytes are handed up, whatever they are.
pub const FIRST_PAYLOADS: u64 = 4;
/// The same for mail and ICMP: an SMTP client has sent EHLO, AUTH and all recipients before the
/// message begins.
pub const DIALOGUE_FIRST_PAYLOADS: u64 = 32;
/// The same for FTP control connections: each file has commands of its own.
pub const FTP_FIRST_PAYLOADS: u64 = 512;
/// Bytes of a payload in one record: a DNS message over UDP without EDNS. A longer piece of a payload
/// takes several records.
pub const FIRST_PAYLOAD_BYTES: usize = 512;
/// Bytes of each direction's start that are handed up in however many packets they come: a TLS
/// ClientHello with the key shares of ML-KEM, an HTTP header with its cookies.
pub const STREAM_BYTES: u32 = 4_096;
/// Bytes that are handed up again once the other end has spoken, and how often in each direction: the
/// next request of a kept connection.
pub const TURN_BYTES: u32 = 1_024;
pub const MAX_TURNS: u8 = 16;

/// Lines that each processor may write to the log in a second, where they are asked for.
pub const TRACE_LINES_PER_SECOND: u64 = 50;

/// Places in BUDGET_RULES, see [`crate::policy::budget_rule`].
pub const BUDGET_RULES: u32 = HOME_CLASSES * PORT_CLASSES * DESTINATION_CLASSES;

/// Flow keys in one frame for `close_flows` and `remove_flows`, at most.
pub const CLOSE_BATCH: usize = 64;

/// Attached interfaces the programs can tell apart.
pub const MAX_INTERFACES: u32 = 256;
/// Size of the table from interface index to slot, by the low bits of the index.
pub const INTERFACE_INDEX_SLOTS: u32 = 1 << 16;
/// Kinds of frames that are no IP which are counted by kind.
pub const MAX_UNOPENED: u32 = 256;
/// First fragments remembered.
pub const MAX_FRAGMENTS: u32 = 4_096;
/// A first fragment is forgotten after this many seconds (RFC 8200 section 4.5 gives reassembly 60,
/// common stacks 30).
pub const FRAGMENT_SECONDS: u64 = 30;

/// Names of the maps, as they stand in the object.
pub mod map {
    pub const FLOWS: &str = "FLOWS";
    pub const OVERFLOW: &str = "OVERFLOW";
    pub const TOTALS: &str = "TOTALS";
    pub const INTERFACES: &str = "INTERFACES";
    pub const CONTROL: &str = "CONTROL";
    pub const HOME: &str = "HOME";
    pub const NEVER_BLOCK: &str = "NEVER_BLOCK";
    pub const BLOCKS: &str = "BLOCKS";
    pub const PREFIXES: &str = "PREFIXES";
    pub const POLICY: &str = "POLICY";
    pub const HITS: &str = "HITS";
    pub const BUDGETS: &str = "BUDGETS";
    pub const BUDGET_RULES: &str = "BUDGET_RULES";
    pub const REMOVED: &str = "REMOVED";
    pub const FRAGMENTS: &str = "FRAGMENTS";
    pub const UNOPENED: &str = "UNOPENED";
    pub const EVENTS: &str = "EVENTS";
    pub const CLOCKS: &str = "CLOCKS";
    pub const BYPASS_EVENTS: &str = "BYPASS_EVENTS";
    pub const BYPASSES_LOST: &str = "BYPASSES_LOST";
    /// aya-log's ring buffer.
    pub const AYA_LOGS: &str = "AYA_LOGS";
    pub const TRACE_LIMITS: &str = "TRACE_LIMITS";
}

/// Names of the programs, as they stand in the object.
pub mod program {
    pub const XDP_INGRESS: &str = "xdp_ingress";
    pub const XDP_INGRESS_FRAGS: &str = "xdp_ingress_frags";
    pub const TC_INGRESS: &str = "tc_ingress";
    pub const TC_EGRESS: &str = "tc_egress";
    /// The same four for kernels whose atomic addition returns the old value (Linux 5.12): budgets
    /// are exact between processors.
    pub const XDP_INGRESS_FETCH: &str = "xdp_ingress_fetch";
    pub const XDP_INGRESS_FRAGS_FETCH: &str = "xdp_ingress_frags_fetch";
    pub const TC_INGRESS_FETCH: &str = "tc_ingress_fetch";
    pub const TC_EGRESS_FETCH: &str = "tc_egress_fetch";
    /// Marks flows as closing; run by the agent, never attached.
    pub const CLOSE_FLOWS: &str = "close_flows";
    /// Deletes flows that are closing and adds what they carried to REMOVED; run by the agent, never
    /// attached.
    pub const REMOVE_FLOWS: &str = "remove_flows";
    /// Gives a budget another limit; run by the agent, never attached.
    pub const SET_BUDGET: &str = "set_budget";
    /// Reads both clocks; run by the agent, never attached.
    pub const READ_CLOCKS: &str = "read_clocks";
    /// Sees who asks for a way past the programs; the other does on kernels that do not say which process
    /// it is.
    pub const SEE_OPTIONS: &str = "see_options";
    pub const SEE_OPTIONS_NAMELESS: &str = "see_options_nameless";
}

/// The two sides of an interface at which packets are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    Ingress = 0,
    Egress = 1,
}

/// An observation point: an interface's slot and a hook. It is the index into TOTALS.
#[inline(always)]
#[must_use]
pub fn observation_point(slot: u16, hook: Hook) -> u16 {
    slot * 2 + hook as u16
}

/// An entry of INTERFACES: what the programs know of an interface. All zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Interface {
    /// The whole index: the entry's place has its low bits alone.
    pub index: u32,
    /// Slot plus one; 0: the programs are not attached to it.
    pub slot: u16,
    /// A [`crate::frame::LinkType`].
    pub link: u8,
    /// [`Self::COUNTS`], [`Self::COVERS`], [`Self::SEEN_BY_PEER`].
    pub role: u8,
}

impl Interface {
    /// It counts what passes it: no device below it does.
    pub const COUNTS: u8 = 1;
    /// What is received by it was counted when it was received, by itself or by the devices below it.
    pub const COVERS: u8 = 2;
    /// What it sends is counted where it arrives: at its peer, or at itself (the loopback).
    pub const SEEN_BY_PEER: u8 = 4;
}

/// Frames and bytes with one fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl core::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// What one processor saw at one observation point. For every interface and hook, summed over
/// processors:
///
/// - `frames.packets = flows + overflow + late + duplicates + skipped` (packets)
/// - `frames.bytes = link_bytes + (flows + overflow + late + duplicates) IP bytes + skipped` (bytes)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Totals {
    /// Frames and their bytes on the wire.
    pub frames: Count,
    /// Packets and IP bytes counted in FLOWS.
    pub flows: Count,
    /// Link, padding and encapsulation bytes of everything that is not skipped.
    pub link_bytes: u64,
    /// Events that the ring buffer had no room for.
    pub events_lost: u64,
    /// Payloads not handed up because the processor's budget was spent.
    pub first_payloads_refused: u64,
    /// Packets and IP bytes counted in OVERFLOW.
    pub overflow: Count,
    /// The part of `overflow` for which OVERFLOW had no entry left.
    pub overflow_rest: Count,
    /// Packets and IP bytes for a flow that was being deleted.
    pub late: Count,
    /// Packets and IP bytes that another observation point counts, see [`crate::flow::Seen`].
    pub duplicates: Count,
    /// Packets and IP bytes dropped, whatever asked for it: a part of the above.
    pub dropped: Count,
    /// The part of `dropped` that was beyond a rate, and the part that waits for a verdict.
    pub policed: Count,
    pub held: Count,
    /// Packets and IP bytes that passed with a codepoint of ours.
    pub marked: Count,
    /// Packets and IP bytes that passed and would have been dropped.
    pub simulated: Count,
    /// Flows that passed without a budget because BUDGETS was full, and budgets that the time limit
    /// freed.
    pub budgets_refused: u64,
    pub budgets_timed_out: u64,
    /// Later fragments whose first fragment was not known, counted with ports 0: a part of `flows`.
    pub fragments_unknown: Count,
    /// Frames and frame bytes by [`Skip`].
    pub skipped: [Count; Skip::COUNT],
}

const _: () = assert!(size_of::<Totals>().is_multiple_of(8));

impl core::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.flows += other.flows;
        self.link_bytes += other.link_bytes;
        self.events_lost += other.events_lost;
        self.first_payloads_refused += other.first_payloads_refused;
        self.overflow += other.overflow;
        self.overflow_rest += other.overflow_rest;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.dropped += other.dropped;
        self.policed += other.policed;
        self.held += other.held;
        self.marked += other.marked;
        self.simulated += other.simulated;
        self.budgets_refused += other.budgets_refused;
        self.budgets_timed_out += other.budgets_timed_out;
        self.fragments_unknown += other.fragments_unknown;
        for (sum, skipped) in self.skipped.iter_mut().zip(other.skipped) {
            *sum += skipped;
        }
    }
}

impl Totals {
    /// Frames and bytes that no counter of this observation point explains: 0, or a fault.
    #[must_use]
    pub fn unaccounted(&self) -> (i64, i64) {
        let accounted = [self.flows, self.overflow, self.late, self.duplicates];
        let mut packets = self.frames.packets as i64;
        let mut bytes = self.frames.bytes as i64 - self.link_bytes as i64;
        for count in accounted.iter().chain(&self.skipped) {
            packets -= count.packets as i64;
            bytes -= count.bytes as i64;
        }
        (packets, bytes)
    }
}

/// Value of TOTALS. The packet being accounted is kept beside the totals and not in a map of its
/// own, which would cost another lookup for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PointTotals {
    pub totals: Totals,
    /// The programs' own.
    pub scratch: [u64; SCRATCH_WORDS],
}

/// Words of [`PointTotals::scratch`]: a [`Packet`] and an offset.
pub const SCRATCH_WORDS: usize = 13;

const _: () = assert!(size_of::<Packet>() + 8 <= SCRATCH_WORDS * 8);

/// The one entry of CONTROL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Raised by the agent after each change of a policy map.
    pub generation: u64,
    /// No inserts into FLOWS before this tick: it was full.
    pub full_until: u64,
    /// The kernel's HZ.
    pub ticks_per_second: u64,
    /// First payloads that one processor may hand up in a second; 0 switches them off.
    pub first_payloads_per_second: u64,
    /// The next key that `close_flows` marks or `remove_flows` deletes.
    pub close_cursor: u64,
    /// Kinds of targets that POLICY has entries for: bit [`crate::policy::TargetKey::kind`]. What is
    /// not there is not looked up.
    pub targets: u64,
    /// How far the agent's own entries go, a [`crate::policy::Mode`], until a tick (0: for good),
    /// and how far afterwards.
    pub mode: u64,
    pub mode_until: u64,
    pub mode_after: u64,
    /// 1: new flows are given budgets.
    pub budgets: u64,
    /// Ticks after the first held packet in which a verdict is waited for before all passes again.
    pub budget_hold_ticks: u64,
}

impl Control {
    /// The mode at tick `now`.
    #[inline(always)]
    #[must_use]
    pub fn mode_at(&self, now: u64) -> u64 {
        if self.mode_until != 0 && now >= self.mode_until { self.mode_after } else { self.mode }
    }
}

/// Key of OVERFLOW: one home host's traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct OverflowKey {
    /// The home endpoint, or the source where neither is home.
    pub address: [u8; 16],
    /// 1 for outbound traffic of that address, 0 for inbound.
    pub outbound: u32,
    pub reserved: u32,
}

const _: () = assert!(size_of::<OverflowKey>() == 24);

/// A flow key from its five words of eight bytes as they stand in memory.
#[inline(always)]
pub(crate) fn key_from_longs(longs: [u64; 5]) -> FlowKey {
    // SAFETY: a flow key is 40 bytes of `repr(C)` byte arrays: every bit pattern is a value.
    unsafe { core::mem::transmute::<[u64; 5], FlowKey>(longs) }
}

/// Value of OVERFLOW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OverflowCounters {
    pub packets: u64,
    pub ip_bytes: u64,
    pub payload_bytes: u64,
    pub next_checkpoint: u64,
    pub last_seen: u64,
    /// Where the latest packet went to, so that an alert can name a destination.
    pub peer: [u8; 16],
    pub peer_port: [u8; 2],
    pub protocol: u8,
    pub reserved: [u8; 5],
}

const _: () = assert!(size_of::<OverflowCounters>() == 64);

impl OverflowKey {
    /// The home endpoint of a packet, given which endpoints are home; the source where neither is,
    /// and where both are: it is the one that sends.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet, home: u8) -> Self {
        let (source, _) = packet.key.source(packet.direction);
        let (destination, _) = packet.key.destination(packet.direction);
        let (source_bit, destination_bit) = match packet.direction {
            Direction::FromLow => (FlowCounters::HOME_LOW, FlowCounters::HOME_HIGH),
            Direction::FromHigh => (FlowCounters::HOME_HIGH, FlowCounters::HOME_LOW),
        };
        let inbound = home & source_bit == 0 && home & destination_bit != 0;
        Self {
            address: if inbound { destination } else { source },
            outbound: u32::from(home & source_bit != 0),
            reserved: 0,
        }
    }
}

impl OverflowCounters {
    #[inline(always)]
    #[must_use]
    pub fn open(key: &OverflowKey) -> Self {
        Self {
            next_checkpoint: if key.outbound != 0 { CHECKPOINT_FIRST_BYTES } else { u64::MAX },
            ..Self::default()
        }
    }

    /// Counts a packet; true where it crosses a byte checkpoint.
    #[inline(always)]
    pub fn record<A: Add>(&mut self, packet: &Packet, clock: &Clock) -> bool {
        let after = self.ip_bytes + u64::from(packet.ip_bytes);
        A::add(&mut self.packets, u64::from(packet.segments));
        A::add(&mut self.ip_bytes, u64::from(packet.ip_bytes));
        A::add(&mut self.payload_bytes, u64::from(packet.payload_bytes));
        self.last_seen = clock.now;
        (self.peer, self.peer_port) = packet.key.destination(packet.direction);
        self.protocol = packet.key.protocol;
        if after < self.next_checkpoint {
            return false;
        }
        self.next_checkpoint = next_checkpoint(self.next_checkpoint, after);
        true
    }
}

/// The first byte checkpoint beyond `bytes`, from one at or below it.
#[inline(always)]
#[must_use]
pub fn next_checkpoint(mut checkpoint: u64, bytes: u64) -> u64 {
    // From 2^14 in steps of two bits; a counted loop, which is what the verifier follows.
    for _ in 0..24 {
        if checkpoint > bytes {
            break;
        }
        checkpoint <<= 2;
    }
    checkpoint
}

/// Key of FRAGMENTS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub identification: u32,
    pub protocol: u8,
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

impl FragmentKey {
    /// What the fragments of one packet's datagram share.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet) -> Self {
        Self {
            source: packet.key.source(packet.direction).0,
            destination: packet.key.destination(packet.direction).0,
            identification: packet.identification,
            protocol: packet.key.protocol,
            padding: [0; 3],
        }
    }
}

/// Value of FRAGMENTS: the ports of the first fragment and when it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentPorts {
    pub seen: u64,
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    pub reserved: u32,
}

const _: () = assert!(size_of::<FragmentPorts>() == 16);

impl FragmentPorts {
    /// The ports of a first fragment that came at tick `seen`.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet, seen: u64) -> Self {
        Self {
            seen,
            source_port: packet.key.source(packet.direction).1,
            destination_port: packet.key.destination(packet.direction).1,
            reserved: 0,
        }
    }
}

/// What a record in EVENTS is. The first four bytes of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    Checkpoint = 1,
    FirstPayload = 2,
    OverflowCheckpoint = 3,
    Budget = 4,
}

/// A flow crossed a checkpoint: both its halves as they were then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CheckpointEvent {
    pub kind: u32,
    /// A [`crate::flow::Checkpoint`].
    pub checkpoint: u8,
    /// The [`crate::flow::Direction`] of the packet that crossed it.
    pub direction: u8,
    pub reserved: u16,
    /// The tick of that packet.
    pub now: u64,
    pub key: FlowKey,
    pub counters: FlowCounters,
}

/// A piece of a payload: its first bytes, or what follows the piece before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FirstPayloadEvent {
    pub kind: u32,
    pub direction: u8,
    /// Where `bytes` begin in the packet's payload, in steps of [`FIRST_PAYLOAD_BYTES`].
    pub part: u8,
    /// Bytes of `bytes` in use.
    pub length: u16,
    /// Payload bytes of the packet.
    pub payload_bytes: u32,
    /// The TCP sequence number of the payload's first byte.
    pub sequence: u32,
    pub now: u64,
    pub key: FlowKey,
    pub bytes: [u8; FIRST_PAYLOAD_BYTES],
}

/// A home host's overflow entry crossed a byte checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OverflowEvent {
    pub kind: u32,
    pub reserved: u32,
    pub now: u64,
    pub key: OverflowKey,
    pub counters: OverflowCounters,
}

/// A budget is spent: its first packet is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BudgetEvent {
    pub kind: u32,
    pub reserved: u32,
    pub now: u64,
    /// The flow of that packet.
    pub flow: FlowKey,
    pub budget: BudgetKey,
    pub limit: u64,
}

/// How a socket goes past the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Bypass {
    /// A packet socket sends without the queueing discipline, and so without tc: PACKET_QDISC_BYPASS.
    NoQueue = 1,
    /// A ring of AF_XDP.
    XdpRing = 2,
}

/// A record in BYPASS_EVENTS: a process asked for a way past the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BypassEvent {
    /// A [`Bypass`].
    pub bypass: u32,
    pub uid: u32,
    /// 1: `pid` and `comm` are known, and the socket is of the agent's network namespace.
    pub named: u32,
    /// The process, as user space numbers it.
    pub pid: u32,
    /// Id of its control group in the second hierarchy.
    pub cgroup: u64,
    /// The tick.
    pub now: u64,
    /// The thread's name, ended by a zero byte.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<BypassEvent>() == 48);

/// The one entry of CLOCKS, written by `read_clocks`: both clocks at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Clocks {
    pub jiffies: u64,
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
}

/// The one entry of TRACE_LIMITS: lines that a processor has written to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TraceLimit {
    pub second: u64,
    /// Written in that second.
    pub written: u64,
    /// Written, and left out, since the programs were loaded.
    pub lines: u64,
    pub suppressed: u64,
}

#[cfg(feature = "user")]
mod pod {
    use super::{
        Clocks, Control, Count, FragmentKey, FragmentPorts, Interface, OverflowCounters,
        OverflowKey, PointTotals, Totals, TraceLimit,
    };
    use crate::flow::{FlowCounters, FlowKey};
    use crate::policy::{Budget, BudgetKey, Entry, EntryCounters, Prefix, TargetKey};

    macro_rules! pod {
        ($($type:ty),+ $(,)?) => {$(
            // SAFETY: `repr(C)` integers and arrays of them with explicit padding: every bit
            // pattern is a value and every byte is initialised.
            unsafe impl aya::Pod for $type {}
        )+};
    }
    pod!(
        Budget,
        BudgetKey,
        Clocks,
        Control,
        Count,
        Entry,
        EntryCounters,
        TargetKey,
        FlowCounters,
        FlowKey,
        FragmentKey,
        FragmentPorts,
        Interface,
        OverflowCounters,
        OverflowKey,
        Prefix,
        PointTotals,
        Totals,
        TraceLimit,
    );
}
