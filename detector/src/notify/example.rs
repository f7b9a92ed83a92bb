//! An alert to write messages about.

use crate::store::alerts::{AlertRow, ReasonLine};
use crate::store::outbox::ToldAlert;

pub(super) fn alert() -> ToldAlert {
    let reason = |feature: &str, text: &str| ReasonLine {
        feature: feature.into(),
        value: Some(0.75),
        contribution: 0.5,
        text: text.into(),
    };
    let row = AlertRow {
        id: "00000000000000ab".into(),
        key: 1,
        origin: "live".into(),
        capture: None,
        revision: 1,
        status: "open".into(),
        resolution: None,
        time: "2027-01-15T08:00:00.000000Z".into(),
        first_seen: "2027-01-15T07:59:20.000000Z".into(),
        src: "10.0.0.7".into(),
        src_port: Some(40_000),
        dst: "192.0.2.1".into(),
        dst_port: Some(443),
        dst_name: Some("<b>drop</b>.example".into()),
        domain: None,
        protocol: "tcp".into(),
        initiator: "src",
        technique: "bulk_upload".into(),
        technique_name: "bulk upload",
        attack_id: "T1048",
        severity: "high",
        score: 0.875,
        threshold: 0.5,
        bytes_out: 48_000_000,
        bytes_in: 300_000,
        packets_out: 32_000,
        packets_in: 6_000,
        bytes_leaked: 16_400,
        bytes_leaked_before_block: Some(1_200_000),
        action: "blocked".into(),
        action_note: None,
        headline: "10.0.0.7 sent 48 MB in 40 s to <b>drop</b>.example".into(),
    };
    let reasons = vec![
        reason("producer_consumer_ratio", "sent 48 MB, received 300 kB: 160 to 1"),
        reason("bias", "where every session starts"),
    ];
    ToldAlert { row, reasons }
}
