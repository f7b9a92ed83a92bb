//! How the running agent is doing, in one line.

use std::fmt;

use crate::units;

/// A second of the agent's life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusLine {
    pub packets_per_second: f64,
    pub bytes_per_second: f64,
    pub flows: u64,
    pub alerts: u64,
    /// Hosts whose baseline is learned, those that are being learned, and the days until the next
    /// of them is.
    pub baselines_ready: u64,
    pub baselines_learning: u64,
    pub days_left: Option<u32>,
    pub interfaces: u64,
    /// Bytes counted to their host because the flow table was full.
    pub overflow_bytes: u64,
    pub events_lost: u64,
    pub first_payloads_refused: u64,
    /// Frames that are no IP packet.
    pub skipped: u64,
    pub dropped_packets: u64,
    /// Packets that would have been dropped.
    pub simulated_packets: u64,
    /// Packets that wait for a verdict on their session: a part of those dropped.
    pub held_packets: u64,
    /// Alerts and records that standard output was too slow for.
    pub output_lines_dropped: u64,
}

impl fmt::Display for StatusLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.0} packets/s  {}/s  {} on {}  {}",
            self.packets_per_second,
            units::bytes(self.bytes_per_second as u64),
            units::counted(self.flows, "flow"),
            units::counted(self.interfaces, "interface"),
            units::counted(self.alerts, "alert")
        )?;
        if let Some(days) = self.days_left {
            let Self { baselines_ready, baselines_learning, .. } = self;
            write!(
                formatter,
                "  baselines: {baselines_ready} ready, {baselines_learning} learning, next in {}",
                units::counted(days.into(), "day")
            )?;
        }
        // What is not as it should be is said; what is 0 is not.
        for (count, what) in [
            (self.dropped_packets, "packets dropped"),
            (self.held_packets, "of these held for a verdict"),
            (self.simulated_packets, "packets would have been dropped"),
            (self.events_lost, "events lost"),
            (self.first_payloads_refused, "payload samples skipped"),
            (self.output_lines_dropped, "output lines dropped"),
        ] {
            if count != 0 {
                write!(formatter, "  {count} {what}")?;
            }
        }
        if self.overflow_bytes != 0 {
            write!(
                formatter,
                "  {} over the flow table's size",
                units::bytes(self.overflow_bytes)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::StatusLine;

    #[test]
    fn trouble_is_said_and_calm_is_short() {
        let calm = StatusLine {
            packets_per_second: 12.4,
            flows: 3,
            interfaces: 1,
            ..StatusLine::default()
        };
        assert_eq!(calm.to_string(), "12 packets/s  0 B/s  3 flows on 1 interface  0 alerts");
        let learning = StatusLine { baselines_learning: 2, days_left: Some(27), ..calm.clone() };
        let expected = "0 alerts  baselines: 0 ready, 2 learning, next in 27 days";
        assert!(learning.to_string().ends_with(expected), "{learning}");
        let trouble = StatusLine { events_lost: 2, overflow_bytes: 2_000, ..calm };
        assert!(trouble.to_string().contains("2 events lost"));
        assert!(trouble.to_string().contains("2.0 kB over the flow table's size"));
    }
}
