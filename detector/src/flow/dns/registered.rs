//! Which registered domain a DNS name belongs to, by the public-suffix list.
//!
//! Names outside of the list's top-level domains are ordinary too: private zones, and tunnels that
//! ask their own server and need no zone at all. Each name has exactly one domain.

use super::entropy_sketch::label_bytes;

/// The domain of names that have none: the root.
pub(crate) const ROOT: &str = ".";

/// Bytes that the label before a public suffix carries at most where it is somebody's: 10 of 15,257
/// public domains (netrack/learn) carry more. Tools that ask their own server directly need to own
/// no name at all.
const OWN_LABEL_MAX_BYTES: f64 = 14.0;

/// Longest last label that is taken for a private top-level domain, and not for content.
const PRIVATE_SUFFIX_MAX_BYTES: usize = 15;

/// Where in `name`, which is in lower case and without its last dot, the registered domain begins;
/// the length of `name` where it has none.
#[must_use]
pub(crate) fn domain_start(name: &[u8]) -> usize {
    // The list has a suffix for each class of addresses, which would make a domain of each network.
    if name.ends_with(b".in-addr.arpa") || name.ends_with(b".ip6.arpa") {
        return last_two(name);
    }
    let owned = psl::domain(name).map_or(0, |domain| name.len() - domain.as_bytes().len());
    let start = match psl::suffix(name).and_then(|suffix| suffix.typ()) {
        // Clouds give names out below a suffix of theirs, and make them of numbers.
        Some(psl::Type::Private) => return owned,
        Some(psl::Type::Icann) => owned,
        None if is_private_suffix(name) => last_two(name),
        None => name.len(),
    };
    if is_content(name.get(start..).unwrap_or_default()) { name.len() } else { start }
}

/// The registered domain of `name`, which is in lower case; empty where it has none.
#[must_use]
pub(crate) fn domain(name: &[u8]) -> &[u8] {
    name.get(domain_start(name)..).unwrap_or_default()
}

/// Who has a name, by the public-suffix list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody alone: it is a suffix below which anybody may register.
    Anybody,
    /// A customer of whoever gives out names below a suffix of their own.
    Customer,
    /// Whoever registered its domain.
    Registrant,
}

/// Who has `name`, which is in lower case and without its last dot.
#[must_use]
pub(crate) fn holder(name: &[u8]) -> Holder {
    match psl::suffix(name).and_then(|suffix| suffix.typ()) {
        _ if psl::domain(name).is_none() => Holder::Anybody,
        Some(psl::Type::Private) => Holder::Customer,
        _ => Holder::Registrant,
    }
}

/// Whether the label before the suffix is content itself.
fn is_content(domain: &[u8]) -> bool {
    let label = domain.split(|byte| *byte == b'.').next().unwrap_or_default();
    label_bytes(label) > OWN_LABEL_MAX_BYTES
}

/// Top-level domains are alphabetic (RFC 3696 section 2) and people keep to that in private zones;
/// encoded content of that many bytes has a digit in it or is longer.
fn is_private_suffix(name: &[u8]) -> bool {
    let mut labels = name.rsplit(|byte| *byte == b'.');
    let last = labels.next().unwrap_or_default();
    let is_word =
        last.len() <= PRIVATE_SUFFIX_MAX_BYTES && last.iter().all(u8::is_ascii_alphabetic);
    !last.is_empty() && is_word && labels.next().is_some_and(|label| !label.is_empty())
}

/// Where the last two labels begin.
fn last_two(name: &[u8]) -> usize {
    let mut dots = (0..name.len()).rev().filter(|&at| name.get(at) == Some(&b'.'));
    dots.nth(1).map_or(0, |dot| dot + 1)
}

/// What is before the domain that begins at `start`, without the dot between them.
#[must_use]
pub(crate) fn subdomain(name: &[u8], start: usize) -> &[u8] {
    let end = if start < name.len() { start.saturating_sub(1) } else { start };
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{domain_start, subdomain};

    #[track_caller]
    fn check(name: &str, expected_subdomain: &str, expected_domain: &str) {
        let start = domain_start(name.as_bytes());
        assert_eq!(&name[start..], expected_domain, "{name}");
        assert_eq!(subdomain(name.as_bytes(), start), expected_subdomain.as_bytes(), "{name}");
    }

    #[test]
    fn names_have_one_domain() {
        check("www.site.example.com", "www.site", "example.com");
        check("example.co.uk", "", "example.co.uk");
        check("a.b.example.co.uk", "a.b", "example.co.uk");
        // Whoever may register below a suffix is a domain of their own.
        check("x.thief.duckdns.org", "x", "thief.duckdns.org");
        check("com", "", "com");
    }

    #[test]
    fn names_outside_of_the_list_have_one_too() {
        check("abc.pirate.sea", "abc", "pirate.sea");
        check("h4sIC.test.txt", "h4sIC", "test.txt");
        check("_ldap._tcp.dc.corp.local", "_ldap._tcp.dc", "corp.local");
        check("dnscat.9fd1017b", "dnscat.9fd1017b", "");
        check("wpad", "wpad", "");
        check("", "", "");
        check("a..", "a..", "");
    }

    /// A tool that asks its own server may put its content wherever a domain would be.
    #[test]
    fn content_is_no_domain() {
        let coded = "0123456789abcdef0123456789abcdef0";
        check(&format!("x.{coded}.com"), &format!("x.{coded}.com"), "");
        check(&format!("{coded}.sea"), &format!("{coded}.sea"), "");
        let balancer = format!("{coded}.us-east-1.elb.amazonaws.com");
        check(&balancer, "", &balancer);
        check("www.internationalbusinessmachines.com", "www", "internationalbusinessmachines.com");
    }

    #[test]
    fn addresses_have_their_tree() {
        check("1.2.0.192.in-addr.arpa", "1.2.0.192", "in-addr.arpa");
        check("b._dns-sd._udp.0.2.0.192.in-addr.arpa", "b._dns-sd._udp.0.2.0.192", "in-addr.arpa");
        check("1.0.8.b.d.0.1.0.0.2.ip6.arpa", "1.0.8.b.d.0.1.0.0.2", "ip6.arpa");
    }

    #[test]
    fn labels_may_hold_anything() {
        check("a..b..example.com", "a..b.", "example.com");
        check("..", "..", "");
        let name = [&[0xff, b'.', 0, b'.'][..], b"example.com"].concat();
        assert_eq!(domain_start(&name), 4);
    }
}
