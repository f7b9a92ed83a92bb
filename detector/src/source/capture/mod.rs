//! Captures as a source: pcap and pcapng, from files and from standard input, on packet time.
//!
//! The same parser and the same counting as in the kernel, so that a capture gives what its
//! traffic would have given live. A capture that is damaged is accounted up to the damage.

mod account;
mod clocks;
mod error;
mod fragments;
mod home;
mod reader;
mod sections;
mod store;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;
mod window;

use std::collections::BTreeMap;
use std::io::Read;

use detector_common::abi::{Count, FIRST_PAYLOAD_BYTES};
use detector_common::flow::{Checkpoint, FlowKey};
use detector_common::frame::{Captured, LinkType};
use detector_common::parse::Decapsulation;
use detector_common::policy::Prefix;

pub use error::{CaptureError, CaptureErrorKind};
pub use home::default_prefixes;
pub use summary::CaptureSummary;

use account::{Accounts, CaptureEvent, Payload};
use clocks::{Clocks, Offer};
use reader::{Held, Record, Records};
use timeline::{Step, Timeline};

use crate::flow::observation::SECOND_NS;
use crate::flow::{Cause, Follower, Observation, Piece, TimeBase};

/// Packet time is kept in hundredths of a second since the Unix epoch.
const TICKS_PER_SECOND: u64 = TimeBase::PACKET_TIME.ticks_per_second;

/// Flows fetched into the cache together: what the first cache holds of their ten lines each.
const WARM_TOGETHER: usize = 32;

/// How captures are read.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// The networks that are protected.
    pub home: Vec<Prefix>,
    /// Tunnels that are opened.
    pub decapsulation: Decapsulation,
    /// Flows followed at once; what comes beyond is accounted to its home host.
    pub max_flows: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            home: default_prefixes(),
            decapsulation: Decapsulation::default(),
            max_flows: 1 << 20,
        }
    }
}

/// Reads captures.
#[derive(Clone, Debug, Default)]
pub struct CaptureSource {
    config: CaptureConfig,
}

impl CaptureSource {
    #[must_use]
    pub fn new(config: CaptureConfig) -> Self {
        Self { config }
    }

    /// Reads a capture to its end, or to where it is damaged, and ends all its flows and sessions.
    /// `reader` needs no buffer of its own.
    pub fn run(&self, reader: impl Read, follower: &mut impl Follower) -> CaptureSummary {
        let mut run = Run::new(&self.config, follower);
        let error = run.read(reader).err();
        run.clocks.end(run.timeline.now);
        run.settle();
        run.finish();
        run.summary(error)
    }
}

/// Reads a capture's packets and does nothing with them: what accounting is measured against.
/// Returns how many there were.
pub fn read_only(reader: impl Read) -> Result<u64, CaptureError> {
    let mut records = Records::open(reader)?;
    let mut packets = 0;
    while let Some(record) = records.next()? {
        packets += u64::from(std::hint::black_box(&record).wire_len != 0);
    }
    Ok(packets)
}

/// Hands each packet of a capture to `take`, as it lies there, and does nothing else with it.
/// Packets of links that are not supported are left out.
pub fn each_frame(
    reader: impl Read,
    mut take: impl FnMut(LinkType, &Captured<'_>),
) -> Result<(), CaptureError> {
    let mut records = Records::open(reader)?;
    while let Some(record) = records.next()? {
        if let Ok(link) = record.link {
            take(link, &Captured { bytes: record.bytes, wire_len: record.wire_len });
        }
    }
    Ok(())
}

/// One capture being read.
struct Run<'a, F> {
    accounts: Accounts,
    timeline: Timeline,
    clocks: Clocks,
    /// Records whose time the next ones tell.
    held: Vec<Held>,
    follower: &'a mut F,
    /// The second that has begun.
    second: u64,
    truncated: u64,
    /// Records of link types that are not supported, by their number.
    unknown_links: BTreeMap<u32, Count>,
    /// Keys of idle flows, on their way to be removed.
    expired: Vec<FlowKey>,
    slots: Vec<u32>,
}

impl<'a, F: Follower> Run<'a, F> {
    fn new(config: &CaptureConfig, follower: &'a mut F) -> Self {
        Self {
            accounts: Accounts::new(config),
            timeline: Timeline::default(),
            clocks: Clocks::default(),
            held: Vec::new(),
            follower,
            second: 0,
            truncated: 0,
            unknown_links: BTreeMap::new(),
            expired: Vec::new(),
            slots: Vec::new(),
        }
    }

    fn read(&mut self, reader: impl Read) -> Result<(), CaptureError> {
        let mut records = Records::open(reader)?;
        while let Some(record) = records.next()? {
            self.record(&record);
        }
        match records.unknown_link() {
            // Something of the capture could be read, or nothing was there to read.
            Some(number) if self.accounts.totals.frames.packets == 0 && self.none_held() => {
                Err(CaptureError { offset: 0, kind: CaptureErrorKind::UnknownLink(number) })
            }
            _ => Ok(()),
        }
    }

    /// Whether no record that can be read waits for its time.
    fn none_held(&self) -> bool {
        self.held.iter().all(|held| held.record().link.is_err())
    }

    #[inline]
    fn record(&mut self, record: &Record<'_>) {
        match self.clocks.offer(self.timeline.now, record.time) {
            Offer::At(tick) => self.record_at(tick, record),
            Offer::Now => self.account(record),
            Offer::Hold => self.held.push(Held::of(record)),
            Offer::Settle => {
                self.settle();
                self.record(record);
            }
        }
    }

    #[inline]
    fn record_at(&mut self, tick: u64, record: &Record<'_>) {
        match self.timeline.step(tick) {
            Step::Same => {}
            Step::Second => self.seconds(),
            Step::Restart => self.restart(tick),
        }
        self.account(record);
    }

    /// Lets go of the records that were held.
    #[cold]
    fn settle(&mut self) {
        let held = std::mem::take(&mut self.held);
        for (held, offer) in held.iter().zip(self.clocks.settle()) {
            match offer {
                Offer::At(tick) => self.record_at(tick, &held.record()),
                Offer::Now | Offer::Hold | Offer::Settle => self.account(&held.record()),
            }
        }
    }

    #[inline]
    fn account(&mut self, record: &Record<'_>) {
        let link = match record.link {
            Ok(link) => link,
            Err(number) => return self.unknown_link(number, record.wire_len),
        };
        self.truncated += u64::from(record.bytes.len() < record.wire_len as usize);
        let frame = Captured { bytes: record.bytes, wire_len: record.wire_len };
        match self.accounts.frame(&frame, link, self.timeline.now) {
            CaptureEvent::None => {}
            CaptureEvent::Flow { slot, checkpoint, first_payload } => {
                self.flow_news(slot, checkpoint, first_payload, record.bytes);
            }
            CaptureEvent::Overflow(key) => self.overflow_news(&key),
            CaptureEvent::Ended(slot) => self.begin_again(slot, &frame, link),
        }
    }

    /// Another connection of the same five-tuple: the one before is over.
    #[cold]
    fn begin_again(&mut self, slot: u32, frame: &Captured<'_>, link: LinkType) {
        self.close(slot);
        let event = self.accounts.packet(frame, link, self.timeline.now);
        if let CaptureEvent::Flow { slot, checkpoint, first_payload } = event {
            self.flow_news(slot, checkpoint, first_payload, frame.bytes);
        }
    }

    /// Links are numbers of 26 bits, and one file has as many as it has interfaces.
    #[cold]
    fn unknown_link(&mut self, number: u32, wire_len: u32) {
        *self.unknown_links.entry(number).or_default() +=
            Count { packets: 1, bytes: u64::from(wire_len) };
    }

    fn flow_news(
        &mut self,
        slot: u32,
        checkpoint: Option<Checkpoint>,
        first_payload: Option<Payload>,
        frame: &[u8],
    ) {
        let Some(entry) = self.accounts.store.get_mut(slot) else {
            return;
        };
        self.follower.tracker().expect(entry.place);
        // The tracker hears of a flow before it hears of its payload.
        let first = !entry.known;
        entry.known = true;
        if checkpoint.is_some() || first {
            let cause = checkpoint.map_or(Cause::Poll, Cause::Checkpoint);
            let flow = Observation::Flow { key: &entry.key, counters: &entry.counters, cause };
            self.follower.observe(&flow, &TimeBase::PACKET_TIME);
            entry.place = self.follower.tracker().latest();
        }
        if let Some(payload) = first_payload {
            let bytes = payload.first_bytes(frame);
            // As the kernel hands it up.
            for (offset, bytes) in
                (0..).step_by(FIRST_PAYLOAD_BYTES).zip(bytes.chunks(FIRST_PAYLOAD_BYTES))
            {
                let piece = Piece {
                    key: &entry.key,
                    direction: payload.direction,
                    payload_bytes: payload.bytes,
                    offset,
                    sequence: payload.sequence,
                    bytes,
                    now: self.timeline.now,
                };
                self.follower.observe(&Observation::FirstPayload(piece), &TimeBase::PACKET_TIME);
            }
        }
    }

    fn overflow_news(&mut self, key: &detector_common::abi::OverflowKey) {
        if let Some(counters) = self.accounts.overflow.get(key) {
            let now = self.timeline.now;
            let overflow = Observation::Overflow { key, counters, now };
            self.follower.observe(&overflow, &TimeBase::PACKET_TIME);
        }
    }

    /// Reports what changed up to the second that ended, and lets the seconds since then begin one
    /// by one, for as long as anything is followed.
    #[cold]
    fn seconds(&mut self) {
        self.poll();
        let now = self.timeline.now / TICKS_PER_SECOND;
        while self.second < now {
            self.second = if self.follower.tracker().is_empty() { now } else { self.second + 1 };
            let tick = Observation::Tick { now_ns: self.second * SECOND_NS };
            self.follower.observe(&tick, &TimeBase::PACKET_TIME);
            self.remove_expired();
        }
    }

    fn poll(&mut self) {
        let mut changed = std::mem::take(&mut self.accounts.changed);
        for slots in changed.chunks(WARM_TOGETHER) {
            self.warm(slots);
            for &slot in slots {
                self.poll_flow(slot);
            }
        }
        changed.clear();
        self.accounts.changed = changed;
        if std::mem::take(&mut self.accounts.overflow_changed) {
            self.poll_overflow();
        }
    }

    /// Has the flows of `slots` in the cache before they are reported one by one: their loads
    /// overlap here, and would wait for each other there.
    fn warm(&self, slots: &[u32]) {
        let mut warmth = 0;
        for &slot in slots {
            if let Some(entry) = self.accounts.store.get(slot) {
                warmth ^= self.follower.tracker().warm(entry.place);
                for half in &entry.counters.halves {
                    warmth ^= half.first_seen ^ half.packets;
                }
            }
        }
        std::hint::black_box(warmth);
    }

    fn poll_flow(&mut self, slot: u32) {
        let Some(entry) = self.accounts.store.get_mut(slot) else {
            return;
        };
        entry.changed = false;
        entry.known = true;
        let flow =
            Observation::Flow { key: &entry.key, counters: &entry.counters, cause: Cause::Poll };
        self.follower.tracker().expect(entry.place);
        self.follower.observe(&flow, &TimeBase::PACKET_TIME);
        entry.place = self.follower.tracker().latest();
    }

    fn poll_overflow(&mut self) {
        let mut keys: Vec<_> = self.accounts.overflow.keys().copied().collect();
        keys.sort_unstable_by_key(|key| (key.address, key.outbound));
        for key in keys {
            self.overflow_news(&key);
        }
    }

    fn remove_expired(&mut self) {
        let mut expired = std::mem::take(&mut self.expired);
        self.follower.take_expired(&mut expired);
        for key in expired.drain(..) {
            if let Some(slot) = self.accounts.store.find(&key) {
                self.close(slot);
            }
        }
        self.expired = expired;
    }

    fn close(&mut self, slot: u32) {
        if let Some(entry) = self.accounts.store.get(slot) {
            let flow = Observation::Flow {
                key: &entry.key,
                counters: &entry.counters,
                cause: Cause::Closed,
            };
            self.follower.tracker().expect(entry.place);
            self.follower.observe(&flow, &TimeBase::PACKET_TIME);
        }
        self.accounts.store.remove(slot);
    }

    /// Time went back to that of another capture: nothing carries over.
    #[cold]
    fn restart(&mut self, tick: u64) {
        self.finish();
        self.timeline.restart(tick);
        self.second = 0;
        self.seconds();
    }

    /// Ends all flows and sessions.
    fn finish(&mut self) {
        self.poll();
        let mut slots = std::mem::take(&mut self.slots);
        slots.append(&mut self.accounts.store.slots());
        for slot in slots.drain(..) {
            self.close(slot);
        }
        self.slots = slots;
        self.follower.finish();
    }

    fn summary(&self, error: Option<CaptureError>) -> CaptureSummary {
        let accounts = &self.accounts;
        let (unaccounted_packets, unaccounted_bytes) = accounts.unaccounted();
        let mut unknown_link = Count::default();
        self.unknown_links.values().for_each(|count| unknown_link += *count);
        let ns = |tick: Option<u64>| tick.map(|tick| TimeBase::PACKET_TIME.ns(tick));
        CaptureSummary {
            packets: accounts.totals.frames.packets + unknown_link.packets,
            bytes: accounts.totals.frames.bytes + unknown_link.bytes,
            flows: accounts.store.opened,
            flows_without_home: accounts.without_home,
            totals: accounts.totals,
            unknown_link,
            unopened: accounts.unopened.clone(),
            unknown_links: self.unknown_links.clone(),
            overflow_bytes: accounts.totals.overflow.bytes,
            unaccounted_packets,
            unaccounted_bytes,
            truncated_packets: self.truncated,
            sliced_packets: accounts.sliced,
            stray_packets: self.clocks.strays,
            untimed_packets: self.clocks.untimed,
            own_clocks: self.clocks.own_clocks,
            first_ns: ns(self.timeline.first),
            last_ns: ns(self.timeline.last),
            backwards: self.timeline.backwards,
            restarts: self.timeline.restarts,
            gaps: self.timeline.gaps,
            fragments_forgotten: accounts.fragments.forgotten,
            tracker: self.follower.tracker().counts(),
            error,
        }
    }
}
