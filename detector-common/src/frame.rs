//! The bytes of one frame, wherever they are: a slice, an XDP buffer, an skb.
//!
//! A frame hands out copies of a fixed number of bytes and nothing else, so that all pointer
//! arithmetic has one home per implementation and the parser stays safe code.

/// Four bytes as they stand in memory: a number only after `u32::from_be`.
pub type Word = u32;

/// How a network stack's super-packet stands for several frames on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segmentation {
    /// Frames on the wire; 0 where the stack does not say and it follows from `size`.
    pub count: u32,
    /// Transport payload bytes per frame; 0 for an ordinary frame.
    pub size: u32,
}

/// One frame as seen at an observation point.
pub trait Frame {
    /// Bytes of the frame as it was handed over: the length on the wire, or of the super-packet.
    /// Captured bytes may be fewer.
    fn wire_len(&self) -> u32;

    /// A record of a capture, which may be of a link that no interface of Linux has.
    const RECORDED: bool = false;

    /// Copies `N` words of four bytes at `offset`, or `None` where the frame or what was captured
    /// of it ends before.
    ///
    /// Words and not bytes, because headers come in 32-bit rows and the compiler otherwise keeps
    /// each byte of a header in a register or stack slot of its own.
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]>;

    /// Returns `offset`, which is below 32,768, in a way that makes the kernel's verifier forget
    /// where it comes from: it walks a loop once per iteration then, not once per way through.
    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        offset
    }

    /// How many frames on the wire this one stands for.
    #[inline(always)]
    fn segmentation(&self) -> Segmentation {
        Segmentation::default()
    }

    /// Whether the frame was cut and its length on the wire is not known: the IP header is then what
    /// tells it.
    #[inline(always)]
    fn is_sliced(&self) -> bool {
        false
    }

    /// Bytes of link-layer header that the wire has and the frame does not: a VLAN tag that the
    /// stack keeps beside the packet.
    #[inline(always)]
    fn stripped_bytes(&self) -> u32 {
        0
    }
}

/// A captured frame: its bytes and its length on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    pub bytes: &'a [u8],
    pub wire_len: u32,
}

impl<'a> Captured<'a> {
    /// A frame that was captured whole.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, wire_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }
}

impl Frame for Captured<'_> {
    const RECORDED: bool = true;

    /// A record that is whole by its own account: some recorders note what is left as the length.
    #[inline(always)]
    fn is_sliced(&self) -> bool {
        self.bytes.len() == self.wire_len as usize
    }

    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        let words = self.bytes.get(offset..)?.as_chunks::<4>().0.first_chunk::<N>()?;
        Some(words.map(Word::from_ne_bytes))
    }
}

/// What precedes the IP header, by the numbers of the pcap link-type registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkType {
    Ethernet = 0,
    /// No link header: tun, WireGuard, raw captures. The version nibble tells v4 from v6.
    Raw = 1,
    /// BSD loopback: four bytes of address family, in either byte order.
    Null = 2,
    /// Linux cooked capture, 16 bytes.
    LinuxCooked1 = 3,
    /// Linux cooked capture version 2, 20 bytes.
    LinuxCooked2 = 4,
    // What follows stands in captures alone.
    /// PPP, with or without HDLC's address and control.
    Ppp = 5,
    /// The same behind a byte that says which way the packet went.
    PppWithDirection = 6,
    /// PPPoE without the Ethernet header.
    PppEther = 7,
    /// Cisco's HDLC.
    CiscoHdlc = 8,
    /// Packets that netfilter logged.
    Nflog = 9,
    /// IEEE 802.11, and the same behind a radiotap header.
    Wireless = 10,
    WirelessRadiotap = 11,
    /// Ethernet with IEEE 802.3br's preamble.
    Mpacket = 12,
}

impl LinkType {
    /// The link type of a pcap LINKTYPE_ number, where we know it
    /// (<https://www.tcpdump.org/linktypes.html>).
    #[must_use]
    pub fn from_pcap(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            // LINKTYPE_PPP and LINKTYPE_PPP_HDLC.
            9 | 50 => Self::Ppp,
            51 => Self::PppEther,
            // DLT_RAW differs by system: 12 and 14; LINKTYPE_RAW, _IPV4, _IPV6.
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            // LINKTYPE_NULL and LINKTYPE_LOOP differ in byte order only.
            0 | 108 => Self::Null,
            104 => Self::CiscoHdlc,
            105 => Self::Wireless,
            113 => Self::LinuxCooked1,
            127 => Self::WirelessRadiotap,
            204 => Self::PppWithDirection,
            239 => Self::Nflog,
            274 => Self::Mpacket,
            276 => Self::LinuxCooked2,
            _ => return None,
        })
    }

    /// The value of [`LinkType`] `as u8`, as it stands in the interface map. One value and no other
    /// is Ethernet, so that most packets make one comparison.
    #[inline(always)]
    #[must_use]
    pub fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Ethernet,
            2 => Self::Null,
            3 => Self::LinuxCooked1,
            4 => Self::LinuxCooked2,
            _ => Self::Raw,
        }
    }
}
