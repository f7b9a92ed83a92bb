//! The start of one direction of a TCP connection, put together in order (RFC 9293 section 3.4).
//!
//! Segments may come in any order and more than once. What came first is kept, and a segment that has
//! other bytes in the same place is told as such. Never holds more than a window, and never guesses
//! what is missing.

use detector_common::abi::STREAM_BYTES;

/// Bytes of one stream that are kept.
pub const WINDOW_BYTES: usize = STREAM_BYTES as usize;
/// Pieces with gaps between them that are kept.
const MAX_PIECES: usize = 16;

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// There is more to read in order.
    Grew,
    /// It was there before, or something before it is missing.
    Kept,
    /// It has other bytes than were there.
    Contradicts,
    /// It begins behind the window, or one gap too many lies before it.
    OutOfReach,
}

/// Bytes by their distance from the first.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Sequence number of the first byte; none before the first segment.
    base: Option<u32>,
    bytes: Vec<u8>,
    /// From and to, in order, none touching the next.
    pieces: Vec<(usize, usize)>,
    /// Nothing is put before the first byte any more.
    begun: bool,
}

impl Stream {
    /// A stream whose first byte has this number.
    #[must_use]
    pub fn at(base: u32) -> Self {
        Self { base: Some(base), begun: true, ..Self::default() }
    }

    /// What is there without a gap.
    #[must_use]
    pub fn in_order(&self) -> &[u8] {
        let end = self.pieces.first().filter(|piece| piece.0 == 0).map_or(0, |piece| piece.1);
        self.bytes.get(..end).unwrap_or_default()
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_order().len() >= WINDOW_BYTES
    }

    /// The sequence number of the byte at `offset`.
    #[must_use]
    pub fn sequence(&self, offset: usize) -> u32 {
        self.base.unwrap_or(0).wrapping_add(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    /// Memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(usize, usize)>()
    }

    /// What is there has a meaning: it is the start.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Gives back the room that it does not need.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.pieces.shrink_to_fit();
    }

    /// Takes in a segment.
    pub fn offer(&mut self, sequence: u32, segment: &[u8]) -> Offered {
        let Some((start, segment)) = self.place(sequence, segment, true) else {
            return Offered::Kept;
        };
        let room = WINDOW_BYTES.saturating_sub(start);
        let segment = segment.get(..room).unwrap_or(segment);
        if segment.is_empty() {
            return if room == 0 { Offered::OutOfReach } else { Offered::Kept };
        }
        if self.contradicts_at(start, segment) {
            return Offered::Contradicts;
        }
        self.insert(start, segment)
    }

    /// Whether a segment has other bytes than are there. Keeps nothing of it.
    #[must_use]
    pub fn contradicts(&mut self, sequence: u32, segment: &[u8]) -> bool {
        let placed = self.place(sequence, segment, false);
        placed.is_some_and(|(start, segment)| self.contradicts_at(start, segment))
    }

    /// Whether a segment ends within what is there.
    #[must_use]
    pub fn reaches(&self, sequence: u32, length: usize) -> bool {
        let end = sequence.wrapping_add(u32::try_from(length).unwrap_or(u32::MAX));
        end.wrapping_sub(self.base.unwrap_or(0)).cast_signed()
            <= i32::try_from(self.bytes.len()).unwrap_or(0)
    }

    /// Where a segment goes, without what lies before the first byte; none where nothing is left.
    fn place<'a>(
        &mut self,
        sequence: u32,
        segment: &'a [u8],
        keep: bool,
    ) -> Option<(usize, &'a [u8])> {
        let base = match self.base {
            Some(base) => base,
            None if keep => *self.base.insert(sequence),
            None => return None,
        };
        let ahead = sequence.wrapping_sub(base).cast_signed();
        let Ok(start) = usize::try_from(ahead) else {
            let behind = usize::try_from(ahead.unsigned_abs()).ok()?;
            if keep && !self.begun && self.bytes.len() + behind <= WINDOW_BYTES {
                self.move_back(behind);
                return Some((0, segment));
            }
            return segment.get(behind..).filter(|rest| !rest.is_empty()).map(|rest| (0, rest));
        };
        Some((start, segment))
    }

    /// Makes room before the first byte: a segment overtook the one that begins the stream.
    fn move_back(&mut self, behind: usize) {
        self.bytes.splice(..0, std::iter::repeat_n(0, behind));
        for (from, to) in &mut self.pieces {
            *from += behind;
            *to += behind;
        }
        self.base = self.base.map(|base| base.wrapping_sub(u32::try_from(behind).unwrap_or(0)));
    }

    /// A single byte that was there before is a keep-alive, of which nobody reads the content (RFC
    /// 9293 section 3.8.4).
    fn contradicts_at(&self, start: usize, segment: &[u8]) -> bool {
        segment.len() > 1
            && self.pieces.iter().any(|(from, to)| {
                let (from, to) = (start.max(*from), (start + segment.len()).min(*to));
                from < to && self.bytes.get(from..to) != segment.get(from - start..to - start)
            })
    }

    fn insert(&mut self, start: usize, segment: &[u8]) -> Offered {
        let before = self.in_order().len();
        let (mut from, mut to) = (start, start + segment.len());
        if segment.len() == 1 && self.pieces.iter().any(|piece| piece.0 <= from && to <= piece.1) {
            return Offered::Kept;
        }
        let touches = |piece: &(usize, usize)| piece.0 <= to && from <= piece.1;
        if self.pieces.len() >= MAX_PIECES && !self.pieces.iter().any(touches) {
            return Offered::OutOfReach;
        }
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        if let Some(place) = self.bytes.get_mut(from..to) {
            place.copy_from_slice(segment);
        }
        self.pieces.retain(|piece| {
            let touches = piece.0 <= to && from <= piece.1;
            if touches {
                (from, to) = (from.min(piece.0), to.max(piece.1));
            }
            !touches
        });
        let at = self.pieces.partition_point(|piece| piece.0 < from);
        self.pieces.insert(at, (from, to));
        if self.in_order().len() > before { Offered::Grew } else { Offered::Kept }
    }
}

#[cfg(test)]
mod tests {
    use super::{Offered, Stream, WINDOW_BYTES};

    /// Offers segments of a text, each by where it starts and what it says, and reads.
    #[track_caller]
    fn check(segments: &[(i32, &str)], last: Offered, expected: &str) {
        for base in [1_000_u32, u32::MAX - 2] {
            let mut stream = Stream::default();
            let mut offered = Offered::Kept;
            for (start, text) in segments {
                offered = stream.offer(base.wrapping_add_signed(*start), text.as_bytes());
            }
            assert_eq!(offered, last, "{segments:?}");
            assert_eq!(str::from_utf8(stream.in_order()), Ok(expected), "{segments:?}");
        }
    }

    #[test]
    fn segments_are_put_in_order() {
        use Offered::{Contradicts, Grew, Kept, OutOfReach};
        check(&[(0, "hello")], Grew, "hello");
        check(&[(0, "he"), (2, "llo")], Grew, "hello");
        check(&[(0, "he"), (3, "lo")], Kept, "he");
        check(&[(0, "he"), (3, "lo"), (2, "l")], Grew, "hello");
        check(&[(0, "he"), (0, "hello")], Grew, "hello");
        check(&[(0, "hello"), (1, "el")], Kept, "hello");
        // The first to come is not the first.
        check(&[(2, "llo"), (0, "he")], Grew, "hello");
        check(&[(2, "llo"), (0, "hel")], Grew, "hello");
        check(&[(3, "lo"), (0, "h"), (1, "el")], Grew, "hello");
        // Other bytes in the same place, and a keep-alive, which is none.
        check(&[(0, "hello"), (1, "al")], Contradicts, "hello");
        check(&[(0, "he"), (3, "lo"), (1, "all")], Contradicts, "he");
        check(&[(0, "hello"), (4, "\0")], Kept, "hello");
        check(&[(0, "he"), (5_000, "y")], OutOfReach, "he");
        let odd: Vec<(i32, &str)> = (0..17).map(|place| (place * 2, "x")).collect();
        check(&odd, OutOfReach, "x");
    }

    #[test]
    fn what_has_begun_is_not_put_off() {
        let mut stream = Stream::default();
        stream.offer(100, b"llo");
        stream.begin();
        assert_eq!(stream.offer(98, b"he"), Offered::Kept);
        assert_eq!(stream.offer(98, b"hello you"), Offered::Grew);
        assert_eq!(stream.in_order(), b"llo you");
        assert!(stream.contradicts(103, b"xx") && !stream.contradicts(103, b" y"));
        assert!(!stream.contradicts(500, b"xx") && !stream.contradicts(90, b"xx"));
        assert!(stream.reaches(103, 4) && !stream.reaches(103, 5) && stream.reaches(90, 2));
    }

    /// In segments of any size, forwards, backwards and twice.
    #[test]
    fn nothing_beyond_the_window_is_kept() {
        let text: Vec<u8> = (0..6_000_u32).map(|place| (place * 7 / 3) as u8).collect();
        for size in [1, 3, 512, 1_400, 6_000] {
            let mut stream = Stream::default();
            for (place, segment) in text.chunks(size).enumerate() {
                let sequence = u32::try_from(place * size).expect("short");
                stream.offer(sequence, segment);
                assert!(!stream.contradicts(sequence, segment));
            }
            assert!(stream.is_full() && stream.held_bytes() < 3 * WINDOW_BYTES);
            assert_eq!(stream.in_order(), &text[..WINDOW_BYTES], "segments of {size}");
        }
        let mut stream = Stream::default();
        for place in [4, 3, 2, 1, 0] {
            stream.offer(place * 512, &text[place as usize * 512..][..512]);
        }
        assert_eq!(stream.in_order(), &text[..5 * 512]);
    }
}
