//! Why a capture could not be read to its end.

use std::fmt;

use detector_common::LinkType;

/// What is wrong, at which byte, and what to do about it. What came before was accounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureError {
    /// Offset in the stream of the record or header that could not be read.
    pub offset: u64,
    pub kind: CaptureErrorKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureErrorKind {
    Read(String),
    Empty,
    /// Neither pcap nor pcapng.
    Unrecognised,
    /// A compressed file; the program that expands it.
    Compressed(&'static str),
    /// The stream ends inside a header or record.
    CutShort,
    /// A record that says it has this many bytes.
    RecordTooLong(u32),
    /// A block that contradicts itself.
    BadBlock(&'static str),
    /// A packet of an interface that was not described.
    UnknownInterface(u32),
    /// A link type that no packet can be read of, by its pcap number.
    UnknownLink(u32),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset;
        match &self.kind {
            CaptureErrorKind::Read(error) => {
                write!(formatter, "failed to read the capture at byte {offset}: {error}")
            }
            CaptureErrorKind::Empty => {
                write!(formatter, "the capture is empty: it has no file header")
            }
            CaptureErrorKind::Unrecognised => write!(
                formatter,
                "neither pcap nor pcapng: convert the file with 'editcap -F pcap IN OUT'"
            ),
            CaptureErrorKind::Compressed(program) => write!(
                formatter,
                "the capture is compressed: pipe it in with '{program} -dc FILE | detector \
                 analyze -'"
            ),
            CaptureErrorKind::CutShort => write!(
                formatter,
                "the capture ends inside the record at byte {offset}: the records before it are \
                 accounted; let the capturing program finish, or cut the file there"
            ),
            CaptureErrorKind::RecordTooLong(length) => write!(
                formatter,
                "the record at byte {offset} claims {length} bytes, more than any packet: the \
                 file is damaged from there, cut it there"
            ),
            CaptureErrorKind::BadBlock(what) => write!(
                formatter,
                "the block at byte {offset} is damaged ({what}): cut the file there"
            ),
            CaptureErrorKind::UnknownInterface(number) => write!(
                formatter,
                "the packet at byte {offset} refers to interface {number}, which the file does \
                 not describe: the file is damaged, cut it there"
            ),
            CaptureErrorKind::UnknownLink(number) => write!(
                formatter,
                "link type {number} is not supported: capture on an Ethernet, loopback, cooked or \
                 raw IP interface (link types {})",
                supported_links()
            ),
        }
    }
}

impl std::error::Error for CaptureError {}

fn supported_links() -> String {
    let supported = (0..512).filter(|&number| LinkType::from_pcap(number).is_some());
    let numbers: Vec<String> = supported.map(|number| number.to_string()).collect();
    numbers.join(", ")
}
