//! One sender's account.

use super::allowance::Allowance;
use super::destinations::{Destination, Destinations};
use super::evidence::Missing;
use super::windows::Windows;
use super::{Class, DAY_NS, Explanation, LedgerConfig, SETTLE_NS, SLOT_NS, Sums, Usage};
use crate::network::Address;

/// Portions of one sender that wait for an explanation at a time. Further ones are final at once.
const MAX_PENDING: usize = 512;
/// An alert is repeated when so many times its bytes are unexplained.
const GROWTH: u64 = 4;

/// Bytes that may still be explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) at_ns: u64,
    pub(super) destination: Address,
    pub(super) class: Class,
    /// What must be explained, and the IP bytes that go with it.
    pub(super) cost: u64,
    pub(super) bytes: u64,
}

/// What one sender sent, and why.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Of a network: the member that sent last.
    pub address: Address,
    /// The address or the network whose account this is.
    pub key: Address,
    pub first_seen_ns: u64,
    pub sums: Sums,
    pub destinations: Destinations,
    /// Addresses that have an account of their own in this network; 0: this is no network.
    pub members: u64,
    /// A resolver that is seen answers its questions for names.
    pub(super) resolves: bool,
    pub(super) allowance: Allowance,
    unexplained: [Windows; Class::ALL.len()],
    pending: Vec<Pending>,
    /// IP bytes that wait, by class.
    waiting: [u64; Class::ALL.len()],
    /// The last alert about unexplained bytes.
    pub(super) alerted: Option<Alerted>,
    withheld_day: Option<u64>,
}

/// What the latest alert about a sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alerted {
    pub(super) day: u64,
    pub(super) class: Class,
    pub(super) bytes: u64,
    pub(super) revision: u32,
}

impl Sender {
    pub(super) fn new(address: Address, config: &LedgerConfig, now_ns: u64) -> Self {
        Self {
            address,
            key: address,
            first_seen_ns: now_ns,
            sums: Sums::default(),
            destinations: Destinations::default(),
            members: 0,
            resolves: false,
            allowance: Allowance::new(&config.exchange, now_ns),
            unexplained: Default::default(),
            pending: Vec::new(),
            waiting: [0; Class::ALL.len()],
            alerted: None,
            withheld_day: None,
        }
    }

    /// Unexplained bytes of a class over time.
    #[must_use]
    pub fn unexplained(&self, class: Class) -> &Windows {
        &self.unexplained[class as usize]
    }

    /// IP bytes that wait for an explanation.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.waiting.iter().sum()
    }

    pub(super) fn explain(&mut self, explanation: Explanation, bytes: u64) {
        self.sums.explain(explanation, bytes);
    }

    /// Lets a portion wait for an explanation, together with others of the same ten seconds.
    pub(super) fn wait(&mut self, pending: Pending) {
        self.waiting[pending.class as usize] += pending.bytes;
        if let Some(row) = self.destinations.find(pending.destination) {
            row.wait(pending.class, pending.bytes);
        }
        if let Some(same) = self.pending.iter_mut().rev().find(|other| other.is_like(&pending)) {
            same.cost += pending.cost;
            same.bytes += pending.bytes;
        } else if self.pending.len() < MAX_PENDING {
            self.pending.push(pending);
        } else {
            self.leave(&pending);
        }
    }

    /// Pays what waits out of the allowance, named receivers first and the smaller portions first, and
    /// gives up on what has waited for long.
    pub(super) fn settle(&mut self, config: &LedgerConfig, now_ns: u64) {
        let before = self.allowance.left(&config.exchange, now_ns);
        let mut left = before;
        if before != 0 {
            self.pending.sort_by_key(|pending| (rank(pending.class), pending.cost));
        }
        for pending in &mut self.pending {
            if left == 0 {
                break;
            }
            let row = self.destinations.find(pending.destination);
            let room = row.as_ref().map_or(0, |row| row.exchange_room(&config.exchange));
            let paid = pending.cost.min(left).min(room);
            if paid == 0 {
                continue;
            }
            let bytes = pending.pay(paid);
            left -= paid;
            self.waiting[pending.class as usize] -= bytes;
            self.sums.explain(Explanation::Exchange, bytes);
            if let Some(row) = row {
                row.explain(pending.class, bytes);
                row.exchange(paid);
            }
        }
        self.allowance.spend(before - left);
        let settled = |pending: &Pending| now_ns >= pending.at_ns.saturating_add(SETTLE_NS);
        let over = |pending: &mut Pending| pending.bytes == 0 || settled(pending);
        let over: Vec<Pending> = self.pending.extract_if(.., over).collect();
        over.iter().for_each(|pending| self.leave(pending));
    }

    /// Gives up on all that waits.
    pub(super) fn finish(&mut self, config: &LedgerConfig, now_ns: u64) {
        self.settle(config, now_ns);
        for pending in std::mem::take(&mut self.pending) {
            self.leave(&pending);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    fn leave(&mut self, pending: &Pending) {
        let Pending { at_ns, destination, class, bytes, .. } = *pending;
        self.waiting[class as usize] -= bytes;
        self.sums.leave(class, bytes);
        self.unexplained[class as usize].add(bytes, at_ns);
        if let Some(row) = self.destinations.find(destination) {
            row.leave(class, bytes);
        }
    }

    /// Unexplained bytes of today. Where evidence is missing, those that wait are among them: an alert must
    /// not wait for an explanation that hardly ever comes.
    #[must_use]
    pub fn today(&self, class: Class, now_ns: u64) -> u64 {
        let waiting = if class == Class::Evidence { self.waiting[class as usize] } else { 0 };
        self.unexplained(class).days(1, now_ns) + waiting
    }

    /// There is no room for an alert about it. True once a day.
    pub(super) fn withhold(&mut self, day: u64) -> bool {
        self.withheld_day.replace(day) != Some(day)
    }

    /// The row of a receiver, with what was carried now.
    pub(super) fn destination(&mut self, usage: &Usage<'_>, receiver: Address, missing: Missing) {
        let Usage { session, flow, now_ns, known, .. } = *usage;
        let new = || Destination::new(receiver, *flow, session.first_seen_ns, known);
        self.destinations.entry(receiver, now_ns, new).note(usage, missing);
    }

    /// Whether it may be one of many addresses of one host: nobody ever answered it, and by itself it is far
    /// below the bar.
    pub(super) fn is_fleeting(&self, config: &LedgerConfig, now_ns: u64) -> bool {
        let bytes = self.today(Class::Evidence, now_ns);
        !self.allowance.was_answered() && bytes < config.bar(Class::Evidence) / 4
    }

    /// Takes in, as a network, what one of its fleeting members sent without an explanation. Only missing
    /// evidence counts.
    pub(super) fn mirror(&mut self, usage: &Usage<'_>, left: Option<Pending>, now_ns: u64) {
        let Some(left) = left.filter(|left| left.class == Class::Evidence) else { return };
        let missing = Missing { start: true, ..Missing::default() };
        self.destination(usage, left.destination, missing);
        self.unexplained[Class::Evidence as usize].add(left.bytes, now_ns);
        if let Some(row) = self.destinations.find(left.destination) {
            row.leave(left.class, left.bytes);
        }
    }

    /// The class that is over its bar today, its bytes and the destination with the most of them. None
    /// where today's alert says so already, and its bytes did not grow fourfold.
    pub(super) fn over_bar(
        &self,
        config: &LedgerConfig,
        now_ns: u64,
    ) -> Option<(Class, u64, &Destination)> {
        let said = self.alerted.filter(|alerted| alerted.day == now_ns / DAY_NS);
        let news = |class, bytes| match said {
            Some(said) if said.class == class => bytes >= said.bytes.saturating_mul(GROWTH),
            Some(said) => class < said.class,
            None => true,
        };
        [Class::Evidence, Class::New].into_iter().find_map(|class| {
            let bytes = self.today(class, now_ns);
            let over = bytes >= config.bar(class) && news(class, bytes);
            over.then(|| self.destinations.largest(class))?.map(|largest| (class, bytes, largest))
        })
    }
}

/// Named receivers before those with missing evidence, internal ones last: an internal copy must not use
/// up what downloads need.
fn rank(class: Class) -> u8 {
    match class {
        Class::New => 0,
        Class::Evidence => 1,
        Class::Internal => 2,
        Class::Alerted => 3,
    }
}

impl Pending {
    /// Of the same destination, class and ten seconds.
    fn is_like(&self, other: &Self) -> bool {
        self.at_ns / SLOT_NS == other.at_ns / SLOT_NS
            && self.class == other.class
            && self.destination == other.destination
    }

    /// Takes off what `paid` pays, and returns the IP bytes that go with it.
    pub(super) fn pay(&mut self, paid: u64) -> u64 {
        let bytes = if paid == self.cost {
            self.bytes
        } else {
            let share = u128::from(self.bytes) * u128::from(paid) / u128::from(self.cost.max(1));
            u64::try_from(share).unwrap_or(self.bytes)
        };
        self.cost -= paid;
        self.bytes -= bytes;
        bytes
    }
}
