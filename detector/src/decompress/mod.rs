//! Compressed files read as what is in them: gzip, zstd, bzip2, xz and LZ4, by their first bytes.
//!
//! A few bytes may expand to terabytes: what comes out is bounded in size and in its ratio to what went
//! in, and what a decoder has to remember is bounded too. A bound that is reached is an error that
//! names it. An archive is not unpacked, and nothing is written anywhere.

mod lz4;
mod stop;

use std::fmt;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

pub use stop::{Reason, Stop, StopCounts};

/// Bytes of the longest mark that a format begins with.
const MARK_BYTES: usize = 6;
/// What is read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// 2^27: what `zstd --long` and `xz -9` stay within.
const WINDOW_LOG: u32 = 27;
/// The window and a mebibyte for the decoder's own.
const XZ_MEMORY_KIB: u32 = (1 << (WINDOW_LOG - 10)) + 1_024;
/// A short file of equal lines may have any ratio.
const FREE_BYTES: u64 = 64 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Lz4,
}

impl Format {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // The second is a frame of notes, which parallel compressors write first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lz4 => "LZ4",
        }
    }
}

/// What may come out of a compressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub max_bytes: u64,
    /// Bytes out for each byte in, from the 64th mebibyte on.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 30, max_ratio: 1_000 }
    }
}

/// A reader whose content, where it is compressed, is expanded.
pub struct Expand<'a> {
    /// Before the first read.
    source: Option<Box<dyn Read + 'a>>,
    decoder: Box<dyn Read + 'a>,
    format: Option<Format>,
    limits: Limits,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
    stopped: Option<Reason>,
}

impl<'a> Expand<'a> {
    /// Reads nothing yet.
    pub fn new(source: impl Read + 'a, limits: Limits) -> Self {
        Self {
            source: Some(Box::new(source)),
            decoder: Box::new(io::empty()),
            format: None,
            limits,
            bytes_in: Arc::default(),
            bytes_out: 0,
            stopped: None,
        }
    }

    /// How the content is compressed, once something was read.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Why the content ended before its end, where it did.
    #[must_use]
    pub fn stopped(&self) -> Option<Reason> {
        self.stopped
    }

    fn open(&mut self, mut source: Box<dyn Read + 'a>) -> io::Result<()> {
        let start = first_chunk(&mut source)?;
        self.format = Format::of(&start);
        let whole = Cursor::new(start).chain(source);
        let Some(format) = self.format else {
            self.decoder = Box::new(whole);
            return Ok(());
        };
        let counted = Counted { reader: whole, bytes: Arc::clone(&self.bytes_in) };
        let input = BufReader::with_capacity(CHUNK_BYTES, counted);
        self.decoder = match format {
            Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Format::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB)),
            Format::Lz4 => Box::new(lz4::Frames::new(input)),
            Format::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        Ok(())
    }

    fn check(&self, format: Format) -> Result<(), Stop> {
        let Limits { max_bytes, max_ratio } = self.limits;
        let name = format.name();
        if self.bytes_out > max_bytes {
            let text = format!(
                "more than {max_bytes} bytes come out of it, the limit for {name}: raise \
                 decompression.max_bytes, or expand it first"
            );
            return Err(Stop { reason: Reason::MaxBytes, text });
        }
        let bytes_in = self.bytes_in.load(Ordering::Relaxed).max(1);
        if self.bytes_out > FREE_BYTES && self.bytes_out / bytes_in > max_ratio {
            let text = format!(
                "more than {max_ratio} bytes come out of each byte of {name}, as if it was made to \
                 fill a machine: raise decompression.max_ratio if you trust it"
            );
            return Err(Stop { reason: Reason::MaxRatio, text });
        }
        Ok(())
    }
}

impl Read for Expand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(source) = self.source.take() {
            self.open(source)?;
        }
        let read = self.decoder.read(buffer);
        let Some(format) = self.format else { return read };
        let stop = match read {
            Ok(read) => {
                self.bytes_out += read as u64;
                match self.check(format) {
                    Ok(()) => return Ok(read),
                    Err(stop) => stop,
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => broken(format, &error),
        };
        self.stopped = Some(stop.reason);
        Err(io::Error::other(stop))
    }
}

impl fmt::Debug for Expand<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, limits, bytes_out, .. } = self;
        write!(formatter, "Expand({format:?}, {limits:?}, {bytes_out})")
    }
}

fn broken(format: Format, error: &io::Error) -> Stop {
    let name = format.name();
    // zstd has a text alone.
    let is_window =
        error.kind() == ErrorKind::OutOfMemory || error.to_string().contains("too much memory");
    let (reason, text) = if is_window {
        let most = 1_u32 << (WINDOW_LOG - 20);
        let text = format!(
            "the {name} data needs a window of more than {most} MiB: expand it first, or compress it \
             again with a smaller one"
        );
        (Reason::Window, text)
    } else if error.kind() == ErrorKind::UnexpectedEof {
        (Reason::CutOff, format!("the {name} data ends too early: the file is cut off"))
    } else {
        (Reason::Damaged, format!("the {name} data is damaged: {error}"))
    };
    Stop { reason, text }
}

/// What comes first: enough for a mark, unless there is less.
fn first_chunk(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    while filled < MARK_BYTES {
        match source.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // A line that somebody types may be shorter than a mark, and is none.
        if chunk[..filled].contains(&b'\n') {
            break;
        }
    }
    chunk.truncate(filled);
    Ok(chunk)
}

struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
