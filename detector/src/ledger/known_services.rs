//! Services that ordinary systems ask for by themselves: the shipped list and what the operator adds to it.
//!
//! A name alone explains nothing: see [`super::resolved`] for what must be true of it besides.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use detector_common::parse::protocol;
use foldhash::fast::RandomState;

use crate::flow::SessionKey;
use crate::network::{Address, Network};

const SHIPPED: &str = include_str!("services.txt");

/// What a service is for, as far as it bounds how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Updates, certificates, captive portals.
    Web,
    Time,
    /// Named by the operator.
    Configured,
}

impl Purpose {
    /// Whether a session with the service is of a protocol that the service speaks.
    pub(super) fn fits(self, key: &SessionKey) -> bool {
        match self {
            Self::Web => key.protocol == protocol::TCP && matches!(key.server_port, 80 | 443),
            Self::Time => {
                matches!(
                    (key.protocol, key.server_port),
                    (protocol::UDP, 123) | (protocol::TCP, 4460)
                )
            }
            Self::Configured => true,
        }
    }
}

/// What the operator says of services, besides the shipped list.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownServices {
    /// Exact names, see [`check_name`].
    pub names: Vec<String>,
    /// Resolvers whose answers count. Those of internal addresses and well-known public ones always do.
    pub resolvers: Vec<Network>,
    /// Gateways and collectors: what is sent there needs no name.
    pub collectors: Vec<Network>,
    /// Bytes of one sender and day that services explain, all of them together.
    pub bytes_per_day: u64,
}

impl Default for KnownServices {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            resolvers: Vec::new(),
            collectors: Vec::new(),
            // A time server asked every 16 s takes 260 kB a day, a portal check every 5 minutes some 100 kB,
            // 200 certificates some 100 kB. The requests of a download are paid by what it receives.
            bytes_per_day: 512 << 10,
        }
    }
}

impl KnownServices {
    /// What the service of this exact name is for, in lower case and without its last dot.
    pub(super) fn purpose(&self, name: &str) -> Option<Purpose> {
        let configured = || self.names.iter().any(|known| known == name);
        let shipped = LIST.names.get(name).copied();
        shipped.or_else(|| configured().then_some(Purpose::Configured))
    }

    /// Whether no sender can make this resolver lie: it is internal, well known, or the operator's.
    pub(super) fn trusts(&self, resolver: Address, is_internal: bool) -> bool {
        is_internal
            || LIST.resolvers.contains(&resolver)
            || self.resolvers.iter().any(|network| network.contains(resolver))
    }

    pub(super) fn is_collector(&self, address: Address) -> bool {
        self.collectors.iter().any(|network| network.contains(address))
    }
}

/// The shipped list.
struct List {
    names: HashMap<&'static str, Purpose, RandomState>,
    resolvers: HashSet<Address, RandomState>,
}

static LIST: LazyLock<List> = LazyLock::new(|| {
    let mut list = List { names: HashMap::default(), resolvers: HashSet::default() };
    for (kind, name) in entries() {
        let purpose = if kind == "time" { Purpose::Time } else { Purpose::Web };
        match name.parse() {
            Ok(address) if kind == "resolver" => drop(list.resolvers.insert(address)),
            _ => drop(list.names.insert(name, purpose)),
        }
    }
    list
});

fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// Sees that a name is one host's: in lower case, without a wildcard.
///
/// # Errors
///
/// What is wrong with it, with what would do.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fine)
    };
    let is_host = name.len() <= 253 && name.contains('.') && name.split('.').all(is_label);
    if is_host && name.parse::<Address>().is_err() {
        Ok(())
    } else {
        Err(format!("{name:?} is not the exact name of a host: write updates.example.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Domains in which anybody can keep what somebody else sends, or read it.
    const SHARED: [&str; 8] = [
        "amazonaws.com",
        "azureedge.net",
        "cloudfront.net",
        "github.com",
        "google.com",
        "googleapis.com",
        "pool.ntp.org",
        "windows.net",
    ];

    /// Each group has its source, each line is an exact name or the address of a resolver, none twice.
    #[test]
    fn the_list_is_what_its_head_says() {
        let (mut seen, mut has_source) = (HashSet::new(), false);
        let body = SHIPPED.split_once("\n\n").expect("a head").1;
        for line in body.lines() {
            if line.is_empty() {
                has_source = false;
                continue;
            }
            if line.starts_with('#') {
                has_source |= line.contains("https://");
                continue;
            }
            assert!(has_source, "{line}: no source");
            let (kind, name) = line.split_once(' ').expect(line);
            assert!(seen.insert(name), "{name} is there twice");
            if kind == "resolver" {
                name.parse::<Address>().expect(name);
                continue;
            }
            assert!(["update", "time", "status", "portal"].contains(&kind), "{kind}");
            check_name(name).unwrap();
            // Time servers have a port of their own.
            let may_be = |domain: &str| kind == "time" && domain == "google.com";
            let shared = |domain: &&str| name.ends_with(*domain) && !may_be(domain);
            assert!(!SHARED.iter().any(shared), "{name} is shared");
        }
        assert_eq!(seen.len(), LIST.names.len() + LIST.resolvers.len());
    }

    #[test]
    fn only_exact_names_are_services() {
        let known = KnownServices {
            names: vec!["updates.example.com".to_owned()],
            ..KnownServices::default()
        };
        for (name, expected) in [
            ("time.apple.com", Some(Purpose::Time)),
            ("ocsp.digicert.com", Some(Purpose::Web)),
            ("updates.example.com", Some(Purpose::Configured)),
            ("a.updates.example.com", None),
            ("x.ocsp.digicert.com", None),
            ("digicert.com", None),
            ("8.8.8.8", None),
            ("", None),
        ] {
            assert_eq!(known.purpose(name), expected, "{name}");
        }
        for wrong in ["*.example.com", "Example.com", "example", "192.0.2.1", "", "a..b", "a.b."] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
