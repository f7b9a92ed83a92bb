//! Labelled captures: a directory's manifest.json, and what it says about each session.
//!
//! The rules are those that score a detector from outside: a pair of hosts, protocol and server
//! port is one unit; what the manifest does not know about is left out rather than guessed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::flow::{FlowView, Session, Side};
use crate::network::Address;
use crate::verdict::alert::protocol_name;

/// One capture with its labels.
#[derive(Clone, Debug)]
pub struct Capture {
    pub path: PathBuf,
    pub entry: Entry,
}

/// A manifest's entry, as far as labels go.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub file: String,
    label: String,
    /// Of the exfiltration, or the kind of ordinary traffic.
    pub technique: String,
    /// Set in recordings of the lab.
    scenario: Option<String>,
    /// Hosts times hours of ordinary use, where the capture is there to count false alerts by.
    pub host_hours: Option<f64>,
    source_repo: Option<String>,
    other_flows: Option<String>,
    /// The registered domain that an exfiltration over DNS goes through; more words may follow.
    domain: Option<String>,
    /// Set where the capture is a series of days.
    series: Option<String>,
    /// Of the first packet, in seconds since 1970.
    start_epoch: Option<f64>,
    #[serde(default)]
    exclude_from_scoring: bool,
    #[serde(default)]
    malicious: Vec<Culprit>,
}

#[derive(Clone, Debug, Deserialize)]
struct Culprit {
    src: Address,
    dst: Address,
    proto: String,
    dport: Option<u16>,
    role: Option<String>,
    flows: Option<u64>,
    /// When it stole, in seconds since the capture began: minded in a series alone, where the same
    /// two hosts do ordinary things at other times.
    first_seen_rel_s: Option<f64>,
    last_seen_rel_s: Option<f64>,
}

/// What a sender of a session is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The exfiltration with this number in the manifest's entry.
    Theft(usize),
    Ordinary,
    /// Neither to be learned from nor to be counted.
    Unknown,
}

/// Where a capture comes from: results are distinguished by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    Real,
    Lab,
    /// A file of vectors or records, which does not say.
    File,
}

impl Origin {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Lab => "lab",
            Self::File => "file",
        }
    }
}

/// The captures of a directory, in the manifest's order. Entries that are no captures are left out.
pub fn read(directory: &Path) -> anyhow::Result<(Vec<Capture>, u64)> {
    let path = directory.join("manifest.json");
    let text = fs::read_to_string(&path).with_context(|| {
        format!("failed to read {}: --data takes a directory with a manifest.json", path.display())
    })?;
    let entries: Vec<Entry> = serde_json::from_str(&text)
        .with_context(|| format!("failed to parse {}", path.display()))?;
    let listed = entries.len();
    let captures: Vec<Capture> = entries
        .into_iter()
        .filter(|entry| !entry.exclude_from_scoring && !entry.file.starts_with("csv/"))
        .map(|entry| Capture { path: directory.join(&entry.file), entry })
        .collect();
    ensure!(!captures.is_empty(), "{} lists no capture", path.display());
    let excluded = (listed - captures.len()) as u64;
    Ok((captures, excluded))
}

impl Entry {
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.scenario.is_some() { Origin::Lab } else { Origin::Real }
    }

    /// What is held out together: a lab scenario, a family of nDPI's captures, another repository
    /// whole. Captures of one group resemble each other.
    #[must_use]
    pub fn group(&self) -> String {
        if let Some(scenario) = &self.scenario {
            return format!("lab {scenario}");
        }
        match self.source_repo.as_deref() {
            Some(repository) if repository.ends_with("/nDPI") => {
                format!("{repository} {}", self.technique)
            }
            Some(repository) => repository.to_owned(),
            None => self.file.clone(),
        }
    }

    /// What is known about `sender` in `session`, one of whose flows is `flow`.
    #[must_use]
    pub fn truth(&self, session: &Session, flow: &FlowView, sender: Side) -> Truth {
        let (client, server) = (session.key.client, session.key.server);
        let ports = [session.key.server_port, flow.initiator_port()];
        let protocol = protocol_name(session.key.protocol);
        let at_that_time = |culprit: &Culprit| match (&self.series, self.start_epoch) {
            (Some(_), Some(start)) => culprit.is_active(session, start),
            _ => true,
        };
        let found = self.malicious.iter().position(|culprit| {
            culprit.is(client, server, &protocol, ports) && at_that_time(culprit)
        });
        if let Some((number, culprit)) =
            found.and_then(|number| Some((number, self.malicious.get(number)?)))
        {
            let source = if sender == Side::Client { client } else { server };
            return if culprit.is_theft() && culprit.src == source && self.is_channel(session) {
                Truth::Theft(number)
            } else {
                Truth::Unknown
            };
        }
        match self.other_flows.as_deref() {
            _ if self.label == "benign" => Truth::Ordinary,
            Some("ignore") => Truth::Unknown,
            Some(other) => match other.strip_prefix("ignore-").map(str::parse::<Address>) {
                Some(Ok(address)) if address != client && address != server => Truth::Ordinary,
                Some(_) => Truth::Unknown,
                None => Truth::Ordinary,
            },
            None => Truth::Ordinary,
        }
    }

    /// Whether a session of the culprits may be the exfiltration itself: of their domains the one
    /// that the manifest names, or any where it names none.
    fn is_channel(&self, session: &Session) -> bool {
        let named = self.domain.as_deref().and_then(|domain| domain.split_whitespace().next());
        match (session.domain.as_deref(), named) {
            (Some(domain), Some(named)) => domain.eq_ignore_ascii_case(named),
            _ => true,
        }
    }

    /// Exfiltrations that are to be found.
    #[must_use]
    pub fn thefts(&self) -> usize {
        self.malicious.iter().filter(|culprit| culprit.is_theft()).count()
    }
}

impl Culprit {
    fn is(&self, client: Address, server: Address, protocol: &str, ports: [u16; 2]) -> bool {
        let ends = [(self.src, self.dst), (self.dst, self.src)];
        ends.contains(&(client, server))
            && same_protocol(&self.proto, protocol)
            && self.dport.is_none_or(|port| port == 0 || ports.contains(&port))
    }

    /// Whether it stole while the session continued; `start` is the capture's, in seconds since
    /// 1970.
    fn is_active(&self, session: &Session, start: f64) -> bool {
        let [from, to] = [self.first_seen_rel_s, self.last_seen_rel_s]
            .map(|at| at.map(|seconds| start + seconds));
        let [first, last] = [session.first_seen_ns, session.last_seen_ns].map(|ns| ns as f64 / 1e9);
        from.is_none_or(|from| last >= from - 1.0) && to.is_none_or(|to| first <= to + 1.0)
    }

    fn is_theft(&self) -> bool {
        self.role.as_deref().unwrap_or("exfil") == "exfil" && self.flows != Some(0)
    }
}

fn same_protocol(left: &str, right: &str) -> bool {
    let plain =
        |name: &str| if name.contains("icmp") { "icmp".to_owned() } else { name.to_lowercase() };
    plain(left) == plain(right)
}

#[cfg(test)]
mod tests {
    use detector_common::FlowKey;
    use detector_common::flow::Direction;

    use super::*;
    use crate::features::example::session;
    use crate::flow::SessionKey;

    fn flow() -> FlowView {
        FlowView {
            key: FlowKey::default(),
            initiator: Direction::FromLow,
            icmp: 0,
            first_seen_ns: 0,
            last_seen_ns: 0,
        }
    }

    fn check(
        other_flows: &str,
        (client, server, port): (&str, &str, u16),
        sender: Side,
        expected: Truth,
    ) {
        let text = format!(
            r#"{{"file":"pcap/a.pcap","label":"exfil","technique":"t","other_flows":"{other_flows}","malicious":[
                {{"src":"10.0.0.1","dst":"192.0.2.1","proto":"tcp","dport":443}},
                {{"src":"10.0.0.1","dst":"192.0.2.1","proto":"tcp","dport":21,"role":"control"}}]}}"#
        );
        let entry: Entry = serde_json::from_str(&text).unwrap();
        let address = |text: &str| text.parse().unwrap();
        let key = SessionKey {
            client: address(client),
            server: address(server),
            protocol: 6,
            server_port: port,
        };
        assert_eq!(
            entry.truth(&session(key), &flow(), sender),
            expected,
            "{client} {server} {port}"
        );
    }

    #[test]
    fn in_a_series_the_time_tells_a_theft_from_the_habit() {
        let text = r#"{"file":"pcap/a.pcap","label":"exfil","technique":"t","series":"s","start_epoch":1000.0,
            "malicious":[{"src":"10.0.0.1","dst":"192.0.2.1","proto":"tcp","dport":22,
                "first_seen_rel_s":50.0,"last_seen_rel_s":60.0}]}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        let check = |from_secs: u64, to_secs: u64, expected: Truth| {
            let address = |text: &str| text.parse().unwrap();
            let mut session = session(SessionKey {
                client: address("10.0.0.1"),
                server: address("192.0.2.1"),
                protocol: 6,
                server_port: 22,
            });
            session.first_seen_ns = from_secs * 1_000_000_000;
            session.last_seen_ns = to_secs * 1_000_000_000;
            assert_eq!(entry.truth(&session, &flow(), Side::Client), expected, "{from_secs}");
        };
        check(1_050, 1_060, Truth::Theft(0));
        check(1_040, 1_055, Truth::Theft(0));
        check(1_010, 1_020, Truth::Ordinary);
        check(1_100, 1_120, Truth::Ordinary);
    }

    #[test]
    fn of_a_thiefs_domains_one_is_the_theft() {
        let check = |named: &str, domain: Option<&str>, expected: Truth| {
            let text = format!(
                r#"{{"file":"pcap/a.pcap","label":"exfil","technique":"t","domain":{named},"malicious":[
                    {{"src":"10.0.0.1","dst":"192.0.2.1","proto":"udp","dport":53}}]}}"#
            );
            let entry: Entry = serde_json::from_str(&text).unwrap();
            let address = |text: &str| text.parse().unwrap();
            let (client, server) = (address("10.0.0.1"), address("192.0.2.1"));
            let key = SessionKey { client, server, protocol: 17, server_port: 53 };
            let session = Session { domain: domain.map(Into::into), ..session(key) };
            assert_eq!(
                entry.truth(&session, &flow(), Side::Client),
                expected,
                "{named} {domain:?}"
            );
        };
        let named = r#""pirate.sea (see qnames)""#;
        check(named, Some("pirate.sea"), Truth::Theft(0));
        check(named, Some("innocent.example"), Truth::Unknown);
        check(named, None, Truth::Theft(0));
        check("null", Some("innocent.example"), Truth::Theft(0));
    }

    #[test]
    fn truths() {
        let theft = ("10.0.0.1", "192.0.2.1", 443);
        check("none", theft, Side::Client, Truth::Theft(0));
        check("none", theft, Side::Server, Truth::Unknown);
        check("none", ("192.0.2.1", "10.0.0.1", 443), Side::Server, Truth::Theft(0));
        check("none", ("10.0.0.1", "192.0.2.1", 21), Side::Client, Truth::Unknown);
        let other = ("10.0.0.1", "192.0.2.9", 443);
        check("none", other, Side::Client, Truth::Ordinary);
        check("benign-background", other, Side::Client, Truth::Ordinary);
        check("ignore", other, Side::Client, Truth::Unknown);
        check("ignore-192.0.2.9", other, Side::Client, Truth::Unknown);
        check("ignore-192.0.2.8", other, Side::Client, Truth::Ordinary);
    }
}
