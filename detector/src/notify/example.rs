//! An alert to write messages about.

use crate::alerts::{Origin, StoredAlert};
use crate::timestamp::Timestamp;
use crate::verdict::{ActionTaken, Alert, AlertId, Reason, Severity, Technique};

pub(super) fn alert() -> StoredAlert {
    let reason = |feature: &'static str, text: &str| Reason {
        feature: feature.into(),
        value: Some(0.75),
        contribution: 0.5,
        text: text.into(),
    };
    let time = Timestamp::from_ns(1_800_000_000_000_000_000);
    let alert = Alert {
        id: AlertId::live(0xab),
        time,
        src: [10, 0, 0, 7].into(),
        src_port: Some(40_000),
        dst: [192, 0, 2, 1].into(),
        dst_port: Some(443),
        protocol: 6,
        technique: Technique::BulkUpload,
        severity: Severity::High,
        score: 0.875,
        threshold: 0.5,
        bytes_out: 48_000_000,
        bytes_in: 300_000,
        packets_out: 32_000,
        packets_in: 6_000,
        bytes_leaked: 16_400,
        bytes_leaked_before_block: Some(1_200_000),
        revision: 1,
        first_seen: Timestamp::from_ns(time.ns() - 40_000_000_000),
        dst_name: Some("<b>drop</b>.example".into()),
        reasons: vec![
            reason("producer_consumer_ratio", "sent 48 MB, received 300 kB: 160 to 1"),
            reason("others", "4 other columns together"),
        ],
        action: ActionTaken::Blocked,
        ..Alert::default()
    };
    let headline = "10.0.0.7 sent 48 MB in 40 s to <b>drop</b>.example".into();
    StoredAlert { key: 1, headline, ..StoredAlert::new(alert, Origin::Live) }
}
