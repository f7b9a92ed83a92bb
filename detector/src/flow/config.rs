//! Timeouts and bounds of the tracker.

use detector_common::parse::protocol;

use super::observation::SECOND_NS;

/// After how long a flow ends, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Idle: without a packet.
    pub tcp_idle_secs: u64,
    /// Idle, once both ends sent FIN or one sent RST.
    pub tcp_closed_secs: u64,
    pub udp_idle_secs: u64,
    pub icmp_idle_secs: u64,
    pub other_idle_secs: u64,
    /// A flow that lasts longer is reported in slices of this length.
    pub active_secs: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_idle_secs: 300,
            tcp_closed_secs: 10,
            udp_idle_secs: 60,
            icmp_idle_secs: 30,
            other_idle_secs: 60,
            active_secs: 300,
        }
    }
}

impl Timeouts {
    /// The idle timeout of a protocol in nanoseconds.
    #[must_use]
    pub fn idle_ns(&self, number: u8, tcp_closed: bool) -> u64 {
        let seconds = match number {
            protocol::TCP if tcp_closed => self.tcp_closed_secs,
            protocol::TCP => self.tcp_idle_secs,
            protocol::UDP => self.udp_idle_secs,
            protocol::ICMP | protocol::ICMPV6 => self.icmp_idle_secs,
            _ => self.other_idle_secs,
        };
        seconds.saturating_mul(SECOND_NS)
    }
}

/// Bounds and windows. Each bound is a number of entries, allocated as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerConfig {
    pub timeouts: Timeouts,
    /// A session ends after this many seconds without a packet on any of its flows.
    pub session_window_secs: u64,
    pub max_flows: u32,
    pub max_sessions: u32,
    /// Registered domains that are followed, each for each client that asks for it.
    pub max_domains: u32,
    /// Addresses whose name is remembered.
    pub max_names: u32,
    /// Memory for the starts of connections while they are read.
    pub max_stream_bytes: u32,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            session_window_secs: 300,
            max_flows: 1 << 20,
            max_sessions: 1 << 18,
            max_domains: 1 << 16,
            max_names: 1 << 17,
            max_stream_bytes: 64 << 20,
        }
    }
}
