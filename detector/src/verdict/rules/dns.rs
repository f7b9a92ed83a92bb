//! Data in DNS names, and tunnels inside encrypted DNS.
//!
//! Names are scored for each client and registered domain, by what their labels can carry and not
//! by whose they are: see [`crate::flow::dns::entropy_sketch`]. Content in words of a dictionary
//! looks like host names and is not found here.

use detector_common::parse::protocol;

use crate::features::Sample;
use crate::flow::Side;
use crate::flow::dns::entropy_sketch::Carried;
use crate::flow::dns::{Dns, DnsNames};
use crate::verdict::Technique;

use super::services::is_resolver;
use super::{Found, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "dns_name_information",
        meaning: "the distinct labels queried below one domain carry much more than host names do",
        source: "ibHH (NDSS 2024): information of distinct subdomains; on the benign labelled \
            captures, host names carry at most 14 bytes below any domain",
        may_block: true,
        excused_by_baseline: false,
        find: name_information,
    },
    Rule {
        name: "dns_single_query",
        meaning: "one query name carries encoded content",
        source: "arithmetic: 100 bytes are 160 letters of base32, three labels that carry 66 bytes \
                 beyond those of host names; the hash of a file is one label of 23",
        may_block: true,
        excused_by_baseline: false,
        find: single_query,
    },
    Rule {
        name: "dns_tunnel",
        meaning: "non-repeating queries for record types that carry content are answered",
        source: "the record types are those of RFC 1035, RFC 2782 and of private use (RFC 6895) \
            that \
                 iodine, dnscat2 and dns2tcp offer; tunnels in the labelled captures repeat no \
                 name",
        may_block: true,
        excused_by_baseline: false,
        find: tunnel,
    },
    Rule {
        name: "dns_hidden_bytes",
        meaning: "what a client sends to a DNS server is mostly no question: bytes behind messages, options, or no message at all",
        source: "RFC 6891: an EDNS record without options has 11 bytes, RFC 7873: a cookie 28; the \
                 tickets of a dynamic update (RFC 3645) stay below 16 KiB",
        may_block: true,
        excused_by_baseline: false,
        find: hidden,
    },
    Rule {
        name: "doh_polling",
        meaning: "hundreds of requests to a DNS resolver over HTTPS, nearly all repeated: a \
            caching client does not repeat them, a tunnel's polling does",
        source: "HPACK (RFC 7541) shortens repeated requests; measured on the labelled captures: \
            tunnels \
                 50 to 54 bytes in 900 packets and more, browsers 68 to 90",
        may_block: true,
        excused_by_baseline: false,
        find: polling,
    },
    Rule {
        name: "encrypted_dns_large_requests",
        meaning: "requests to an encrypted DNS resolver that are too large for host names",
        source: "RFC 8467 pads queries to 128 bytes: 215 with headers and TLS, 240 as base64 in a \
            path; a query that needs 256 bytes asks for a name of 117 and more",
        may_block: true,
        excused_by_baseline: false,
        find: large_requests,
    },
];

/// Coded bytes that are an exfiltration: nine times what was seen below any domain of ordinary
/// hosts, and ten look-ups of a measurement that makes a name of 32 hexadecimal digits for each
/// visit.
const CODED_BYTES: f64 = 128.0;
/// The same where names have bytes that no host name has.
const CODED_FOREIGN_BYTES: f64 = 64.0;
/// Coded bytes beyond which there is little doubt.
const CODED_SURE_BYTES: f64 = 512.0;
/// Share of what the labels carry that is coded: seven times that of 15,304 labels of public
/// domains (netrack/learn), as they are asked for below a search domain, and a seventh of that of
/// tunnels.
const CODED_SHARE: f64 = 0.1;
/// Many labels that are short: 8 KiB in labels of 5 bytes and more, twelve random characters.
/// Labels of public domains carry 3.6 on average.
const SHORT_LABELS_BYTES: f64 = 8_192.0;
const SHORT_LABEL_BYTES: f64 = 5.0;
/// Bytes a second below which a sum is that of a long time: a seventh of the slowest exfiltration
/// that ibHH finds (0.7 B/s).
const SLOWEST_BYTES_PER_SECOND: f64 = 0.1;

/// Coded bytes of one name, and where it has bytes that no host name has.
const SINGLE_BYTES: f64 = 40.0;
const SINGLE_FOREIGN_BYTES: f64 = 16.0;

/// Queries from which their ways can be determined.
const TUNNEL_QUERIES: u64 = 30;
const TUNNEL_DISTINCT_SHARE: f64 = 0.9;
const TUNNEL_CARRIER_SHARE: f64 = 0.5;
/// What each query adds to the labels known: letters of a counter at least.
const TUNNEL_BYTES_PER_QUERY: f64 = 2.0;

/// Request packets from which their mean can be determined: the handshake is a hundredth of them.
const POLLING_PACKETS: u64 = 500;
/// A request for a name not asked before takes some 80 bytes over HTTP/2: 24 of TLS, 18 of frames,
/// an index for each header and the message.
const POLLING_BYTES: f64 = 60.0;
const LARGE_PACKETS: u64 = 100;
const LARGE_BYTES: f64 = 260.0;
const HTTPS_PORT: u16 = 443;
/// DNS over TLS and over QUIC (RFC 7858, RFC 9250).
const DOT_PORT: u16 = 853;

/// The client's questions below a domain. Services that are asked by content are not scored at all.
fn asked<'a>(sample: &Sample<'a>) -> Option<(&'a Dns, &'a DnsNames, &'a str)> {
    let domain = sample.session.domain.as_deref()?;
    let dns = sample.session.first_payloads.dns.as_deref()?;
    let names = dns.names.as_deref()?;
    let asks = sample.sender == Side::Client && dns.queries != 0;
    asks.then_some((dns, names, domain))
}

fn hidden(sample: &Sample<'_>) -> Option<Found> {
    let dns = sample.session.first_payloads.dns.as_deref()?;
    let asks = sample.session.domain.is_none() && sample.sender == Side::Client;
    (asks && dns.hides()).then(|| Found {
        certainty: 0.85,
        technique: Technique::DnsTunnel,
        text: format!(
            "sent {} to a DNS server beside the questions of {} queries",
            crate::units::bytes(dns.hidden_bytes),
            dns.queries
        ),
    })
}

fn name_information(sample: &Sample<'_>) -> Option<Found> {
    let (dns, names, domain) = asked(sample)?;
    let carried = names.information.sum();
    let seconds = (sample.session.duration_ns() as f64 / 1e9).max(1.0);
    if carried.bytes / seconds < SLOWEST_BYTES_PER_SECOND {
        return None;
    }
    let is_foreign = names.foreign >= dns.queries;
    let certainty = information_certainty(&carried, is_foreign)?;
    let text = format!(
        "{} queries below {domain} in {}: names that carry {:.0} bytes, {:.0} of them more than \
         host \
         names do",
        dns.queries,
        crate::units::seconds(seconds),
        carried.bytes,
        carried.coded_bytes
    );
    Some(Found { certainty, technique: Technique::DnsTunnel, text })
}

fn information_certainty(carried: &Carried, is_foreign: bool) -> Option<f64> {
    let enough = if is_foreign { CODED_FOREIGN_BYTES } else { CODED_BYTES };
    let coded = carried.coded_bytes >= enough && carried.coded_bytes >= CODED_SHARE * carried.bytes;
    let short =
        carried.bytes >= SHORT_LABELS_BYTES && carried.bytes >= SHORT_LABEL_BYTES * carried.labels;
    match (coded, short) {
        (true, _) if carried.coded_bytes >= CODED_SURE_BYTES => Some(0.99),
        (true, _) | (_, true) => Some(0.97),
        _ => None,
    }
}

fn single_query(sample: &Sample<'_>) -> Option<Found> {
    let (_, names, domain) = asked(sample)?;
    let enough = if names.richest_foreign { SINGLE_FOREIGN_BYTES } else { SINGLE_BYTES };
    (names.richest_bytes >= enough).then(|| Found {
        certainty: 0.9,
        technique: Technique::DnsTunnel,
        text: format!(
            "one query below {domain} carries {:.0} bytes more than host names do, in {} letters",
            names.richest_bytes, names.longest_name
        ),
    })
}

fn tunnel(sample: &Sample<'_>) -> Option<Found> {
    let (dns, names, domain) = asked(sample)?;
    let queries = dns.queries as f64;
    let is_tunnel = dns.queries >= TUNNEL_QUERIES
        && names.distinct.count() >= TUNNEL_DISTINCT_SHARE * queries
        && names.carriers() as f64 >= TUNNEL_CARRIER_SHARE * queries
        && names.information.sum().bytes >= TUNNEL_BYTES_PER_QUERY * queries
        && dns.responses.saturating_sub(names.failures) as f64 >= 0.5 * queries;
    is_tunnel.then(|| Found {
        certainty: 0.95,
        technique: Technique::DnsTunnel,
        text: format!(
            "{} queries below {domain}, hardly any repeated, were answered with {} of content",
            dns.queries,
            crate::units::bytes(names.answer_bytes)
        ),
    })
}

/// Mean payload of the client's packets to an encrypted resolver, from `packets` on.
fn request_bytes(sample: &Sample<'_>, packets: u64) -> Option<f64> {
    let sent = sample.sent;
    let enough = sample.sender == Side::Client && sent.payload_packets >= packets;
    enough.then(|| sent.seen_payload_bytes as f64 / sent.payload_packets as f64)
}

fn is_https_resolver(sample: &Sample<'_>) -> bool {
    let session = sample.session;
    session.key.server_port == HTTPS_PORT && session.name.as_deref().is_some_and(is_resolver)
}

/// Over TCP only: packets of QUIC are mostly acknowledgements.
fn polling(sample: &Sample<'_>) -> Option<Found> {
    let mean = request_bytes(sample, POLLING_PACKETS)?;
    let is_tcp = sample.session.key.protocol == protocol::TCP;
    (is_tcp && mean < POLLING_BYTES && is_https_resolver(sample)).then(|| Found {
        certainty: 0.95,
        technique: Technique::DnsTunnel,
        text: format!(
            "{} packets to a DNS resolver over HTTPS, of {mean:.0} bytes on average: nearly all \
             repeat an earlier one",
            sample.sent.payload_packets
        ),
    })
}

fn large_requests(sample: &Sample<'_>) -> Option<Found> {
    let mean = request_bytes(sample, LARGE_PACKETS)?;
    let is_resolver = || sample.session.key.server_port == DOT_PORT || is_https_resolver(sample);
    (mean >= LARGE_BYTES && is_resolver()).then(|| Found {
        certainty: 0.9,
        technique: Technique::DnsTunnel,
        text: format!(
            "{} packets to an encrypted DNS resolver, of {mean:.0} bytes on average: long names",
            sample.sent.payload_packets
        ),
    })
}
