//! How many distinct things there were, about, in constant memory.
//!
//! HyperLogLog (Flajolet and others, 2007) with 256 registers: a standard error of 6.5 %, with
//! linear counting where it is better, below some 640.

const REGISTERS: usize = 256;
const INDEX_BITS: u32 = 8;

/// A sketch of a set of byte strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    registers: [u8; REGISTERS],
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: [0; REGISTERS] }
    }
}

impl Distinct {
    /// Adds one element by its [`hash`]. True where that changed the sketch: the element was not
    /// there before.
    pub fn insert(&mut self, hash: u64) -> bool {
        let index = usize::try_from(hash >> (64 - INDEX_BITS)).unwrap_or(0);
        // The rank counts zeros in the bits that did not choose the register.
        let rank = ((hash << INDEX_BITS) | 1 << (INDEX_BITS - 1)).leading_zeros() + 1;
        let rank = u8::try_from(rank).unwrap_or(u8::MAX);
        match self.registers.get_mut(index) {
            Some(register) if *register < rank => {
                *register = rank;
                true
            }
            _ => false,
        }
    }

    /// The estimate.
    #[must_use]
    pub fn count(&self) -> f64 {
        let registers = 256.0;
        let alpha = 0.7213 / (1.0 + 1.079 / registers);
        let harmonic: f64 = self.registers.iter().map(|&rank| (-f64::from(rank)).exp2()).sum();
        let raw = alpha * registers * registers / harmonic;
        let zeros = self.registers.iter().filter(|&&rank| rank == 0).count();
        if raw <= 2.5 * registers && zeros != 0 {
            let zeros = f64::from(u32::try_from(zeros).unwrap_or(0));
            return registers * (registers / zeros).ln();
        }
        raw
    }
}

/// A hash of bytes that is the same in every run and version, because what it feeds is a feature:
/// FNV-1a, with MurmurHash3's finaliser so that all bits are good.
#[must_use]
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::{Distinct, hash};

    #[track_caller]
    fn check(count: u32, tolerance: f64) {
        let mut distinct = Distinct::default();
        for _ in 0..3 {
            for number in 0..count {
                distinct.insert(hash(format!("name-{number}.example").bytes()));
            }
        }
        let error = (distinct.count() - f64::from(count)).abs();
        assert!(error <= tolerance * f64::from(count), "{count} counted as {}", distinct.count());
    }

    #[test]
    fn counts_are_about_right() {
        check(0, 0.0);
        check(1, 0.01);
        check(10, 0.1);
        check(200, 0.1);
        check(2_000, 0.2);
        check(100_000, 0.2);
    }
}
