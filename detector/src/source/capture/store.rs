//! The flows of a capture: the same counters as in the kernel's map, on cache lines of their own.

use detector_common::abi::Count;
use detector_common::flow::{FlowCounters, FlowKey};

use crate::flow::FlowPlace;
use crate::flow::table::index::Index;

/// A flow being counted. Like an element of the kernel's map: key and policy word on the first two
/// lines, then each half on two of its own.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Entry {
    /// On the list of flows that changed since the last second.
    pub(super) changed: bool,
    /// The tracker knows it.
    pub(super) known: bool,
    live: bool,
    /// Where the tracker keeps it.
    pub(super) place: FlowPlace,
    padding: [u8; 32],
    pub(super) key: FlowKey,
    pub(super) counters: FlowCounters,
}

const _: () = assert!(size_of::<Entry>() == 384);

impl Entry {
    fn open(key: &FlowKey) -> Self {
        Self {
            changed: false,
            known: false,
            live: true,
            place: FlowPlace::UNKNOWN,
            padding: [0; 32],
            key: *key,
            counters: FlowCounters::default(),
        }
    }
}

/// Flows by key, bounded.
#[derive(Debug)]
pub(super) struct Store {
    entries: Vec<Entry>,
    holes: Vec<u32>,
    index: Index,
    limit: usize,
    /// The latest packet's flow, which most often is the next one's too.
    latest: u32,
    pub(super) opened: u64,
    /// Packets and IP bytes of the flows that were removed.
    pub(super) removed: Count,
}

impl Store {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            entries: Vec::new(),
            holes: Vec::new(),
            index: Index::default(),
            limit: (limit as usize).max(1),
            latest: 0,
            opened: 0,
            removed: Count::default(),
        }
    }

    /// The slot of a flow.
    #[inline]
    pub(super) fn find(&mut self, key: &FlowKey) -> Option<u32> {
        if let Some(entry) = self.entries.get(self.latest as usize)
            && entry.live
            && entry.key == *key
        {
            return Some(self.latest);
        }
        let entries = &self.entries;
        let is_key = |slot: u32| entries.get(slot as usize).is_some_and(|entry| entry.key == *key);
        let slot = self.index.find(self.index.hash(key), is_key)?;
        self.latest = slot;
        Some(slot)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    /// Opens a flow that is not there; `None` where there is no room.
    pub(super) fn open(&mut self, key: &FlowKey) -> Option<u32> {
        let entry = Entry::open(key);
        let slot = if let Some(slot) = self.holes.pop() {
            *self.get_mut(slot)? = entry;
            slot
        } else if self.entries.len() < self.limit {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).ok()?
        } else {
            return None;
        };
        let hash = self.index.hash(key);
        let entries = &self.entries;
        self.index.insert(hash, slot, |slot| entries.get(slot as usize).map(|entry| entry.key));
        self.opened += 1;
        self.latest = slot;
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize).filter(|entry| entry.live) else {
            return;
        };
        entry.live = false;
        for half in &entry.counters.halves {
            self.removed += Count { packets: half.packets, bytes: half.ip_bytes };
        }
        self.index.remove(self.index.hash(&entry.key), slot);
        self.holes.push(slot);
    }

    /// Slots of all flows.
    pub(super) fn slots(&self) -> Vec<u32> {
        let entries = (0..).zip(&self.entries);
        entries.filter(|(_, entry)| entry.live).map(|(slot, _)| slot).collect()
    }
}
