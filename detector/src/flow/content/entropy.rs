//! Shannon entropy and printable share of a few hundred bytes.
//!
//! Computed for every payload sample, so it costs like one: four histograms, because one would wait for
//! itself at every repeated byte, and a table of c·log2(c) in whole steps, because a sum of floating
//! point numbers waits for itself at every one of 256 counts.

use std::sync::LazyLock;

use detector_common::abi::FIRST_PAYLOAD_BYTES;

/// Bytes below which an entropy says nothing: n bytes have at most log2(n) bits.
pub const SAMPLE_MIN_BYTES: usize = 16;

/// Entries of the table: a power of two above any count, so that an index can be masked.
const TABLE_ENTRIES: usize = (FIRST_PAYLOAD_BYTES + 1).next_power_of_two();

/// Steps of the table in one bit: sums over a payload sample stay below 2^53 and are whole in an `f64`.
const STEPS_PER_BIT: f64 = (1_u64 << 40) as f64;

/// c·log2(c) in steps, for the counts that a payload sample can have; 0 for 0.
static WEIGHTED: LazyLock<[u64; TABLE_ENTRIES]> = LazyLock::new(|| std::array::from_fn(weighted));

fn weighted(count: usize) -> u64 {
    let count = count as f64;
    if count > 1.0 { (count * count.log2() * STEPS_PER_BIT).round() as u64 } else { 0 }
}

/// What a payload's bytes are like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByteProfile {
    /// Shannon entropy in bits per byte, 0 to 8; 0 for no bytes.
    pub entropy: f64,
    /// Share of printable ASCII, line breaks and tabs, 0 to 1; 0 for no bytes.
    pub printable_share: f64,
}

impl ByteProfile {
    /// Of the first [`FIRST_PAYLOAD_BYTES`] bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..FIRST_PAYLOAD_BYTES).unwrap_or(bytes);
        let Ok(length) = u16::try_from(bytes.len()).map(f64::from) else {
            return Self::default();
        };
        if bytes.is_empty() {
            return Self::default();
        }
        let histogram = histogram(bytes);
        let table = &*WEIGHTED;
        let weighted = |&count: &u16| table[usize::from(count) % TABLE_ENTRIES];
        let sum = histogram.iter().map(weighted).sum::<u64>() as f64 / STEPS_PER_BIT;
        let blanks = [b'\t', b'\n', b'\r'].map(|byte| histogram[usize::from(byte)]);
        let visible = histogram[usize::from(b' ')..=usize::from(b'~')].iter();
        let printable: u16 = visible.chain(&blanks).sum();
        Self {
            // H = log2(n) − Σ c·log2(c) / n.
            entropy: (length.log2() - sum / length).max(0.0),
            printable_share: f64::from(printable) / length,
        }
    }
}

/// Shannon entropy in bits per byte, 0 to 8; 0 for no bytes.
#[must_use]
pub fn entropy(bytes: &[u8]) -> f64 {
    ByteProfile::of(bytes).entropy
}

/// Counts of at most [`FIRST_PAYLOAD_BYTES`] bytes: a lane sees a quarter of them and needs no more
/// than a byte each.
fn histogram(bytes: &[u8]) -> [u16; 256] {
    let mut lanes = [[0_u8; 256]; 4];
    let (quads, rest) = bytes.as_chunks::<4>();
    for quad in quads {
        for (lane, &byte) in lanes.iter_mut().zip(quad) {
            lane[usize::from(byte)] += 1;
        }
    }
    for &byte in rest {
        lanes[0][usize::from(byte)] += 1;
    }
    let mut sum = [0; 256];
    for lane in &lanes {
        for (sum, &count) in sum.iter_mut().zip(lane) {
            *sum += u16::from(count);
        }
    }
    sum
}

const _: () = assert!(FIRST_PAYLOAD_BYTES / 4 + 3 <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::{ByteProfile, entropy};

    fn check(bytes: &[u8], expected: f64) {
        let found = entropy(bytes);
        assert!((found - expected).abs() < 1e-9, "{found} != {expected}");
    }

    #[test]
    fn entropy_of_known_samples() {
        check(b"", 0.0);
        check(b"aaaaaaaa", 0.0);
        check(b"abababab", 1.0);
        check(b"abcdefgh", 3.0);
        check(b"aab", 0.918_295_834_054_489_6);
        let all: Vec<u8> = (0..=255).collect();
        check(&all, 8.0);
    }

    #[test]
    fn printable_share_of_known_samples() {
        let check = |bytes, expected: f64| {
            assert!((ByteProfile::of(bytes).printable_share - expected).abs() < 1e-9);
        };
        check(b"ab\x00\x01", 0.5);
        check(b"GET / HTTP/1.1\r\n", 1.0);
        check(b"", 0.0);
    }

    #[test]
    fn what_is_beyond_a_head_is_left_out() {
        let bytes: Vec<u8> = (0..4 * 1024_u32).map(|number| (number / 512) as u8).collect();
        check(&bytes, 0.0);
    }
}
