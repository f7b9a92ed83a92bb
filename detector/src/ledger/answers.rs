//! What internal services usually answer their external clients.
//!
//! Being addressed first explains nothing: anybody outside can address a host that was taken over. What
//! explains an answer is that the service has given as much on at least three earlier days: to this network
//! of clients, or, for a new one, to the clients of a day, and no more than what was asked makes plausible.
//! Over all clients a day has a bound of the same kind. Days with an alert about the sender are not learned.
//!
//! Bounded: what has no room explains nothing, and is counted.

use std::collections::HashMap;

use anyhow::Context as _;
use detector_common::policy::Prefix;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::DAY_NS;
use crate::network::{Address, Network};

/// Internal hosts with services, services of each, and networks of clients of each service.
const MAX_HOSTS: usize = 64;
const MAX_SERVICES: usize = 8;
const MAX_CLIENTS: usize = 256;
/// Earlier days that are remembered, and that are needed.
const DAYS: usize = 7;
const MIN_DAYS: usize = 3;
/// What networks of clients were answered in a day: those remembered, and needed.
const SAMPLES: usize = 128;
const MIN_SAMPLES: usize = 20;
/// The largest band to begin with: whoever learns under attack learns no more.
const FIRST_BAND_BYTES: u64 = 5_000_000;
/// A band grows by this many hundredths a clean day, 1.5-fold in a week, or by so many bytes: those that an
/// hour's exchange has.
const GROWTH_PERCENT: u64 = 6;
const GROWTH_BYTES: u64 = 64 << 10;

/// Which service of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    pub(super) protocol: u8,
    pub(super) port: u16,
}

/// What a service sent to a client, and received from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) server: Address,
    pub(super) port: Port,
    pub(super) client: Address,
    /// What must be explained of it.
    pub(super) cost: u64,
    /// Bytes of answer for which the client asked, as far as the length of its questions says.
    pub(super) asked: u64,
    /// The latest day with an alert about the server.
    pub(super) alerted_day: Option<u64>,
    pub(super) now_ns: u64,
}

/// What was answered on one day and on earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Days {
    today: u64,
    /// Of those, explained by this.
    explained: u64,
    /// Bytes for which was asked today.
    asked: u64,
    /// The latest last.
    earlier: Vec<u64>,
    band: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Service {
    port: Port,
    day: u64,
    /// An alert about the host was seen today.
    is_tainted: bool,
    all: Days,
    clients: Vec<(Network, Days)>,
    /// What a network of clients was answered in a day.
    samples: Vec<u64>,
    /// Of those the 95th percentile, growing no faster than a band.
    usual: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Host {
    services: Vec<Service>,
    #[serde(skip)]
    changed_ns: u64,
}

/// The services of internal hosts.
#[derive(Debug, Default)]
pub(super) struct Answers {
    hosts: HashMap<Address, Host, RandomState>,
    /// Answers of services and to clients without room.
    pub(super) refused: u64,
}

impl Answers {
    /// How much of an answer is explained.
    pub(super) fn explain(&mut self, reply: &Reply) -> u64 {
        let explained = self.learn(reply);
        self.refused += u64::from(explained.is_none());
        explained.unwrap_or(0)
    }

    /// None where there is no room to learn from it.
    fn learn(&mut self, reply: &Reply) -> Option<u64> {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&reply.server) {
            return None;
        }
        let host = self.hosts.entry(reply.server).or_default();
        host.changed_ns = reply.now_ns;
        let place = host.services.iter().position(|service| service.port == reply.port);
        if place.is_none() && host.services.len() < MAX_SERVICES {
            host.services.push(Service::new(reply.port, reply.now_ns / DAY_NS));
        }
        let place = place.unwrap_or(MAX_SERVICES.min(host.services.len() - 1));
        host.services.get_mut(place).filter(|service| service.port == reply.port)?.answer(reply)
    }

    /// What is known of each host whose services answered since.
    pub(super) fn changed_since(&self, since_ns: u64) -> impl Iterator<Item = (Address, String)> {
        let changed = self.hosts.iter().filter(move |(_, host)| host.changed_ns >= since_ns);
        // Numbers, networks and lists of them are all there is: there is nothing that JSON cannot hold.
        changed.map(|(address, host)| (*address, serde_json::to_string(host).unwrap_or_default()))
    }

    /// Continues what an earlier run learned. False where there is no room for it.
    ///
    /// # Errors
    ///
    /// A text that is not one of [`Answers::changed_since`] of this version.
    pub(super) fn recall(&mut self, address: Address, text: &str) -> anyhow::Result<bool> {
        let mut host: Host = serde_json::from_str(text).context("failed to read services")?;
        host.services.truncate(MAX_SERVICES);
        for service in &mut host.services {
            service.clients.truncate(MAX_CLIENTS);
        }
        let has_room = self.hosts.len() < MAX_HOSTS;
        if has_room {
            self.hosts.insert(address, host);
        }
        Ok(has_room)
    }
}

impl Service {
    fn new(port: Port, day: u64) -> Self {
        Self {
            port,
            day,
            is_tainted: false,
            all: Days::default(),
            clients: Vec::new(),
            samples: Vec::new(),
            usual: 0,
        }
    }

    fn answer(&mut self, reply: &Reply) -> Option<u64> {
        self.turn(reply);
        let network = network_of(reply.client);
        let place = self.clients.iter().position(|(known, _)| *known == network);
        let place = match place {
            Some(place) => place,
            None => self.make_room(network)?,
        };
        let Self { all, clients, usual, .. } = self;
        let (_, client) = clients.get_mut(place)?;
        all.today += reply.cost;
        client.today += reply.cost;
        client.asked = client.asked.saturating_add(reply.asked);
        let band = if client.band != 0 { client.band } else { client.asked.min(*usual) };
        let room = band.saturating_sub(client.explained);
        let explained = reply.cost.min(room).min(all.band.saturating_sub(all.explained));
        all.explained += explained;
        client.explained += explained;
        Some(explained)
    }

    /// A place for new clients: the one of clients that were never known for three days and ask nothing
    /// today, if all are taken.
    fn make_room(&mut self, network: Network) -> Option<usize> {
        if self.clients.len() < MAX_CLIENTS {
            self.clients.push((network, Days::default()));
            return Some(self.clients.len() - 1);
        }
        let idle = |days: &Days| days.band == 0 && days.today == 0;
        let place = self.clients.iter().position(|(_, days)| idle(days))?;
        self.clients[place] = (network, Days::default());
        Some(place)
    }

    /// Learns from the day that is over, unless there was an alert about the host.
    fn turn(&mut self, reply: &Reply) {
        let day = reply.now_ns / DAY_NS;
        if day > self.day {
            let is_clean = !self.is_tainted && reply.alerted_day != Some(self.day);
            if is_clean {
                let answered = self.clients.iter().map(|(_, days)| days.today);
                self.samples.extend(answered.filter(|bytes| *bytes != 0));
                self.samples.drain(..self.samples.len().saturating_sub(SAMPLES));
            }
            self.all.turn(is_clean);
            self.clients.iter_mut().for_each(|(_, days)| days.turn(is_clean));
            if is_clean {
                self.usual = grown(self.usual, self.percentile());
            }
            (self.day, self.is_tainted) = (day, false);
        }
        self.is_tainted |= reply.alerted_day == Some(self.day);
    }

    /// The 95th percentile of what clients were answered in a day; 0 before there are enough of them.
    fn percentile(&self) -> u64 {
        if self.samples.len() < MIN_SAMPLES || self.all.earlier.len() < MIN_DAYS {
            return 0;
        }
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * 95).div_ceil(100) - 1]
    }
}

impl Days {
    fn turn(&mut self, is_clean: bool) {
        if is_clean && self.today != 0 {
            self.earlier.push(self.today);
            self.earlier.drain(..self.earlier.len().saturating_sub(DAYS));
            self.band = grown(self.band, self.usual_band());
        }
        (self.today, self.explained, self.asked) = (0, 0, 0);
    }

    /// Twice the largest of three or four days, or twice the second largest of more.
    fn usual_band(&self) -> u64 {
        let mut sorted = self.earlier.clone();
        sorted.sort_unstable_by(|one, other| other.cmp(one));
        let place = usize::from(sorted.len() > 4);
        let usual = sorted.get(place).filter(|_| sorted.len() >= MIN_DAYS);
        usual.map_or(0, |bytes| bytes.saturating_mul(2))
    }
}

/// What a bound becomes at the end of a clean day: it falls at once, and grows slowly.
fn grown(before: u64, now: u64) -> u64 {
    let growth = (before.saturating_mul(GROWTH_PERCENT) / 100).max(GROWTH_BYTES);
    let most = if before == 0 { FIRST_BAND_BYTES } else { before.saturating_add(growth) };
    now.min(most)
}

/// Clients are known by their /24, or the /48 of IPv6, which is what a site gets.
fn network_of(client: Address) -> Network {
    let length = if client.is_ipv4() { 96 + 24 } else { 48 };
    Network::from_prefix(Prefix { length, address: client.octets() })
}
