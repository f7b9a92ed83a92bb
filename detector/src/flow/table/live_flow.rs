//! One live flow: what it has carried since it began, since it was last read and since it was last
//! reported.

use detector_common::abi::FIRST_PAYLOADS;
use detector_common::flow::{Direction, FlowCounters, FlowKey};
use detector_common::parse::{protocol, tcp};

use super::record::{FlowEndReason, FlowRecord, FlowView};
use super::slab::Handle;
use super::volume::Volume;
use crate::flow::config::Timeouts;
use crate::flow::content::{Echo, FirstPayload};
use crate::flow::dns::stream::{DnsStream, Found};
use crate::flow::observation::{SECOND_NS, TimeBase};

/// One live flow.
#[derive(Debug)]
pub(crate) struct LiveFlow {
    pub(crate) view: FlowView,
    /// The bits of [`FlowCounters::home`].
    pub(crate) home: u8,
    /// Its first frame went to a group of its link.
    pub(crate) to_group: bool,
    /// Type and code of the first ICMP packet of each direction.
    pub(crate) icmp: [u16; 2],
    /// Both directions as streams of DNS messages, from its first payload sample on a DNS port over
    /// TCP.
    pub(crate) dns: Option<Box<[DnsStream; 2]>>,
    /// The session that its packets are added to.
    pub(crate) session: Handle,
    /// Whether each direction carried packets in that session.
    pub(crate) carried: [bool; 2],
    /// The latest reading of each direction.
    latest: [Volume; 2],
    /// The readings at the start of the slice, if not the first.
    slice_base: Option<Box<[Volume; 2]>>,
    slice_start_ns: u64,
    /// Offered for deletion.
    pub(super) expiring: bool,
    /// Payload samples taken in, of the initiator and of the responder; it stops counting at 65,535.
    first_payloads: [u16; 2],
    /// The second at which its timer is looked at.
    pub(super) due_secs: u64,
}

/// What a flow carried since the last reading, from initiator to responder and back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delta {
    pub(crate) forward: Volume,
    pub(crate) reverse: Volume,
    /// The flow had carried packets before.
    pub(crate) resumed: bool,
}

impl Delta {
    /// Packets seen.
    pub(crate) fn packets(&self) -> u64 {
        self.forward.seen_packets + self.reverse.seen_packets
    }

    /// Leaves out the gaps, which reach back before the reading.
    pub(crate) fn without_gaps(mut self) -> Self {
        for volume in [&mut self.forward, &mut self.reverse] {
            volume.gap_square_sum = 0;
            volume.gap_max = 0;
            volume.bursts = 0;
        }
        self
    }
}

impl LiveFlow {
    /// Counts a payload sample. Whether it is among the first of its direction, which every flow hands
    /// up, and among those that this flow hands up whatever the stream needs.
    pub(crate) fn count_first_payload(&mut self, from_client: bool) -> (bool, bool) {
        let key = &self.view.key;
        let first_payloads = &mut self.first_payloads[usize::from(!from_client)];
        *first_payloads = first_payloads.saturating_add(1);
        let count = u64::from(*first_payloads);
        (count <= FIRST_PAYLOADS, count <= key.first_payloads() || key.is_dns())
    }

    pub(super) fn open(key: &FlowKey, initiator: Direction, home: u8, now_ns: u64) -> Self {
        Self {
            view: FlowView {
                key: *key,
                initiator,
                icmp: 0,
                first_seen_ns: now_ns,
                last_seen_ns: now_ns,
            },
            home,
            to_group: false,
            icmp: [0; 2],
            dns: None,
            session: Handle::NONE,
            carried: [false; 2],
            latest: [Volume::default(); 2],
            slice_base: None,
            slice_start_ns: now_ns,
            expiring: false,
            first_payloads: [0; 2],
            due_secs: 0,
        }
    }

    /// Whether no reading was taken yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.latest.iter().all(|volume| volume.seen_packets == 0)
    }

    /// What an ICMP payload in `direction` belongs to.
    ///
    /// A direction of which no counters came yet is recognised by the key: only echo messages have
    /// ports, and the two directions carry requests and replies. An identifier of 0 looks like no
    /// ports, so that a reply to it is left out until its counters come.
    pub(crate) fn echo(&self, direction: Direction) -> Option<Echo> {
        let of = |direction| {
            let [icmp_type, _code] = self.icmp[direction as usize].to_be_bytes();
            Echo::of(self.view.key.protocol, icmp_type)
        };
        let known = |direction| self.latest[direction as usize].seen_packets != 0;
        if known(direction) {
            return of(direction);
        }
        if self.view.key.low_port == [0; 2] || !is_icmp(self.view.key.protocol) {
            return None;
        }
        let back = direction.reverse();
        if known(back) { of(back).map(Echo::answer) } else { Some(Echo::Request) }
    }

    /// The DNS messages in a payload sample of this flow.
    pub(crate) fn dns_messages(&mut self, payload: &FirstPayload<'_>) -> Found {
        if !payload.is_dns() || payload.offset != 0 {
            return Found::default();
        }
        if payload.protocol == protocol::UDP {
            return Found::datagram(payload.bytes);
        }
        let [up, down] = &mut **self.dns.get_or_insert_default();
        let stream = if payload.from_client { up } else { down };
        stream.read(payload.bytes, usize::try_from(payload.payload_bytes).unwrap_or(usize::MAX))
    }

    /// Reads each of its cache lines, see [`crate::flow::Tracker::warm`].
    pub(crate) fn warm(&self) -> u64 {
        let [low, high] = &self.latest;
        low.seen_packets
            ^ low.dropped_bytes
            ^ high.seen_packets
            ^ high.dropped_bytes
            ^ self.view.first_seen_ns
    }

    pub(crate) fn initiator_home(&self) -> bool {
        self.home & home_bit(self.view.initiator) != 0
    }

    pub(crate) fn responder_home(&self) -> bool {
        self.home & home_bit(self.view.initiator.reverse()) != 0
    }

    /// Takes a reading.
    pub(super) fn read(&mut self, counters: &FlowCounters, base: &TimeBase) -> Delta {
        let fresh = self.is_fresh();
        let mut deltas = [Volume::default(); 2];
        let mut first_tick = u64::MAX;
        for direction in [Direction::FromLow, Direction::FromHigh] {
            let (index, half) = (direction as usize, counters.half(direction));
            if half.packets == 0 {
                continue;
            }
            first_tick = first_tick.min(half.first_seen);
            self.icmp[index] = half.icmp;
            let reading = Volume::of(counters, direction);
            // An event may be older than the poll before it.
            if reading.seen_packets < self.latest[index].seen_packets {
                continue;
            }
            self.view.last_seen_ns = self.view.last_seen_ns.max(base.ns(half.last_seen));
            deltas[index] = reading.since(&self.latest[index]);
            self.latest[index] = reading;
        }
        if fresh && first_tick != u64::MAX {
            self.home = counters.home;
            self.to_group = counters.to_group != 0;
            self.view.first_seen_ns = base.ns(first_tick);
            self.slice_start_ns = self.view.first_seen_ns;
            self.view.icmp = self.icmp[self.view.initiator as usize];
        }
        Delta {
            forward: deltas[self.view.initiator as usize],
            reverse: deltas[self.view.initiator.reverse() as usize],
            resumed: !fresh,
        }
    }

    /// What newer counters say beyond the last reading.
    pub(crate) fn unread(&self, counters: &FlowCounters) -> Delta {
        let of =
            |direction| Volume::of(counters, direction).since(&self.latest[direction as usize]);
        let initiator = self.view.initiator;
        Delta { forward: of(initiator), reverse: of(initiator.reverse()), resumed: true }
    }

    pub(super) fn is_tcp_closed(&self) -> bool {
        const FIN: u16 = tcp::FIN as u16;
        const RST: u16 = tcp::RST as u16;
        let [low, high] = [self.latest[0].tcp_flags, self.latest[1].tcp_flags];
        self.view.key.protocol == protocol::TCP
            && ((low | high) & RST != 0 || low & high & FIN != 0)
    }

    pub(super) fn idle_deadline_ns(&self, timeouts: &Timeouts) -> u64 {
        let idle = timeouts.idle_ns(self.view.key.protocol, self.is_tcp_closed());
        self.view.last_seen_ns.saturating_add(idle)
    }

    pub(super) fn active_deadline_ns(&self, timeouts: &Timeouts) -> u64 {
        let active = timeouts.active_secs.saturating_mul(SECOND_NS);
        self.slice_start_ns.saturating_add(active)
    }

    /// The record of the slice that ends at `end_ns`, without names.
    pub(super) fn slice(&self, end_ns: u64, end_reason: FlowEndReason) -> FlowRecord {
        let base = self.slice_base.as_deref().copied().unwrap_or_default();
        let volumes = [self.latest[0].since(&base[0]), self.latest[1].since(&base[1])];
        let view = self.view;
        let (source_address, source_port) = view.end(view.initiator);
        let (destination_address, destination_port) = view.end(view.initiator.reverse());
        FlowRecord {
            view,
            source_address,
            destination_address,
            source_port,
            destination_port,
            protocol: view.key.protocol,
            source_home: self.initiator_home(),
            destination_home: self.responder_home(),
            start_ns: self.slice_start_ns,
            end_ns,
            forward: volumes[view.initiator as usize],
            reverse: volumes[view.initiator.reverse() as usize],
            source_name: None,
            destination_name: None,
            end_reason,
        }
    }

    pub(super) fn begin_slice(&mut self, start_ns: u64) {
        self.slice_base = Some(Box::new(self.latest));
        self.slice_start_ns = start_ns;
    }
}

fn is_icmp(number: u8) -> bool {
    matches!(number, protocol::ICMP | protocol::ICMPV6)
}

fn home_bit(direction: Direction) -> u8 {
    match direction {
        Direction::FromLow => FlowCounters::HOME_LOW,
        Direction::FromHigh => FlowCounters::HOME_HIGH,
    }
}
