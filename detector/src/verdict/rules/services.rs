//! Services whose protocol is content in DNS names, and names of DNS resolvers.
//!
//! Kept short: what only looks like content (networks of content delivery, clouds) is left to the
//! arithmetic. Whoever can register a name under one of these is its owner alone.

/// Registered domains of services that are asked about files, addresses and senders by their hash.
const LOOKUP_SERVICES: [&str; 35] = [
    // Files and addresses, by antivirus programs: their makers' own documentation.
    "avast.com",
    "avg.com",
    "avira.com",
    "bitdefender.net",
    "cymru.com",
    "e5.sk",
    "eset.com",
    "f-secure.com",
    "fsapi.com",
    "kaspersky-labs.com",
    "kaspersky.com",
    "mcafee.com",
    "sophosxl.net",
    "symantec.com",
    "trellix.com",
    "trendmicro.com",
    "webroot.com",
    // Addresses, domains and hashes of mail (RFC 5782).
    "abuse.ch",
    "abuseat.org",
    "barracudacentral.org",
    "dnswl.org",
    "habeas.com",
    "mailspike.net",
    "msbl.org",
    "rspamd.com",
    "senderbase.org",
    "senderscore.com",
    "sorbs.net",
    "spamcop.net",
    "spamhaus.net",
    "spamhaus.org",
    "surbl.org",
    "uribl.com",
    // Measurements that make a name for each visit.
    "footprintdns.com",
    "ripe.net",
];

/// Whether names below this registered domain are questions to a service that is asked by content.
pub(in crate::verdict) fn is_lookup_service(domain: &str) -> bool {
    LOOKUP_SERVICES.contains(&domain)
}

/// Whether a server's name is that of a DNS resolver: they call themselves so.
///
/// dns.google, doh.opendns.com, cloudflare-dns.com, dns10.quad9.net, doh.cleanbrowsing.org,
/// dns.adguard.com, abc123.dns.nextdns.io and so on; one.one.one.one alone does not.
pub(super) fn is_resolver(name: &str) -> bool {
    let says_so = |label: &str| {
        ["dns", "doh"].iter().any(|word| label.starts_with(word) || label.ends_with(word))
    };
    name == "one.one.one.one" || name.split('.').any(says_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_call_themselves_so() {
        let check = |name, expected| assert_eq!(is_resolver(name), expected, "{name}");
        for name in [
            "cloudflare-dns.com",
            "mozilla.cloudflare-dns.com",
            "dns.google",
            "dns10.quad9.net",
            "doh.opendns.com",
            "dns.nextdns.io",
            "one.one.one.one",
        ] {
            check(name, true);
        }
        check("www.example.com", false);
        check("goodohio.example", false);
    }

    #[test]
    fn services_are_named_whole() {
        assert!(is_lookup_service("mcafee.com"));
        assert!(!is_lookup_service("notmcafee.com"));
        assert!(!is_lookup_service("example.com"));
    }
}
