//! Every packet to its flow, as the kernel program does it, in a table of the host's.

use std::collections::{BTreeMap, HashMap};

use detector_common::abi::{Count, MAX_UNOPENED, OverflowCounters, OverflowKey, Totals};
use detector_common::flow::{Checkpoint, Clock, Plain, Recorded, Seen};
use detector_common::frame::{Captured, LinkType};
use detector_common::parse::{
    Decapsulation, Fragment, Packet, goes_to_group, parse, skipped_frames, tcp,
};
use detector_common::policy::{Cached, Prefix};

use super::fragments::Fragments;
use super::home::home;
use super::store::Store;
use super::{CaptureConfig, TICKS_PER_SECOND};

/// Overflow entries, as in the kernel.
const MAX_OVERFLOWS: usize = 4_096;

/// Flows and totals of a capture.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) store: Store,
    pub(super) totals: Totals,
    pub(super) fragments: Fragments,
    pub(super) overflow: HashMap<OverflowKey, OverflowCounters>,
    /// Overflow entries that changed since the last second; empty while flows have room.
    pub(super) overflow_changed: bool,
    /// Slots of the flows that changed since the last second.
    pub(super) changed: Vec<u32>,
    pub(super) without_home: u64,
    /// Frames that are no IP by what they are.
    pub(super) unopened: BTreeMap<u32, Count>,
    /// Frames that a recorder cut and says nothing of.
    pub(super) sliced: u64,
    prefixes: Vec<Prefix>,
    decapsulation: Decapsulation,
    packet: Packet,
}

/// What the tracker must hear of a packet at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum CaptureEvent {
    None,
    Flow {
        slot: u32,
        checkpoint: Option<Checkpoint>,
        /// Where the payload is in the frame, if its start is to be reported.
        first_payload: Option<Payload>,
    },
    Overflow(OverflowKey),
    /// The packet begins another connection of the flow's five-tuple, and is not counted yet: see
    /// [`Accounts::packet`].
    Ended(u32),
}

/// A payload's place in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    pub(super) direction: detector_common::flow::Direction,
    pub(super) offset: u32,
    pub(super) bytes: u32,
    /// As many of its bytes are told.
    pub(super) sample_bytes: u32,
    /// The TCP sequence number of its first byte.
    pub(super) sequence: u32,
}

impl Payload {
    /// As much of the payload's start as is told and was captured.
    pub(super) fn first_bytes<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let captured = frame.get(self.offset as usize..).unwrap_or(&[]);
        captured.get(..self.sample_bytes as usize).unwrap_or(captured)
    }
}

impl Accounts {
    pub(super) fn new(config: &CaptureConfig) -> Self {
        Self {
            store: Store::new(config.max_flows),
            totals: Totals::default(),
            fragments: Fragments::default(),
            overflow: HashMap::new(),
            overflow_changed: false,
            changed: Vec::new(),
            without_home: 0,
            unopened: BTreeMap::new(),
            sliced: 0,
            prefixes: config.home.clone(),
            decapsulation: config.decapsulation,
            packet: Packet::empty(),
        }
    }

    /// Accounts one frame.
    #[inline]
    pub(super) fn frame(&mut self, frame: &Captured<'_>, link: LinkType, now: u64) -> CaptureEvent {
        match parse(frame, link, self.decapsulation, &mut self.packet) {
            Ok(()) => {
                self.sliced += u64::from(self.packet.frame_bytes > frame.wire_len);
                match self.ended() {
                    Some(slot) => CaptureEvent::Ended(slot),
                    None => self.packet(frame, link, now),
                }
            }
            Err(skip) => {
                let (frames, bytes) = skipped_frames(frame);
                let count = counted(frames, bytes);
                self.totals.frames += count;
                if let Some(skipped) = self.totals.skipped.get_mut(skip as usize) {
                    *skipped += count;
                }
                if skip.is_unopened() {
                    self.unopened(count);
                }
                CaptureEvent::None
            }
        }
    }

    #[cold]
    fn unopened(&mut self, count: Count) {
        let number = self.packet.unopened;
        if self.unopened.len() < MAX_UNOPENED as usize || self.unopened.contains_key(&number) {
            *self.unopened.entry(number).or_default() += count;
        }
    }

    /// The flow of the packet's five-tuple, where that connection was closed and the packet begins
    /// another.
    #[inline]
    fn ended(&mut self) -> Option<u32> {
        let packet = &self.packet;
        if packet.tcp_flags & (tcp::SYN | tcp::ACK) != tcp::SYN {
            return None;
        }
        let slot = self.store.find(&packet.key)?;
        self.store.get(slot)?.counters.is_begun_again_by(&self.packet).then_some(slot)
    }

    /// Counts the packet that was parsed last.
    #[inline]
    pub(super) fn packet(
        &mut self,
        frame: &Captured<'_>,
        link: LinkType,
        now: u64,
    ) -> CaptureEvent {
        let packet = &mut self.packet;
        self.totals.frames += counted(packet.segments, packet.frame_bytes);
        self.totals.link_bytes += u64::from(packet.frame_bytes - packet.ip_bytes);
        let clock = Clock { now, ticks_per_second: TICKS_PER_SECOND };
        let ip = counted(packet.segments, packet.ip_bytes);
        if packet.fragment != Fragment::None && !self.fragments.resolve(packet, now) {
            self.totals.fragments_unknown += ip;
        }
        let Some(slot) = self.store.find(&self.packet.key).or_else(|| self.open(frame, link))
        else {
            return self.overflow(&clock);
        };
        let packet = &self.packet;
        let Some(entry) = self.store.get_mut(slot) else {
            return CaptureEvent::None;
        };
        let Recorded::Counted(counted) =
            entry.counters.record::<Plain>(packet, Seen::Received, &clock)
        else {
            // There is one observation point: it counts all.
            self.totals.duplicates += ip;
            return CaptureEvent::None;
        };
        self.totals.flows += ip;
        if !entry.changed {
            entry.changed = true;
            self.changed.push(slot);
        }
        // SYN takes a sequence number of its own (RFC 9293 section 3.4).
        let syn = u32::from(packet.tcp_flags & tcp::SYN != 0);
        let first_payload = (counted.sample_bytes != 0).then_some(Payload {
            direction: packet.direction,
            offset: packet.payload_offset,
            bytes: packet.payload_bytes,
            sample_bytes: counted.sample_bytes,
            sequence: packet.sequence.wrapping_add(syn),
        });
        if first_payload.is_none() && counted.checkpoint.is_none() {
            return CaptureEvent::None;
        }
        CaptureEvent::Flow { slot, checkpoint: counted.checkpoint, first_payload }
    }

    #[cold]
    fn open(&mut self, frame: &Captured<'_>, link: LinkType) -> Option<u32> {
        let slot = self.store.open(&self.packet.key)?;
        let home = home(&self.prefixes, &self.packet.key);
        self.without_home += u64::from(home == 0);
        let entry = self.store.get_mut(slot)?;
        entry.counters.open(home, Cached::pass(0), 0, self.packet.direction as u8);
        entry.counters.to_group = u8::from(goes_to_group(frame, link));
        Some(slot)
    }

    #[cold]
    fn overflow(&mut self, clock: &Clock) -> CaptureEvent {
        let packet = &self.packet;
        let ip = counted(packet.segments, packet.ip_bytes);
        self.totals.overflow += ip;
        let key = OverflowKey::of(packet, home(&self.prefixes, &packet.key));
        if self.overflow.len() >= MAX_OVERFLOWS && !self.overflow.contains_key(&key) {
            self.totals.overflow_rest += ip;
            return CaptureEvent::None;
        }
        let entry = self.overflow.entry(key).or_insert_with(|| OverflowCounters::open(&key));
        self.overflow_changed = true;
        if entry.record::<Plain>(packet, clock) {
            CaptureEvent::Overflow(key)
        } else {
            CaptureEvent::None
        }
    }

    /// What the frames' bytes and packets are beyond the sum of what they were counted to. Taken
    /// from the flows themselves, after all were removed, not from the totals alone.
    pub(super) fn unaccounted(&self) -> (i64, i64) {
        let mut explained = self.store.removed;
        explained += self.totals.overflow_rest;
        for entry in self.overflow.values() {
            explained += Count { packets: entry.packets, bytes: entry.ip_bytes };
        }
        for skipped in self.totals.skipped {
            explained += skipped;
        }
        explained += self.totals.duplicates;
        explained.bytes += self.totals.link_bytes;
        let difference = |all: u64, part: u64| all.wrapping_sub(part).cast_signed();
        (
            difference(self.totals.frames.packets, explained.packets),
            difference(self.totals.frames.bytes, explained.bytes),
        )
    }
}

#[inline]
fn counted(packets: u32, bytes: u32) -> Count {
    Count { packets: u64::from(packets), bytes: u64::from(bytes) }
}
