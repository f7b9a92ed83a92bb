//! The blocks of pcapng that matter: sections, interfaces, packets
//! (draft-ietf-opsawg-pcapng).
//!
//! A block reaches the parser only whole, so that what it calls incomplete is damage.

use detector_common::LinkType;
use pcap_parser::pcapng::{
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_sectionheaderblock, parse_simplepacketblock_be,
    parse_simplepacketblock_le,
};
use pcap_parser::{InterfaceDescriptionBlock, OptionCode};

use super::TICKS_PER_SECOND;
use super::clocks::Reading;
use super::error::CaptureErrorKind;
use super::reader::Record;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// The packet block of old files, before the enhanced one.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
/// Times beyond this, in the year 2242, are damage; nanoseconds of 64 bits end in 2554.
const TICK_MAX: u64 = (1 << 33) * TICKS_PER_SECOND;
/// Interfaces of one section: a bound against a file that is nothing else.
const MAX_INTERFACES: usize = 1 << 16;

/// What a block is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Section,
    Interface,
    Packet,
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHeader {
    pub(super) kind: BlockKind,
    /// Bytes of the whole block.
    pub(super) length: u32,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    /// The type, or the number of one that is not supported.
    link: Result<LinkType, u32>,
    snaplen: u32,
    /// Time units in a second.
    resolution: u64,
    offset_secs: i64,
}

/// The section being read.
#[derive(Debug, Default)]
pub(super) struct Sections {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Sections begun so far.
    number: u32,
    /// The first unsupported link type that was met.
    pub(super) unknown_link: Option<u32>,
}

/// The fields that all packet blocks come down to.
struct Captured<'a> {
    interface: u32,
    /// In the interface's time units.
    time: Option<u64>,
    captured_len: u32,
    wire_len: u32,
    bytes: &'a [u8],
}

impl Sections {
    /// Reads a block's first 12 bytes.
    #[inline]
    pub(super) fn block_header(&mut self, bytes: &[u8]) -> Result<BlockHeader, CaptureErrorKind> {
        let Some(&[k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3]) = bytes.first_chunk::<12>()
        else {
            return Err(CaptureErrorKind::CutShort);
        };
        let kind_bytes = [k0, k1, k2, k3];
        // The section header's type reads the same in both orders and comes before its own.
        if u32::from_be_bytes(kind_bytes) == SECTION_HEADER {
            self.big_endian = match [m0, m1, m2, m3] {
                BYTE_ORDER_MAGIC => true,
                [0x4d, 0x3c, 0x2b, 0x1a] => false,
                _ => return Err(CaptureErrorKind::BadBlock("its byte-order magic")),
            };
        }
        let kind = match self.u32(kind_bytes) {
            SECTION_HEADER => BlockKind::Section,
            INTERFACE_DESCRIPTION => BlockKind::Interface,
            PACKET | SIMPLE_PACKET | ENHANCED_PACKET => BlockKind::Packet,
            _ => BlockKind::Other,
        };
        let length = self.u32([l0, l1, l2, l3]);
        if length < 12 || !length.is_multiple_of(4) {
            return Err(CaptureErrorKind::BadBlock("its length"));
        }
        Ok(BlockHeader { kind, length })
    }

    #[inline]
    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Takes in a section header or an interface description.
    pub(super) fn describe(
        &mut self,
        kind: BlockKind,
        block: &[u8],
    ) -> Result<(), CaptureErrorKind> {
        if kind == BlockKind::Section {
            self.interfaces.clear();
            self.number = self.number.wrapping_add(1);
            let parsed = parse_sectionheaderblock(block);
            return parsed.map(|_| ()).map_err(|_| CaptureErrorKind::BadBlock("section header"));
        }
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let Ok((_, description)) = parsed else {
            return Err(CaptureErrorKind::BadBlock("interface description"));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(CaptureErrorKind::BadBlock("too many interfaces in one section"));
        }
        let number = description.linktype.0.cast_unsigned() & 0xffff;
        let link = LinkType::from_pcap(number).ok_or(number);
        if link.is_err() {
            self.unknown_link.get_or_insert(number);
        }
        self.interfaces.push(Interface {
            link,
            snaplen: description.snaplen,
            resolution: resolution(&description)?,
            offset_secs: self.offset_secs(&description),
        });
        Ok(())
    }

    /// Seconds to add to an interface's times. From the raw option: the parser reads it in one
    /// byte order only.
    fn offset_secs(&self, description: &InterfaceDescriptionBlock<'_>) -> i64 {
        let value = option(description, OptionCode::IfTsoffset);
        let bytes = value.and_then(|value| value.first_chunk::<8>().copied());
        bytes.map_or(0, |bytes| {
            if self.big_endian { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) }
        })
    }

    /// Reads a packet block.
    #[inline]
    pub(super) fn packet<'a>(&self, block: &'a [u8]) -> Result<Record<'a>, CaptureErrorKind> {
        let kind = block.first_chunk::<4>().map_or(0, |bytes| self.u32(*bytes));
        let captured = match kind {
            ENHANCED_PACKET => self.enhanced(block),
            SIMPLE_PACKET => self.simple(block),
            _ => self.old(block),
        };
        let captured = captured.ok_or(CaptureErrorKind::BadBlock("packet"))?;
        let Some(interface) = self.interfaces.get(captured.interface as usize) else {
            return Err(CaptureErrorKind::UnknownInterface(captured.interface));
        };
        let mut length = captured.captured_len;
        if captured.time.is_none() && interface.snaplen != 0 {
            // A simple packet block does not say how much of the packet was captured.
            length = length.min(interface.snaplen);
        }
        let bytes = captured.bytes;
        let bytes = bytes.get(..length as usize).unwrap_or(bytes);
        Ok(Record {
            link: interface.link,
            time: Reading {
                section: self.number,
                interface: captured.interface,
                tick: captured.time.map(|time| interface.tick(time)),
            },
            bytes,
            wire_len: captured.wire_len.max(length),
        })
    }

    #[inline]
    fn enhanced<'a>(&self, block: &'a [u8]) -> Option<Captured<'a>> {
        let parsed = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let (_, packet) = parsed.ok()?;
        Some(Captured {
            interface: packet.if_id,
            time: Some(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low)),
            captured_len: packet.caplen,
            wire_len: packet.origlen,
            bytes: packet.data,
        })
    }

    fn simple<'a>(&self, block: &'a [u8]) -> Option<Captured<'a>> {
        let parsed = if self.big_endian {
            parse_simplepacketblock_be(block)
        } else {
            parse_simplepacketblock_le(block)
        };
        let (_, packet) = parsed.ok()?;
        let there = u32::try_from(packet.data.len()).ok()?;
        Some(Captured {
            interface: 0,
            time: None,
            captured_len: packet.origlen.min(there),
            wire_len: packet.origlen,
            bytes: packet.data,
        })
    }

    fn old<'a>(&self, block: &'a [u8]) -> Option<Captured<'a>> {
        let word = |index: usize| {
            let bytes = block.get(8 + index * 4..)?.first_chunk::<4>()?;
            Some(self.u32(*bytes))
        };
        let both = word(0)?;
        let captured_len = word(3)?;
        Some(Captured {
            // Interface and drop count share a word.
            interface: if self.big_endian { both >> 16 } else { both & 0xffff },
            time: Some(u64::from(word(1)?) << 32 | u64::from(word(2)?)),
            captured_len,
            wire_len: word(4)?,
            bytes: block.get(28..)?.get(..captured_len as usize)?,
        })
    }
}

impl Interface {
    /// Hundredths of a second since the Unix epoch.
    #[inline]
    fn tick(&self, time: u64) -> u64 {
        let ticks = if self.resolution == 1_000_000 {
            time / 10_000
        } else {
            let ticks = u128::from(time) * 100 / u128::from(self.resolution);
            u64::try_from(ticks).unwrap_or(u64::MAX)
        };
        ticks.saturating_add_signed(self.offset_secs.saturating_mul(100)).min(TICK_MAX)
    }
}

fn option<'a>(
    description: &'a InterfaceDescriptionBlock<'_>,
    code: OptionCode,
) -> Option<&'a [u8]> {
    description.options.iter().find(|option| option.code == code).map(|option| option.value())
}

/// Time units in a second: ten or two to the power that the option gives; microseconds without it.
/// The parser's own refuses every power of two.
fn resolution(description: &InterfaceDescriptionBlock<'_>) -> Result<u64, CaptureErrorKind> {
    let exponent = option(description, OptionCode::IfTsresol)
        .and_then(|value| value.first().copied())
        .unwrap_or(6);
    let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(u32::from(exponent & 0x7f)).ok_or(CaptureErrorKind::BadBlock("its clock"))
}
