//! What a capture held, and what of it was not accounted and why.

use std::collections::BTreeMap;

use detector_common::abi::{Count, Totals};
use detector_common::parse::Skip;

use super::error::CaptureError;
use crate::flow::TrackerCounts;

/// The result of reading a capture.
#[derive(Clone, Debug)]
pub struct CaptureSummary {
    /// Packets read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Flows opened.
    pub flows: u64,
    /// Flows of which neither end is home: with all flows so, the home networks are not right for
    /// this capture. Their clients are scored as if they were home.
    pub flows_without_home: u64,
    pub totals: Totals,
    /// Packets and bytes of interfaces whose link type is not supported (pcapng only), in all and by
    /// its number.
    pub unknown_link: Count,
    pub unknown_links: BTreeMap<u32, Count>,
    /// Frames that are no IP by what they are, see [`detector_common::parse::number`]: a part of
    /// `totals.skipped`.
    pub unopened: BTreeMap<u32, Count>,
    /// IP bytes of packets that found the flow table full, accounted to their home host.
    pub overflow_bytes: u64,
    /// Packets and bytes that the sum of flows, overflow and skipped does not explain. 0.
    pub unaccounted_packets: i64,
    pub unaccounted_bytes: i64,
    /// Packets captured in part.
    pub truncated_packets: u64,
    /// Packets captured in part that say nothing of it: counted by the length in their IP header.
    pub sliced_packets: u64,
    /// Packets whose time is far from that of their neighbours, and those that have none: counted
    /// beside them.
    pub stray_packets: u64,
    pub untimed_packets: u64,
    /// Interfaces whose clock was not that of the others.
    pub own_clocks: u64,
    /// First and last packet time, nanoseconds since the Unix epoch, in steps of 10 ms.
    pub first_ns: Option<u64>,
    pub last_ns: Option<u64>,
    /// Packets older than one before them.
    pub backwards: u64,
    /// Steps back in time by more than a minute, as where captures were glued together.
    pub restarts: u64,
    /// Silences of more than five minutes.
    pub gaps: u64,
    /// First fragments forgotten for want of room before they were 30 s old.
    pub fragments_forgotten: u64,
    /// What the tracker held and left out.
    pub tracker: TrackerCounts,
    /// Why the capture was not read to its end.
    pub error: Option<CaptureError>,
}

impl CaptureSummary {
    /// Skipped frames by reason: the reason's name and its count, where there are any.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, Count)> + '_ {
        let reasons = Skip::NAMES.into_iter().zip(self.totals.skipped);
        let unknown_link = ("unknown_link", self.unknown_link);
        reasons.chain([unknown_link]).filter(|(_, count)| count.packets != 0)
    }
}
