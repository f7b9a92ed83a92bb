//! What an operator has said is in order: from whom, to whom, until when, and why.
//!
//! An entry covers a session where every scope that it names fits; it names at least one. What is
//! covered raises no alert, and is counted at the entry.
//!
//! Whoever keeps the list hands out copies of it. The copies count into the same counters, so that
//! nothing is lost when one takes the place of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::features::{self, Sample};
use crate::flow::Side;
use crate::network::{Address, Network};

use super::services::is_under;
use crate::timestamp::Timestamp;

/// One line of the allowlist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// Who may send; all where it is not named, as with the other scopes.
    pub source: Option<Network>,
    /// To whom.
    pub destination: Option<Network>,
    /// The receiver's name, or the registered domain that data leaves through in DNS: this name and
    /// all names in it.
    pub name: Option<String>,
    /// The server's port.
    pub port: Option<u16>,
    /// Why, for whoever reads it later.
    pub reason: String,
    /// RFC 3339, on the packets' clock; never where it is not named.
    pub expires: Option<String>,
}

/// The entries with how often each was hit.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    entries: Vec<Allowed>,
}

impl Entry {
    /// Sees that the entry covers something, says why and ends at a time that is one.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, with what would do.
    pub fn check(&self) -> Result<(), String> {
        let Self { source, destination, name, port, reason, .. } = self;
        if source.is_none() && destination.is_none() && name.is_none() && port.is_none() {
            return Err(
                "the entry covers everything: give a source, destination, name or port".into()
            );
        }
        if reason.trim().is_empty() {
            return Err("reason is missing: write why the traffic is expected".into());
        }
        if name.as_deref().is_some_and(|name| name.trim_matches('.').is_empty()) {
            return Err("name is empty".into());
        }
        self.ends().map(drop)
    }

    /// When it ends.
    fn ends(&self) -> Result<Timestamp, String> {
        let Some(text) = &self.expires else { return Ok(Timestamp::MAX) };
        let wrong = || format!("expires is {text:?}: write 2027-01-31T00:00:00Z");
        let expires: features::Timestamp = text.parse().map_err(|_| wrong())?;
        let seconds = u64::try_from(expires.unix_secs()).map_err(|_| wrong())?;
        Ok(Timestamp::EPOCH + Duration::from_secs(seconds))
    }

    fn covers(&self, sample: &Sample<'_>) -> bool {
        let session = sample.session;
        let (source, destination, name) = match sample.sender {
            Side::Client => (session.key.client, session.key.server, &session.name),
            Side::Server => (session.key.server, session.key.client, &session.client_name),
        };
        let name = session.domain.as_deref().or(name.as_deref());
        self.covers_ends(source, destination, session.key.server_port, name)
    }

    /// Whether it covers what `source` sends to `destination`: `name` is the receiver's, or the
    /// domain of its DNS names.
    #[must_use]
    pub fn covers_ends(
        &self,
        source: Address,
        destination: Address,
        server_port: u16,
        name: Option<&str>,
    ) -> bool {
        self.source.is_none_or(|network| network.contains(source))
            && self.destination.is_none_or(|network| network.contains(destination))
            && self.port.is_none_or(|port| port == server_port)
            && self.name.as_deref().is_none_or(|wanted| {
                let wanted = wanted.trim_matches('.').to_ascii_lowercase();
                name.is_some_and(|known| is_under(known, &wanted))
            })
    }

    /// The network that is spared as a whole because of this entry: it names nothing else.
    #[must_use]
    pub fn whole_network(&self) -> Option<Network> {
        match (self.source, self.destination, &self.name, self.port) {
            (None, Some(network), None, None) | (Some(network), None, None, None) => Some(network),
            _ => None,
        }
    }
}

/// An entry in use: of the configuration, or added at run time.
#[derive(Clone, Debug)]
pub struct Allowed {
    pub id: String,
    pub entry: Entry,
    /// Added while it ran.
    pub at_run_time: bool,
    /// By whom; empty for the configuration's.
    pub by: String,
    /// In force from here until there.
    pub from: Timestamp,
    pub until: Timestamp,
    /// See [`Allowed::hits`].
    hits: Arc<AtomicU64>,
}

impl Allowed {
    /// An entry that was added while it ran, in force until then.
    #[must_use]
    pub fn at_run_time(id: String, entry: Entry, by: String, until: Timestamp) -> Self {
        let hits = Arc::default();
        Self { id, entry, at_run_time: true, by, from: Timestamp::EPOCH, until, hits }
    }

    /// Sessions over the threshold that it kept quiet.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Counts a session that it kept quiet.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }
}

impl AllowList {
    pub fn new(entries: &[Entry]) -> Result<Self, String> {
        let configured = (1..).zip(entries).map(|(number, entry)| {
            let wrong = |what| format!("allow entry {number}: {what}");
            entry.check().map_err(wrong)?;
            Ok(Allowed {
                id: format!("c{number}"),
                entry: entry.clone(),
                at_run_time: false,
                by: String::new(),
                from: Timestamp::EPOCH,
                until: entry.ends().map_err(wrong)?,
                hits: Arc::default(),
            })
        });
        Ok(Self { entries: configured.collect::<Result<_, String>>()? })
    }

    /// Adds an entry to those of the configuration.
    pub fn add(&mut self, allowed: Allowed) {
        self.entries.push(allowed);
    }

    /// The next free id of an entry that is added at run time.
    #[must_use]
    pub fn next_id(&self) -> String {
        let taken = |id: &str| self.entry(id).is_some();
        (1_u64..).map(|number| format!("o{number}")).find(|id| !taken(id)).unwrap_or_default()
    }

    /// Puts the entries of a configuration in the place of the last one's. Those added at run time
    /// stay, and so do the hits of entries that are in both.
    ///
    /// # Errors
    ///
    /// An entry that makes no sense; everything stays as it was then.
    pub fn reconfigure(&mut self, entries: &[Entry]) -> Result<(), String> {
        let Self { entries: mut configured } = Self::new(entries)?;
        for allowed in &mut configured {
            let same = |known: &&Allowed| !known.at_run_time && known.entry == allowed.entry;
            if let Some(known) = self.entries.iter().find(same) {
                allowed.hits = Arc::clone(&known.hits);
            }
        }
        configured.extend(self.entries.drain(..).filter(|allowed| allowed.at_run_time));
        self.entries = configured;
        Ok(())
    }

    /// Takes out an entry.
    pub fn remove(&mut self, id: &str) -> Option<Allowed> {
        let place = self.entries.iter().position(|allowed| allowed.id == id)?;
        Some(self.entries.remove(place))
    }

    /// Whether [`AllowList::expire`] would take something out.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.entries.iter().any(|allowed| allowed.at_run_time && allowed.until <= now)
    }

    /// Takes out the entries added at run time whose time is over.
    pub fn expire(&mut self, now: Timestamp) {
        self.entries.retain(|allowed| !allowed.at_run_time || now < allowed.until);
    }

    /// The entry of this id.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<&Allowed> {
        self.entries.iter().find(|allowed| allowed.id == id)
    }

    /// The entry of this id, to be changed.
    pub fn entry_mut(&mut self, id: &str) -> Option<&mut Allowed> {
        self.entries.iter_mut().find(|allowed| allowed.id == id)
    }

    /// The first entry that covers what the sender does now.
    #[must_use]
    pub fn find(&self, sample: &Sample<'_>) -> Option<&Allowed> {
        let now = Timestamp::from_ns(sample.now_ns);
        self.entries.iter().find(|allowed| {
            allowed.from <= now && now < allowed.until && allowed.entry.covers(sample)
        })
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Allowed> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example;
    use crate::flow::{Session, SessionKey};

    fn session() -> Session {
        let mut session = example::session(SessionKey {
            client: [10, 0, 0, 7].into(),
            server: [192, 0, 2, 1].into(),
            protocol: 6,
            server_port: 443,
        });
        session.name = Some("eu.backup.example".into());
        session
    }

    fn entry(text: &str) -> Entry {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_named_scope_must_fit() {
        let check = |text: &str, expected: bool| {
            let list = AllowList::new(&[entry(&format!("reason = \"x\"\n{text}"))]).unwrap();
            let session = session();
            let sample = Sample::new(&session, Side::Client, 1_000_000_000);
            assert_eq!(list.find(&sample).is_some(), expected, "{text}");
        };
        check("destination = \"192.0.2.0/24\"", true);
        check("destination = \"192.0.2.0/24\"\nport = 443", true);
        check("destination = \"192.0.2.0/24\"\nport = 22", false);
        check("source = \"10.0.0.8\"", false);
        check("name = \"Backup.example.\"", true);
        check("name = \"up.example\"", false);
        check("port = 443\nexpires = \"1970-01-01T00:00:02Z\"", true);
        check("port = 443\nexpires = \"1970-01-01T00:00:01Z\"", false);
    }

    #[test]
    fn the_domain_of_dns_names_counts() {
        let mut session = session();
        session.domain = Some("lookup.example".into());
        let check = |name: &str, expected: bool| {
            let entry = entry(&format!("name = '{name}'\nreason = 'x'"));
            let list = AllowList::new(&[entry]).unwrap();
            let sample = Sample::new(&session, Side::Client, 1_000_000_000);
            assert_eq!(list.find(&sample).is_some(), expected, "{name}");
        };
        check("lookup.example", true);
        check("backup.example", false);
    }

    #[test]
    fn another_configuration_leaves_what_was_added_at_run_time() {
        let (backup, scan) = (entry("port = 22\nreason = 'b'"), entry("port = 443\nreason = 's'"));
        let mut list = AllowList::new(&[scan.clone(), backup.clone()]).unwrap();
        list.add(Allowed::at_run_time(
            list.next_id(),
            scan.clone(),
            "uid 0".into(),
            Timestamp::MAX,
        ));
        let copy = list.clone();
        copy.entry("c2").unwrap().hit();
        copy.entry("o1").unwrap().hit();
        assert!(list.reconfigure(&[backup.clone(), Entry::default()]).is_err());
        assert_eq!(list.entries().count(), 3);
        list.reconfigure(&[backup]).unwrap();
        let seen: Vec<_> = list.entries().map(|allowed| (&*allowed.id, allowed.hits())).collect();
        assert_eq!(seen, [("c1", 1), ("o1", 1)]);
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = AllowList::new(&[entry(text)]).unwrap_err();
            assert!(error.starts_with("allow entry 1: ") && error.contains(expected), "{error}");
        };
        check("reason = \"x\"", "covers everything");
        check("port = 1", "reason is missing");
        check("port = 1\nreason = \"x\"\nexpires = \"soon\"", "2027-01-31T00:00:00Z");
        check("name = \".\"\nreason = \"x\"", "name is empty");
    }
}
