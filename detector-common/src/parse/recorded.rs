//! Link headers that stand in captures alone: the link types of other systems and of recorders.
//!
//! The kernel programs never get here: an interface of Linux hands over none of these.

use super::link::{Place, ethernet, number, ppp, pppoe, version, walk};
use super::{Skip, byte, upper};
use crate::frame::{Frame, LinkType};

/// Attributes of an NFLOG packet read before its payload; the kernel writes about ten.
const MAX_ATTRIBUTES: usize = 32;
/// Words of a radiotap header that say what it has.
const MAX_PRESENT_WORDS: usize = 8;

pub(super) fn locate<F: Frame>(frame: &F, link: LinkType) -> Place {
    match link {
        LinkType::Ppp => hdlc(frame, 0),
        LinkType::PppWithDirection => hdlc(frame, 1),
        LinkType::PppEther => pppoe(frame, 0),
        LinkType::CiscoHdlc => cisco(frame, 0),
        LinkType::Nflog => nflog(frame),
        LinkType::Wireless => wireless(frame, 0, false),
        LinkType::WirelessRadiotap => radiotap(frame),
        LinkType::Mpacket => mpacket(frame),
        _ => Place::refused(Skip::NotIp, number::NO_VERSION),
    }
}

/// PPP with or without the address and control fields of HDLC (RFC 1662), or Cisco's framing, which
/// the same link type may have.
fn hdlc<F: Frame>(frame: &F, offset: usize) -> Place {
    let Some([word]) = frame.load(offset) else { return Place::truncated() };
    match upper(word) {
        0xff03 => ppp(frame, offset + 2),
        0x0f00 | 0x8f00 => cisco(frame, offset),
        _ => ppp(frame, offset),
    }
}

/// Cisco's HDLC: address, control, EtherType.
fn cisco<F: Frame>(frame: &F, offset: usize) -> Place {
    match frame.load(offset + 2) {
        Some([word]) => walk(frame, upper(word), offset + 4),
        None => Place::truncated(),
    }
}

/// A header of 4 bytes, then attributes of length, type and value, in the byte order of the machine
/// that wrote them.
fn nflog<F: Frame>(frame: &F) -> Place {
    const PAYLOAD: u16 = 9;
    let mut offset = 4;
    for _ in 0..MAX_ATTRIBUTES {
        let Some([word]) = frame.load(offset) else { return Place::truncated() };
        let [a, b, c, d] = word.to_ne_bytes();
        let (little, big) = (
            (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])),
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        );
        // The types are small numbers, which the other order makes large ones.
        let (length, kind) = if little.1 < 0x100 { little } else { big };
        if kind & 0x7fff == PAYLOAD {
            return version(frame, offset + 4);
        }
        if length < 4 {
            break;
        }
        offset += usize::from(length).next_multiple_of(4);
    }
    Place::refused(Skip::NotIp, number::NO_VERSION)
}

/// A radiotap header, little-endian, then a frame of IEEE 802.11.
fn radiotap<F: Frame>(frame: &F) -> Place {
    let Some([first]) = frame.load(0) else { return Place::truncated() };
    let [_, _, low, high] = first.to_ne_bytes();
    let length = usize::from(u16::from_le_bytes([low, high]));
    wireless(frame, length, radiotap_flags(frame) & 0x20 != 0)
}

/// The field of flags, which only a clock may precede; 0 where there is none.
fn radiotap_flags<F: Frame>(frame: &F) -> u8 {
    let Some([present]) = frame.load(4) else { return 0 };
    let present = u32::from_le(present);
    let (mut fields, mut last) = (8, present);
    for _ in 1..MAX_PRESENT_WORDS {
        // The highest bit announces another word.
        if last >> 31 == 0 {
            break;
        }
        let Some([word]) = frame.load(fields) else { return 0 };
        last = u32::from_le(word);
        fields += 4;
    }
    if present & 2 == 0 {
        return 0;
    }
    if present & 1 != 0 {
        fields = fields.next_multiple_of(8) + 8;
    }
    frame.load(fields).map_or(0, |[word]| byte(word, 0))
}

/// IEEE 802.11 clause 9.2: a data frame that carries a packet and is not encrypted. `padded`: the
/// header was filled up to a multiple of 4.
fn wireless<F: Frame>(frame: &F, offset: usize, padded: bool) -> Place {
    let Some([control]) = frame.load(offset) else { return Place::truncated() };
    let (kind, flags) = (byte(control, 0), byte(control, 1));
    // Version 0, type data, and a subtype that has data.
    if kind & 0x0f != 0x08 || kind & 0x40 != 0 {
        return Place::refused(Skip::NotIp, number::WIRELESS_MANAGEMENT);
    }
    if flags & 0x40 != 0 {
        return Place::refused(Skip::NotIp, number::WIRELESS_ENCRYPTED);
    }
    let four_addresses = flags & 0x03 == 0x03;
    let mut length = if four_addresses { 30 } else { 24 };
    if kind & 0x80 != 0 {
        let Some([quality]) = frame.load(offset + length) else { return Place::truncated() };
        if byte(quality, 0) & 0x80 != 0 {
            return Place::refused(Skip::NotIp, number::WIRELESS_AGGREGATE);
        }
        length += 2;
        // The order bit of such a frame announces four bytes more.
        if flags & 0x80 != 0 {
            length += 4;
        }
    }
    if padded {
        length = length.next_multiple_of(4);
    }
    // An EtherType of 0 is a length: what follows is LLC.
    walk(frame, 0, offset + length)
}

/// IEEE 802.3br: eight bytes of preamble, which end with what kind of frame follows.
fn mpacket<F: Frame>(frame: &F) -> Place {
    let Some([word]) = frame.load(4) else { return Place::truncated() };
    match (byte(word, 2), byte(word, 3)) {
        // Its last byte is a number that also marks starts.
        (0x61 | 0x52 | 0x9e | 0x2a, _) => Place::refused(Skip::NotIp, number::CONTINUATION),
        // An express frame, and the starts of one that may be interrupted.
        (_, 0xd5 | 0xe6 | 0x4c | 0x7f | 0xb3) => ethernet(frame, 8),
        _ => Place::refused(Skip::NotIp, number::NO_VERSION),
    }
}
