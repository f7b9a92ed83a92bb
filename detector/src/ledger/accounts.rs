//! Accounts by address or by network, bounded, and those of whom something waits.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

use super::{LedgerConfig, Sender};

#[derive(Debug)]
pub(super) struct Accounts<K> {
    rows: HashMap<K, Sender, RandomState>,
    waiting: Vec<K>,
    max: usize,
}

impl<K: Copy + Eq + Hash> Accounts<K> {
    pub(super) fn new(max: u32) -> Self {
        Self { rows: HashMap::default(), waiting: Vec::new(), max: max as usize }
    }

    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Sender> {
        self.rows.values()
    }

    /// Puts in an account of an earlier run. False where there is no room for it.
    pub(super) fn put(&mut self, key: K, sender: Sender) -> bool {
        let room = self.rows.len() < self.max;
        if room {
            self.rows.insert(key, sender);
        }
        room
    }

    pub(super) fn get(&self, key: K) -> Option<&Sender> {
        self.rows.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut Sender> {
        self.rows.get_mut(&key)
    }

    /// The account of `key`, opened by `new` where there is none. None where there is no room for it.
    pub(super) fn account(&mut self, key: K, new: impl FnOnce() -> Sender) -> Option<&mut Sender> {
        if self.rows.len() >= self.max && !self.rows.contains_key(&key) {
            return None;
        }
        Some(self.rows.entry(key).or_insert_with(new))
    }

    /// Something of the account waits from now on.
    pub(super) fn wait_for(&mut self, key: K) {
        self.waiting.push(key);
    }

    /// Settles each account of which something waits, and hands it on.
    pub(super) fn settle_waiting(
        &mut self,
        settle: fn(&mut Sender, &LedgerConfig, u64),
        config: &LedgerConfig,
        now_ns: u64,
        mut take: impl FnMut(&mut Sender),
    ) {
        let Self { rows, waiting, .. } = self;
        waiting.retain(|key| {
            let Some(sender) = rows.get_mut(key) else { return false };
            settle(sender, config, now_ns);
            take(sender);
            !sender.is_settled()
        });
    }
}
