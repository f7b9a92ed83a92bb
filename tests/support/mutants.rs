//! Frames that nobody sends: the table of frames, cut, spliced and bent at random, from a seed. The same
//! seed gives the same frames on every machine.

use detector_common::frame::LinkType;

use crate::frames::{Sample, samples};

/// The longest mutant: what BPF_PROG_TEST_RUN takes in one page, with room to spare.
pub const LONGEST_BYTES: usize = 3_000;
/// Headers end here, at the latest; behind it there is hardly anything to break.
const HEADER_BYTES: usize = 128;

/// Numbers at which parsers turn: protocols, EtherTypes, ports of tunnels, lengths next to a bound.
const WORDS: [u16; 36] = [
    0, 1, 19, 20, 39, 40, 0x0600, 0x0800, 0x0806, 0x05ff, 0x2000, 0x3fff, 0x6558, 0x7fff, 0x8000,
    0x8100, 0x86dd, 0x88a8, 0x88e5, 0x9100, 4789, 8472, 2152, 0xffff, 0x8847, 0x8848, 0x8864,
    0x88be, 0x88e7, 0x8903, 0x8926, 0x893f, 0x22eb, 6081, 1701, 0xaaaa,
];
const BYTES: [u8; 20] =
    [0, 1, 2, 4, 6, 8, 17, 41, 43, 44, 47, 50, 51, 58, 60, 0x45, 0x4f, 0x60, 0x7f, 0xff];

/// Xorshift64* (Vigna 2016).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Any seed but 0, which gives nothing but zeros.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.word() >> 33) % bound as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// An endless source of mutants.
#[derive(Clone, Debug)]
pub struct Mutants {
    random: Random,
    parents: Vec<Sample>,
}

impl Mutants {
    /// Of every frame in the table.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), parents: samples() }
    }

    /// Of frames that start with an Ethernet header only.
    pub fn of_ethernet(seed: u64) -> Self {
        let mut mutants = Self::new(seed);
        mutants.parents.retain(|parent| parent.link == LinkType::Ethernet);
        mutants
    }

    /// Writes the next mutant into `frame` and says what it starts with. It has `shortest` bytes at
    /// least.
    pub fn next(&mut self, frame: &mut Vec<u8>, shortest: usize) -> LinkType {
        let parent = self.random.below(self.parents.len());
        let parent = &self.parents[parent];
        frame.clear();
        frame.extend_from_slice(&parent.bytes);
        let link = parent.link;
        // One in sixteen stays as it is: what is sound must go on being read.
        for _ in 0..self.random.below(16).min(4) {
            self.mutate(frame);
        }
        frame.truncate(LONGEST_BYTES);
        let short = shortest.saturating_sub(frame.len());
        self.append(frame, short);
        link
    }

    fn mutate(&mut self, frame: &mut Vec<u8>) {
        let random = &mut self.random;
        if frame.is_empty() {
            frame.push(random.word() as u8);
        }
        let at = random.below(frame.len().min(HEADER_BYTES));
        match random.below(12) {
            0 | 1 => frame[at] ^= 1 << random.below(8),
            2 => frame[at] = random.word() as u8,
            3 | 4 => frame[at] = random.one(&BYTES),
            5 | 6 => {
                let word = random.one(&WORDS).to_be_bytes();
                let place = at & !1;
                for (byte, value) in frame.iter_mut().skip(place).zip(word) {
                    *byte = value;
                }
            }
            7 => {
                let end = random.below(frame.len()) + 1;
                frame.truncate(end);
            }
            8 => {
                let more = random.below(64);
                self.append(frame, more);
            }
            9 => drop(frame.drain(at..(at + 1 + random.below(16)).min(frame.len()))),
            10 => {
                let again: Vec<u8> = frame.iter().skip(at).take(24).copied().collect();
                let place = random.below(frame.len() + 1);
                frame.splice(place..place, again);
            }
            _ => self.splice(frame, at),
        }
    }

    fn append(&mut self, frame: &mut Vec<u8>, count: usize) {
        frame.extend(std::iter::repeat_with(|| self.random.word() as u8).take(count));
    }

    /// The front of this frame, and another's back.
    fn splice(&mut self, frame: &mut Vec<u8>, at: usize) {
        let other = self.random.below(self.parents.len());
        let from = self.random.below(self.parents[other].bytes.len().clamp(1, HEADER_BYTES));
        frame.truncate(at);
        frame.extend_from_slice(&self.parents[other].bytes[from..]);
    }
}
