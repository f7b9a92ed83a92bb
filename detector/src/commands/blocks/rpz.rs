//! Domains as a response policy zone (draft-vixie-dnsop-dns-rpz): a resolver that loads it answers
//! that they and all names in them do not exist.
//!
//! Names come from traffic: only what is a host name of an ordinary domain gets in, so that nobody
//! can write another rule into the zone, refuse a whole top-level domain or keep it from loading.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::control::DomainLine;

/// The longest domain, so that a wildcard in it under the zone's own name still is a DNS name.
const MAX_DOMAIN_BYTES: usize = 200;
/// The longest label (RFC 1035).
const MAX_LABEL_BYTES: usize = 63;

/// Writes the zone. How many domains were left out.
pub(in crate::commands) fn write(
    output: &mut impl Write,
    domains: &[DomainLine],
    now_ns: u64,
) -> io::Result<u64> {
    let mut names = BTreeSet::new();
    let mut refused = 0;
    for DomainLine { domain, .. } in domains {
        match name(domain) {
            Some(name) => drop(names.insert(name)),
            None => refused += 1,
        }
    }
    // A serial that grows with time, as resolvers that transfer the zone want it.
    let serial = (now_ns / 1_000_000_000) & u64::from(u32::MAX);
    writeln!(output, "$TTL 60")?;
    writeln!(output, "@ SOA localhost. root.localhost. {serial} 3600 600 86400 60")?;
    writeln!(output, "@ NS localhost.")?;
    for name in names {
        writeln!(output, "{name} CNAME .")?;
        writeln!(output, "*.{name} CNAME .")?;
    }
    Ok(refused)
}

/// The name in lower case and without its last dot; none where it must not be in a zone.
fn name(domain: &str) -> Option<String> {
    let name = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let last = labels.last()?;
    // `rpz-ip` and the like make rules about addresses; a number is the end of an address.
    let ordinary = !last.starts_with("rpz-") && !last.bytes().all(|byte| byte.is_ascii_digit());
    let sound = labels.len() >= 2
        && name.len() <= MAX_DOMAIN_BYTES
        && labels.iter().all(|label| is_label(label));
    (ordinary && sound).then_some(name)
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(domains: &[&str]) -> (String, u64) {
        let lines: Vec<DomainLine> = domains
            .iter()
            .map(|domain| DomainLine { domain: (*domain).to_owned(), alert: None })
            .collect();
        let mut text = Vec::new();
        let refused = write(&mut text, &lines, 1_800_000_000_000_000_000).unwrap();
        (String::from_utf8(text).unwrap(), refused)
    }

    #[test]
    fn domains_and_all_names_in_them() {
        let (text, refused) = zone(&["T.example.", "t.example", "_x.drop-1.example"]);
        let expected = "\
$TTL 60
@ SOA localhost. root.localhost. 1800000000 3600 600 86400 60
@ NS localhost.
_x.drop-1.example CNAME .
*._x.drop-1.example CNAME .
t.example CNAME .
*.t.example CNAME .
";
        assert_eq!((text.as_str(), refused), (expected, 0));
    }

    #[test]
    fn nothing_else_gets_in() {
        let long = format!("{}.example", "a".repeat(64));
        let deep = format!("{}example", "a.".repeat(100));
        for domain in [
            "",
            ".",
            "com",
            "a..example",
            "*.example",
            "a b.example",
            "a.example\nexample CNAME",
            "a.example;",
            "$INCLUDE.example",
            "a\\046b.example",
            "\u{fc}.example",
            "-a.example",
            "24.0.2.0.192.rpz-ip",
            "ns.example.rpz-nsdname",
            "192.0.2.1",
            &long,
            &deep,
        ] {
            let (text, refused) = zone(&[domain]);
            assert_eq!((text.lines().count(), refused), (3, 1), "{domain}: {text}");
        }
    }
}
