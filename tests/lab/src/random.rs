//! A small seeded generator (splitmix64), so that a seed gives the same sizes, rates and destinations
//! on every machine and with every version of every crate. Not for secrets.

/// A longer table repeats: making it line by line would take longer than sending it.
const TABLE_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A generator for one purpose; other purposes with the same seed draw other numbers.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix) }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Both ends included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Uniform in [0, 1).
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + self.fraction() * (high - low)
    }

    /// As many small ones as large ones: uniform in the logarithm.
    pub(super) fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        self.uniform(low.ln(), high.ln()).exp()
    }

    /// A number of bytes, uniform in the logarithm.
    pub(super) fn size(&mut self, low: u64, high: u64) -> usize {
        self.log_uniform(low as f64, high as f64) as usize
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.next() % from.len() as u64) as usize]
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// What a thief or a backup carries: an archive (random) or a table of people (text).
    pub(super) fn document(&mut self, length: usize) -> Vec<u8> {
        if self.chance(0.5) {
            return self.bytes(length);
        }
        let mut text = String::with_capacity(TABLE_BYTES.min(length) + 80);
        while text.len() < TABLE_BYTES.min(length) {
            let [first, last, number] =
                [self.word(6), self.word(8), self.between(1_000_000, 9_999_999).to_string()];
            text.push_str(&format!(
                "{number},{first},{last},{first}.{last}@example.com,+49 30 {number}\n"
            ));
        }
        text.into_bytes().into_iter().cycle().take(length).collect()
    }

    /// A pronounceable word of about this many letters.
    pub(super) fn word(&mut self, length: usize) -> String {
        const SYLLABLES: [&str; 24] = [
            "ba", "con", "de", "fi", "gra", "ho", "in", "ka", "lo", "ma", "net", "or", "pi", "qua",
            "ro", "sta", "ter", "ul", "ve", "wi", "yo", "za", "cha", "men",
        ];
        let mut word = String::new();
        while word.len() < length {
            word.push_str(self.pick::<&str>(&SYLLABLES));
        }
        word
    }
}
