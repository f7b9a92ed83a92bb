//! LZ4's frames one after the other.
//!
//! The decoder takes an input that ends within a frame for its end; here it is an error.

use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

/// Frames of the older form have no end of their own.
const LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

pub(super) struct Frames<R: BufRead> {
    decoder: FrameDecoder<Tail<R>>,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        Self { decoder: FrameDecoder::new(Tail { input, ended: false, is_legacy: false }) }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = self.decoder.read(buffer)?;
            if read != 0 {
                return Ok(read);
            }
            let tail = self.decoder.get_mut();
            // A whole frame ends with a mark of its own, before anybody asks for more.
            if tail.ended && !tail.is_legacy {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let next = tail.input.fill_buf()?;
            if next.is_empty() {
                return Ok(0);
            }
            tail.is_legacy = next.starts_with(&LEGACY);
        }
    }
}

/// Knows whether more was asked for than there is.
struct Tail<R> {
    input: R,
    ended: bool,
    is_legacy: bool,
}

impl<R: BufRead> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}
