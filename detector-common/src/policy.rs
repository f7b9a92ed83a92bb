//! What the kernel decides about a flow, and how a flow remembers it.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Decision {
    Pass = 0,
    Drop = 1,
}

/// A decision cached in its flow: decision, closing mark and the generation of the policy maps it
/// was made under, in one word, so that a packet reads all three at once and compares once.
///
/// Bits 0–7 decision, bit 8 closing, bits 16–63 generation, which the agent keeps below 2^48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached(pub u64);

impl Cached {
    const CLOSING: u64 = 1 << 8;
    const GENERATION_SHIFT: u32 = 16;

    #[inline(always)]
    #[must_use]
    pub fn new(decision: Decision, generation: u64) -> Self {
        Self(generation << Self::GENERATION_SHIFT | decision as u64)
    }

    /// The word of a flow that may pass under `generation`: what most packets compare equal to.
    #[inline(always)]
    #[must_use]
    pub fn pass(generation: u64) -> Self {
        Self::new(Decision::Pass, generation)
    }

    #[inline(always)]
    #[must_use]
    pub fn is_current(self, generation: u64) -> bool {
        self.0 >> Self::GENERATION_SHIFT == generation
    }

    #[inline(always)]
    #[must_use]
    pub fn is_drop(self) -> bool {
        self.0 & 0xff == Decision::Drop as u64
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

/// A block in a policy map. Written by the agent, except for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Block {
    /// The tick on the kernel's clock at which the block ends by itself.
    pub deadline: u64,
    /// Packets and IP bytes dropped by this entry.
    pub packets: u64,
    pub bytes: u64,
    /// What the agent gave as its reason: the low bits of the alert's id.
    pub reason: u32,
    pub reserved: u32,
}

const _: () = assert!(size_of::<Block>() == 32);

/// A prefix as an LPM trie key: IPv4 prefixes are 96 bits longer, in IPv4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
