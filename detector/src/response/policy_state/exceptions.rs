//! What is never cut off: as configured, as the host is connected, as a person allowed.
//!
//! Several sources may name one network; the enforcer has one exception for it, as wide as the
//! widest of them.

use std::collections::BTreeMap;

use super::{AGENT, PolicyState};
use crate::network::{Address, Network};
use crate::response::change::{Change, ChangeKind};
use crate::response::enforcer::{Enforcer, EntryNumber, Exception, Span};
use crate::response::target::Target;
use crate::timestamp::Timestamp;

/// The origin of an exception.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExceptionKind {
    /// An address of this host, kept within reach; what leaks from it may be blocked.
    Own,
    Gateway,
    Resolver,
    /// The other end of an administrative connection.
    Administrator,
    /// A server of the notification channels.
    Messages,
    /// `block.never_block`.
    Configured,
    /// Allowed at run time or by the configuration's `allow`; with the entry's id.
    Allowed(String),
}

impl ExceptionKind {
    /// A closed list.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Gateway => "gateway",
            Self::Resolver => "resolver",
            Self::Administrator => "administrator",
            Self::Messages => "messages",
            Self::Configured => "configured",
            Self::Allowed(_) => "operator",
        }
    }

    /// In a sentence: the address "is …".
    fn in_words(&self) -> &'static str {
        match self {
            Self::Own => "an address of this host",
            Self::Gateway => "a gateway of this host",
            Self::Resolver => "a resolver of this host",
            Self::Administrator => "the peer of an administrative connection to this host",
            Self::Messages => "a server of this host's notifications",
            Self::Configured => "in never_block",
            Self::Allowed(_) => "allowed",
        }
    }
}

/// One source of an exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Exempted {
    pub kind: ExceptionKind,
    pub why: String,
    pub span: Span,
}

impl Exempted {
    fn full(&self) -> bool {
        self.kind != ExceptionKind::Own
    }

    /// Whether it comes from this allowlist entry.
    pub(super) fn is_entry(&self, id: &str) -> bool {
        matches!(&self.kind, ExceptionKind::Allowed(own) if own == id)
    }
}

#[derive(Clone, Debug)]
struct Placed {
    number: EntryNumber,
    exception: Exception,
    sources: Vec<Exempted>,
}

/// All exceptions by network.
#[derive(Debug, Default)]
pub(super) struct Exceptions {
    placed: BTreeMap<Network, Placed>,
}

/// Public resolvers, which carry the innocent, too: Google, Cloudflare, Quad9, OpenDNS (their own
/// documentation).
const PUBLIC_RESOLVERS: [&str; 16] = [
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.222.222",
    "208.67.220.220",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "2620:fe::fe",
    "2620:fe::9",
    "2620:119:35::35",
    "2620:119:53::53",
];

/// For good.
pub(super) const ALWAYS: Span = Span::until(Timestamp::MAX);

/// What one exception has to be for all its sources: whole where one of them in force is, until the
/// last of these ends.
fn merged(network: Network, sources: &[Exempted], now: Timestamp) -> Option<Exception> {
    let widest = |full: bool, in_force: bool| {
        let meant = sources
            .iter()
            .filter(move |source| source.full() == full)
            .filter(move |source| source.span.holds(now) == in_force);
        meant.map(|source| source.span).reduce(|one, other| Span {
            from: one.from.min(other.from),
            until: one.until.max(other.until),
        })
    };
    let whole = |span| Exception { network, as_destination: false, span };
    widest(true, true)
        .map(whole)
        .or_else(|| {
            widest(false, true).map(|span| Exception { network, as_destination: true, span })
        })
        .or_else(|| widest(true, false).map(whole))
}

impl PolicyState {
    /// Every network that is spared, with the number of its exception and each of its sources.
    pub fn exceptions(&self) -> impl Iterator<Item = (&Network, EntryNumber, &Exempted)> {
        self.exceptions.placed.iter().flat_map(|(network, placed)| {
            placed.sources.iter().map(move |source| (network, placed.number, source))
        })
    }

    /// Takes over the exceptions that an earlier agent left: they go unless they are requested
    /// again.
    pub fn adopt_exceptions(
        &mut self,
        exceptions: impl IntoIterator<Item = (EntryNumber, Exception)>,
    ) {
        for (number, exception) in exceptions {
            let placed = Placed { number, exception, sources: Vec::new() };
            self.exceptions.placed.insert(exception.network, placed);
        }
    }

    /// Replaces all sources of the kinds that follow from configuration and protected peers. Those
    /// allowed stay.
    ///
    /// # Errors
    ///
    /// A full table: the networks that found no room are named; the others are placed.
    pub fn set_protected_peers(
        &mut self,
        surroundings: &[(Network, ExceptionKind, String)],
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let mut wanted: BTreeMap<Network, Vec<Exempted>> = BTreeMap::new();
        for (network, kind, why) in surroundings {
            let spared = Exempted { kind: kind.clone(), why: why.clone(), span: ALWAYS };
            let sources = wanted.entry(*network).or_default();
            if !sources.contains(&spared) {
                sources.push(spared);
            }
        }
        for (network, placed) in &self.exceptions.placed {
            let sources = wanted.entry(*network).or_default();
            for source in &placed.sources {
                let allowed = matches!(source.kind, ExceptionKind::Allowed(_));
                if allowed && !sources.iter().any(|wanted| wanted.kind == source.kind) {
                    sources.push(source.clone());
                }
            }
        }
        let mut failed = Vec::new();
        for (network, sources) in wanted {
            if let Err(error) = self.set_sources(network, sources, now, enforcer) {
                failed.push(format!("{network}: {error:#}"));
            }
        }
        enforcer.commit()?;
        self.release_spared(now, enforcer)?;
        anyhow::ensure!(failed.is_empty(), "failed to spare {}", failed.join(", "));
        Ok(())
    }

    /// Takes these entries of the allowlist out of the sources. Networks that no other source names
    /// go with the next call of [`PolicyState::set_protected_peers`], which may name them again: so
    /// none is without its exception in between.
    pub(super) fn forget_allowed(&mut self, meant: impl Fn(&str) -> bool) {
        for placed in self.exceptions.placed.values_mut() {
            placed
                .sources
                .retain(|source| !matches!(&source.kind, ExceptionKind::Allowed(id) if meant(id)));
        }
    }

    /// Gives a network its sources; none take the exception out.
    pub(super) fn set_sources(
        &mut self,
        network: Network,
        mut sources: Vec<Exempted>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        sources.sort_by(|one, other| one.kind.cmp(&other.kind));
        let known = self.exceptions.placed.get_mut(&network);
        match (merged(network, &sources, now), known) {
            (Some(exception), Some(placed)) => {
                if placed.exception != exception {
                    enforcer.change_exception(placed.number, &exception)?;
                    placed.exception = exception;
                }
                placed.sources = sources;
            }
            (Some(exception), None) => {
                let number = enforcer.spare(&exception)?;
                self.exceptions.placed.insert(network, Placed { number, exception, sources });
            }
            (None, Some(placed)) => {
                enforcer.remove_exception(placed.number, &network)?;
                self.exceptions.placed.remove(&network);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The sources of one network.
    pub(super) fn sources(&self, network: &Network) -> Vec<Exempted> {
        self.exceptions.placed.get(network).map_or_else(Vec::new, |placed| placed.sources.clone())
    }

    /// Takes out allowed sources whose time is over, and lets wider or narrower ones take effect.
    pub(super) fn expire_exceptions(
        &mut self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let stale: Vec<Network> = self
            .exceptions
            .placed
            .iter()
            .filter(|(network, placed)| {
                placed.sources.iter().any(|source| source.span.until <= now)
                    || merged(**network, &placed.sources, now) != Some(placed.exception)
            })
            .map(|(network, _)| *network)
            .collect();
        for network in &stale {
            let mut sources = self.sources(network);
            let (over, live): (Vec<Exempted>, Vec<Exempted>) =
                sources.drain(..).partition(|source| source.span.until <= now);
            self.set_sources(*network, live, now, enforcer)?;
            for source in over {
                self.changes.push(Change {
                    target: Some(Target::Destination(*network)),
                    why: "expired".to_owned(),
                    detail: Some(source.why),
                    ..Change::new(ChangeKind::Disallowed, AGENT)
                });
            }
        }
        if stale.is_empty() { Ok(()) } else { enforcer.commit() }
    }

    /// Ends active blocks that an exception now forbids.
    pub(super) fn release_spared(
        &mut self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let spared: Vec<EntryNumber> = self
            .blocks
            .iter()
            .filter(|(_, standing)| self.conflict(&standing.order.target, now).is_some())
            .map(|(number, _)| *number)
            .collect();
        for number in &spared {
            self.end(*number, ChangeKind::Released, AGENT, now, enforcer)?;
        }
        if spared.is_empty() { Ok(()) } else { enforcer.commit() }
    }

    /// Why a block of this target must not be: what it would cut off, in words that name it.
    #[must_use]
    pub fn conflict(&self, target: &Target, now: Timestamp) -> Option<String> {
        if let Target::Destination(network) = target {
            let length = network.prefix().length;
            if length == 0 || (network.prefix().address[..12] == MAPPED && length == 96) {
                return Some(format!("{network} is the default route: give a smaller network"));
            }
            if let Some(home) = self.policy.home.iter().find(|home| network.covers(home)) {
                return Some(format!("{network} covers the whole home network {home}"));
            }
        }
        let destination = target.destination();
        let other = match target {
            Target::Pair { home, .. } => Some(Network::of(*home)),
            Target::Flow { key, destination } => {
                let other = if key.low == destination.octets() { key.high } else { key.low };
                Some(Network::of(other.into()))
            }
            _ => None,
        };
        let in_force = |placed: &&Placed| placed.exception.span.holds(now);
        for placed in self.exceptions.placed.values().filter(in_force) {
            let Exception { network, as_destination, .. } = placed.exception;
            let hits_other = !as_destination && other.is_some_and(|other| network.overlaps(&other));
            if !network.overlaps(&destination) && !hits_other {
                continue;
            }
            let source = placed.sources.iter().find(|source| source.span.holds(now));
            let (words, why) =
                source.map_or(("spared", ""), |source| (source.kind.in_words(), &*source.why));
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            return Some(format!("{} is {words}{why} and is never blocked", network.short()));
        }
        None
    }

    /// Whether names are looked up at this address.
    pub(super) fn is_resolver(&self, address: Address, now: Timestamp) -> bool {
        let known = |known: &str| known.parse() == Ok(address.ip());
        self.is_exempt(&ExceptionKind::Resolver, address, now)
            || PUBLIC_RESOLVERS.into_iter().any(known)
    }

    /// Whether this host has this address.
    pub(super) fn is_own(&self, address: Address, now: Timestamp) -> bool {
        self.is_exempt(&ExceptionKind::Own, address, now)
    }

    fn is_exempt(&self, kind: &ExceptionKind, address: Address, now: Timestamp) -> bool {
        self.exceptions().any(|(network, _, source)| {
            source.kind == *kind && source.span.holds(now) && network.contains(address)
        })
    }
}

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
