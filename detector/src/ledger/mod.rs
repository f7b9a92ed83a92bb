//! The ledger: every outbound byte is explained, or it counts against its sender.
//!
//! What a session sent is booked every second, at each byte checkpoint and at its end. Explanations are tried in the order of
//! [`Explanation`]; what none fits waits for 60 s, because what is received later may still explain it,
//! and is *unexplained* then: for good, summed by sender and destination over minutes, hours and days.
//!
//! For each sender and in all, explained, waiting and unexplained bytes add up to what left. Pure: time
//! and input are arguments, and memory is bounded.

mod alert_budget;
mod allowance;
mod destinations;
mod evidence;
mod explanation;
mod sender;
mod windows;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub use allowance::ExchangeConfig;
pub use destinations::{Destination, Destinations};
pub use evidence::Missing;
pub use explanation::{Class, Explanation, Sums};
pub use sender::Sender;
pub use windows::Windows;

use crate::flow::session::Portion;
use crate::flow::{FlowView, Session, Side};
use crate::network::Address;
use alert_budget::AlertBudget;
use sender::{Alerted, Pending};

/// Bytes to one destination that leave within this time wait together.
const SLOT_NS: u64 = 10_000_000_000;
/// How long bytes wait for an explanation.
const SETTLE_NS: u64 = 6 * SLOT_NS;
const DAY_NS: u64 = 24 * 3_600_000_000_000;
/// Sessions that began in the first two minutes may have begun before: nobody saw their start.
const START_NS: u64 = 120_000_000_000;

/// Sizes of the ledger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LedgerConfig {
    pub exchange: ExchangeConfig,
    /// Senders of whom an account is kept; what others send is counted together.
    pub max_senders: u32,
    /// Unexplained bytes of one sender and day from which on there is an alert, where evidence is missing
    /// and where it is not.
    pub evidence_bytes: u64,
    pub new_bytes: u64,
    /// External unexplained bytes of one sender and day from which on there is an alert in any case; 0: none.
    pub always_bytes: u64,
    /// Alerts a day; none: as many as there are.
    pub alerts_per_day: Option<u32>,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            exchange: ExchangeConfig::default(),
            max_senders: 4_096,
            // An hour's exchange below the checkpoint of 1 MiB, so that this checkpoint finds a single flow.
            evidence_bytes: 950_000,
            new_bytes: 20_000_000,
            always_bytes: 100_000_000,
            alerts_per_day: None,
        }
    }
}

impl LedgerConfig {
    fn bar(&self, class: Class) -> u64 {
        match class {
            Class::Evidence => self.evidence_bytes,
            Class::New => self.new_bytes,
            Class::Internal | Class::Alerted => u64::MAX,
        }
    }
}

/// What a sender of a session sent since it was booked last, and what it received.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    pub session: &'a Session,
    /// The flow that carried packets last.
    pub flow: &'a FlowView,
    pub sender: Side,
    pub sent: Portion,
    pub received: Portion,
    pub now_ns: u64,
    /// A recognised technique raised an alert about it.
    pub alerted: bool,
    /// The allowlist covers it.
    pub allowed: bool,
    /// The sender has long been sending as much there at this hour.
    pub baseline: bool,
    /// The sender sent there on an earlier day.
    pub known: bool,
}

/// Unexplained bytes of a sender that passed a bar.
#[derive(Clone, Debug)]
pub struct Finding {
    pub sender: Address,
    /// The sender, or its network where many members sent them.
    pub account: Address,
    /// Addresses of its network that sent them, where it is many; 0 where it is the sender alone.
    pub members: u64,
    pub class: Class,
    /// Of the sender, today and of this class, over all destinations.
    pub bytes: u64,
    /// The destination with the most of them.
    pub destination: Destination,
    /// 1 for the first of the day, higher when it grew.
    pub revision: u32,
}

/// All accounts.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    senders: HashMap<Address, Sender, RandomState>,
    /// The same bytes by network, for senders that change their address: /24 and /64. Those of senders
    /// without room for an account are booked here alone.
    networks: HashMap<Address, Sender, RandomState>,
    /// Those of whom something waits.
    waiting: Vec<Address>,
    waiting_networks: Vec<Address>,
    /// What was sent from networks without room for an account.
    no_room: Sums,
    began_ns: Option<u64>,
    alerts: Alerts,
}

/// How many alerts there were and may be.
#[derive(Debug)]
struct Alerts {
    budget: Option<AlertBudget>,
    withheld: u64,
}

impl Ledger {
    #[must_use]
    pub fn new(config: LedgerConfig) -> Self {
        Self {
            senders: HashMap::default(),
            networks: HashMap::default(),
            waiting: Vec::new(),
            waiting_networks: Vec::new(),
            no_room: Sums::default(),
            began_ns: None,
            alerts: Alerts { budget: config.alerts_per_day.map(AlertBudget::new), withheld: 0 },
            config,
        }
    }

    /// Books a portion. There is a finding where it passes a bar for which nothing needs to be waited.
    pub fn book(&mut self, usage: &Usage<'_>) -> Option<Finding> {
        let Usage { session, sender: side, now_ns, .. } = *usage;
        let began_ns = *self.began_ns.get_or_insert(session.first_seen_ns);
        let watched = session.first_seen_ns >= began_ns.saturating_add(START_NS);
        let address = match side {
            Side::Client => session.key.client,
            Side::Server => session.key.server,
        };
        let prefix = network_of(address);
        let config = &self.config;
        let max = config.max_senders as usize;
        let new = |address| Sender::new(address, config, session.first_seen_ns);
        let known = self.senders.contains_key(&address);
        let has_room = known || self.senders.len() < max;
        if !self.networks.contains_key(&prefix) && self.networks.len() >= max {
            if !has_room {
                self.no_room.leave(Class::Evidence, usage.sent.ip_bytes);
                return None;
            }
        } else {
            let group = self.networks.entry(prefix).or_insert_with(|| new(prefix));
            group.address = address;
            group.members += u64::from(!known);
        }
        let (rows, waiting, key) = if has_room {
            (&mut self.senders, &mut self.waiting, address)
        } else {
            (&mut self.networks, &mut self.waiting_networks, prefix)
        };
        let row = rows.entry(key).or_insert_with(|| new(address));
        let was_settled = row.is_settled();
        let left = note(row, usage, config, watched).filter(|_| row.is_fleeting(config, now_ns));
        if was_settled && !row.is_settled() {
            waiting.push(key);
        }
        let count = self.senders.len() as u64;
        if has_room && let Some(group) = self.networks.get_mut(&prefix) {
            group.mirror(usage, left, now_ns);
            if let Some(finding) = self.alerts.found(group, config, count, now_ns) {
                return Some(finding);
            }
        }
        // Settled before anything is said: what was received may explain what waits.
        let row = if has_room {
            self.senders.get_mut(&address)?
        } else {
            self.networks.get_mut(&prefix)?
        };
        row.over_bar(config, now_ns)?;
        row.settle(config, now_ns);
        self.alerts.found(row, config, count, now_ns)
    }

    /// A second has passed: settles what waits.
    pub fn settle(&mut self, now_ns: u64) -> Vec<Finding> {
        self.each_waiting(Sender::settle, now_ns)
    }

    /// The source has ended.
    pub fn finish(&mut self, now_ns: u64) -> Vec<Finding> {
        self.each_waiting(Sender::finish, now_ns)
    }

    fn each_waiting(
        &mut self,
        settle: fn(&mut Sender, &LedgerConfig, u64),
        now_ns: u64,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Self { config, senders, networks, waiting, waiting_networks, alerts, .. } = self;
        let count = senders.len() as u64;
        for (rows, waiting) in [(senders, waiting), (networks, waiting_networks)] {
            waiting.retain(|key| {
                let Some(row) = rows.get_mut(key) else { return false };
                settle(row, config, now_ns);
                findings.extend(alerts.found(row, config, count, now_ns));
                !row.is_settled()
            });
        }
        findings
    }

    /// The senders with an account.
    pub fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.senders.values()
    }

    /// Sums over all senders.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let rows = self.senders.values().chain(self.networks.values());
        rows.fold(self.no_room, |sums, sender| sums.plus(&sender.sums))
    }

    /// IP bytes of all senders that wait for an explanation.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        let rows = self.senders.values().chain(self.networks.values());
        rows.map(Sender::pending_bytes).sum()
    }

    /// Alerts that there was no room for in their day.
    #[must_use]
    pub fn alerts_withheld(&self) -> u64 {
        self.alerts.withheld
    }

    /// Bytes of networks for which there was no room; all of them are unexplained.
    #[must_use]
    pub fn no_room_bytes(&self) -> u64 {
        self.no_room.total()
    }
}

impl Alerts {
    /// The finding about a sender, if there is news and room for an alert.
    fn found(
        &mut self,
        sender: &mut Sender,
        config: &LedgerConfig,
        senders: u64,
        now_ns: u64,
    ) -> Option<Finding> {
        let (class, bytes, destination) = sender.over_bar(config, now_ns)?;
        let destination = destination.clone();
        let day = now_ns / DAY_NS;
        let before = sender.alerted.filter(|alerted| alerted.day == day);
        let external = sender.today(Class::Evidence, now_ns) + sender.today(Class::New, now_ns);
        let always = config.always_bytes != 0 && external >= config.always_bytes;
        let mut room =
            || self.budget.as_mut().is_none_or(|budget| budget.take(class, senders, now_ns));
        if before.is_none() && !always && !room() {
            self.withheld += u64::from(sender.withhold(day));
            return None;
        }
        let revision = before.map_or(1, |alerted| alerted.revision + 1);
        sender.alerted = Some(Alerted { day, class, bytes, revision });
        let members = sender.members;
        Some(Finding {
            sender: sender.address,
            account: sender.key,
            members,
            class,
            bytes,
            destination,
            revision,
        })
    }
}

/// The network of an address: its /24, or the /64 of IPv6. All others of a link are in it, too.
fn network_of(address: Address) -> Address {
    let mut octets = address.octets();
    let kept = if address.ip().is_ipv4() { 15 } else { 8 };
    octets[kept..].fill(0);
    Address::from(octets)
}

/// Explains a portion as far as it explains itself; the rest waits, and is returned.
fn note(
    row: &mut Sender,
    usage: &Usage<'_>,
    config: &LedgerConfig,
    watched: bool,
) -> Option<Pending> {
    let Usage { session, sender: side, sent, received, now_ns, .. } = *usage;
    if received.packets != 0 {
        let shares = &config.exchange;
        let quic = evidence::is_quic(session);
        let share = if quic { shares.received_share_quic } else { shares.received_share };
        row.allowance.receive(received.payload_bytes, share, now_ns);
    }
    row.resolves |= side == Side::Client && evidence::asks_names(session);
    let receiver = evidence::receiver(session, side);
    let cost = evidence::cost(session, &sent, &received);
    let mut rest = Pending {
        at_ns: now_ns,
        destination: receiver,
        class: Class::New,
        cost,
        bytes: sent.ip_bytes,
    };
    let mut explain = |explanation, amount: u64| {
        if amount != 0 {
            row.explain(explanation, rest.pay(amount.min(rest.cost)));
        }
    };
    if usage.allowed {
        explain(Explanation::Allowed, u64::MAX);
    }
    if evidence::is_local(session, receiver) {
        explain(Explanation::Local, evidence::LOCAL_BYTES);
    }
    explain(Explanation::Service, evidence::by_service(session, side, &sent));
    if usage.baseline {
        explain(Explanation::Baseline, u64::MAX);
    }
    if rest.cost == 0 {
        // Acknowledgements, which carry nothing.
        row.explain(Explanation::Exchange, rest.bytes);
        return None;
    }
    let missing = evidence::missing(session, side, row.resolves, watched);
    rest.class =
        if usage.alerted { Class::Alerted } else { evidence::class(session, side, missing) };
    row.destination(usage, receiver, missing);
    row.wait(rest);
    Some(rest)
}
