//! The ledger: every outbound byte is explained, or it counts against its sender.
//!
//! What a session sent is booked every second, at each byte checkpoint and at its end. Explanations are
//! tried in the order of [`Explanation`]; what none fits waits for 60 s, because what is received later may
//! still explain it, and is *unexplained* then: for good, summed by sender, destination and day.
//!
//! For each sender and in all, explained, waiting and unexplained bytes add up to what left. Pure: time
//! and input are arguments, and memory is bounded.

mod accounts;
mod alert_budget;
mod allowance;
mod answers;
mod destinations;
mod evidence;
mod explanation;
mod kept;
mod known_services;
mod resolved;
mod sender;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::ensure;
use detector_common::policy::Prefix;
use serde::{Deserialize, Serialize};

pub use allowance::ExchangeConfig;
pub use destinations::{Destination, Destinations};
pub use evidence::Missing;
pub use explanation::{Class, Explanation, Sums};
pub use known_services::{KnownServices, check_name};
pub use sender::Sender;

use crate::flow::dns::message::Message;
use crate::flow::{Booking, Session, SessionKey, Side};
use crate::network::{Address, Network};
use accounts::Accounts;
use alert_budget::AlertBudget;
use answers::{Answers, Port, Reply};
use resolved::Resolved;
use sender::{Alerted, Pending};

/// Bytes to one destination that leave within this time wait together.
const SLOT_NS: u64 = 10_000_000_000;
/// How long bytes wait for an explanation.
const SETTLE_NS: u64 = 6 * SLOT_NS;
const HOUR_NS: u64 = 3_600_000_000_000;
const DAY_NS: u64 = 24 * HOUR_NS;
/// Sessions that began in the first two minutes may have begun before: nobody saw their start.
const START_NS: u64 = 120_000_000_000;

/// Of which classes unexplained bytes are slowed down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Police {
    None,
    /// [`Class::Evidence`].
    #[default]
    Evidence,
    /// [`Class::New`], too.
    All,
}

impl Police {
    fn covers(self, class: Class) -> bool {
        match class {
            Class::Evidence => self != Self::None,
            Class::New => self == Self::All,
            Class::Internal | Class::Alerted => false,
        }
    }
}

/// Whose bytes are to be slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Between the sender and the destination.
    Pair,
    /// All that leaves the sender for external hosts.
    Sender,
}

/// What is to be done about a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub reach: Reach,
    /// The destination, or any where all of the sender is meant, has answered the sender.
    pub answered: bool,
}

/// Sizes of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerConfig {
    pub exchange: ExchangeConfig,
    pub services: Arc<KnownServices>,
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
    pub police: Police,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            exchange: ExchangeConfig::default(),
            services: Arc::default(),
            max_senders: 4_096,
            // An hour's exchange below the checkpoint of 1 MiB, so that this checkpoint finds a single flow.
            evidence_bytes: 950_000,
            new_bytes: 20_000_000,
            always_bytes: 100_000_000,
            alerts_per_day: None,
            police: Police::None,
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

/// A booking, and what is known of it besides.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    pub booking: Booking<'a>,
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
    pub at_ns: u64,
    /// The sender; of a network, the address that sent last.
    pub sender: Address,
    /// Set where changing addresses of this network sent them.
    pub network: Option<Network>,
    pub class: Class,
    /// Of the sender, today and of this class, over all destinations.
    pub bytes: u64,
    /// The destination with the most of them, or the one to which they are to be slowed down.
    pub destination: Destination,
    /// 1 for the first of the day, higher when it grew. None where there is no room for an alert.
    pub revision: Option<u32>,
    /// What the first of the day said.
    pub opened: Opened,
    /// None where there is nothing to do beyond what was wanted before.
    pub wanted: Option<Wanted>,
}

/// The first finding of a day: what it said does not change when it grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub at_ns: u64,
    /// When the sender began to send to the destination that it named.
    pub first_seen_ns: u64,
    /// The unexplained bytes until then.
    pub bytes: u64,
}

/// All accounts.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    senders: Accounts<Address>,
    /// Of senders that change their address, by /24 and /64: what addresses sent that nobody answers, and
    /// all of those without room for an account of their own.
    networks: Accounts<Network>,
    resolved: Resolved,
    answers: Answers,
    /// What was sent from networks without room for an account.
    no_room: Sums,
    began_ns: Option<u64>,
    alerts: Alerts,
    /// Accounts that may have passed a bar, and when, until [`Ledger::found`].
    news: Vec<(Account, u64)>,
}

/// Whose account it is.
#[derive(Clone, Copy, Debug)]
enum Account {
    Sender(Address),
    Network(Network),
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
            senders: Accounts::new(config.max_senders),
            networks: Accounts::new(config.max_senders),
            resolved: Resolved::default(),
            answers: Answers::default(),
            no_room: Sums::default(),
            began_ns: None,
            alerts: Alerts { budget: config.alerts_per_day.map(AlertBudget::new), withheld: 0 },
            news: Vec::new(),
            config,
        }
    }

    /// Of each sender whose account has changed since: what the next run of the day must know.
    pub fn changed_since(&self, since_ns: u64) -> impl Iterator<Item = (Address, String)> {
        let changed = self.senders.values().filter(move |sender| sender.changed_ns >= since_ns);
        changed.map(|sender| (sender.address, kept::text(sender)))
    }

    /// Continues an account of an earlier run. False where it is of another day.
    pub fn recall(&mut self, address: Address, text: &str, now_ns: u64) -> anyhow::Result<bool> {
        let day = now_ns / DAY_NS;
        let Some(sender) = kept::sender(address, text, &self.config, day)? else {
            return Ok(false);
        };
        let alerted = sender.alerted.filter(|alerted| alerted.day == day);
        let max_senders = self.config.max_senders;
        ensure!(
            self.senders.put(address, sender),
            "unexplained.max_senders is {max_senders}: there is no room for the account of {address}"
        );
        if let (Some(alerted), Some(budget)) = (alerted, &mut self.alerts.budget) {
            budget.spent_before(alerted.class, now_ns);
        }
        Ok(true)
    }

    /// Of each internal host whose services have answered since: what later runs must know.
    pub fn services_changed_since(&self, since_ns: u64) -> impl Iterator<Item = (Address, String)> {
        self.answers.changed_since(since_ns)
    }

    /// Continues what an earlier run learned about a host's services. False where there is no room for it.
    ///
    /// # Errors
    ///
    /// A text that is not one of [`Ledger::services_changed_since`] of this version.
    pub fn recall_services(&mut self, address: Address, text: &str) -> anyhow::Result<bool> {
        self.answers.recall(address, text)
    }

    /// Other bounds from now on. The number of accounts stays as it is.
    pub fn reconfigure(&mut self, config: LedgerConfig) {
        if self.config.alerts_per_day != config.alerts_per_day {
            self.alerts.budget = config.alerts_per_day.map(AlertBudget::new);
        }
        self.config = config;
    }

    /// Takes in a DNS message of a session.
    pub fn dns_message(
        &mut self,
        session: &Session,
        message: &Message,
        from_client: bool,
        now_ns: u64,
    ) {
        self.resolved.learn(session, message, from_client, &self.config.services, now_ns);
    }

    /// Books a portion. [`Ledger::found`] follows.
    pub fn book(&mut self, usage: &Usage<'_>) {
        let Booking { session, sender: side, sent, now_ns, .. } = usage.booking;
        let began_ns = *self.began_ns.get_or_insert(session.first_seen_ns);
        let watched = session.first_seen_ns >= began_ns.saturating_add(START_NS);
        let address = match side {
            Side::Client => session.key.client,
            Side::Server => session.key.server,
        };
        let network = network_of(address);
        let Self { config, senders, networks, resolved, answers, news, .. } = self;
        let mut basis = Basis { config, resolved, answers, watched };
        let first_seen_ns = session.first_seen_ns;
        let open_network = || Sender::new(address, Some(network), config, first_seen_ns);
        let open_sender = || Sender::new(address, None, config, first_seen_ns);
        if let Some(sender) = senders.account(address, open_sender) {
            let was_settled = sender.is_settled();
            let left = note(sender, usage, &mut basis);
            let (has_news, is_fleeting) =
                (sender.has_news(config, now_ns), sender.is_fleeting(config, now_ns));
            if was_settled && !sender.is_settled() {
                senders.wait_for(address);
            }
            if has_news {
                news.push((Account::Sender(address), now_ns));
            } else if is_fleeting
                && let Some((left, missing)) = left
                && let Some(row) = networks.account(network, open_network)
            {
                row.mirror(usage, &left, missing);
                news.push((Account::Network(network), now_ns));
            }
            return;
        }
        let Some(row) = networks.account(network, open_network) else {
            self.no_room.leave(Class::Evidence, sent.ip_bytes);
            return;
        };
        row.address = address;
        let was_settled = row.is_settled();
        note(row, usage, &mut basis);
        if row.has_news(config, now_ns) {
            news.push((Account::Network(network), now_ns));
        }
        if was_settled && !row.is_settled() {
            networks.wait_for(network);
        }
    }

    /// A recognised technique raised an alert about what `sender` sends in this session: what waits of it is
    /// told with that, and not as unexplained bytes of their own.
    pub fn recognised(&mut self, session: &Session, side: Side) {
        let address = match side {
            Side::Client => session.key.client,
            Side::Server => session.key.server,
        };
        let destination = evidence::receiver(session, side);
        let bytes = session.sent(side).ip_bytes();
        if let Some(row) = self.senders.get_mut(address) {
            row.recognised(destination, bytes);
        } else if let Some(row) = self.networks.get_mut(network_of(address)) {
            row.recognised(destination, bytes);
        }
    }

    /// What has passed a bar, of all that was booked since. Called when recognised techniques have had
    /// their say about it.
    pub fn found(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Self { config, senders, networks, alerts, news, .. } = self;
        let count = senders.len();
        for (account, now_ns) in news.drain(..) {
            let row = match account {
                Account::Sender(address) => senders.get_mut(address),
                Account::Network(network) => networks.get_mut(network),
            };
            findings.extend(row.and_then(|row| alerts.found_now(row, config, count, now_ns)));
        }
        findings
    }

    /// A second has passed: settles what waits.
    pub fn settle(&mut self, now_ns: u64) -> Vec<Finding> {
        self.settle_all(Sender::settle, now_ns)
    }

    /// The source has ended.
    pub fn finish(&mut self, now_ns: u64) -> Vec<Finding> {
        self.resolved.restart();
        self.settle_all(Sender::finish, now_ns)
    }

    fn settle_all(
        &mut self,
        settle: fn(&mut Sender, &LedgerConfig, u64),
        now_ns: u64,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Self { config, senders, networks, alerts, .. } = self;
        let count = senders.len();
        let mut take = |row: &mut Sender| findings.extend(alerts.found(row, config, count, now_ns));
        senders.settle_waiting(settle, config, now_ns, &mut take);
        networks.settle_waiting(settle, config, now_ns, &mut take);
        findings
    }

    /// How much of what a sender sent to a destination today no explanation fits. None where neither has
    /// an account.
    #[must_use]
    pub fn unexplained(&self, sender: Address, destination: Address) -> Option<u64> {
        let row = self.destination(sender, destination)?;
        Some(Class::ALL.into_iter().map(|class| row.unexplained(class)).sum())
    }

    /// What a sender sent to a destination, where there is a row of it.
    #[must_use]
    pub fn destination(&self, sender: Address, destination: Address) -> Option<&Destination> {
        self.senders.get(sender)?.destinations.get(destination)
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

    /// What had no room, by name.
    #[must_use]
    pub fn left_out(&self) -> [(&'static str, u64); 6] {
        let rows = || self.senders.values().chain(self.networks.values());
        [
            ("unexplained_alerts_withheld", self.alerts.withheld),
            ("unexplained_bytes_without_account", self.no_room.total()),
            ("unexplained_destinations_evicted", rows().map(|row| row.destinations.evicted).sum()),
            ("unexplained_portions_not_awaited", rows().map(|row| row.not_awaited).sum()),
            ("service_answers_not_kept", self.resolved.refused()),
            ("answers_to_clients_not_learned", self.answers.refused),
        ]
    }
}

impl Alerts {
    /// The finding about a sender, if there is news and room for an alert, or something to be done.
    fn found(
        &mut self,
        sender: &mut Sender,
        config: &LedgerConfig,
        senders: u64,
        now_ns: u64,
    ) -> Option<Finding> {
        let revision = self.revision(sender, config, senders, now_ns);
        let action = sender.action(config, now_ns);
        let class = revision.map(|(class, _)| class).or(action.map(|action| action.class))?;
        let wanted = action.map(|action| action.wanted);
        let destination = match action.and_then(|action| action.destination) {
            Some(address) => sender.destinations.find(address)?.clone(),
            None => sender.destinations.largest(class)?.clone(),
        };
        let (bytes, revision) = (sender.today(class, now_ns), revision.map(|(_, number)| number));
        let first_seen_ns = destination.first_seen_ns;
        let mut opened = Opened { at_ns: now_ns, first_seen_ns, bytes };
        match (&mut sender.alerted, revision) {
            (Some(alerted), Some(1)) => alerted.opened = opened,
            (Some(alerted), Some(_)) => opened = alerted.opened,
            _ => {}
        }
        let (sender, network) = (sender.address, sender.network);
        let at_ns = now_ns;
        Some(Finding {
            at_ns,
            sender,
            network,
            class,
            bytes,
            destination,
            revision,
            opened,
            wanted,
        })
    }

    /// The class and the revision of an alert, if there is news and room for it.
    fn revision(
        &mut self,
        sender: &mut Sender,
        config: &LedgerConfig,
        senders: u64,
        now_ns: u64,
    ) -> Option<(Class, u32)> {
        let (class, bytes) = sender.over_bar(config, now_ns)?;
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
        let opened = before.map_or(Opened::default(), |alerted| alerted.opened);
        sender.alerted = Some(Alerted { day, class, bytes, revision, opened });
        Some((class, revision))
    }

    /// The same before anything else comes: settled first, because what was received may explain what waits.
    fn found_now(
        &mut self,
        sender: &mut Sender,
        config: &LedgerConfig,
        senders: u64,
        now_ns: u64,
    ) -> Option<Finding> {
        if !sender.has_news(config, now_ns) {
            return None;
        }
        sender.settle(config, now_ns);
        self.found(sender, config, senders, now_ns)
    }
}

/// The network of an address: its /24, or the /64 of IPv6. All others of a link are in it, too.
fn network_of(address: Address) -> Network {
    let length = if address.is_ipv4() { 96 + 24 } else { 64 };
    Network::from_prefix(Prefix { length, address: address.octets() })
}

/// What a portion is explained by besides its sender's account.
struct Basis<'a> {
    config: &'a LedgerConfig,
    resolved: &'a Resolved,
    answers: &'a mut Answers,
    /// The start of the session would have been seen.
    watched: bool,
}

impl Basis<'_> {
    /// Whether a client sends it to a known service that answers, or to a collector.
    fn goes_to_a_service(&self, usage: &Usage<'_>, missing: Missing) -> bool {
        let Booking { session, sender, now_ns, .. } = usage.booking;
        let services = &self.config.services;
        if sender != Side::Client || session.overflow.is_some() {
            return false;
        }
        let seen = session.down.seen_packets != 0 && !missing.start && !missing.protocol;
        services.is_collector(session.key.server)
            || seen && self.resolved.is_service(session, now_ns)
    }

    /// How much of it an internal service sends to an external client as usual.
    fn answers_a_client(
        &mut self,
        row: &Sender,
        usage: &Usage<'_>,
        missing: Missing,
        cost: u64,
    ) -> u64 {
        let Booking { session, sender, received, now_ns, .. } = usage.booking;
        let is_answer = sender == Side::Server && !session.client_home && row.network.is_none();
        if !is_answer || missing.anything() || session.up.seen_packets == 0 {
            return 0;
        }
        let shares = &self.config.exchange;
        let quic = evidence::is_quic(session);
        let share = if quic { shares.received_share_quic } else { shares.received_share };
        let SessionKey { client, server, protocol, server_port } = session.key;
        let day = now_ns / DAY_NS;
        self.answers.explain(&Reply {
            server,
            port: Port { protocol, port: server_port },
            client,
            cost,
            // What the client sent is at most this share of what it may expect.
            asked: if share > 0.0 { (received.payload_bytes as f64 / share) as u64 } else { 0 },
            alerted_day: if usage.alerted { Some(day) } else { row.alerted.map(|it| it.day) },
            now_ns,
        })
    }
}

/// Explains a portion as far as it explains itself; the rest waits, and is returned with what is missing.
fn note(row: &mut Sender, usage: &Usage<'_>, basis: &mut Basis<'_>) -> Option<(Pending, Missing)> {
    let (config, watched) = (basis.config, basis.watched);
    let Booking { session, sender: side, sent, received, now_ns, .. } = usage.booking;
    row.turn(now_ns);
    if received.packets != 0 {
        let shares = &config.exchange;
        let quic = evidence::is_quic(session);
        let share = if quic { shares.received_share_quic } else { shares.received_share };
        row.allowance.receive(received.payload_bytes, share, now_ns);
    }
    if side == Side::Server && evidence::asks_names(session) {
        let answers = sent.payload_packets.saturating_mul(evidence::QUERIES_PER_ANSWER);
        *row.asked.now(now_ns) += answers.saturating_mul(evidence::DNS_QUERY_BYTES);
    }
    row.resolves |= side == Side::Client && evidence::asks_names(session);
    let destination = evidence::receiver(session, side);
    let mut rest = Pending {
        at_ns: now_ns,
        destination,
        class: Class::New,
        cost: evidence::cost(session, &sent, &received),
        bytes: sent.ip_bytes,
    };
    if usage.allowed {
        row.explain(Explanation::Allowed, &mut rest, u64::MAX);
    }
    if evidence::is_local(session, destination) {
        let bytes = row.local.take(rest.cost, evidence::LOCAL_BYTES, now_ns);
        row.explain(Explanation::Local, &mut rest, bytes);
    }
    if evidence::asks_names(session) && side == Side::Client {
        let limit = evidence::DNS_BYTES.saturating_add(*row.asked.now(now_ns));
        let asked = rest.cost.min(sent.payload_packets * evidence::DNS_QUERY_BYTES);
        let bytes = row.names.take(asked, limit, now_ns);
        row.explain(Explanation::Service, &mut rest, bytes);
    } else if evidence::asks_the_time(session, side) {
        let bytes = row.time.take(rest.cost, evidence::NTP_BYTES, now_ns);
        row.explain(Explanation::Service, &mut rest, bytes);
    }
    let missing = evidence::missing(session, side, row.resolves, watched);
    if rest.cost != 0 && basis.goes_to_a_service(usage, missing) {
        let bytes = row.take_service(rest.cost, config.services.bytes_per_day, now_ns);
        row.explain(Explanation::Service, &mut rest, bytes);
    }
    if usage.baseline {
        row.explain(Explanation::Baseline, &mut rest, u64::MAX);
    }
    if rest.cost != 0 || received.payload_bytes != 0 {
        let bytes = basis.answers_a_client(row, usage, missing, rest.cost);
        row.explain(Explanation::Answer, &mut rest, bytes);
    }
    if rest.cost == 0 {
        // Acknowledgements, which carry nothing.
        row.sums.explain(Explanation::Exchange, rest.bytes);
        return None;
    }
    rest.class =
        if usage.alerted { Class::Alerted } else { evidence::class(session, side, missing) };
    row.destination(usage, destination, missing);
    row.wait(rest);
    Some((rest, missing))
}
