//! Where one sender's bytes went: the destinations with the most unexplained ones, in bounded memory.

use std::sync::Arc;

use crate::flow::{Booking, FlowView, Side};
use crate::network::Address;

use super::evidence::Missing;
use super::{Class, DAY_NS, ExchangeConfig, Usage};

/// Destinations of one sender. A new one takes the place of the one with the fewest unexplained bytes
/// (Space-Saving, Metwally et al. 2005), and takes over its bytes as an error.
const MAX: usize = 32;
/// What a destination that made room had spent of its day's exchange is remembered from here on, of so many
/// destinations: it does not begin anew when it comes back.
const SPENT_BYTES: u64 = 64 << 10;
const MAX_SPENT: usize = 64;

/// One destination of one sender.
#[derive(Clone, Debug)]
pub struct Destination {
    pub address: Address,
    pub name: Option<Arc<str>>,
    /// The server's port, 0 where there is none, and the IANA protocol number, of what came last.
    pub port: u16,
    pub protocol: u8,
    /// The latest flow.
    pub flow: FlowView,
    /// The sender opened it.
    pub from_client: bool,
    pub missing: Missing,
    pub first_seen_ns: u64,
    /// What the sender sent there today and received from there, IP bytes and packets.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sent_packets: u64,
    pub received_packets: u64,
    /// Today's unexplained bytes, by class, and how many of them may be another destination's.
    pub(super) unexplained: [u64; Class::ALL.len()],
    /// Those that may still be explained.
    waiting: [u64; Class::ALL.len()],
    pub error_bytes: u64,
    pub(super) exchange_bytes: u64,
    pub(super) day: u64,
    pub(super) first_day: u64,
}

impl Destination {
    pub(super) fn new(address: Address, flow: FlowView, now_ns: u64, known: bool) -> Self {
        let day = now_ns / DAY_NS;
        Self {
            address,
            name: None,
            port: 0,
            protocol: flow.key.protocol,
            flow,
            from_client: true,
            missing: Missing::default(),
            first_seen_ns: now_ns,
            sent_bytes: 0,
            received_bytes: 0,
            sent_packets: 0,
            received_packets: 0,
            unexplained: [0; Class::ALL.len()],
            waiting: [0; Class::ALL.len()],
            error_bytes: 0,
            exchange_bytes: 0,
            day,
            first_day: if known { 0 } else { day },
        }
    }

    /// Today's, of one class, those that may still be explained among them.
    #[must_use]
    pub fn unexplained(&self, class: Class) -> u64 {
        self.unexplained[class as usize] + self.waiting[class as usize]
    }

    /// The sender did not send there on an earlier day.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.first_day == self.day
    }

    /// Takes in what a session with it carried.
    pub(super) fn note(&mut self, usage: &Usage<'_>, missing: Missing) {
        let Booking { session, flow, sender, sent, received, .. } = usage.booking;
        let name = match sender {
            Side::Client => &session.name,
            Side::Server => &session.client_name,
        };
        if let Some(name) = name {
            self.name = Some(Arc::clone(name));
        }
        (self.port, self.protocol) = match session.overflow {
            Some(peer) => (peer.port, peer.protocol),
            None => (session.key.server_port, session.key.protocol),
        };
        self.flow = *flow;
        self.from_client = sender == Side::Client;
        self.missing = missing;
        self.sent_bytes += sent.ip_bytes;
        self.received_bytes += received.ip_bytes;
        self.sent_packets += sent.packets;
        self.received_packets += received.packets;
    }

    pub(super) fn wait(&mut self, class: Class, bytes: u64) {
        self.waiting[class as usize] += bytes;
    }

    /// What waited is explained.
    pub(super) fn explain(&mut self, class: Class, bytes: u64) {
        let waiting = &mut self.waiting[class as usize];
        *waiting = waiting.saturating_sub(bytes);
    }

    /// What waited is unexplained for good.
    pub(super) fn leave(&mut self, class: Class, bytes: u64) {
        self.explain(class, bytes);
        self.unexplained[class as usize] += bytes;
    }

    /// How much of the exchange allowance may go there today.
    pub(super) fn exchange_room(&self, config: &ExchangeConfig) -> u64 {
        if self.is_new() {
            config.new_destination_bytes_per_day.saturating_sub(self.exchange_bytes)
        } else {
            u64::MAX
        }
    }

    pub(super) fn exchange(&mut self, bytes: u64) {
        self.exchange_bytes = self.exchange_bytes.saturating_add(bytes);
    }

    fn turn(&mut self, now_ns: u64) {
        let day = now_ns / DAY_NS;
        if day > self.day {
            self.day = day;
            self.unexplained = [0; Class::ALL.len()];
            (self.sent_bytes, self.received_bytes) = (0, 0);
            (self.sent_packets, self.received_packets) = (0, 0);
            (self.exchange_bytes, self.error_bytes) = (0, 0);
        }
    }

    pub(super) fn weight(&self) -> u64 {
        self.unexplained.iter().chain(&self.waiting).sum()
    }
}

/// The destinations of one sender.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    rows: Vec<Destination>,
    /// Destinations that had to make room.
    pub evicted: u64,
    /// What some of them had spent of today's exchange.
    spent: Vec<(Address, u64)>,
}

impl Destinations {
    /// The row of a destination, made by `new` where there is none.
    pub(super) fn entry(
        &mut self,
        address: Address,
        now_ns: u64,
        new: impl FnOnce() -> Destination,
    ) -> &mut Destination {
        let place = self.rows.iter().position(|row| row.address == address);
        let place = place.unwrap_or_else(|| self.insert(new()));
        let row = &mut self.rows[place];
        row.turn(now_ns);
        row
    }

    /// Another day begins, for those to which nothing is sent, too.
    pub(super) fn turn(&mut self, now_ns: u64) {
        self.rows.iter_mut().for_each(|row| row.turn(now_ns));
        self.spent.clear();
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Destination> {
        self.rows.iter()
    }

    /// Takes in a row of an earlier run.
    pub(super) fn recall(&mut self, row: Destination) {
        if self.rows.len() < MAX {
            self.rows.push(row);
        }
    }

    pub(super) fn get(&self, address: Address) -> Option<&Destination> {
        self.rows.iter().find(|row| row.address == address)
    }

    pub(super) fn find(&mut self, address: Address) -> Option<&mut Destination> {
        self.rows.iter_mut().find(|row| row.address == address)
    }

    fn insert(&mut self, mut row: Destination) -> usize {
        if let Some(known) = self.spent.iter().position(|(address, _)| *address == row.address) {
            row.exchange_bytes = self.spent.swap_remove(known).1;
        }
        if self.rows.len() < MAX {
            self.rows.push(row);
            return self.rows.len() - 1;
        }
        self.evicted += 1;
        let weights = self.rows.iter().map(|row| (row.weight(), row.exchange_bytes)).enumerate();
        let (place, (weight, exchange_bytes)) =
            weights.min_by_key(|(_, weight)| *weight).unwrap_or_default();
        row.unexplained = self.rows[place].unexplained;
        row.error_bytes = weight;
        let evicted = std::mem::replace(&mut self.rows[place], row);
        if exchange_bytes >= SPENT_BYTES {
            self.remember(evicted.address, exchange_bytes);
        }
        place
    }

    /// Of too many, the one that spent least is forgotten.
    fn remember(&mut self, address: Address, exchange_bytes: u64) {
        self.spent.push((address, exchange_bytes));
        if self.spent.len() > MAX_SPENT {
            let amounts = self.spent.iter().map(|(_, bytes)| *bytes).enumerate();
            let least = amounts.min_by_key(|(_, bytes)| *bytes).map_or(0, |(place, _)| place);
            self.spent.swap_remove(least);
        }
    }

    /// The one with the most unexplained bytes of a class today.
    #[must_use]
    pub fn largest(&self, class: Class) -> Option<&Destination> {
        self.rows.iter().max_by_key(|row| row.unexplained(class))
    }
}
