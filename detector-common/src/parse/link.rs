//! From the start of a frame to its IP header: over link headers, tags, labels and security tags.
//!
//! What no interface of Linux delivers is in `recorded`, which the kernel programs leave out.

use super::{Family, Skip, byte, lower, recorded, upper};
use crate::frame::{Frame, LinkType};

/// Headers read between the first EtherType and the IP header, labels included: more than a
/// provider's network stacks.
pub(super) const MAX_HEADERS: usize = 10;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;
pub(super) const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
pub(super) const ETHERTYPE_PPPOE: u16 = 0x8864;
/// IEEE 802.1AE.
const ETHERTYPE_MACSEC: u16 = 0x88e5;
/// IEEE 802.1ah: a tag of 4 bytes, then the customer's frame.
const ETHERTYPE_BACKBONE: u16 = 0x88e7;
/// IEEE 802.1BR.
const ETHERTYPE_E_TAG: u16 = 0x893f;
/// Cisco's port extension and its TRILL: a tag of 2 bytes, then the frame.
const ETHERTYPE_VN_TAG: u16 = 0x8926;
const ETHERTYPE_FABRIC_PATH: u16 = 0x8903;
/// Below this an EtherType field is an 802.3 length (IEEE 802.3 clause 3.2.6).
const ETHERTYPE_MIN: u16 = 0x0600;

/// Both addresses of an Ethernet header.
const ETHERNET_ADDRESSES: usize = 12;
const ETHERNET_BYTES: usize = ETHERNET_ADDRESSES + 2;

/// What a frame that stays unopened is: an EtherType, below 256 an LLC service access point, or one
/// of these.
pub mod number {
    /// A PPP protocol, in the lower 16 bits.
    pub const PPP: u32 = 0x1_0000;
    /// IEEE 802.11: encrypted; management or control; several packets in one frame.
    pub const WIRELESS_ENCRYPTED: u32 = 0x2_0001;
    pub const WIRELESS_MANAGEMENT: u32 = 0x2_0002;
    pub const WIRELESS_AGGREGATE: u32 = 0x2_0003;
    /// IEEE 802.3br: the rest of a frame that another interrupted.
    pub const CONTINUATION: u32 = 0x2_0004;
    /// No IP version where an IP packet should start.
    pub const NO_VERSION: u32 = 0x2_0005;
}

/// Where the IP header starts, or why there is none. One word, so that a function of the programs
/// returns it in a register.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    const V6: u64 = 1 << 32;
    /// A header before this one has an integrity check: nothing behind it may be changed.
    const SEALED: u64 = 1 << 33;
    const REFUSED: u64 = 1 << 63;

    #[inline(always)]
    pub(super) fn found(family: Family, offset: usize) -> Self {
        Self(offset as u64 | if family == Family::V6 { Self::V6 } else { 0 })
    }

    #[inline(always)]
    fn sealed(self, sealed: bool) -> Self {
        if sealed { Self(self.0 | Self::SEALED) } else { self }
    }

    /// A frame that has no IP header to read, and the number of what it has instead.
    #[inline(always)]
    pub(super) fn refused(skip: Skip, number: u32) -> Self {
        Self(Self::REFUSED | (skip as u64) << 40 | number as u64)
    }

    #[inline(always)]
    pub(super) fn truncated() -> Self {
        Self::refused(Skip::TruncatedLink, 0)
    }

    #[inline(always)]
    pub(super) fn is_sealed(self) -> bool {
        self.0 & Self::SEALED != 0
    }

    /// The IP family and where its header starts; the reason and what the frame is otherwise.
    #[inline(always)]
    pub(super) fn read(self) -> Result<(Family, usize), (Skip, u32)> {
        if self.0 & Self::REFUSED == 0 {
            let family = if self.0 & Self::V6 != 0 { Family::V6 } else { Family::V4 };
            return Ok((family, self.0 as u32 as usize));
        }
        let skip = match (self.0 >> 40) as u8 {
            0 => Skip::TruncatedLink,
            1 => Skip::Arp,
            2 => Skip::Llc,
            4 => Skip::TooManyTags,
            5 => Skip::TruncatedIp,
            _ => Skip::NotIp,
        };
        Err((skip, self.0 as u32))
    }

    /// The same place at an offset that the verifier knows nothing of but its bound.
    #[inline(always)]
    fn forgotten<F: Frame>(self, frame: &F) -> Self {
        match self.read() {
            Ok((family, offset)) => {
                Self::found(family, frame.forget(offset)).sealed(self.is_sealed())
            }
            Err(_) => self,
        }
    }

    /// The same where only a packet is of interest.
    #[inline(always)]
    pub(super) fn ok(self) -> Option<(Family, usize)> {
        self.read().ok()
    }
}

/// Where a frame's IP header starts. What is not right behind an Ethernet header is found at an offset
/// that the verifier takes for any: it walks what follows once for all ways that lead there.
#[inline(always)]
pub(super) fn locate<F: Frame>(frame: &F, link: LinkType) -> Place {
    let ethertype = match link {
        LinkType::Ethernet => match frame.load(ETHERNET_ADDRESSES) {
            // The EtherType and two bytes of what follows.
            Some([word]) => match upper(word) {
                ETHERTYPE_IPV4 => return Place::found(Family::V4, ETHERNET_BYTES),
                ETHERTYPE_IPV6 => return Place::found(Family::V6, ETHERNET_BYTES),
                ethertype => Ok((ethertype, ETHERNET_BYTES)),
            },
            None => Err(Place::truncated()),
        },
        LinkType::Raw => match frame.load(0) {
            Some([_]) => Err(version(frame, 0)),
            None => Err(Place::refused(Skip::TruncatedIp, 0)),
        },
        LinkType::Null => Err(null(frame)),
        LinkType::LinuxCooked1 => match frame.load(12) {
            Some([word]) => Ok((lower(word), 16)),
            None => Err(Place::truncated()),
        },
        // The header is 20 bytes long; a shorter frame has no IP header either.
        LinkType::LinuxCooked2 => match frame.load(0) {
            Some([word]) => Ok((upper(word), 20)),
            None => Err(Place::truncated()),
        },
        _ if F::RECORDED => Err(recorded::locate(frame, link)),
        _ => Err(Place::refused(Skip::NotIp, number::NO_VERSION)),
    };
    let place = match ethertype {
        Ok((ethertype, offset)) => walk(frame, ethertype, offset),
        Err(place) => place,
    };
    place.forgotten(frame)
}

/// A header of BSD loopback.
#[inline(always)]
fn null<F: Frame>(frame: &F) -> Place {
    let Some([family]) = frame.load(0) else { return Place::truncated() };
    // AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 on the BSDs, 10 on Linux. The field is in the
    // writer's byte order.
    match u32::from_be(family).min(u32::from_le(family)) {
        2 => Place::found(Family::V4, 4),
        10 | 24 | 28 | 30 => Place::found(Family::V6, 4),
        _ => Place::refused(Skip::NotIp, number::NO_VERSION),
    }
}

/// An Ethernet header at `offset`.
#[inline(always)]
pub(super) fn ethernet<F: Frame>(frame: &F, offset: usize) -> Place {
    match frame.load(offset + ETHERNET_ADDRESSES) {
        Some([word]) => walk(frame, upper(word), offset + ETHERNET_BYTES),
        None => Place::truncated(),
    }
}

/// An IP packet at `offset`, of the version that it says it has.
#[inline(always)]
pub(super) fn version<F: Frame>(frame: &F, offset: usize) -> Place {
    match frame.load(offset) {
        Some([first]) => match byte(first, 0) >> 4 {
            4 => Place::found(Family::V4, offset),
            6 => Place::found(Family::V6, offset),
            _ => Place::refused(Skip::NotIp, number::NO_VERSION),
        },
        None => Place::truncated(),
    }
}

/// Steps over what stands between an EtherType at `start` and IP. A function of its own in the program: frames
/// without tags do not enter it, and its variables are not on their stack.
#[inline(never)]
pub(super) fn walk<F: Frame>(frame: &F, first: u16, start: usize) -> Place {
    let (mut ethertype, mut offset, mut sealed) = (first, start, false);
    // The stack takes the outer tag off before tc; it counts all the same.
    let stripped = usize::from(frame.stripped_bytes() != 0);
    for read in 0..MAX_HEADERS {
        offset = frame.forget(offset);
        if read + stripped >= MAX_HEADERS {
            break;
        }
        // How far the next EtherType is.
        let gap = match ethertype {
            ETHERTYPE_IPV4 => return Place::found(Family::V4, offset).sealed(sealed),
            ETHERTYPE_IPV6 => return Place::found(Family::V6, offset).sealed(sealed),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => 2,
            ETHERTYPE_VN_TAG => 4,
            ETHERTYPE_E_TAG => 6,
            ETHERTYPE_FABRIC_PATH => 2 + ETHERNET_ADDRESSES,
            ETHERTYPE_BACKBONE => 4 + ETHERNET_ADDRESSES,
            ETHERTYPE_ARP => return Place::refused(Skip::Arp, 0),
            ETHERTYPE_PPPOE => return pppoe(frame, offset).sealed(sealed),
            ETHERTYPE_MPLS | ETHERTYPE_MPLS_UPSTREAM => {
                let Some([label, next]) = frame.load(offset) else { return Place::truncated() };
                offset += 4;
                // RFC 3032: the last label of a stack says so.
                if byte(label, 2) & 1 == 0 {
                    continue;
                }
                match byte(next, 0) >> 4 {
                    4 => return Place::found(Family::V4, offset).sealed(sealed),
                    6 => return Place::found(Family::V6, offset).sealed(sealed),
                    // RFC 4448: a control word, then a frame.
                    0 => 4 + ETHERNET_ADDRESSES,
                    _ => return Place::refused(Skip::NotIp, u32::from(ethertype)),
                }
            }
            ETHERTYPE_MACSEC => {
                let Some([tag]) = frame.load(offset) else { return Place::truncated() };
                // IEEE 802.1AE clause 9: E and C say that the data are not as they were, SC that
                // eight bytes of channel identifier follow the packet number.
                if byte(tag, 0) & 0x0c != 0 {
                    return Place::refused(Skip::NotIp, u32::from(ethertype));
                }
                sealed = true;
                if byte(tag, 0) & 0x20 != 0 { 14 } else { 6 }
            }
            0..ETHERTYPE_MIN => match snap(frame, offset) {
                Ok(gap) => gap,
                Err(place) => return place.sealed(sealed),
            },
            _ => return Place::refused(Skip::NotIp, u32::from(ethertype)),
        };
        // The compiler would otherwise read before a pointer that it compared with the end, which
        // the verifier refuses ("offset is outside of the packet").
        let before = frame.forget(offset + gap - 2);
        let Some([word]) = frame.load(before) else { return Place::truncated() };
        ethertype = lower(word);
        offset = before + 4;
    }
    match ethertype {
        ETHERTYPE_IPV4 => Place::found(Family::V4, offset).sealed(sealed),
        ETHERTYPE_IPV6 => Place::found(Family::V6, offset).sealed(sealed),
        _ => Place::refused(Skip::TooManyTags, u32::from(ethertype)),
    }
}

/// What follows an 802.3 length: how far the EtherType of a SNAP header is (RFC 1042, IEEE
/// 802.1H), or what there is instead.
#[inline(always)]
fn snap<F: Frame>(frame: &F, offset: usize) -> Result<usize, Place> {
    let Some([service, organisation]) = frame.load(offset) else {
        return Err(Place::truncated());
    };
    let code = byte(service, 0);
    match u32::from_be(service) >> 8 {
        0x00aa_aa03 if byte(service, 3) == 0 && matches!(upper(organisation), 0 | 0x00f8) => Ok(6),
        // RFC 948: IP itself is the service.
        0x0006_0603 => Err(Place::found(Family::V4, offset + 3)),
        _ => Err(Place::refused(Skip::Llc, u32::from(code))),
    }
}

/// RFC 2516: six bytes, then PPP. Other codes are of the discovery.
#[inline(always)]
pub(super) fn pppoe<F: Frame>(frame: &F, offset: usize) -> Place {
    let Some([header]) = frame.load(offset) else { return Place::truncated() };
    if upper(header) != 0x1100 {
        return Place::refused(Skip::NotIp, u32::from(ETHERTYPE_PPPOE));
    }
    ppp(frame, offset + 6)
}

/// A PPP protocol field of one byte or two (RFC 1661 section 2), and what follows it.
#[inline(always)]
pub(super) fn ppp<F: Frame>(frame: &F, offset: usize) -> Place {
    let Some([word]) = frame.load(offset) else { return Place::truncated() };
    let (protocol, offset) = if byte(word, 0) & 1 != 0 {
        (u16::from(byte(word, 0)), offset + 1)
    } else {
        (upper(word), offset + 2)
    };
    match protocol {
        0x21 => Place::found(Family::V4, offset),
        0x57 => Place::found(Family::V6, offset),
        _ => Place::refused(Skip::NotIp, number::PPP | u32::from(protocol)),
    }
}
