//! A capture read all the way to feature vectors and rules, with everything looked at.

use detector::features::{COLUMNS, Sample, vector};
use detector::flow::{
    FlowRecord, FlowView, Session, SessionCheckpoint, Side, Tracker, TrackerConfig, Visitor,
};
use detector::source::capture::{CaptureConfig, CaptureSource};
use detector::verdict::rules;
use detector_common::parse::Decapsulation;

/// Tables so small that a short input fills them.
const MAX_FLOWS: u32 = 8;

#[derive(Default)]
struct Check {
    row: Vec<f32>,
}

impl Visitor for Check {
    fn score(&mut self, session: &Session, _: &FlowView, _: SessionCheckpoint, now_ns: u64) {
        for sender in [Side::Client, Side::Server] {
            self.row.clear();
            let sample = Sample::new(session, sender, now_ns);
            vector(&sample, &mut self.row);
            assert_eq!(self.row.len(), COLUMNS.len());
            for (column, value) in COLUMNS.iter().zip(&self.row) {
                assert!(value.is_finite(), "{} is {value}", column.name);
            }
            for (rule, found) in rules::find(&sample) {
                assert!((0.0..=1.0).contains(&found.certainty), "{}: {found:?}", rule.name);
            }
        }
    }

    fn flow_record(&mut self, record: &FlowRecord) {
        assert!(!record.community_id().is_empty());
    }

    fn session_ended(&mut self, _: &Session) {}
}

/// Reads `capture`. No value may be infinite, no byte may stay unaccounted, nothing may be left over.
pub fn read(capture: &[u8], tunnels: Decapsulation) {
    let config =
        CaptureConfig { max_flows: MAX_FLOWS, decapsulation: tunnels, ..CaptureConfig::default() };
    let tracker = Tracker::new(&TrackerConfig {
        max_flows: MAX_FLOWS,
        max_sessions: MAX_FLOWS / 2,
        max_domains: MAX_FLOWS,
        max_names: MAX_FLOWS,
        ..TrackerConfig::default()
    });
    let mut follower = (tracker, Check::default());
    let summary = CaptureSource::new(config).run(capture, &mut follower);
    assert_eq!((summary.unaccounted_packets, summary.unaccounted_bytes), (0, 0), "{summary:?}");
    assert!(follower.0.is_empty());
}
