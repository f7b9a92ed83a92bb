//! Which resolver each client asks most.
//!
//! A client does not announce its configuration; it is what it uses. A client is remembered for
//! as long as one of its domains is, so that their bound is the bound of this.

use std::hash::BuildHasher as _;

use crate::network::Address;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Resolvers counted for one client: systems are configured with three at most (resolv.conf).
const RESOLVERS: usize = 4;

#[derive(Debug)]
struct Client {
    address: Address,
    /// Domains that it has.
    domains: u32,
    /// With the queries sent to each; unused ones have none.
    resolvers: [(Address, u64); RESOLVERS],
}

/// Clients by address.
#[derive(Debug, Default)]
pub(crate) struct Resolvers {
    clients: HashTable<Client>,
    hasher: RandomState,
}

impl Resolvers {
    /// A domain of `client` is remembered.
    pub(crate) fn hold(&mut self, client: Address) {
        let hash = self.hasher.hash_one(client);
        if let Some(known) = self.clients.find_mut(hash, |known| known.address == client) {
            known.domains += 1;
            return;
        }
        let new =
            Client { address: client, domains: 1, resolvers: [Default::default(); RESOLVERS] };
        let hasher = &self.hasher;
        self.clients.insert_unique(hash, new, |known| hasher.hash_one(known.address));
    }

    /// A domain of `client` is forgotten.
    pub(crate) fn release(&mut self, client: Address) {
        let hash = self.hasher.hash_one(client);
        if let Ok(mut entry) = self.clients.find_entry(hash, |known| known.address == client) {
            entry.get_mut().domains -= 1;
            if entry.get().domains == 0 {
                let _removed = entry.remove();
            }
        }
    }

    /// Counts a query; true where `client` has asked another resolver more.
    pub(crate) fn asks_elsewhere(&mut self, client: Address, resolver: Address) -> bool {
        let hash = self.hasher.hash_one(client);
        let known = self.clients.find_mut(hash, |known| known.address == client);
        known.is_some_and(|known| known.count(resolver))
    }
}

impl Client {
    fn count(&mut self, resolver: Address) -> bool {
        let most = self.resolvers.iter().map(|(_, queries)| *queries).max().unwrap_or(0);
        let place =
            self.resolvers.iter_mut().find(|(known, queries)| *known == resolver && *queries != 0);
        if let Some((_, queries)) = place {
            *queries += 1;
            return *queries < most;
        }
        // The one asked least makes room.
        if let Some(least) = self.resolvers.iter_mut().min_by_key(|(_, queries)| *queries) {
            *least = (resolver, 1);
        }
        most > 1
    }
}

#[cfg(test)]
mod tests {
    use super::Resolvers;

    #[test]
    fn the_resolver_asked_most_is_the_clients_own() {
        let mut resolvers = Resolvers::default();
        let (client, other) = ([1; 16].into(), [2; 16].into());
        resolvers.hold(client);
        let asked: Vec<bool> = [7, 7, 7, 8, 7, 8, 8, 8, 8]
            .map(|resolver| resolvers.asks_elsewhere(client, [resolver; 16].into()))
            .to_vec();
        assert_eq!(asked, [false, false, false, true, false, true, true, false, false]);
        // A client that is not held is not counted.
        assert!(!resolvers.asks_elsewhere(other, [9; 16].into()));
        for resolver in 10..100 {
            resolvers.asks_elsewhere(client, [resolver; 16].into());
        }
        assert!(!resolvers.asks_elsewhere(client, [8; 16].into()));
    }

    #[test]
    fn clients_go_with_their_last_domain() {
        let mut resolvers = Resolvers::default();
        resolvers.hold([1; 16].into());
        resolvers.hold([1; 16].into());
        resolvers.release([1; 16].into());
        assert_eq!(resolvers.clients.len(), 1);
        resolvers.release([1; 16].into());
        resolvers.release([1; 16].into());
        assert_eq!(resolvers.clients.len(), 0);
    }
}
