//! One sender's account.

use serde::{Deserialize, Serialize};

use super::allowance::Allowance;
use super::destinations::{Destination, Destinations};
use super::evidence::Missing;
use super::{
    Class, DAY_NS, Explanation, HOUR_NS, LedgerConfig, Opened, Reach, SETTLE_NS, SLOT_NS, Sums,
    Usage, Wanted,
};
use crate::flow::Booking;
use crate::network::{Address, Network};

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
    /// Set where this is the account of a network.
    pub network: Option<Network>,
    pub sums: Sums,
    pub destinations: Destinations,
    /// Portions that were unexplained at once, because as many waited as may.
    pub not_awaited: u64,
    /// A resolver that is seen answers its questions for names.
    pub(super) resolves: bool,
    pub(super) allowance: Allowance,
    /// What the link explained, what asking the time did, and what asking for names did.
    pub(super) local: Spent<SLOT_NS>,
    pub(super) time: Spent<SLOT_NS>,
    pub(super) names: Spent<HOUR_NS>,
    /// What known services and collectors explained.
    pub(super) services: Spent<DAY_NS>,
    /// What a resolver may ask because others asked it.
    pub(super) asked: Spent<HOUR_NS>,
    /// Unexplained bytes of the day with this number.
    pub(super) day: u64,
    pub(super) unexplained: [u64; Class::ALL.len()],
    pending: Vec<Pending>,
    /// IP bytes that wait, by class.
    waiting: [u64; Class::ALL.len()],
    /// The last alert about unexplained bytes.
    pub(super) alerted: Option<Alerted>,
    pub(super) withheld_day: Option<u64>,
    pub(super) acted: [Option<Acted>; Class::ALL.len()],
    /// When the account changed last.
    pub(super) changed_ns: u64,
}

/// What was wanted last about a class of a sender's unexplained bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Acted {
    day: u64,
    bytes: u64,
    /// None: all of the sender.
    destination: Option<Address>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    pub(super) class: Class,
    pub(super) wanted: Wanted,
    /// None: all of the sender.
    pub(super) destination: Option<Address>,
}

/// Bytes of the latest period of so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent<const PERIOD_NS: u64> {
    period: u64,
    bytes: u64,
}

impl<const PERIOD_NS: u64> Spent<PERIOD_NS> {
    const NONE: Self = Self { period: 0, bytes: 0 };

    /// So much was spent of the period with this number.
    pub(super) const fn of(period: u64, bytes: u64) -> Self {
        Self { period, bytes }
    }

    /// The bytes of the period with this number.
    pub(super) const fn in_period(self, period: u64) -> u64 {
        if self.period == period { self.bytes } else { 0 }
    }

    /// The bytes of this period.
    pub(super) fn now(&mut self, now_ns: u64) -> &mut u64 {
        let period = now_ns / PERIOD_NS;
        if period != self.period {
            *self = Self { period, bytes: 0 };
        }
        &mut self.bytes
    }

    /// As much of `amount` as `limit` leaves in this period; it is spent then.
    pub(super) fn take(&mut self, amount: u64, limit: u64, now_ns: u64) -> u64 {
        let spent = self.now(now_ns);
        let taken = amount.min(limit.saturating_sub(*spent));
        *spent += taken;
        taken
    }
}

/// What the latest alert about a sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alerted {
    pub(super) day: u64,
    pub(super) class: Class,
    pub(super) bytes: u64,
    pub(super) revision: u32,
    pub(super) opened: Opened,
}

impl Sender {
    pub(super) fn new(
        address: Address,
        network: Option<Network>,
        config: &LedgerConfig,
        now_ns: u64,
    ) -> Self {
        Self {
            address,
            network,
            sums: Sums::default(),
            destinations: Destinations::default(),
            not_awaited: 0,
            resolves: false,
            allowance: Allowance::new(&config.exchange, now_ns),
            local: Spent::NONE,
            time: Spent::NONE,
            names: Spent::NONE,
            services: Spent::NONE,
            asked: Spent::NONE,
            day: now_ns / DAY_NS,
            unexplained: [0; Class::ALL.len()],
            pending: Vec::new(),
            waiting: [0; Class::ALL.len()],
            alerted: None,
            withheld_day: None,
            acted: [None; Class::ALL.len()],
            changed_ns: 0,
        }
    }

    /// IP bytes that wait for an explanation.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.waiting.iter().sum()
    }

    /// Explains so much of what `rest` must have explained.
    pub(super) fn explain(&mut self, explanation: Explanation, rest: &mut Pending, amount: u64) {
        if amount != 0 {
            self.sums.explain(explanation, rest.pay(amount.min(rest.cost)));
        }
    }

    /// Lets a portion wait for an explanation, together with others of the same ten seconds.
    pub(super) fn wait(&mut self, pending: Pending) {
        self.changed_ns = pending.at_ns;
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
            self.not_awaited += 1;
            self.leave(&pending);
        }
    }

    /// A technique was recognised in so many of the bytes to a destination: as many of those that wait, in
    /// whole portions, are told with its alert.
    pub(super) fn recognised(&mut self, destination: Address, bytes: u64) {
        let Self { pending, waiting, destinations, .. } = self;
        let Some(row) = destinations.find(destination) else { return };
        let mut left = bytes;
        for pending in pending {
            if left == 0 {
                break;
            }
            if pending.destination != destination || pending.class == Class::Alerted {
                continue;
            }
            left = left.saturating_sub(pending.bytes);
            waiting[pending.class as usize] -= pending.bytes;
            waiting[Class::Alerted as usize] += pending.bytes;
            row.explain(pending.class, pending.bytes);
            row.wait(Class::Alerted, pending.bytes);
            pending.class = Class::Alerted;
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
        if left != before {
            self.allowance.spend(before - left);
            self.changed_ns = now_ns;
        }
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
        self.add(class, bytes, at_ns);
        let is_todays = at_ns / DAY_NS == self.day;
        match self.destinations.find(destination) {
            Some(row) if is_todays => row.leave(class, bytes),
            Some(row) => row.explain(class, bytes),
            None => {}
        }
    }

    /// Unexplained bytes of today. Where evidence is missing, those that wait are among them: an alert must
    /// not wait for an explanation that hardly ever comes.
    #[must_use]
    pub fn today(&self, class: Class, now_ns: u64) -> u64 {
        let waiting = if class == Class::Evidence { self.waiting[class as usize] } else { 0 };
        let settled =
            if now_ns / DAY_NS == self.day { self.unexplained[class as usize] } else { 0 };
        settled + waiting
    }

    /// Unexplained bytes of the day, those that wait among them.
    pub(super) fn all_of(&self, class: Class) -> u64 {
        self.unexplained[class as usize] + self.waiting[class as usize]
    }

    /// Adds to the sum of a day. What is late by a day counts in none.
    fn add(&mut self, class: Class, bytes: u64, at_ns: u64) {
        self.turn(at_ns);
        if at_ns / DAY_NS == self.day {
            self.unexplained[class as usize] += bytes;
        }
    }

    /// Another day may have begun.
    pub(super) fn turn(&mut self, now_ns: u64) {
        let day = now_ns / DAY_NS;
        if day > self.day {
            self.day = day;
            self.unexplained = [0; Class::ALL.len()];
            self.destinations.turn(now_ns);
        }
    }

    /// As much of `amount` as `limit` leaves of what known services explain in a day.
    pub(super) fn take_service(&mut self, amount: u64, limit: u64, now_ns: u64) -> u64 {
        self.turn(now_ns);
        self.changed_ns = now_ns;
        self.services.take(amount, limit, now_ns)
    }

    /// There is no room for an alert about it. True once a day.
    pub(super) fn withhold(&mut self, day: u64) -> bool {
        self.withheld_day.replace(day) != Some(day)
    }

    /// The row of a receiver, with what was carried now.
    pub(super) fn destination(&mut self, usage: &Usage<'_>, receiver: Address, missing: Missing) {
        let Booking { session, flow, now_ns, .. } = usage.booking;
        let new = || Destination::new(receiver, *flow, session.first_seen_ns, usage.known);
        self.destinations.entry(receiver, now_ns, new).note(usage, missing);
    }

    /// Whether it may be one of many addresses of one host: nobody ever answered it, and by itself it is far
    /// below the bar.
    pub(super) fn is_fleeting(&self, config: &LedgerConfig, now_ns: u64) -> bool {
        let bytes = self.today(Class::Evidence, now_ns);
        !self.allowance.was_answered() && bytes < config.bar(Class::Evidence) / 4
    }

    /// Takes in, as a network, what one of its fleeting members sent without an explanation. Nobody
    /// answers them, so nothing will explain it. Only missing evidence counts.
    pub(super) fn mirror(&mut self, usage: &Usage<'_>, left: &Pending, missing: Missing) {
        if left.class != Class::Evidence {
            return;
        }
        self.turn(left.at_ns);
        self.destination(usage, left.destination, missing);
        self.add(left.class, left.bytes, left.at_ns);
        if let Some(row) = self.destinations.find(left.destination) {
            row.leave(left.class, left.bytes);
        }
    }

    /// The class that is over its bar today, and its bytes. None where today's alert says so already, and
    /// its bytes did not grow fourfold.
    pub(super) fn over_bar(&self, config: &LedgerConfig, now_ns: u64) -> Option<(Class, u64)> {
        let said = self.alerted.filter(|alerted| alerted.day == now_ns / DAY_NS);
        let news = |class, bytes| match said {
            Some(said) if said.class == class => bytes >= said.bytes.saturating_mul(GROWTH),
            Some(said) => class < said.class,
            None => true,
        };
        Class::EXTERNAL.into_iter().find_map(|class| {
            let bytes = self.today(class, now_ns);
            (bytes >= config.bar(class) && news(class, bytes)).then_some((class, bytes))
        })
    }

    /// Whether [`Self::over_bar`] or [`Self::action`] may have something.
    pub(super) fn has_news(&self, config: &LedgerConfig, now_ns: u64) -> bool {
        let acts = |class| self.may_act(class, config, now_ns);
        Class::EXTERNAL.into_iter().any(acts) || self.over_bar(config, now_ns).is_some()
    }

    /// Whether as much of a class is unexplained as the bar, since something was last wanted about it.
    /// Addresses that change are not acted upon: anybody may have written them.
    fn may_act(&self, class: Class, config: &LedgerConfig, now_ns: u64) -> bool {
        let bar = match self.acted(class, now_ns) {
            None => config.bar(class),
            Some(acted) => acted.bytes.saturating_add(further(config, class)),
        };
        config.police.covers(class) && self.network.is_none() && self.today(class, now_ns) >= bar
    }

    fn acted(&self, class: Class, now_ns: u64) -> Option<Acted> {
        self.acted[class as usize].filter(|acted| acted.day == now_ns / DAY_NS)
    }

    /// What is to be done about the sender's unexplained bytes: first about the destination with most of
    /// them, and about all of the sender where they go to many or continue elsewhere.
    pub(super) fn action(&mut self, config: &LedgerConfig, now_ns: u64) -> Option<Action> {
        let class =
            Class::EXTERNAL.into_iter().find(|class| self.may_act(*class, config, now_ns))?;
        let bytes = self.today(class, now_ns);
        let largest = self.destinations.largest(class)?;
        let to = |address| self.destinations.get(address).map_or(0, |row| row.unexplained(class));
        let destination = match self.acted(class, now_ns) {
            None => Some(largest.address).filter(|address| to(*address) >= bytes / 2),
            Some(acted) => acted
                .destination
                .filter(|address| bytes.saturating_sub(to(*address)) < config.bar(class)),
        };
        let answered = match destination.and_then(|address| self.destinations.get(address)) {
            Some(row) => row.received_packets != 0,
            None => self.allowance.was_answered(),
        };
        let reach = if destination.is_some() { Reach::Pair } else { Reach::Sender };
        self.acted[class as usize] = Some(Acted { day: now_ns / DAY_NS, bytes, destination });
        Some(Action { class, wanted: Wanted { reach, answered }, destination })
    }
}

/// Bytes beyond those of the last action that ask for another: below a checkpoint of a flow of their own,
/// whatever of it is explained.
fn further(config: &LedgerConfig, class: Class) -> u64 {
    config.bar(class) / 4 * 3
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
