//! Our reading of captures against tshark's: packets and IP bytes of each conversation, who began, the
//! names in DNS, in hellos of TLS and QUIC, and of HTTP hosts. A disagreement has a reason in
//! `tshark/explained.rs`, or the test fails.
//!
//! It reads captures that the project makes, and those of the folder in `DETECTOR_PCAPS`, if it is set.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "how often each reason was needed")]

#[path = "tshark/explained.rs"]
mod explained;
#[path = "tshark/ours.rs"]
mod ours;
#[path = "tshark/theirs.rs"]
mod theirs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use detector_tests::Scratch;
use detector_tests::capture_file::{ETHERNET, timed};
use detector_tests::conversation::{Conversation, dns_answer, dns_query};
use detector_tests::scenes::SCENES;

use explained::{Difference, explain};

/// Disagreements without a reason that are shown.
const SHOWN: usize = 20;

/// An address and a port; 0 where the protocol has none.
type End = (IpAddr, u16);

/// Both ends, the lower first, and the IANA protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    low: End,
    high: End,
    protocol: u8,
}

impl Pair {
    fn of(one: End, other: End, protocol: u8) -> Self {
        Self { low: one.min(other), high: one.max(other), protocol }
    }
}

/// What a conversation carried, both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Carried {
    packets: u64,
    ip_bytes: u64,
    /// Who began it.
    initiator: Option<End>,
}

/// A client and the server that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    client: IpAddr,
    server: IpAddr,
    port: u16,
    protocol: u8,
}

/// What is read of a capture.
#[derive(Debug, Default)]
struct View {
    conversations: BTreeMap<Pair, Carried>,
    /// In lower case.
    dns_names: BTreeSet<String>,
    server_names: BTreeMap<Service, BTreeSet<String>>,
    http_hosts: BTreeMap<Service, BTreeSet<String>>,
}

/// What came of many captures.
#[derive(Debug, Default)]
struct Tally {
    captures: u64,
    conversations: u64,
    names: u64,
    explained: BTreeMap<&'static str, u64>,
    unexplained: Vec<String>,
}

impl Tally {
    fn compare(&mut self, path: &Path) {
        let (theirs, facts) = theirs::read(path);
        let ours = ours::read(path);
        self.captures += 1;
        self.conversations += theirs.conversations.len() as u64;
        self.names += theirs.dns_names.len() as u64
            + (theirs.server_names.len() + theirs.http_hosts.len()) as u64;
        for difference in differences(&ours, &theirs) {
            match explain(&difference, &facts) {
                Some(reason) => *self.explained.entry(reason).or_default() += 1,
                None => self.unexplained.push(format!("{}: {difference:?}", path.display())),
            }
        }
    }

    fn check(&self) {
        println!(
            "{} captures, {} conversations, {} names",
            self.captures, self.conversations, self.names
        );
        for (reason, count) in &self.explained {
            println!("{count:8} {reason}");
        }
        let shown = &self.unexplained[..self.unexplained.len().min(SHOWN)];
        let count = self.unexplained.len();
        assert!(shown.is_empty(), "{count} without a reason:\n{}", shown.join("\n"));
    }
}

fn differences(ours: &View, theirs: &View) -> Vec<Difference> {
    let mut found = Vec::new();
    let pairs: BTreeSet<_> =
        ours.conversations.keys().chain(theirs.conversations.keys()).copied().collect();
    for pair in pairs {
        let [our, their] = [ours, theirs].map(|view| view.conversations.get(&pair).cloned());
        if our != their {
            found.push(Difference::Carried { pair, ours: our, theirs: their });
        }
    }
    for name in ours.dns_names.symmetric_difference(&theirs.dns_names) {
        let is_ours = ours.dns_names.contains(name);
        found.push(Difference::DnsName { name: name.clone(), is_ours });
    }
    let kinds = [
        ("server name", &ours.server_names, &theirs.server_names),
        ("HTTP host", &ours.http_hosts, &theirs.http_hosts),
    ];
    for (kind, ours, theirs) in kinds {
        let services: BTreeSet<_> = ours.keys().chain(theirs.keys()).copied().collect();
        for service in services {
            let [ours, theirs] =
                [ours, theirs].map(|names| names.get(&service).cloned().unwrap_or_default());
            // A session keeps the first of several.
            if ours.is_empty() != theirs.is_empty() || !ours.is_subset(&theirs) {
                found.push(Difference::Named { kind, service, ours, theirs });
            }
        }
    }
    found
}

/// What hosts say to one another, and frames that test parsers.
fn own_captures(scratch: &Scratch) -> Vec<PathBuf> {
    let mut made = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| made.push(scratch.write(name, bytes).unwrap());
    for (name, scene, _) in SCENES {
        add(&format!("{name}.pcap"), timed(ETHERNET, scene().frames()));
    }
    let mut names = Conversation::udp(53);
    names.send(&dns_query("www.a.example", 1));
    names.receive(&dns_answer("www.a.example", 1, &[203, 0, 113, 5]));
    add("names.pcap", timed(ETHERNET, names.frames()));
    let mut web = Conversation::tcp(80);
    web.send(b"GET / HTTP/1.1\r\nHost: www.a.example\r\n\r\n");
    web.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    add("web.pcap", timed(ETHERNET, web.frames()));
    let mut sealed = Conversation::tcp(443);
    // In two segments.
    let hello = client_hello("www.a.example");
    sealed.send(&hello[..40]);
    sealed.send(&hello[40..]);
    add("tls.pcap", timed(ETHERNET, sealed.frames()));
    made
}

/// A TLS record with a ClientHello that has a name (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn client_hello(name: &str) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let list = [&[0][..], &length(name.len()), name.as_bytes()].concat();
    let extension = [&[0, 0][..], &length(list.len() + 2), &length(list.len()), &list].concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    // No session, one cipher, no compression.
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(length(extension.len()));
    body.extend(extension);
    let message = [&[1, 0][..], &length(body.len()), &body].concat();
    [&[0x16, 3, 1][..], &length(message.len()), &message].concat()
}

#[test]
#[ignore = "needs tshark: run cargo xtask test"]
fn captures_of_our_own_are_read_alike() {
    let scratch = Scratch::new("tshark").unwrap();
    let mut tally = Tally::default();
    for path in own_captures(&scratch) {
        tally.compare(&path);
    }
    tally.check();
    assert!(tally.captures > 12 && tally.names > 20, "{tally:?}");
}

#[test]
#[ignore = "needs tshark: run cargo xtask test"]
fn captures_of_a_folder_are_read_alike() {
    let Some(folder) = std::env::var_os("DETECTOR_PCAPS") else {
        println!("left out: DETECTOR_PCAPS names no folder of captures");
        return;
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths: BTreeSet<PathBuf> = entries.filter(|path| path.is_file()).collect();
    let mut tally = Tally::default();
    for path in paths {
        tally.compare(&path);
    }
    tally.check();
}
