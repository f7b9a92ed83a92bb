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

/// The alert of a finding's sender and day.
#[must_use]
pub fn alert_id(finding: &Finding) -> AlertId {
    let Finding { at_ns, sender, network, .. } = finding;
    AlertId::of_day(network.map_or(*sender, |network| network.bounds().0), *at_ns)
}

/// The alert about a finding of the ledger. Its score is the threshold: an amount is no probability.
#[must_use]
pub fn alert(finding: &Finding, revision: u32, threshold: f64, model: Arc<str>) -> Alert {
    let Finding { at_ns, sender, class, bytes, destination, opened, .. } = finding;
    let number = destination.protocol;
    let has_ports = protocol::has_ports(number);
    let (client_port, server_port) = (destination.flow.initiator_port(), destination.port);
    let (src_port, dst_port) = match destination.from_client {
        true => (client_port, server_port),
        false => (server_port, client_port),
    };
    let time = Timestamp::from_ns(*at_ns);
    let first_seen = Timestamp::from_ns(opened.first_seen_ns);
    Alert {
        id: alert_id(finding),
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
        bytes_attempted: destination.sent_bytes,
        bytes_leaked: opened.bytes,
        unexplained_bytes: *bytes,
        revision,
        first_seen,
        seconds_to_detect: Timestamp::from_ns(opened.at_ns).seconds_since(first_seen),
        receivers: 1,
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
    let from = finding
        .network
        .map_or(String::new(), |network| format!(" from changing addresses of {network}"));
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
