//! Which addresses are those of a known service: what a sender asked for, and what it was answered.
//!
//! An address is a service's for a sender where the sender itself asked a resolver that it cannot make lie
//! for the service's exact name, this resolver gave it this address, the answer's time to live and an hour
//! are not over, and no answer to anybody gave the address to another registered domain today or yesterday.
//! Names in hellos and headers have no part in this: the sender wrote them.
//!
//! Bounded: what has no room explains nothing, and is counted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;

use super::known_services::{KnownServices, Purpose};
use super::{DAY_NS, HOUR_NS};
use crate::flow::Session;
use crate::flow::dns::message::Message;
use crate::flow::dns::names::given_addresses;
use crate::flow::dns::registered;
use crate::network::Address;

const SECOND_NS: u64 = 1_000_000_000;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// An answer that comes later answers another question.
const ANSWER_NS: u64 = 30 * SECOND_NS;
/// A hostile time to live must not pin an address.
const MAX_TTL_SECS: u64 = 86_400;
/// Questions for known services that wait for their answer.
const MAX_ASKED: usize = 4_096;
/// Addresses of known services, each for one sender.
const MAX_GIVEN: usize = 1 << 14;
/// Addresses of one day of which the domain is known.
const MAX_OWNED: usize = 1 << 16;

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Of the registered domain with this hash alone.
    One(u64),
    Several,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    client: Address,
    resolver: Address,
    /// The name's hash.
    name: u64,
}

/// Values that expire. Where there is no room once they have, a new one is refused.
#[derive(Debug)]
struct Expiring<K, V> {
    values: HashMap<K, (V, u64), RandomState>,
    max: usize,
    /// The second in which those that had expired were taken out last.
    swept_secs: u64,
    refused: u64,
}

/// What answers said.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Questions for known services without their answer.
    asked: Expiring<Question, ()>,
    /// The services of addresses, by sender and address.
    given: Expiring<(Address, Address), Purpose>,
    /// Of today, and of yesterday.
    owners: [HashMap<Address, Owner, RandomState>; 2],
    owners_refused: u64,
    day: u64,
    hasher: RandomState,
}

impl Default for Resolved {
    fn default() -> Self {
        Self {
            asked: Expiring::new(MAX_ASKED),
            given: Expiring::new(MAX_GIVEN),
            owners: Default::default(),
            owners_refused: 0,
            day: 0,
            hasher: RandomState::default(),
        }
    }
}

impl Resolved {
    /// Takes in a message of a session.
    pub(super) fn learn(
        &mut self,
        session: &Session,
        message: &Message,
        from_client: bool,
        known: &KnownServices,
        now_ns: u64,
    ) {
        // An answer that the client wrote is none.
        if session.key.server_port != DNS_PORT || from_client == message.response {
            return;
        }
        self.turn(now_ns);
        if message.response {
            self.answered(session, message, known, now_ns);
        } else if known.trusts(session.key.server, session.server_home) {
            let name = message.name.to_lowercase();
            if known.purpose(&name).is_some() {
                let question = self.question(session, &name);
                self.asked.put(question, (), now_ns.saturating_add(ANSWER_NS), now_ns);
            }
        }
    }

    fn answered(
        &mut self,
        session: &Session,
        message: &Message,
        known: &KnownServices,
        now_ns: u64,
    ) {
        let mut given = given_addresses(message).peekable();
        if given.peek().is_none() {
            return;
        }
        let name = message.name.to_lowercase();
        let domain = self.hasher.hash_one(registered::domain(name.as_bytes()));
        let asked = self.asked.take(&self.question(session, &name), now_ns);
        let purpose = known.purpose(&name).filter(|_| asked.is_some());
        for (address, ttl_secs) in given {
            self.own(address, domain);
            let Some(purpose) = purpose else { continue };
            let lives_ns = u64::from(ttl_secs).min(MAX_TTL_SECS) * SECOND_NS + HOUR_NS;
            let expires_ns = now_ns.saturating_add(lives_ns);
            self.given.put((session.key.client, address), purpose, expires_ns, now_ns);
        }
    }

    /// Whether what a session's client sends goes to a service that it asked for.
    pub(super) fn is_service(&self, session: &Session, now_ns: u64) -> bool {
        let server = session.key.server;
        let purpose = self.given.get(&(session.key.client, server), now_ns);
        purpose.is_some_and(|purpose| purpose.fits(&session.key)) && self.has_one_owner(server)
    }

    /// Questions, answers and addresses that had no room.
    pub(super) fn refused(&self) -> u64 {
        self.asked.refused + self.given.refused + self.owners_refused
    }

    /// Time starts again.
    pub(super) fn restart(&mut self) {
        self.asked.values.clear();
        self.given.values.clear();
        (self.owners, self.day) = (Default::default(), 0);
    }

    fn has_one_owner(&self, address: Address) -> bool {
        let mut known = self.owners.iter().filter_map(|day| day.get(&address)).copied();
        match (known.next(), known.next()) {
            (Some(Owner::One(_)), None) => true,
            (Some(Owner::One(today)), Some(before)) => before == Owner::One(today),
            _ => false,
        }
    }

    fn own(&mut self, address: Address, domain: u64) {
        let today = &mut self.owners[0];
        if let Some(owner) = today.get_mut(&address) {
            if *owner != Owner::One(domain) {
                *owner = Owner::Several;
            }
        } else if today.len() < MAX_OWNED {
            today.insert(address, Owner::One(domain));
        } else {
            self.owners_refused += 1;
            // Yesterday's owner would be all that is known.
            self.owners[1].remove(&address);
        }
    }

    fn turn(&mut self, now_ns: u64) {
        let day = now_ns / DAY_NS;
        if day > self.day {
            let yesterday = std::mem::take(&mut self.owners[0]);
            let is_next = day == self.day + 1;
            self.owners[1] = if is_next { yesterday } else { HashMap::default() };
            self.day = day;
        }
    }

    fn question(&self, session: &Session, name: &str) -> Question {
        let (client, resolver) = (session.key.client, session.key.server);
        Question { client, resolver, name: self.hasher.hash_one(name) }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Expiring<K, V> {
    fn new(max: usize) -> Self {
        Self { values: HashMap::default(), max, swept_secs: 0, refused: 0 }
    }

    fn get(&self, key: &K, now_ns: u64) -> Option<V> {
        let (value, expires_ns) = self.values.get(key)?;
        (now_ns < *expires_ns).then_some(*value)
    }

    fn take(&mut self, key: &K, now_ns: u64) -> Option<V> {
        let (value, expires_ns) = self.values.remove(key)?;
        (now_ns < expires_ns).then_some(value)
    }

    fn put(&mut self, key: K, value: V, expires_ns: u64, now_ns: u64) {
        let now_secs = now_ns / SECOND_NS;
        if self.values.len() >= self.max && self.swept_secs != now_secs {
            self.swept_secs = now_secs;
            self.values.retain(|_, (_, expires_ns)| now_ns < *expires_ns);
        }
        if self.values.len() < self.max || self.values.contains_key(&key) {
            self.values.insert(key, (value, expires_ns));
        } else {
            self.refused += 1;
        }
    }
}
