//! From a key to the slot of its entry.
//!
//! The keys stay in the entries; the table holds four bytes each. Seeded at random per process, so
//! that nobody can choose keys that collide; nothing depends on its order.

use std::hash::{BuildHasher as _, Hasher as _};

use detector_common::flow::FlowKey;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A key that is hashed as whole words.
pub(crate) trait Key: Copy + Eq {
    fn write(&self, state: &mut foldhash::fast::FoldHasher<'_>);
}

/// An address as two words.
pub(crate) fn words(address: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_ne_bytes(*address);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 128 bits")]
    let halves = (both as u64, (both >> 64) as u64);
    halves
}

impl Key for FlowKey {
    #[inline]
    fn write(&self, state: &mut foldhash::fast::FoldHasher<'_>) {
        let (a, b) = words(&self.low);
        let (c, d) = words(&self.high);
        let ([p, q], [r, s]) = (self.low_port, self.high_port);
        state.write_u64(a);
        state.write_u64(b);
        state.write_u64(c);
        state.write_u64(d);
        state.write_u64(u64::from_ne_bytes([p, q, r, s, self.protocol, 0, 0, 0]));
    }
}

/// Slots by key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    table: HashTable<u32>,
    seed: RandomState,
}

impl Index {
    #[inline]
    pub(crate) fn hash(&self, key: &impl Key) -> u64 {
        let mut state = self.seed.build_hasher();
        key.write(&mut state);
        state.finish()
    }

    /// The slot for which `is_key` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        self.table.find(hash, |&slot| is_key(slot)).copied()
    }

    /// Adds the slot of a key that is not there yet; `key` reads the key of a slot.
    pub(crate) fn insert<K: Key>(&mut self, hash: u64, slot: u32, key: impl Fn(u32) -> Option<K>) {
        let seed = &self.seed;
        self.table.insert_unique(hash, slot, |&slot| {
            let mut state = seed.build_hasher();
            if let Some(key) = key(slot) {
                key.write(&mut state);
            }
            state.finish()
        });
    }

    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        if let Ok(entry) = self.table.find_entry(hash, |&found| found == slot) {
            let _slot = entry.remove();
        }
    }
}
