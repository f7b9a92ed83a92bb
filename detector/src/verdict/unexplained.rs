//! The alert about bytes that no explanation fits.
//!
//! It names an amount, who sent it and what is missing; it does not claim to have recognised anything.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::alert::{Alert, AlertId, End};
use super::reason::{RULE_PREFIX, Reason};
use super::{Severity, Technique};
use crate::ledger::{Class, Finding};
use crate::timestamp::Timestamp;
use crate::units;

/// External unexplained bytes of one sender and day that make an alert with missing evidence severe.
const SEVERE_BYTES: u64 = 100_000_000;

/// The alert about a finding of the ledger. Its score is the threshold: an amount is no probability.
#[must_use]
pub fn alert(finding: &Finding, threshold: f64, model: Arc<str>, now_ns: u64) -> Alert {
    let Finding { sender, class, bytes, destination, revision, .. } = finding;
    let number = destination.protocol;
    let has_ports = protocol::has_ports(number);
    let (client_port, server_port) = (destination.flow.initiator_port(), destination.port);
    let (src_port, dst_port) = match destination.from_client {
        true => (client_port, server_port),
        false => (server_port, client_port),
    };
    let time = Timestamp::from_ns(now_ns);
    let first_seen = Timestamp::from_ns(destination.first_seen_ns);
    Alert {
        id: AlertId::of_day(finding.account, now_ns),
        time,
        src: *sender,
        src_port: Some(src_port).filter(|_| has_ports),
        dst: destination.address,
        dst_port: Some(dst_port).filter(|_| has_ports),
        protocol: number,
        initiator: if destination.from_client { End::Src } else { End::Dst },
        technique: Technique::UnexplainedUpload,
        severity: severity(*class, *bytes),
        score: threshold,
        threshold,
        bytes_out: destination.sent_bytes,
        bytes_in: destination.received_bytes,
        packets_out: destination.sent_packets,
        packets_in: destination.received_packets,
        bytes_leaked: *bytes,
        unexplained_bytes: *bytes,
        revision: *revision,
        first_seen,
        seconds_to_detect: time.seconds_since(first_seen),
        dst_name: destination.name.clone(),
        community_id: destination.flow.community_id(),
        reasons: vec![reason(finding)],
        model,
        ..Alert::default()
    }
}

fn severity(class: Class, bytes: u64) -> Severity {
    match class {
        Class::Evidence if bytes >= SEVERE_BYTES => Severity::High,
        Class::Evidence => Severity::Medium,
        _ => Severity::Low,
    }
}

fn reason(finding: &Finding) -> Reason {
    let Finding { class, bytes, destination, .. } = finding;
    let to = units::bytes(destination.unexplained(*class));
    let new = if destination.is_new() { "new today" } else { "known" };
    let missing = destination.missing.words();
    let missing = if missing.is_empty() { String::new() } else { format!(", {missing}") };
    let from = match finding.members {
        0 | 1 => String::new(),
        members => format!(" from {members} addresses of one network"),
    };
    let text = format!(
        "{} left today without an explanation{from}, {to} of it to this receiver ({new}{missing}). \
         Unusual; not shown to be exfiltration",
        units::bytes(*bytes)
    );
    Reason {
        feature: format!("{RULE_PREFIX}unexplained_upload").into(),
        value: None,
        contribution: 0.0,
        text,
    }
}
