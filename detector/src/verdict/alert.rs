//! An alert: one session and sender, as it is told to people and other tools.

use std::fmt;
use std::sync::Arc;

use detector_common::parse::protocol;

use crate::flow::{FlowView, Session, SessionKey, Side};
use crate::network::ip;
use crate::units;

use super::reason::Reason;
use super::{Severity, Technique};

/// Names one session and sender. The same capture gives the same ids on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub u64);

impl AlertId {
    /// FNV-1a over the session's key and domain, its start and the sender.
    #[must_use]
    pub fn of(session: &Session, sender: Side) -> Self {
        let SessionKey { client, server, protocol, server_port } = &session.key;
        let bytes = client.iter().chain(server).copied().chain([*protocol, sender as u8]);
        let bytes =
            bytes.chain(server_port.to_be_bytes()).chain(session.first_seen_ns.to_be_bytes());
        let bytes = bytes.chain(session.domain.iter().flat_map(|domain| domain.bytes()));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// What is kept beside a block in the kernel.
    #[must_use]
    pub fn low_bits(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What was done about an alert: a closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActionTaken {
    /// Told, as the mode is to observe.
    #[default]
    None,
    /// Would have been blocked.
    Simulated,
    Blocked,
    /// What is sent on is held to a rate.
    Policed,
    /// What is sent on carries a codepoint.
    Marked,
    /// Something forbids it; `action_note` says what.
    Refused,
    /// The block could not be placed.
    Failed,
}

impl ActionTaken {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Simulated,
        Self::Blocked,
        Self::Policed,
        Self::Marked,
        Self::Refused,
        Self::Failed,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Simulated => "simulated",
            Self::Blocked => "blocked",
            Self::Policed => "policed",
            Self::Marked => "marked",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a score was computed from: enough to compute it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    /// In the order of the schema's columns.
    pub vector: Vec<f32>,
    /// Product of the doubts that the rules left, 1 where they were silent.
    pub rules: f64,
    /// The forest's part was cut because this is a habit of the host.
    pub habit: bool,
}

/// The first bytes of a payload, as they were on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadBytes {
    /// Sent by the host that leaks.
    pub outbound: bool,
    /// Of the whole payload, of which `bytes` are the first.
    pub payload_bytes: u32,
    pub bytes: Box<[u8]>,
}

/// Everything that is told about one session and sender at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    /// 1 at first, higher when it grew.
    pub revision: u32,
    /// Of the packets: nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub first_seen_ns: u64,
    /// The host that leaks, as flows hold addresses.
    pub src: [u8; 16],
    pub src_port: Option<u16>,
    /// The host that receives.
    pub dst: [u8; 16],
    pub dst_port: Option<u16>,
    pub protocol: u8,
    /// Whether the leaking host opened the session.
    pub src_opened: bool,
    pub technique: Technique,
    pub severity: Severity,
    /// What the threshold is compared with, 0 to 1.
    pub score: f64,
    /// The forest's output: the sum of its reasons' contributions.
    pub raw_score: f64,
    pub threshold: f64,
    /// IP bytes and packets of the session so far, from `src` and to it.
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    /// IP bytes that had left when the alert opened.
    pub bytes_leaked: u64,
    /// IP bytes that had left when the block was placed; none when nothing was blocked.
    pub bytes_leaked_before_block: Option<u64>,
    pub dst_name: Option<Arc<str>>,
    /// The registered domain that data leaves through.
    pub domain: Option<Arc<str>>,
    pub community_id: String,
    /// The fingerprint of the client's TLS hello, where it was seen whole.
    pub ja4: Option<Arc<str>>,
    pub reasons: Vec<Reason>,
    pub action: ActionTaken,
    /// More about the action, where there is more to say: what forbids it, what else would do.
    pub action_note: Option<String>,
    /// The model's schema and hash.
    pub model: Arc<str>,
    pub basis: Basis,
    /// Of the flow that brought it about, where they were kept.
    pub heads: Vec<HeadBytes>,
}

impl Alert {
    /// Seconds of packet time from the session's first packet to the alert.
    #[must_use]
    pub fn seconds_to_detect(&self) -> f64 {
        self.time_ns.saturating_sub(self.first_seen_ns) as f64 / 1e9
    }

    /// One sentence that says what happened.
    #[must_use]
    pub fn headline(&self) -> String {
        let from = ip(&self.src);
        let to = match (&self.domain, &self.dst_name) {
            (Some(domain), _) => format!("through the domain {domain}"),
            (None, Some(name)) => format!("to {name}"),
            (None, None) => format!("to {}", ip(&self.dst)),
        };
        let sent = units::bytes(self.bytes_out);
        // A record of a log does not say for how long.
        let over = match self.seconds_to_detect() {
            0.0 => String::new(),
            seconds if seconds < 0.1 => " in less than 0.1 s".to_owned(),
            seconds => format!(" in {}", units::seconds(seconds)),
        };
        format!("{from} sent {sent}{over} {to}{}", self.technique.clause())
    }
}

/// The two ends of a session as its sender sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) src: [u8; 16],
    pub(super) src_port: Option<u16>,
    pub(super) dst: [u8; 16],
    pub(super) dst_port: Option<u16>,
    pub(super) protocol: u8,
}

impl Ends {
    pub(super) fn of(session: &Session, flow: &FlowView, sender: Side) -> Self {
        let key = &session.key;
        let (server, server_port, number) = match session.overflow {
            Some(peer) => (peer.address, peer.port, peer.protocol),
            None => (key.server, key.server_port, key.protocol),
        };
        let client_port = session.overflow.is_none().then(|| flow.initiator_port());
        let client_port = client_port.filter(|_| protocol::has_ports(number));
        let server_port = Some(server_port).filter(|_| protocol::has_ports(number));
        let (client, server) = ((key.client, client_port), (server, server_port));
        let (src, dst) = match sender {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        Self { src: src.0, src_port: src.1, dst: dst.0, dst_port: dst.1, protocol: number }
    }
}

/// A protocol's lower-case name; its number where it has none here.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    protocol::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The protocol that [`protocol_name`] calls so.
#[must_use]
pub fn protocol_number(name: &str) -> Option<u8> {
    let unnamed = || name.parse().ok().filter(|number| protocol_name(*number) == name);
    protocol::by_name(name).or_else(unnamed)
}

/// `192.0.2.1:443`, `[2001:db8::1]:443`, or the address alone.
#[must_use]
pub fn endpoint(address: &[u8; 16], port: Option<u16>) -> String {
    let address = ip(address);
    match port {
        Some(port) => std::net::SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod example {
    use super::*;
    use crate::network::octets;

    /// An alert with a value in every field that may have one.
    pub(crate) fn alert() -> Alert {
        let reason = |feature: &'static str, value, contribution, text: &str| Reason {
            feature: feature.into(),
            value,
            contribution,
            text: text.to_owned(),
        };
        Alert {
            id: AlertId(0xab),
            revision: 2,
            time_ns: 1_694_185_912_610_000_000,
            first_seen_ns: 1_694_185_872_610_000_000,
            src: octets([10, 0, 0, 7].into()),
            src_port: Some(40_000),
            dst: octets([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
            dst_port: Some(443),
            protocol: protocol::TCP,
            src_opened: true,
            technique: Technique::BulkUpload,
            severity: Severity::High,
            score: 0.875,
            raw_score: 0.875,
            threshold: 0.5,
            bytes_out: 48_000_000,
            bytes_in: 300_000,
            packets_out: 32_000,
            packets_in: 6_000,
            bytes_leaked: 16_400,
            bytes_leaked_before_block: None,
            dst_name: Some("drop.example".into()),
            domain: None,
            community_id: "1:abc=".to_owned(),
            ja4: None,
            reasons: vec![
                reason(
                    "producer_consumer_ratio",
                    Some(0.75),
                    0.75,
                    "sent 48 MB, received 300 kB: 160 to 1",
                ),
                reason("bias", None, 0.125, "where every session starts"),
            ],
            action: ActionTaken::None,
            action_note: None,
            model: "session-1".into(),
            basis: Basis { vector: vec![0.75], rules: 1.0, habit: false },
            heads: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example::session as example_session;

    #[test]
    fn ids_tell_sessions_and_senders_apart() {
        let session = |server_port, first_seen_ns, domain: Option<&str>| Session {
            first_seen_ns,
            domain: domain.map(Into::into),
            ..example_session(SessionKey { server_port, ..SessionKey::default() })
        };
        let id = AlertId::of(&session(443, 1, None), Side::Client);
        assert_eq!(id, AlertId::of(&session(443, 1, None), Side::Client));
        for (other, sender) in [
            (session(443, 2, None), Side::Client),
            (session(443, 1, None), Side::Server),
            (session(444, 1, None), Side::Client),
            (session(443, 1, Some("site.example")), Side::Client),
        ] {
            assert_ne!(id, AlertId::of(&other, sender));
        }
        assert_eq!(AlertId(1).to_string(), "0000000000000001");
    }

    #[test]
    fn endpoints_read_as_people_write_them() {
        let check = |address: &str, port, expected: &str| {
            let address = crate::network::octets(address.parse().unwrap());
            assert_eq!(endpoint(&address, port), expected);
        };
        check("192.0.2.1", Some(443), "192.0.2.1:443");
        check("2001:db8::1", Some(443), "[2001:db8::1]:443");
        check("2001:db8::1", None, "2001:db8::1");
    }
}
