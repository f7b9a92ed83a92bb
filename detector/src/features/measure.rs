//! The arithmetic of the columns: ratios, deviations and logarithms that stay finite on anything.

use detector_common::parse::protocol;

use crate::flow::content::Mean;
use crate::flow::content::Protocol;
use crate::flow::content::echo::Icmp;
use crate::flow::dns::{Dns, DnsNames};
use crate::flow::session::inter_arrival::{InterArrival, InterArrivalStats};
use crate::flow::{Session, Side, Volume};

use super::session::Sample;

/// Value of a column that does not apply: an ICMP column of a TCP session, a mean of nothing.
pub(super) const ABSENT: f32 = -1.0;

/// log2(1 + value).
pub(super) fn log2(value: f64) -> f32 {
    (value.max(0.0) as f32 + 1.0).log2()
}

pub(super) fn ratio(part: u64, whole: u64) -> f32 {
    if whole == 0 { ABSENT } else { (part as f64 / whole as f64) as f32 }
}

/// (sent − received) / (sent + received) on payload bytes, 0 where neither end sent any.
pub(super) fn producer_consumer(sample: &Sample<'_>) -> f32 {
    let (sent, received) =
        (sample.sent.payload_bytes() as f64, sample.received.payload_bytes() as f64);
    if sent + received == 0.0 { 0.0 } else { ((sent - received) / (sent + received)) as f32 }
}

/// Of all packets that were seen, as are the other columns about their shape: what was dropped has one, too.
pub(super) fn size_mean(volume: &Volume) -> f32 {
    ratio(volume.seen_bytes, volume.seen_packets).max(0.0)
}

pub(super) fn size_deviation(volume: &Volume) -> f32 {
    if volume.seen_packets == 0 {
        return 0.0;
    }
    let packets = volume.seen_packets as f64;
    let mean = volume.seen_bytes as f64 / packets;
    (volume.size_square_sum as f64 / packets - mean * mean).max(0.0).sqrt() as f32
}

pub(super) fn payload_per_packet(volume: &Volume) -> f32 {
    ratio(volume.seen_payload_bytes, volume.payload_packets).max(0.0)
}

/// Seconds from the first to the last packet.
pub(super) fn duration_secs(session: &Session) -> f64 {
    session.duration_ns() as f64 / 1e9
}

/// Payload bytes per second. Below a second the session counts as one second long: rates of shorter
/// ones are those of the line, and of clocks that did not move.
pub(super) fn rate(volume: &Volume, session: &Session) -> f32 {
    log2(volume.payload_bytes() as f64 / duration_secs(session).max(1.0))
}

/// Root mean square of the gaps in seconds.
pub(super) fn gap_rms(volume: &Volume) -> f32 {
    if volume.seen_packets < 2 {
        return ABSENT;
    }
    log2((volume.gap_square_sum as f64 / (volume.seen_packets - 1) as f64).sqrt())
}

/// Bursts are what silences of a second leave: one per flow, and one for each such silence.
pub(super) fn burst_count(sample: &Sample<'_>) -> u64 {
    sample.sent.bursts + sample.session.flows.max(1)
}

/// How evenly the sender's bursts are spread: bursts x sum of squared gaps over the squared
/// duration. 1 where every gap is alike, larger the more they differ.
pub(super) fn burst_evenness(sample: &Sample<'_>) -> f32 {
    let hundredths = duration_secs(sample.session) * 100.0;
    if sample.sent.bursts < 4 || hundredths < 1.0 {
        return ABSENT;
    }
    let gaps = sample.sent.bursts as f64 * sample.sent.gap_square_sum as f64;
    log2(gaps / (hundredths * hundredths))
}

/// A column of the beat in which a session's flows begin.
pub(super) fn inter_arrival(sample: &Sample<'_>, value: impl Fn(&InterArrivalStats) -> f32) -> f32 {
    sample
        .session
        .inter_arrival
        .as_deref()
        .and_then(InterArrival::stats)
        .as_ref()
        .map_or(ABSENT, value)
}

/// Whether the receiver has a name.
pub(super) fn receiver_name<'a>(sample: &Sample<'a>) -> Option<&'a str> {
    match sample.sender {
        Side::Client => sample.session.name.as_deref(),
        Side::Server => sample.session.client_name.as_deref(),
    }
}

/// TCP 1, UDP 2, ICMP 3, ESP, AH and GRE 4, anything else 0.
pub(super) fn protocol_class(number: u8) -> f32 {
    match number {
        protocol::TCP => 1.0,
        protocol::UDP => 2.0,
        protocol::ICMP | protocol::ICMPV6 => 3.0,
        protocol::ESP | protocol::AUTHENTICATION | protocol::GRE => 4.0,
        _ => 0.0,
    }
}

/// The kind of service a port is assigned to, by IANA's registry.
pub(super) fn service_class(port: u16) -> f32 {
    match port {
        0 => 0.0,
        53 | 853 | 5353 | 5355 => 1.0,
        80 | 443 | 3128 | 8000 | 8080 | 8443 => 2.0,
        25 | 110 | 143 | 465 | 587 | 993 | 995 => 3.0,
        20 | 21 | 69 | 139 | 445 | 873 | 989 | 990 | 2049 => 4.0,
        22 | 23 | 3389 | 5900..=5903 => 5.0,
        67 | 68 | 88 | 123 | 137 | 138 | 161 | 162 | 389 | 514 | 546 | 547 | 636 | 1900 => 6.0,
        500 | 1194 | 1701 | 1723 | 4500 | 51820 => 7.0,
        1..1024 => 8.0,
        1024..49152 => 9.0,
        _ => 10.0,
    }
}

pub(super) fn mean(value: &Mean) -> f32 {
    value.mean().map_or(ABSENT, |mean| mean as f32)
}

/// A column of who asks below a domain: the queries are the client's, and say nothing about the
/// server.
pub(super) fn names(sample: &Sample<'_>, value: impl Fn(&DnsNames, &Dns) -> f32) -> f32 {
    let dns = sample.session.first_payloads.dns.as_deref().filter(|dns| dns.queries != 0);
    match (sample.sender, dns) {
        (Side::Client, Some(dns)) => dns.names.as_deref().map_or(ABSENT, |names| value(names, dns)),
        _ => ABSENT,
    }
}

/// Distinct subdomains: the sketch may be off by a few, never beyond the queries there were.
pub(super) fn distinct(names: &DnsNames, dns: &Dns) -> u64 {
    (names.distinct.count().round() as u64).clamp(u64::from(dns.queries != 0), dns.queries.max(1))
}

/// A column of sessions with ICMP messages.
pub(super) fn icmp(sample: &Sample<'_>, value: impl Fn(&Icmp) -> f32) -> f32 {
    sample.session.first_payloads.icmp.as_deref().map_or(ABSENT, value)
}

pub(super) fn sent_entropy(sample: &Sample<'_>) -> f32 {
    let payloads = &sample.session.first_payloads;
    match sample.sender {
        Side::Client => mean(&payloads.up_entropy),
        Side::Server => mean(&payloads.down_entropy),
    }
}

pub(super) fn received_entropy(sample: &Sample<'_>) -> f32 {
    let payloads = &sample.session.first_payloads;
    match sample.sender {
        Side::Client => mean(&payloads.down_entropy),
        Side::Server => mean(&payloads.up_entropy),
    }
}

pub(super) fn sent_printable(sample: &Sample<'_>) -> f32 {
    let payloads = &sample.session.first_payloads;
    match sample.sender {
        Side::Client => mean(&payloads.up_printable),
        Side::Server => mean(&payloads.down_printable),
    }
}

pub(super) fn head_protocol(sample: &Sample<'_>) -> f32 {
    let payloads = &sample.session.first_payloads;
    let Some(protocol) = payloads.opened_as() else {
        return if payloads.count == 0 { ABSENT } else { 0.0 };
    };
    match protocol {
        Protocol::Tls => 1.0,
        Protocol::Quic => 2.0,
        Protocol::Ssh => 3.0,
        Protocol::Http | Protocol::Http2 => 4.0,
        Protocol::Smtp | Protocol::Pop3 | Protocol::Imap => 5.0,
        Protocol::Ftp => 6.0,
        Protocol::Dns => 7.0,
        _ => 8.0,
    }
}

/// What the payload is against what the port is assigned to, see the column of this name.
pub(super) fn head_against_port(sample: &Sample<'_>) -> f32 {
    let payloads = &sample.session.first_payloads;
    if payloads.count == 0 {
        return ABSENT;
    }
    match (assigned(sample.session.key.server_port), payloads.opened_as()) {
        ([], Some(Protocol::Tls | Protocol::Ssh)) => 3.0,
        ([], _) => 0.0,
        (assigned, Some(found)) if assigned.contains(&found) => 0.0,
        (_, Some(Protocol::Tls | Protocol::Ssh)) => 3.0,
        (_, Some(_)) => 1.0,
        (_, None) => 2.0,
    }
}

/// The protocols of the ports that are let through nearly everywhere, by IANA's registry.
fn assigned(port: u16) -> &'static [Protocol] {
    match port {
        21 => &[Protocol::Ftp],
        22 => &[Protocol::Ssh],
        25 | 587 => &[Protocol::Smtp],
        53 => &[Protocol::Dns],
        80 | 8080 => &[Protocol::Http, Protocol::Http2],
        110 => &[Protocol::Pop3],
        143 => &[Protocol::Imap],
        443 => &[Protocol::Tls, Protocol::Quic, Protocol::Http2],
        465 | 636 | 853 | 989 | 990 | 993 | 995 | 5061 | 8443 => &[Protocol::Tls, Protocol::Quic],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example::session;
    use crate::flow::SessionKey;

    #[test]
    fn protocols_are_held_against_ports() {
        let check = |server_port: u16, protocol: Option<Protocol>, expected: f32| {
            let mut session =
                session(SessionKey { protocol: 6, server_port, ..SessionKey::default() });
            session.first_payloads.count = 1;
            session.first_payloads.protocol = protocol;
            let sample = Sample::new(&session, Side::Client, 0);
            assert_eq!(head_against_port(&sample), expected, "{server_port} {protocol:?}");
        };
        check(443, Some(Protocol::Tls), 0.0);
        check(443, Some(Protocol::Http), 1.0);
        check(443, None, 2.0);
        check(80, Some(Protocol::Tls), 3.0);
        check(4_444, Some(Protocol::Tls), 3.0);
        check(4_444, Some(Protocol::Http), 0.0);
        check(4_444, None, 0.0);
    }
}
