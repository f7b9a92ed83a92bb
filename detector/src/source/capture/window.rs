//! A sliding window over a stream: whole records as slices, one copy of a record's start per
//! refill, and the stream's offset for error messages.

use std::io::{self, ErrorKind, Read};

/// Bytes asked of the stream at once: what the second cache holds beside the flows that are hot.
const WINDOW_BYTES: usize = 1 << 18;

/// The part of a stream that was read and not consumed.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the stream of the first byte that is not consumed.
    offset: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; WINDOW_BYTES], start: 0, end: 0, offset: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is there.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Reads until `length` bytes are there. False where the stream ends before.
    #[inline]
    pub(super) fn fill(&mut self, length: usize) -> io::Result<bool> {
        if self.end - self.start >= length {
            return Ok(true);
        }
        self.refill(length)
    }

    #[cold]
    fn refill(&mut self, length: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        while self.end < length {
            let room = self.buffer.get_mut(self.end..).unwrap_or(&mut []);
            match self.reader.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Moves on by `length` bytes that are there.
    #[inline]
    pub(super) fn consume(&mut self, length: usize) {
        let length = length.min(self.end - self.start);
        self.start += length;
        self.offset += length as u64;
    }

    /// Moves on by `length` bytes that are there and gives them.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.consume(length);
        self.buffer.get(start..self.start).unwrap_or(&[])
    }

    /// Moves on by `length` bytes, however many are there. False where the stream ends before.
    pub(super) fn skip(&mut self, mut length: u64) -> io::Result<bool> {
        while length != 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let there = self.bytes().len();
            let step = usize::try_from(length).unwrap_or(usize::MAX).min(there);
            self.consume(step);
            length -= step as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::Window;

    /// Gives a byte a time.
    struct Drip(u8);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 20 || buffer.is_empty() {
                return Ok(0);
            }
            buffer[0] = self.0;
            self.0 += 1;
            Ok(1)
        }
    }

    #[test]
    fn a_stream_that_drips_is_read_whole() -> io::Result<()> {
        let mut window = Window::new(Drip(0));
        assert!(window.fill(4)?);
        assert_eq!(window.bytes(), [0, 1, 2, 3]);
        window.consume(3);
        assert!(window.fill(2)?);
        assert_eq!((window.bytes(), window.offset()), (&[3, 4][..], 3));
        assert!(window.skip(10)?);
        assert_eq!(window.offset(), 13);
        assert!(!window.fill(8)?);
        assert_eq!(window.bytes().len(), 7);
        assert!(!window.skip(100)?);
        Ok(())
    }
}
