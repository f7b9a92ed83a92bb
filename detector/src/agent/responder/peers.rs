//! What must never be cut off, from the configuration and from how this host is connected now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::network::{Address, Network};
use crate::notify::servers::{self, Servers};
use crate::response::policy_state::ExceptionKind;
use crate::source::host;
use crate::timestamp::Timestamp;

/// Exceptions with their sources, in words.
pub(super) type ProtectedPeers = Vec<(Network, ExceptionKind, String)>;

/// Where resolvers are named on Linux (resolv.conf(5)).
const RESOLVERS: &str = "/etc/resolv.conf";
/// Addresses, gateways and resolvers change seldom; connections do not.
const SLOW: u64 = 10;

/// How to ask this host what it is connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookups {
    pub(super) admin_peers: fn(&[u16]) -> anyhow::Result<BTreeSet<Address>>,
    pub(super) own_addresses: fn() -> anyhow::Result<BTreeSet<Address>>,
    pub(super) gateways: fn() -> anyhow::Result<BTreeSet<Address>>,
    pub(super) resolvers: fn(&Path) -> anyhow::Result<BTreeSet<Address>>,
}

impl Lookups {
    pub(super) const HOST: Self = Self {
        admin_peers: host::admin_peers,
        own_addresses: host::own_addresses,
        gateways: host::gateways,
        resolvers: host::resolvers,
    };
}

/// Looks again and again, and remembers administrators for a while after they left.
#[derive(Debug)]
pub(super) struct PeerScanner {
    lookups: Lookups,
    configured: ProtectedPeers,
    admin_ports: Vec<u16>,
    grace: Duration,
    /// When each was last connected.
    administrators: BTreeMap<Address, Timestamp>,
    slow: ProtectedPeers,
    /// What messages go to, when it changes.
    servers: servers::Watch,
    looks: u64,
    /// None: whatever is seen next is news.
    last: Option<ProtectedPeers>,
    /// Complaints made, so that each is made once.
    told: Vec<String>,
}

impl PeerScanner {
    pub(super) fn new(config: &Config, lookups: Lookups) -> Self {
        let block = &config.block;
        let never = block
            .never_block
            .iter()
            .map(|network| (*network, ExceptionKind::Configured, String::new()));
        let resolvers = block
            .resolvers
            .iter()
            .map(|network| (*network, ExceptionKind::Resolver, "block.resolvers".to_owned()));
        // What the allowlist names whole is spared in the kernel, too.
        let allowed = config.allow.iter().zip(1..).filter_map(|(entry, number)| {
            let kind = ExceptionKind::Allowed(format!("c{number}"));
            Some((entry.whole_network()?, kind, entry.reason.clone()))
                .filter(|_| entry.expires.is_none())
        });
        Self {
            lookups,
            configured: never.chain(resolvers).chain(allowed).collect(),
            admin_ports: block.admin_ports.clone(),
            grace: Duration::from_secs(block.admin_grace_secs),
            administrators: BTreeMap::new(),
            slow: Vec::new(),
            servers: servers::Watch::start(&config.notify),
            looks: 0,
            last: None,
            told: Vec::new(),
        }
    }

    /// The same outlook under another configuration: what was seen stays seen.
    pub(super) fn reconfigured(&self, config: &Config) -> Self {
        Self {
            administrators: self.administrators.clone(),
            slow: self.slow.clone(),
            looks: self.looks,
            told: self.told.clone(),
            ..Self::new(config, self.lookups)
        }
    }

    /// What is to be spared now; none where nothing changed since the last look.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<ProtectedPeers> {
        if self.looks.is_multiple_of(SLOW) {
            self.look_slowly();
        }
        self.looks += 1;
        if let Some(servers) = self.servers.news() {
            self.spare_servers(&servers);
        }
        match (self.lookups.admin_peers)(&self.admin_ports) {
            Ok(peers) => {
                for peer in peers {
                    self.administrators.insert(peer, now);
                }
            }
            Err(error) => self.complain(format!("{error:#}")),
        }
        let grace = self.grace;
        self.administrators.retain(|_, last| now <= *last + grace);
        let mut all = self.configured.clone();
        all.extend(self.slow.iter().cloned());
        all.extend(self.administrators.keys().map(|address| {
            let why = format!("connected to port {}", list(&self.admin_ports));
            (Network::of(*address), ExceptionKind::Administrator, why)
        }));
        if self.last.as_ref() == Some(&all) {
            return None;
        }
        self.last = Some(all.clone());
        Some(all)
    }

    fn look_slowly(&mut self) {
        let Lookups { own_addresses, gateways, resolvers, .. } = self.lookups;
        let sources = [
            (ExceptionKind::Own, own_addresses()),
            (ExceptionKind::Gateway, gateways()),
            (ExceptionKind::Resolver, resolvers(Path::new(RESOLVERS))),
        ];
        for (kind, found) in sources {
            match found {
                Ok(addresses) => {
                    // What cannot be read keeps what was read last.
                    self.slow.retain(|(_, known, _)| *known != kind);
                    let named = addresses.iter().filter(|address| !address.is_unspecified());
                    let spared =
                        named.map(|address| (Network::of(*address), kind.clone(), String::new()));
                    self.slow.extend(spared);
                }
                Err(error) => self.complain(format!("{error:#}")),
            }
        }
    }

    fn spare_servers(&mut self, servers: &Servers) {
        self.slow.retain(|(_, known, _)| *known != ExceptionKind::Messages);
        self.slow.extend(servers.iter().map(|(address, channels)| {
            (Network::of((*address).into()), ExceptionKind::Messages, channels.clone())
        }));
    }

    /// What was seen last could not be spared: it is news again at the next look.
    pub(super) fn again(&mut self) {
        self.last = None;
    }

    /// Says what keeps something from being spared, once.
    pub(super) fn complain(&mut self, complaint: String) {
        if !self.told.contains(&complaint) {
            tracing::warn!("{complaint}: the agent may block it");
            self.told.push(complaint);
        }
    }
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}
