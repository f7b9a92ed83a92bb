//! What the agent asks of the kernel about traffic, and how a flow remembers the answer.
//!
//! Every block and every exception is an [`Entry`], found through its [`TargetKey`] or [`Prefix`] by a
//! number. The agent writes entries and never their counters ([`EntryCounters`]), the kernel the other way
//! round, so that neither overwrites what the other has counted.

use crate::flow::{Address, FlowKey, long};
use crate::frame::Word;
use crate::parse::protocol;

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Pass,
    Drop,
    /// Passes with this codepoint in its DSCP field (RFC 2474).
    Mark(u8),
}

/// A decision cached in its flow: what to do, closing mark and the generation of the policy maps it
/// was made under, in one word, so that a packet reads all three at once and compares once.
///
/// Bits 0–7 what to do, bit 8 closing, bits 16–63 generation, which the agent keeps below 2^48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached(pub u64);

impl Cached {
    /// Every packet is dropped.
    pub const DROP: u8 = 1;
    /// Outbound packets get a codepoint.
    pub const MARK: u8 = 2;
    /// Outbound packets beyond a rate are dropped.
    pub const POLICE: u8 = 4;
    /// Outbound payload is charged to a budget.
    pub const BUDGET: u8 = 8;
    /// What a block would have dropped is counted.
    pub const SIMULATE: u8 = 16;
    /// The answer holds until a tick and is then asked for again. Always set with another bit, and
    /// alone where the flow passes for now.
    pub const TIMED: u8 = 32;

    const CLOSING: u64 = 1 << 8;
    const GENERATION_SHIFT: u32 = 16;

    #[inline(always)]
    #[must_use]
    pub fn new(todo: u8, generation: u64) -> Self {
        Self(generation << Self::GENERATION_SHIFT | todo as u64)
    }

    /// The word of a flow that may pass under `generation`: what most packets compare equal to.
    #[inline(always)]
    #[must_use]
    pub fn pass(generation: u64) -> Self {
        Self::new(0, generation)
    }

    #[inline(always)]
    #[must_use]
    pub fn is_current(self, generation: u64) -> bool {
        self.0 >> Self::GENERATION_SHIFT == generation
    }

    /// Whether all bits of `what` are among what is to be done.
    #[inline(always)]
    #[must_use]
    pub fn asks(self, what: u8) -> bool {
        self.0 & what as u64 == what as u64
    }

    /// The same answer without some of what is to be done.
    #[inline(always)]
    #[must_use]
    pub fn without(self, what: u8) -> Self {
        Self(self.0 & !(what as u64))
    }

    /// The entry is about to be deleted: packets for it are counted as late.
    #[inline(always)]
    #[must_use]
    pub fn is_closing(self) -> bool {
        self.0 & Self::CLOSING != 0
    }

    #[inline(always)]
    #[must_use]
    pub fn closing(self) -> Self {
        Self(self.0 | Self::CLOSING)
    }
}

/// What the agent asks for. Written by the agent only; number 0 of POLICY stands for none.
///
/// It is in force from `not_before` until `deadline`, both ticks of the kernel's clock, so that it
/// begins, pauses and ends by itself when the agent is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Entry {
    pub not_before: u64,
    pub deadline: u64,
    /// The alert's id; 0 where a person asked.
    pub reason: u64,
    /// For [`Entry::POLICE`]: IP bytes a second, and how many may come at once.
    pub bytes_per_second: u64,
    pub burst_bytes: u64,
    /// [`Entry::NEVER`], [`Entry::DROP`], [`Entry::POLICE`] or [`Entry::MARK`].
    pub action: u8,
    /// Bits: see the constants.
    pub flags: u8,
    /// For [`Entry::MARK`]: the codepoint, 0 to 63.
    pub dscp: u8,
    /// Bits of the prefix it stands for, in IPv4-mapped form; 0 for a [`TargetKey`].
    pub prefix_length: u8,
    pub reserved: u32,
}

const _: () = assert!(size_of::<Entry>() == 48);

impl Entry {
    /// An exception: no other entry touches what it covers.
    pub const NEVER: u8 = 0;
    pub const DROP: u8 = 1;
    pub const POLICE: u8 = 2;
    pub const MARK: u8 = 3;

    /// Counts what it would do and does nothing.
    pub const SIMULATED: u8 = 1;
    /// Made by the agent: it does what [`Mode`] allows. A person's does what it says in any mode. On a
    /// host the agent's covers flows with one home end only: what leaves.
    pub const BY_AGENT: u8 = 2;
    /// For a flow or a pair: the lower endpoint is the destination, else the higher one.
    pub const DESTINATION_LOW: u8 = 4;
    /// For an exception: it covers an address as a destination only, as for this host's own
    /// addresses, which must stay within reach and may yet be what leaks.
    pub const AS_DESTINATION: u8 = 8;

    /// Whether it is in force at tick `now`.
    #[inline(always)]
    #[must_use]
    pub fn in_force(&self, now: u64) -> bool {
        self.not_before <= now && now < self.deadline
    }

    /// How strongly it wants what it wants under `mode`; entries of a flow compare by it, and 0 is
    /// nothing at all: 4 drop, 3 police, 2 mark, 1 count what would have been dropped.
    #[inline(always)]
    #[must_use]
    pub fn strength(&self, mode: u64) -> u8 {
        let mut simulated = self.flags & Self::SIMULATED != 0;
        if self.flags & Self::BY_AGENT != 0 {
            if mode == Mode::OBSERVE {
                return 0;
            }
            if mode == Mode::SIMULATE {
                simulated = true;
            }
        }
        match self.action {
            Self::DROP | Self::POLICE | Self::MARK if simulated => 1,
            Self::DROP => 4,
            Self::POLICE => 3,
            Self::MARK => 2,
            _ => 0,
        }
    }
}

/// How far the agent's own entries and budgets go: values of [`crate::abi::Control::mode`].
#[derive(Clone, Copy, Debug)]
pub struct Mode;

impl Mode {
    pub const OBSERVE: u64 = 0;
    pub const SIMULATE: u64 = 1;
    pub const BLOCK: u64 = 2;
}

/// What an entry has done. Written by the kernel only, and only ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EntryCounters {
    /// Packets and IP bytes dropped or marked, or that would have been. For an exception: decisions
    /// in which it spared a flow (`bytes` stays 0).
    pub packets: u64,
    pub bytes: u64,
    /// Packets and IP bytes that a policed entry let pass.
    pub passed_packets: u64,
    pub passed_bytes: u64,
    /// IP bytes of the allowance that nobody used in time, so that a pause does not save up more
    /// than one burst.
    pub forgone_bytes: u64,
    /// The tick of the latest packet counted here.
    pub last_hit: u64,
    /// The tick at which the allowance began.
    pub began: u64,
    pub reserved: u64,
}

const _: () = assert!(size_of::<EntryCounters>() == 64);

/// What an entry in BLOCKS is about, other than a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct TargetKey {
    pub low: [u8; 16],
    pub high: [u8; 16],
    pub low_port: [u8; 2],
    pub high_port: [u8; 2],
    pub protocol: u8,
    /// One of the constants.
    pub kind: u8,
    pub padding: [u8; 2],
}

const _: () = assert!(size_of::<TargetKey>() == 40);

impl TargetKey {
    /// One flow: all fields of its key.
    pub const FLOW: u8 = 0;
    /// Everything between two addresses: the addresses in order.
    pub const PAIR: u8 = 1;
    /// A destination's port, over any protocol that has ports: `low` and `low_port`.
    pub const SERVICE: u8 = 2;
    /// Everything of one host: `low`.
    pub const HOST: u8 = 3;
    /// Not a key of BLOCKS: its place in [`crate::abi::Control::targets`] is that of prefixes.
    pub const PREFIX: u8 = 4;

    #[inline(always)]
    #[must_use]
    pub fn flow(key: &FlowKey) -> Self {
        Self {
            low: key.low,
            high: key.high,
            low_port: key.low_port,
            high_port: key.high_port,
            protocol: key.protocol,
            kind: Self::FLOW,
            padding: [0; 2],
        }
    }

    /// The pair that a flow belongs to.
    #[inline(always)]
    #[must_use]
    pub fn pair(low: [u8; 16], high: [u8; 16]) -> Self {
        Self { low, high, kind: Self::PAIR, ..Self::default() }
    }

    #[inline(always)]
    #[must_use]
    pub fn service(address: [u8; 16], port: [u8; 2]) -> Self {
        Self { low: address, low_port: port, kind: Self::SERVICE, ..Self::default() }
    }

    #[inline(always)]
    #[must_use]
    pub fn host(address: [u8; 16]) -> Self {
        Self { low: address, kind: Self::HOST, ..Self::default() }
    }
}

/// Whether an endpoint is somebody's destination: every address that is not home, and one at home
/// only for others at home. A block on a home host as a destination leaves its own way out alone.
#[inline(always)]
#[must_use]
pub fn is_destination(home: bool, other_home: bool) -> bool {
    !home || other_home
}

/// Entries of one prefix inside another, of the kind that one lookup may have to pass by because
/// they are not in force. The agent refuses to nest deeper.
pub const MAX_NESTED: usize = 8;

/// A prefix as an LPM trie key: IPv4 prefixes are 96 bits longer, in IPv4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Prefix {
    pub length: u32,
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<Prefix>() == 20);

impl Prefix {
    /// The key that looks up one address.
    #[inline(always)]
    #[must_use]
    pub fn host(address: [u8; 16]) -> Self {
        Self { length: 128, address }
    }

    /// Whether `address` lies in the prefix.
    #[must_use]
    pub fn contains(&self, address: &[u8; 16]) -> bool {
        let length = self.length.min(128);
        if length == 0 {
            return true;
        }
        let shift = 128 - length;
        u128::from_be_bytes(self.address) >> shift == u128::from_be_bytes(*address) >> shift
    }
}

/// Key of BUDGETS: a home host and where it sends to, which is not home.
///
/// Aligned like a flow's key, so that addresses are copied in words of eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct BudgetKey {
    pub home: [u8; 16],
    pub destination: [u8; 16],
}

const _: () = assert!(size_of::<BudgetKey>() == 32);

impl BudgetKey {
    /// A key and the limit behind it, as they stand in memory.
    #[inline(always)]
    #[must_use]
    pub fn with_limit([a, b, c, d, e, f, g, h, first, second]: [Word; 10]) -> (Self, u64) {
        let home = Address::from_words([a, b, c, d]).bytes();
        let destination = Address::from_words([e, f, g, h]).bytes();
        (Self { home, destination }, long(first, second))
    }
}

/// What a host may still send to a destination before somebody has looked at it. Opened and counted
/// by the kernel; the agent changes `limit` through a program of the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// Payload bytes in all; [`Budget::FREE`] for no bound.
    pub limit: u64,
    /// Payload bytes that passed.
    pub charged: u64,
    /// Packets with payload, and their payload bytes, that did not.
    pub held_packets: u64,
    pub held_bytes: u64,
    /// The tick of the first packet that was held under this limit; 0 before it.
    pub held_since: u64,
    pub opened: u64,
    /// The tick of the latest packet with payload.
    pub last_seen: u64,
    /// 1 where the time limit freed it and no verdict.
    pub timed_out: u64,
}

const _: () = assert!(size_of::<Budget>() == 64);

impl Budget {
    pub const FREE: u64 = u64::MAX;
}

/// Home classes, port classes and destination classes of [`budget_rule`].
pub const HOME_CLASSES: u32 = 16;
pub const PORT_CLASSES: u32 = 8;
pub const DESTINATION_CLASSES: u32 = 2;

/// What a destination's port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortClass {
    Other = 0,
    Web = 1,
    Mail = 2,
    Dns = 3,
    /// Shells and desktops.
    Remote = 4,
    /// File transfer.
    File = 5,
}

impl PortClass {
    #[inline(always)]
    #[must_use]
    pub fn of(number: u8, port: [u8; 2]) -> Self {
        if !protocol::has_ports(number) {
            return Self::Other;
        }
        match u16::from_be_bytes(port) {
            80 | 443 | 3128 | 8000 | 8080 | 8443 => Self::Web,
            25 | 465 | 587 | 2525 => Self::Mail,
            53 | 853 => Self::Dns,
            22 | 23 | 3389 | 5900 => Self::Remote,
            20 | 21 | 69 | 139 | 445 | 873 | 990 | 2049 => Self::File,
            _ => Self::Other,
        }
    }
}

/// Whether an address is of a private or link-local range (RFC 1918, RFC 6598, RFC 4193, RFC 4291).
#[inline(always)]
#[must_use]
pub fn is_private(address: &[u8; 16]) -> bool {
    const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    let [a, b, ..] = *address;
    if address[..12] == MAPPED {
        let (c, d) = (address[12], address[13]);
        return c == 10
            || (c == 172 && d & 0xf0 == 16)
            || (c == 192 && d == 168)
            || (c == 169 && d == 254)
            || (c == 100 && d & 0xc0 == 64);
    }
    a & 0xfe == 0xfc || (a == 0xfe && b & 0xc0 == 0x80)
}

/// The place in BUDGET_RULES of what may be sent from a home class to a port class of a private or
/// public destination.
#[inline(always)]
#[must_use]
pub fn budget_rule(home_class: u32, ports: PortClass, private: bool) -> u32 {
    (home_class % HOME_CLASSES * PORT_CLASSES + ports as u32) * DESTINATION_CLASSES + private as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges() {
        let v4 = |a, b| {
            let mut address = [0; 16];
            address[10..14].copy_from_slice(&[0xff, 0xff, a, b]);
            address
        };
        for (a, b, private) in [
            (10, 0, true),
            (172, 15, false),
            (172, 16, true),
            (172, 32, false),
            (192, 168, true),
            (192, 0, false),
            (100, 64, true),
            (100, 128, false),
            (169, 254, true),
            (8, 8, false),
        ] {
            assert_eq!(is_private(&v4(a, b)), private, "{a}.{b}");
        }
        for (first, private) in
            [([0xfd, 0], true), ([0xfe, 0x80], true), ([0xfe, 0xc0], false), ([0x20, 1], false)]
        {
            let mut address = [1; 16];
            address[..2].copy_from_slice(&first);
            assert_eq!(is_private(&address), private, "{first:?}");
        }
    }

    #[test]
    fn what_an_entry_wants_follows_the_mode() {
        let drop = Entry { action: Entry::DROP, ..Entry::default() };
        let agents = Entry { flags: Entry::BY_AGENT, ..drop };
        for (mode, persons, own) in
            [(Mode::OBSERVE, 4, 0), (Mode::SIMULATE, 4, 1), (Mode::BLOCK, 4, 4)]
        {
            assert_eq!((drop.strength(mode), agents.strength(mode)), (persons, own));
        }
        let simulated = Entry { flags: Entry::SIMULATED, ..drop };
        assert_eq!(simulated.strength(Mode::BLOCK), 1);
        assert_eq!(Entry::default().strength(Mode::BLOCK), 0);
    }

    #[test]
    fn every_budget_rule_has_a_place_of_its_own() {
        let mut places = std::collections::BTreeSet::new();
        for home in 0..HOME_CLASSES {
            for ports in [PortClass::Other, PortClass::Web, PortClass::File] {
                for private in [false, true] {
                    let place = budget_rule(home, ports, private);
                    assert!(place < crate::abi::BUDGET_RULES && places.insert(place));
                }
            }
        }
    }
}
