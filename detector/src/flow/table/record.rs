//! A flow as it is reported to sinks: both directions of one five-tuple in one record (RFC 5103).

use std::sync::Arc;

use detector_common::flow::{Direction, FlowKey};

use super::community_id::community_id;
use super::volume::Volume;
use crate::network::Address;

/// Why a flow record was written, by the values of IPFIX flowEndReason (RFC 5102 section 5.11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FlowEndReason {
    IdleTimeout = 1,
    /// A slice of a flow that continues.
    ActiveTimeout = 2,
    /// FIN or RST.
    EndOfFlow = 3,
    /// The source ended.
    ForcedEnd = 4,
    /// It had to make room.
    LackOfResources = 5,
}

impl FlowEndReason {
    /// As it is in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle",
            Self::ActiveTimeout => "active",
            Self::EndOfFlow => "end",
            Self::ForcedEnd => "forced",
            Self::LackOfResources => "resources",
        }
    }
}

/// A flow at the instant it is scored with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowView {
    pub key: FlowKey,
    /// The direction in which the initiator, the session's client, sends.
    pub initiator: Direction,
    /// ICMP type and code (`type << 8 | code`) of the initiator's first packet.
    pub icmp: u16,
    /// Nanoseconds since the Unix epoch.
    pub first_seen_ns: u64,
    pub last_seen_ns: u64,
}

impl FlowView {
    /// Community ID, version 1, seed 0.
    #[must_use]
    pub fn community_id(&self) -> String {
        community_id(&self.key, self.initiator, self.icmp)
    }

    /// The end that sends in `direction`: its address, and its port in host order.
    #[must_use]
    pub fn end(&self, direction: Direction) -> (Address, u16) {
        let (address, port) = self.key.source(direction);
        (address.into(), u16::from_be_bytes(port))
    }

    /// The initiator's port in host order; the identifier for ICMP echo.
    #[must_use]
    pub fn initiator_port(&self) -> u16 {
        self.end(self.initiator).1
    }
}

/// A finished flow, or a slice of a long one. *Source* is the initiator, *destination* the
/// responder.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    pub view: FlowView,
    pub source_address: Address,
    pub destination_address: Address,
    /// In host order.
    pub source_port: u16,
    pub destination_port: u16,
    /// IANA protocol number.
    pub protocol: u8,
    pub source_home: bool,
    pub destination_home: bool,
    /// Of this slice: nanoseconds since the Unix epoch.
    pub start_ns: u64,
    pub end_ns: u64,
    /// From source to destination, and back, in this slice. `size_min`, `size_max` and `tcp_flags`
    /// are those of the whole flow so far; `gap_max` is 0 where an earlier slice had a longer one.
    pub forward: Volume,
    pub reverse: Volume,
    pub source_name: Option<Arc<str>>,
    pub destination_name: Option<Arc<str>>,
    pub end_reason: FlowEndReason,
}

impl FlowRecord {
    /// Community ID, version 1, seed 0. Computed on demand: most records are never printed.
    #[must_use]
    pub fn community_id(&self) -> String {
        self.view.community_id()
    }
}
