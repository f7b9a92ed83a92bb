//! The table of columns: the one place where a column is named, explained and computed.
//!
//! A new column is one row, anywhere: models and stored vectors refer to columns by name and hash.
//! Whoever changes what a column computes raises its version, and models that read it are refused.
//! `docs/features.md` is generated from the table.

use super::columns::column_hash;
use super::measure::{
    ABSENT, burst_count, burst_evenness, distinct, duration_secs, gap_rms, head_against_port,
    head_protocol, icmp, inter_arrival, log2, mean, names, payload_per_packet, producer_consumer,
    protocol_class, rate, ratio, received_entropy, receiver_name, sent_entropy, sent_printable,
    service_class, size_deviation, size_mean,
};
use super::record;
use super::session::Sample;
use crate::flow::Side;

/// The schema's name in model files.
pub const SCHEMA_NAME: &str = "session";

/// One column of the vector.
pub struct Column {
    pub name: &'static str,
    /// Of the definition: raised when the same name and unit are computed otherwise.
    pub version: u32,
    pub meaning: &'static str,
    pub unit: &'static str,
    /// What the value is read from.
    pub source: Source,
    pub value: fn(&Sample<'_>) -> f32,
}

impl Column {
    /// What models and stored vectors know the column's definition by.
    #[must_use]
    pub fn hash(&self) -> u64 {
        column_hash(self.name, self.unit, self.version)
    }
}

/// Where a column's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Counters of every packet.
    Counters,
    /// The clock of the packets, in steps of 10 ms.
    Times,
    /// The flows that make up the session.
    Flows,
    /// Names learned from DNS answers, TLS and HTTP.
    Names,
    /// Decoded DNS messages.
    Dns,
    /// ICMP echo payloads.
    Icmp,
    /// First payload bytes of the flows.
    PayloadSamples,
    /// What the host did before.
    History,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Times => "packet times",
            Self::Flows => "flows",
            Self::Names => "learned names",
            Self::Dns => "DNS messages",
            Self::Icmp => "ICMP payloads",
            Self::PayloadSamples => "payload samples",
            Self::History => "the host's history",
        }
    }
}

macro_rules! columns {
    ($($name:literal, $version:literal, $unit:literal, $source:ident, $meaning:literal, $value:expr;)+) => {
        /// The columns in the order of the vector. *Sender* is the end that is scored, *receiver*
        /// the other one.
        pub const COLUMNS: &[Column] = &[$(Column {
            name: $name,
            version: $version,
            meaning: $meaning,
            unit: $unit,
            source: Source::$source,
            value: $value,
        }),+];
    };
}

columns! {
    "sent_payload", 1, "log2(1 + bytes)", Counters,
        "payload the sender sent",
        |s| log2(s.sent.payload_bytes() as f64);
    "received_payload", 1, "log2(1 + bytes)", Counters,
        "payload the sender received",
        |s| log2(s.received.payload_bytes() as f64);
    "producer_consumer_ratio", 1, "-1 to 1", Counters,
        "(sent - received) / (sent + received) payload bytes",
        producer_consumer;
    "sent_packets", 1, "log2(1 + packets)", Counters,
        "packets the sender sent",
        |s| log2(s.sent.packets() as f64);
    "sent_packet_share", 1, "0 to 1", Counters,
        "share of the session's packets that the sender sent",
        |s| ratio(s.sent.packets(), s.session.packets());
    "sent_size_mean", 1, "bytes", Counters,
        "mean IP size of the sender's segments",
        |s| size_mean(s.sent);
    "sent_size_deviation", 1, "bytes", Counters,
        "standard deviation of the IP size of the sender's segments",
        |s| size_deviation(s.sent);
    "received_size_mean", 1, "bytes", Counters,
        "mean IP size of the receiver's segments",
        |s| size_mean(s.received);
    "received_size_deviation", 1, "bytes", Counters,
        "standard deviation of the IP size of the receiver's segments",
        |s| size_deviation(s.received);
    "sent_size_largest", 1, "bytes", Counters,
        "largest IP size of the sender's segments",
        |s| f32::from(s.sent.size_max);
    "sent_fullness", 1, "0 to 1", Counters,
        "mean over largest size of the sender's segments: near 1 where all are full",
        |s| if s.sent.size_max == 0 { ABSENT } else { size_mean(s.sent) / f32::from(s.sent.size_max) };
    "sent_payload_per_packet", 1, "bytes", Counters,
        "mean payload of the sender's packets that have any",
        |s| payload_per_packet(s.sent);
    "received_payload_per_packet", 1, "bytes", Counters,
        "mean payload of the receiver's packets that have any",
        |s| payload_per_packet(s.received);
    "sent_payload_packet_share", 1, "0 to 1", Counters,
        "share of the sender's packets that have payload",
        |s| ratio(s.sent.payload_packets, s.sent.seen_packets);
    "sent_retransmitted_share", 1, "0 to 1", Counters,
        "share of the sender's TCP payload that was sent again",
        |s| ratio(s.sent.retransmitted_bytes, s.sent.seen_payload_bytes);
    "duration", 1, "log2(1 + seconds)", Times,
        "time from the session's first packet to its last",
        |s| log2(duration_secs(s.session));
    "sent_rate", 1, "log2(1 + bytes/s)", Times,
        "payload sent divided by the duration, at least a second",
        |s| rate(s.sent, s.session);
    "sent_gap_rms", 1, "log2(1 + 10 ms)", Times,
        "root mean square of the gaps between the sender's packets",
        |s| gap_rms(s.sent);
    "sent_gap_longest", 1, "log2(1 + 10 ms)", Times,
        "longest gap between the sender's packets",
        |s| log2(f64::from(s.sent.gap_max));
    "sent_bursts", 1, "log2(1 + bursts)", Times,
        "bursts of the sender: a silence of a second, or a new flow, starts one",
        |s| log2(burst_count(s) as f64);
    "sent_bytes_per_burst", 1, "log2(1 + bytes)", Times,
        "payload sent per burst",
        |s| log2(s.sent.payload_bytes() as f64 / burst_count(s) as f64);
    "sent_burst_evenness", 1, "log2(1 + ratio), -1 below four bursts", Times,
        "bursts x squared gaps / squared duration: 1 when all silences are equally long",
        burst_evenness;
    "flow_interval", 1, "log2(1 + seconds), -1 below four intervals", Flows,
        "median interval between the beginnings of flows",
        |s| inter_arrival(s, |b| log2(b.median));
    "flow_interval_deviation", 1, "ratio up to 4, -1 below four intervals", Flows,
        "median absolute deviation of these intervals over their median",
        |s| inter_arrival(s, |b| b.deviation.min(4.0) as f32);
    "flow_interval_skew", 1, "0 to 1, -1 below four intervals", Flows,
        "Bowley's skew of these intervals, without its sign",
        |s| inter_arrival(s, |b| b.skew as f32);
    "flows", 1, "log2(1 + flows)", Flows,
        "flows of the session",
        |s| log2(s.session.flows as f64);
    "flows_answered_share", 1, "0 to 1", Flows,
        "share of the flows in which both ends sent",
        |s| ratio(s.session.flows_answered, s.session.flows);
    "sent_bytes_per_flow", 1, "log2(1 + bytes)", Flows,
        "payload sent per flow",
        |s| log2(s.sent.payload_bytes() as f64 / s.session.flows.max(1) as f64);
    "sender_opened", 1, "0 or 1", Flows,
        "the sender opened the session",
        |s| f32::from(u8::from(s.sender == Side::Client));
    "protocol", 1, "class", Counters,
        "1 TCP, 2 UDP, 3 ICMP, 4 GRE, ESP and AH, 0 other",
        |s| protocol_class(s.session.key.protocol);
    "service", 1, "class", Counters,
        "kind of service that the server's port is assigned to: 0 none, 1 names, 2 web, 3 mail, 4 \
         files, 5 remote login, 6 directory, time and management, 7 VPN, 8 other below 1024, 9 \
         below 49152, 10 above",
        |s| service_class(s.session.key.server_port);
    "receiver_named", 1, "0 or 1", Names,
        "a name of the receiver is known",
        |s| f32::from(u8::from(receiver_name(s).is_some()));
    "receiver_name_length", 1, "bytes, -1 none", Names,
        "length of the receiver's name",
        |s| receiver_name(s).map_or(ABSENT, |name| name.len() as f32);
    "dns_queries", 1, "log2(1 + queries), -1 no query", Dns,
        "DNS queries below one registered domain",
        |s| names(s, |_, d| log2(d.queries as f64));
    "dns_name_length", 1, "bytes, -1 no query", Dns,
        "mean length of the queried subdomains",
        |s| names(s, |n, d| ratio(n.name_bytes, d.queries));
    "dns_longest_name", 1, "bytes, -1 no query", Dns,
        "longest queried subdomain",
        |s| names(s, |n, _| f32::from(n.longest_name));
    "dns_longest_label", 1, "bytes, -1 no query", Dns,
        "longest label of any subdomain",
        |s| names(s, |n, _| f32::from(n.longest_label));
    "dns_labels", 1, "labels, -1 no query", Dns,
        "mean number of labels of the subdomains",
        |s| names(s, |n, d| ratio(n.label_count, d.queries));
    "dns_distinct_share", 1, "0 to 1, -1 no query", Dns,
        "share of the queries whose name is new",
        |s| names(s, |n, d| ratio(distinct(n, d), d.queries));
    "dns_name_entropy", 1, "bits per byte, -1 no query", Dns,
        "mean Shannon entropy of the subdomains",
        |s| names(s, |n, _| mean(&n.entropy));
    "dns_digit_share", 1, "0 to 1, -1 no query", Dns,
        "share of digits in the subdomains",
        |s| names(s, |n, _| ratio(n.digits, n.name_bytes));
    "dns_uppercase_share", 1, "0 to 1, -1 no query", Dns,
        "share of letters in upper case in the subdomains",
        |s| names(s, |n, _| ratio(n.uppercase, n.name_bytes));
    "dns_foreign_share", 1, "0 to 1, -1 no query", Dns,
        "share of bytes in the subdomains that host names never have",
        |s| names(s, |n, _| ratio(n.foreign, n.name_bytes));
    "dns_information", 1, "log2(1 + bytes), -1 no query", Dns,
        "capacity of the distinct labels of the subdomains: length x entropy / 8 of each",
        |s| names(s, |n, _| log2(n.information.sum().bytes));
    "dns_coded_information", 1, "log2(1 + bytes), -1 no query", Dns,
        "dns_information beyond the capacity of ordinary host names",
        |s| names(s, |n, _| log2(n.information.sum().coded_bytes));
    "dns_information_rate", 1, "log2(1 + bytes/s), -1 no query", Times,
        "dns_information divided by the duration, at least a second",
        |s| names(s, |n, _| log2(n.information.sum().bytes / duration_secs(s.session).max(1.0)));
    "dns_information_per_query", 1, "bytes, -1 no query", Dns,
        "dns_information divided by the number of queries",
        |s| names(s, |n, d| (n.information.sum().bytes / d.queries.max(1) as f64) as f32);
    "dns_carrier_share", 1, "0 to 1, -1 no query", Dns,
        "share of the queries of types that carry free content: TXT, NULL, CNAME, MX, SRV and \
         unusual ones",
        |s| names(s, |n, d| ratio(n.carriers(), d.queries));
    "dns_failure_share", 1, "0 to 1, -1 no query", Dns,
        "share of the responses that report a failure",
        |s| names(s, |n, d| ratio(n.failures, d.responses));
    "dns_answer_size", 1, "bytes, -1 no query", Dns,
        "mean record data per response",
        |s| names(s, |n, d| ratio(n.answer_bytes, d.responses));
    "dns_answer_largest", 1, "bytes, -1 no query", Dns,
        "largest record data of one response",
        |s| names(s, |n, _| n.answer_max as f32);
    "dns_tcp_share", 1, "0 to 1, -1 no query", Dns,
        "share of the queries over TCP",
        |s| names(s, |n, d| ratio(n.tcp_queries, d.queries));
    "dns_other_resolver_share", 1, "0 to 1, -1 no query", Dns,
        "share of the queries to resolvers other than the client's usual one",
        |s| names(s, |n, d| ratio(n.other_resolver, d.queries));
    "dns_undecoded_share", 1, "0 to 1, -1 no DNS port", Dns,
        "share of the messages on a DNS port that are not DNS",
        |s| s.session.first_payloads.dns.as_deref().map_or(ABSENT, |d| ratio(d.undecoded, d.undecoded + d.queries + d.responses));
    "icmp_unusual_share", 1, "0 to 1, -1 no ICMP", Icmp,
        "share of the echo payloads that differ from every common ping",
        |s| icmp(s, |i| ratio(i.unusual, i.requests + i.replies));
    "icmp_size_change_share", 1, "0 to 1, -1 no ICMP", Icmp,
        "share of the ICMP payloads whose size differs from the previous one",
        |s| icmp(s, |i| ratio(i.size_changes, i.requests + i.replies + i.others));
    "icmp_entropy", 1, "bits per byte, -1 no ICMP", Icmp,
        "mean Shannon entropy of the ICMP payloads",
        |s| icmp(s, |i| mean(&i.entropy));
    "icmp_reply_unlike_share", 1, "0 to 1, -1 no ICMP", Icmp,
        "share of the replies whose payload matches no recent request",
        |s| icmp(s, |i| ratio(i.replies_unlike, i.replies));
    "icmp_payload_size", 1, "bytes, -1 no ICMP", Icmp,
        "mean ICMP payload",
        |s| icmp(s, |i| ratio(i.payload_bytes, i.requests + i.replies + i.others));
    "icmp_fillings", 1, "log2(1 + fillings), -1 no ICMP", Icmp,
        "distinct payload patterns of the sender's own echo requests that differ from every \
         ordinary ping",
        |s| icmp(s, |i| log2(i.carried(s.sender).payload_patterns.count() as f64));
    "icmp_carried", 1, "log2(1 + bytes), -1 no ICMP", Icmp,
        "bytes in these payload patterns",
        |s| icmp(s, |i| log2(i.carried(s.sender).own_bytes as f64));
    "icmp_printable", 1, "0 to 1, -1 no filling", Icmp,
        "share of printable ASCII in these payload patterns",
        |s| icmp(s, |i| mean(&i.carried(s.sender).printable));
    "icmp_size_turn_share", 1, "0 to 1, -1 no ICMP", Icmp,
        "share of the sender's own echo messages whose size changed direction, up to down or down \
         to up",
        |s| icmp(s, |i| ratio(i.carried(s.sender).size_turns, i.carried(s.sender).messages));
    "sent_head_entropy", 1, "bits per byte, -1 no head", PayloadSamples,
        "mean Shannon entropy of the sender's first payload bytes",
        sent_entropy;
    "received_head_entropy", 1, "bits per byte, -1 no head", PayloadSamples,
        "mean Shannon entropy of the receiver's first payload bytes",
        received_entropy;
    "sent_head_printable", 1, "0 to 1, -1 no head", PayloadSamples,
        "share of printable ASCII in the sender's first payload bytes",
        sent_printable;
    "head_protocol", 1, "class, -1 no head", PayloadSamples,
        "protocol of the first payload bytes: 1 TLS, 2 QUIC, 3 SSH, 4 HTTP, 5 mail, 6 FTP, 7 DNS, \
         8 another known protocol, 0 unknown",
        head_protocol;
    "head_against_port", 1, "class, -1 no head", PayloadSamples,
        "protocol of the first payload bytes against the server's port: 0 as assigned or none \
         assigned, 1 another known protocol, 2 an unknown one, 3 TLS or SSH on another service's \
         port",
        head_against_port;
    "encrypted", 1, "0 or 1", PayloadSamples,
        "the session uses TLS, QUIC or SSH",
        |s| f32::from(u8::from(s.session.first_payloads.tls || s.session.first_payloads.ssh));
    "http_upload_share", 1, "0 to 1, -1 no HTTP", PayloadSamples,
        "share of the HTTP requests whose method carries a body",
        |s| s.session.first_payloads.http.as_deref().map_or(ABSENT, |h| ratio(h.uploads, h.requests));
    "http_bare_host", 1, "0 or 1, -1 no HTTP", PayloadSamples,
        "an HTTP request names its host by address, or not at all",
        |s| s.session.first_payloads.http.as_deref().map_or(ABSENT, |h| f32::from(u8::from(h.bare_host)));
    "ftp_upload", 1, "0 or 1", PayloadSamples,
        "the session is the data connection of an FTP upload",
        |s| f32::from(u8::from(s.session.first_payloads.ftp_upload.is_some()));
    "asked_own_address", 1, "0 or 1", Names,
        "the internal host queried its own public address within ten minutes",
        |s| f32::from(u8::from(s.session.asked_own_address));
    "clear_uploads", 1, "log2(1 + commands)", PayloadSamples,
        "unencrypted commands that send a message or a file: SMTP MAIL and DATA, FTP STOR",
        |s| log2(f64::from(s.session.first_payloads.mail_commands) + f64::from(s.session.first_payloads.upload_commands));
    "receiver_known", 1, "log2(1 + days), -1 unknown", History,
        "time since the sender first sent to this receiver; 0 for a new receiver; unknown on the \
         sender's first day",
        |s| s.context.receiver_known_days.map_or(ABSENT, |days| log2(f64::from(days)));
    "hour_known", 1, "0 or 1, -1 unknown", History,
        "the sender was active towards this receiver at this hour before, weekdays and weekends \
         separately; unknown below three days",
        |s| s.context.hour_known.map_or(ABSENT, |known| f32::from(u8::from(known)));
    "sent_over_habit", 1, "log2(ratio), at least 0, -1 unknown", History,
        "payload sent divided by the largest earlier session with this receiver; unknown below \
         three sessions",
        |s| s.context.sent_over_habit.map_or(ABSENT, |doublings| doublings.max(0.0));
    "hour_deviation", 1, "deviations, at least 0, -1 unknown", History,
        "the host's upload of this kind in this hour above its past median, in robust deviations; \
         unknown until the baseline is ready",
        |s| s.context.hour_deviation.map_or(ABSENT, |deviations| deviations.max(0.0));
    "upload_share", 1, "0 to 1, -1 unknown", History,
        "the session's share of the sender's upload in this hour and the last; unknown in the \
         sender's first hour",
        |s| s.context.upload_share.unwrap_or(ABSENT);
}

/// The position of a column.
#[must_use]
pub fn index_of(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// The text of `docs/features.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = format!(
        "# Features\n\nThe columns of schema `{SCHEMA_NAME}`, in order. Generated from \
         `detector/src/features/schema.rs`: change it there.\n\nA vector describes one *sender* \
         in one \
         session, up to the moment of its score. The *receiver* is the other end. Sizes are \
         logarithms. The value \
         -1 means that a column does not apply. No column holds an address, a port number, a \
         name, a TTL \
         or a date.\n\nThe hash covers name, unit and definition version. A model carries the \
         hashes of \
         the columns that it reads. It works as long as these hashes are the same, so columns may \
         be added.\n\n| # | column | meaning | unit | from | hash |\n|---|---|---|---|---|---|\n"
    );
    for (number, column) in COLUMNS.iter().enumerate() {
        let Column { name, meaning, unit, source, .. } = column;
        text.push_str(&format!(
            "| {} | `{name}` | {meaning} | {unit} | {} | `{:016x}` |\n",
            number + 1,
            source.name(),
            column.hash()
        ));
    }
    text + &record::markdown()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        for (position, column) in COLUMNS.iter().enumerate() {
            assert_eq!(index_of(column.name), Some(position));
        }
        assert_eq!(index_of("address"), None);
    }

    /// `UPDATE_GOLDEN=1 cargo test` writes the page.
    #[test]
    fn the_generated_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/features.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/features.md is old: run UPDATE_GOLDEN=1 cargo test and review it"
        );
    }
}
