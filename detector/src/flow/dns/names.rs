//! Which name an address was given: learned from DNS answers, for as long as they say.
//!
//! Bounded. Where it is full the oldest name makes room, counted.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::message::{Answer, Message, Name};
use crate::flow::observation::SECOND_NS;
use crate::network::Address;

/// Clients keep an address longer than its TTL says: browsers for a minute, connections for their
/// life. A name lives for its TTL, but at least this long.
const LIFE_MIN_SECS: u64 = 300;
/// A hostile TTL must not pin a name.
const LIFE_MAX_SECS: u64 = 86_400;
/// Aliases followed from an address record back to the name that was asked for.
const MAX_ALIASES: usize = 16;

#[derive(Debug)]
struct Entry {
    address: Address,
    name: Arc<str>,
    expires_ns: u64,
}

/// Names by address.
#[derive(Debug)]
pub struct Names {
    table: HashTable<Entry>,
    hasher: RandomState,
    /// Addresses in the order they were first named.
    order: VecDeque<Address>,
    limit: usize,
    /// Names that had to make room.
    pub evictions: u64,
}

impl Names {
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            table: HashTable::new(),
            hasher: RandomState::default(),
            order: VecDeque::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1),
            evictions: 0,
        }
    }

    /// The name of an address, unless its life is over.
    #[must_use]
    pub fn get(&self, address: Address, now_ns: u64) -> Option<&Arc<str>> {
        let entry =
            self.table.find(self.hasher.hash_one(address), |entry| entry.address == address)?;
        (now_ns < entry.expires_ns).then_some(&entry.name)
    }

    /// Learns what the answers of a response say: each address gets the name that was asked for,
    /// whatever the aliases between them.
    pub fn learn(&mut self, message: &Message, now_ns: u64) {
        let mut name: Option<Arc<str>> = None;
        for (address, ttl_secs) in given_addresses(message) {
            let name = name.get_or_insert_with(|| message.name.to_lowercase().into());
            let life_secs = u64::from(ttl_secs).clamp(LIFE_MIN_SECS, LIFE_MAX_SECS);
            self.insert(address, Arc::clone(name), now_ns + life_secs * SECOND_NS);
        }
    }

    fn insert(&mut self, address: Address, name: Arc<str>, expires_ns: u64) {
        let hash = self.hasher.hash_one(address);
        if let Some(entry) = self.table.find_mut(hash, |entry| entry.address == address) {
            entry.expires_ns = entry.expires_ns.max(expires_ns);
            entry.name = name;
            return;
        }
        if self.table.len() >= self.limit {
            self.evict_oldest();
        }
        self.order.push_back(address);
        let entry = Entry { address, name, expires_ns };
        let hasher = &self.hasher;
        self.table.insert_unique(hash, entry, |entry| hasher.hash_one(entry.address));
    }

    fn evict_oldest(&mut self) {
        let Some(address) = self.order.pop_front() else {
            return;
        };
        let hash = self.hasher.hash_one(address);
        if let Ok(entry) = self.table.find_entry(hash, |entry| entry.address == address) {
            let _removed = entry.remove();
            self.evictions += 1;
        }
    }
}

/// The addresses that a response gives the name asked for, whatever the aliases between them, each with
/// its time to live in seconds.
pub(crate) fn given_addresses(message: &Message) -> impl Iterator<Item = (Address, u32)> {
    let answers = if message.response && message.rcode == 0 { &message.answers[..] } else { &[] };
    answers.iter().filter_map(|answer| match answer {
        Answer::Address { owner, address, ttl_secs } if leads_to(message, owner) => {
            Some((*address, *ttl_secs))
        }
        _ => None,
    })
}

/// Whether the aliases of a response lead from the name asked for to `owner`.
fn leads_to(message: &Message, owner: &Name) -> bool {
    let mut current = &message.name;
    for _ in 0..MAX_ALIASES {
        if current.is_same(owner) {
            return true;
        }
        let next = message.answers.iter().find_map(|answer| match answer {
            Answer::Alias { owner, target, .. } if owner.is_same(current) => Some(target),
            _ => None,
        });
        let Some(next) = next else {
            return false;
        };
        current = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::{Names, SECOND_NS};
    use crate::network::Address;

    /// A response that gives `name` the address 192.0.2.`host` for `ttl_secs`.
    fn response(name: &str, host: u8, ttl_secs: u32) -> Message {
        let mut wire = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        for label in name.split('.') {
            wire.push(u8::try_from(label.len()).expect("short"));
            wire.extend(label.as_bytes());
        }
        wire.extend([0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1]);
        wire.extend(ttl_secs.to_be_bytes());
        wire.extend([0, 4, 192, 0, 2, host]);
        Message::decode(&wire).expect("DNS")
    }

    fn address(host: u8) -> Address {
        [192, 0, 2, host].into()
    }

    #[test]
    fn a_name_lives_as_long_as_its_answer_says() {
        let mut names = Names::new(10);
        names.learn(&response("WWW.site.example", 1, 1_000), 0);
        names.learn(&response("short.example", 2, 1), 0);
        names.learn(&response("long.example", 3, u32::MAX), 0);
        let get = |host, at_secs| names.get(address(host), at_secs * SECOND_NS).map(|name| &**name);
        assert_eq!(get(1, 999), Some("www.site.example"));
        assert_eq!(get(1, 1_000), None);
        assert_eq!(get(2, 299), Some("short.example"));
        assert_eq!(get(2, 301), None);
        assert_eq!(get(3, 86_401), None);
        assert_eq!(get(4, 0), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut names = Names::new(2);
        for host in [1, 2, 1, 3] {
            names.learn(&response("site.example", host, 600), 0);
        }
        assert_eq!(names.evictions, 1);
        let there = [1, 2, 3].map(|host| names.get(address(host), 0).is_some());
        assert_eq!(there, [false, true, true]);
    }
}
