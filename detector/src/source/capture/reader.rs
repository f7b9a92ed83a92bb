//! Packets out of pcap and pcapng streams.
//!
//! pcap-parser reads headers, records and blocks; the buffer is ours, because its own moves the
//! whole of what is left on every refill and cannot say at which byte of the stream it is.

use std::io::{self, Read};

use detector_common::LinkType;
use pcap_parser::pcap::{
    parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};
use pcap_parser::{LegacyPcapBlock, PcapHeader};

use super::clocks::Reading;
use super::error::{CaptureError, CaptureErrorKind};
use super::sections::{BlockKind, Sections};
use super::window::Window;

/// Bytes of the largest record read: libpcap's MAXIMUM_SNAPLEN is 256 KiB, and a super-packet of
/// BIG TCP has 512 KiB at most.
pub(super) const RECORD_MAX_BYTES: u32 = 1 << 20;
const FILE_HEADER_BYTES: usize = 24;

/// One captured packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// The link type, or the number of one that is not supported.
    pub(super) link: Result<LinkType, u32>,
    /// In hundredths of a second since the Unix epoch.
    pub(super) time: Reading,
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire.
    pub(super) wire_len: u32,
}

/// A record that waits.
#[derive(Debug)]
pub(super) struct Held {
    link: Result<LinkType, u32>,
    time: Reading,
    bytes: Vec<u8>,
    wire_len: u32,
}

impl Held {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let Record { link, time, bytes, wire_len } = *record;
        Self { link, time, bytes: bytes.to_vec(), wire_len }
    }

    pub(super) fn record(&self) -> Record<'_> {
        let Self { link, time, ref bytes, wire_len } = *self;
        Record { link, time, bytes, wire_len }
    }
}

/// A stream of packets.
pub(super) struct Records<R> {
    window: Window<R>,
    format: Format,
}

enum Format {
    Pcap(Pcap),
    PcapNg(Sections),
}

/// How the records of a pcap file are laid out.
struct Pcap {
    link: LinkType,
    layout: Layout,
    /// Fractions of a second in a tick.
    fractions_per_tick: u32,
}

#[derive(Clone, Copy)]
enum Layout {
    Little,
    Big,
    /// Alexey Kuznetzov's: 8 more bytes in each record header.
    Modified,
}

type Outcome<T> = Result<T, CaptureError>;

impl<R: Read> Records<R> {
    /// Reads the file header.
    pub(super) fn open(reader: R) -> Outcome<Self> {
        let mut window = Window::new(reader);
        let whole = fill(&mut window, FILE_HEADER_BYTES)?;
        let format = match window.bytes() {
            [] => return Err(wrong(&window, CaptureErrorKind::Empty)),
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Format::PcapNg(Sections::default()),
            bytes => match parse_pcap_header(bytes) {
                Ok((_, header)) => {
                    let pcap = Pcap::new(&header).map_err(|kind| wrong(&window, kind))?;
                    window.consume(FILE_HEADER_BYTES);
                    Format::Pcap(pcap)
                }
                Err(_) => return Err(wrong(&window, unrecognised(bytes, whole))),
            },
        };
        Ok(Self { window, format })
    }

    /// The next packet; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Outcome<Option<Record<'_>>> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window),
            Format::PcapNg(sections) => next_block(sections, &mut self.window),
        }
    }

    /// The first unsupported link type that was met.
    pub(super) fn unknown_link(&self) -> Option<u32> {
        match &self.format {
            Format::Pcap(_) => None,
            Format::PcapNg(sections) => sections.unknown_link,
        }
    }
}

fn wrong<R: Read>(window: &Window<R>, kind: CaptureErrorKind) -> CaptureError {
    CaptureError { offset: window.offset(), kind }
}

#[inline]
fn fill<R: Read>(window: &mut Window<R>, length: usize) -> Outcome<bool> {
    let filled = window.fill(length);
    filled.map_err(|error| failed(window, &error))
}

fn failed<R: Read>(window: &Window<R>, error: &io::Error) -> CaptureError {
    wrong(window, CaptureErrorKind::Read(error.to_string()))
}

fn unrecognised(bytes: &[u8], whole: bool) -> CaptureErrorKind {
    match bytes {
        [0x1f, 0x8b, ..] => CaptureErrorKind::Compressed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => CaptureErrorKind::Compressed("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => CaptureErrorKind::Compressed("xz"),
        _ if whole => CaptureErrorKind::Unrecognised,
        _ => match parse_pcap_header(bytes) {
            Err(pcap_parser::nom::Err::Incomplete(_)) => CaptureErrorKind::CutShort,
            _ => CaptureErrorKind::Unrecognised,
        },
    }
}

impl Pcap {
    fn new(header: &PcapHeader) -> Result<Self, CaptureErrorKind> {
        // The upper bits say how many bytes of frame check sequence follow each frame.
        let number = header.network.0.cast_unsigned() & 0x03ff_ffff;
        let link = LinkType::from_pcap(number).ok_or(CaptureErrorKind::UnknownLink(number))?;
        let layout = if header.is_modified_format() {
            Layout::Modified
        } else if header.is_bigendian() {
            Layout::Big
        } else {
            Layout::Little
        };
        let fractions_per_tick = if header.is_nanosecond_precision() { 10_000_000 } else { 10_000 };
        Ok(Self { link, layout, fractions_per_tick })
    }

    fn next<'w, R: Read>(&self, window: &'w mut Window<R>) -> Outcome<Option<Record<'w>>> {
        let header_bytes = match self.layout {
            Layout::Modified => 24,
            Layout::Little | Layout::Big => 16,
        };
        if !fill(window, header_bytes)? {
            return if window.bytes().is_empty() {
                Ok(None)
            } else {
                Err(wrong(window, CaptureErrorKind::CutShort))
            };
        }
        let Some(&[a, b, c, d]) = window.bytes().get(8..12) else {
            return Err(wrong(window, CaptureErrorKind::CutShort));
        };
        let length = match self.layout {
            Layout::Big => u32::from_be_bytes([a, b, c, d]),
            Layout::Little | Layout::Modified => u32::from_le_bytes([a, b, c, d]),
        };
        if length > RECORD_MAX_BYTES {
            return Err(wrong(window, CaptureErrorKind::RecordTooLong(length)));
        }
        let record_bytes = header_bytes + length as usize;
        if !fill(window, record_bytes)? {
            return Err(wrong(window, CaptureErrorKind::CutShort));
        }
        let offset = window.offset();
        let bytes = window.take(record_bytes);
        let parsed = match self.layout {
            Layout::Little => parse_pcap_frame(bytes),
            Layout::Big => parse_pcap_frame_be(bytes),
            Layout::Modified => parse_pcap_frame_modified(bytes),
        };
        match parsed {
            Ok((_, block)) => Ok(Some(self.record(&block))),
            Err(_) => Err(CaptureError { offset, kind: CaptureErrorKind::BadBlock("its header") }),
        }
    }

    fn record<'w>(&self, block: &LegacyPcapBlock<'w>) -> Record<'w> {
        let fraction = u64::from(block.ts_usec / self.fractions_per_tick);
        Record {
            link: Ok(self.link),
            time: Reading {
                section: 0,
                interface: 0,
                tick: Some(u64::from(block.ts_sec) * 100 + fraction),
            },
            bytes: block.data,
            wire_len: block.origlen.max(block.caplen),
        }
    }
}

/// Reads blocks until one is a packet.
fn next_block<'w, R: Read>(
    sections: &mut Sections,
    window: &'w mut Window<R>,
) -> Outcome<Option<Record<'w>>> {
    loop {
        if !fill(window, 12)? {
            return if window.bytes().is_empty() {
                Ok(None)
            } else {
                Err(wrong(window, CaptureErrorKind::CutShort))
            };
        }
        let header = sections.block_header(window.bytes()).map_err(|kind| wrong(window, kind))?;
        let length = header.length as usize;
        if header.kind == BlockKind::Other {
            // Comments, secrets, statistics: of any length.
            let skipped = window.skip(u64::from(header.length));
            if !skipped.map_err(|error| failed(window, &error))? {
                return Err(wrong(window, CaptureErrorKind::CutShort));
            }
            continue;
        }
        if header.length > RECORD_MAX_BYTES {
            return Err(wrong(window, CaptureErrorKind::RecordTooLong(header.length)));
        }
        if !fill(window, length)? {
            return Err(wrong(window, CaptureErrorKind::CutShort));
        }
        if header.kind == BlockKind::Packet {
            let offset = window.offset();
            let block = window.take(length);
            let record = sections.packet(block);
            return record.map(Some).map_err(|kind| CaptureError { offset, kind });
        }
        let block = window.bytes().get(..length).unwrap_or(&[]);
        sections.describe(header.kind, block).map_err(|kind| wrong(window, kind))?;
        window.consume(length);
    }
}
