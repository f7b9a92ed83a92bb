//! How much distinct labels can carry, in constant memory.
//!
//! A label's weight is its length times the Shannon entropy of its own bytes, in bytes: no more
//! than its alphabet allows, and 0 for `www`. A label counts once however often it comes back, so
//! that host names, which are made of few words, weigh little, and addresses written backwards have
//! 256 labels at most. Case does not count: resolvers may randomise it (DNS 0x20), which would make
//! one name many. Base64 loses at most a sixth of its six bits a letter by that.
//!
//! The first 64 labels are exact. Beyond, it is a weighted bottom-k sample (Cohen and Kaplan,
//! 2007): each label has an exponential rank of its weight's rate, drawn from its hash; the
//! smallest ranks stay, and represent the others by the chance that they had to. The standard error
//! is 1 / √62 of the sum. EntropySketch per domain by weighted distinct counting is from ibHH (NDSS
//! 2024).

use crate::flow::content::distinct;
use crate::flow::content::entropy::entropy;

/// Labels that are kept; the one after them says how likely these were to stay.
const KEPT: usize = 64;

/// What a label of a host name holds: 20 bytes at 3.2 bits each, a third more than the longest name
/// of a computer (NetBIOS, RFC 1001: 15). What a label carries beyond that is called *coded*.
pub const HOST_LABEL_BYTES: f64 = 8.0;

/// Below it Active Directory names each of its controllers by a GUID (MS-ADTS section 6.3.2.3). A
/// large forest has hundreds of them, so that such a name holds a byte.
const DIRECTORY_LABEL: &[u8] = b"_msdcs";
const DIRECTORY_GUID_BYTES: f64 = 1.0;

/// A sum over distinct labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntropySketch {
    /// By rank.
    sample: Vec<Label>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Label {
    rank: f64,
    /// What it carries, in bytes.
    bytes: f64,
}

impl EntropySketch {
    /// Adds the labels of a subdomain in lower case; returns what they carry together.
    pub fn learn(&mut self, subdomain: &[u8]) -> Carried {
        let labels = || subdomain.split(|byte| *byte == b'.');
        let in_directory = labels().any(|label| label == DIRECTORY_LABEL);
        let mut sum = Carried::default();
        for label in labels() {
            let controller = in_directory && is_guid(label);
            let bytes = if controller { DIRECTORY_GUID_BYTES } else { label_bytes(label) };
            sum.add(bytes, 1.0);
            if bytes > 0.0 {
                self.insert(distinct::hash(label.iter().copied()), bytes);
            }
        }
        sum
    }

    /// Labels of the same hash have the same weight and so the same rank.
    fn insert(&mut self, hash: u64, bytes: f64) {
        let rank = rank(hash, bytes);
        let place = self.sample.partition_point(|label| label.rank < rank);
        let known = self.sample.get(place).is_some_and(|label| label.rank == rank);
        if known || place > KEPT {
            return;
        }
        self.sample.truncate(KEPT);
        self.sample.insert(place, Label { rank, bytes });
    }

    /// What all distinct labels carry, about.
    #[must_use]
    pub fn sum(&self) -> Carried {
        let last = self.sample.get(KEPT).map(|label| label.rank);
        let mut sum = Carried::default();
        for label in self.sample.iter().take(KEPT) {
            let chance = last.map_or(1.0, |last| 1.0 - (-label.bytes * last).exp());
            sum.add(label.bytes, 1.0 / chance.max(f64::MIN_POSITIVE));
        }
        sum
    }
}

/// What a number of labels carry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Carried {
    /// Labels that carry anything.
    pub labels: f64,
    /// Length times entropy of each, in bytes.
    pub bytes: f64,
    /// The part of it beyond what labels of host names hold: see [`HOST_LABEL_BYTES`].
    pub coded_bytes: f64,
}

impl Carried {
    fn add(&mut self, bytes: f64, times: f64) {
        if bytes > 0.0 {
            self.labels += times;
            self.bytes += bytes * times;
            self.coded_bytes += (bytes - HOST_LABEL_BYTES).max(0.0) * times;
        }
    }
}

/// What a label carries, in bytes.
pub(super) fn label_bytes(label: &[u8]) -> f64 {
    label.len() as f64 * entropy(label) / 8.0
}

/// Whether a label is a GUID as it is written: 8-4-4-4-12 hexadecimal digits.
fn is_guid(label: &[u8]) -> bool {
    let is_place = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    label.len() == 36 && label.iter().enumerate().all(is_place)
}

/// Exponentially distributed with rate `bytes`, drawn from `hash`.
fn rank(hash: u64, bytes: f64) -> f64 {
    // 53 bits, and never 0.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A label of `length` letters that `number` chooses.
    fn label(number: u64, length: usize) -> Vec<u8> {
        let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut state = number;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            alphabet[(state >> 59) as usize]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn labels_weigh_what_they_can_carry() {
        let check = |subdomain: &[u8], bytes: f64, coded: f64| {
            let carried = EntropySketch::default().learn(subdomain);
            assert!((carried.bytes - bytes).abs() < 0.05, "{carried:?}");
            assert!((carried.coded_bytes - coded).abs() < 0.05, "{carried:?}");
        };
        check(b"", 0.0, 0.0);
        check(b"www", 0.0, 0.0);
        check(b"mail", 1.0, 0.0);
        check(b"connectivitycheck.gstatic", 8.9, 0.0);
        // 32 hexadecimal digits, twice each: 16 bytes.
        check(b"0123456789abcdef0123456789abcdef", 16.0, 8.0);
        let guid = b"54540b4e-6ae9-4836-97b1-0f52ff00a24a";
        check(guid, 16.8, 8.8);
        check(&[&guid[..], b"._msdcs"].concat(), 2.7, 0.0);
    }

    #[test]
    fn what_comes_back_counts_once() {
        let mut information = EntropySketch::default();
        for _ in 0..100 {
            information.learn(b"client34.updates");
        }
        let once = EntropySketch::default().learn(b"client34.updates");
        assert_eq!(information.sum(), once);
    }

    #[test]
    fn few_are_exact_and_many_are_estimated() {
        let check = |count: u64, tolerance: f64| {
            let mut information = EntropySketch::default();
            let mut exact = Carried::default();
            for number in 0..count {
                // Of several lengths, and each twice.
                let label = label(number, 8 + (number % 5) as usize * 12);
                exact.add(label_bytes(&label), 1.0);
                information.learn(&label);
                information.learn(&label);
            }
            let found = information.sum();
            for (found, exact) in [
                (found.bytes, exact.bytes),
                (found.coded_bytes, exact.coded_bytes),
                (found.labels, exact.labels),
            ] {
                assert!((found - exact).abs() <= tolerance * exact, "{count}: {found} {exact}");
            }
        };
        check(0, 0.0);
        check(64, 1e-9);
        check(500, 0.35);
        check(20_000, 0.35);
    }

    #[test]
    fn memory_is_bounded() {
        let mut information = EntropySketch::default();
        for number in 0..10_000 {
            information.learn(&label(number, 40));
        }
        assert_eq!(information.sample.len(), KEPT + 1);
    }
}
