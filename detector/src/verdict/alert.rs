//! An alert: one session and sender, as it is reported to people and other tools.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use detector_common::parse::protocol;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::flow::{FlowView, Session, SessionKey, Side};
use crate::network::Address;
use crate::timestamp::Timestamp;
use crate::units;

use super::reason::Reason;
use super::{Severity, Technique};

/// Names one session and sender. The same capture gives the same ids on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId {
    pub number: u64,
    /// The analysis of the capture that it was found in; 0: live traffic, or a record of a log.
    pub analysis: i64,
}

impl AlertId {
    /// Of an alert about live traffic.
    #[must_use]
    pub const fn live(number: u64) -> Self {
        Self { number, analysis: 0 }
    }

    /// FNV-1a over the session's key and domain, its start and the sender.
    #[must_use]
    pub fn of(session: &Session, sender: Side) -> Self {
        let SessionKey { client, server, protocol, server_port } = session.key;
        let bytes =
            client.octets().into_iter().chain(server.octets()).chain([protocol, sender as u8]);
        let bytes =
            bytes.chain(server_port.to_be_bytes()).chain(session.first_seen_ns.to_be_bytes());
        let bytes = bytes.chain(session.domain.iter().flat_map(|domain| domain.bytes()));
        Self::live(fnv1a(bytes))
    }

    /// Of a sender's unexplained bytes on one day (UTC).
    #[must_use]
    pub(super) fn of_day(sender: Address, now_ns: u64) -> Self {
        Self::live(fnv1a(sender.octets().into_iter().chain(day(now_ns).to_be_bytes())))
    }

    /// Of what a sender does with a technique from this time on, to many receivers.
    #[must_use]
    pub(super) fn of_episode(sender: Address, technique: Technique, start: Timestamp) -> Self {
        let bytes = sender.octets().into_iter().chain(technique.name().bytes());
        Self::live(fnv1a(bytes.chain(start.ns().to_be_bytes())))
    }

    /// Of what happened to the monitor on one day (UTC).
    #[must_use]
    pub(super) fn of_subject(subject: &str, now_ns: u64) -> Self {
        Self::live(fnv1a(subject.bytes().chain(day(now_ns).to_be_bytes())))
    }

    /// What is kept beside a block in the kernel.
    #[must_use]
    pub fn low_bits(self) -> u32 {
        self.number as u32
    }
}

/// The day since the Unix epoch.
pub(super) fn day(now_ns: u64) -> u64 {
    now_ns / (24 * 3_600_000_000_000)
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// 16 hexadecimal digits, and after a dash the analysis of a capture.
impl fmt::Display for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.number)?;
        if self.analysis != 0 {
            write!(formatter, "-{}", self.analysis)?;
        }
        Ok(())
    }
}

impl FromStr for AlertId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!("`{}` is not an alert's id: write 16 hexadecimal digits", text.escape_debug())
        };
        let (number, analysis) = text.split_once('-').unwrap_or((text, "0"));
        let hexadecimal = number.len() == 16 && number.bytes().all(|it| it.is_ascii_hexdigit());
        let number =
            u64::from_str_radix(number, 16).ok().filter(|_| hexadecimal).ok_or_else(wrong)?;
        let digits = analysis.bytes().all(|digit| digit.is_ascii_digit());
        let analysis = analysis.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        Ok(Self { number, analysis })
    }
}

impl Serialize for AlertId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlertId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The action on an alert: a closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionTaken {
    /// Reported only, in mode observe.
    #[default]
    None,
    /// Would be blocked, in mode simulate.
    Simulated,
    Blocked,
    /// The kernel limits the rate of the traffic.
    Policed,
    /// The kernel sets a DSCP codepoint on the traffic.
    Marked,
    /// Never blocked; `action_note` has the reason.
    Refused,
    /// The agent failed to block.
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
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

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

/// Which end of a session, as an alert names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    #[default]
    Src,
    Dst,
}

impl End {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Src => "src",
            Self::Dst => "dst",
        }
    }
}

/// The evidence of a score: enough to compute it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    /// In the order of the schema's columns.
    pub vector: Vec<f32>,
    /// Product of the doubts that the rules left, 1 where they were silent.
    pub rules: f64,
    /// The forest's part was cut because this is a baseline of the host.
    pub baseline: bool,
}

/// The first bytes of a payload, as they were on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayloadSample {
    pub direction: Way,
    #[serde(rename = "hex", with = "hex")]
    #[schema(value_type = String)]
    pub first: Bytes,
    /// Of the whole payload.
    #[serde(rename = "bytes")]
    pub payload_bytes: u32,
}

/// Which way a payload went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Sent by the suspected sender.
    Out,
    In,
}

/// Bytes as two hexadecimal digits each.
mod hex {
    use bytes::Bytes;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Bytes> = pairs.iter().map(byte).collect();
        bytes.filter(|_| rest.is_empty()).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
    }
}

/// A protocol by its name.
mod protocol_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{protocol_name, protocol_number};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
    pub(super) fn serialize<S: Serializer>(number: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        protocol_name(*number).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let name = String::deserialize(deserializer)?;
        protocol_number(&name)
            .ok_or_else(|| D::Error::custom(format!("`{name}` is not a protocol")))
    }
}

/// What an alert says about one session and sender at one moment: outputs write it, the store
/// keeps it and the API sends it. The JSON names are a contract; a change of meaning needs a new name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// 16 hexadecimal digits; after a dash the analysis of a capture.
    #[schema(value_type = String)]
    pub id: AlertId,
    /// Packet time at which the alert opened, or last grew.
    pub time: Timestamp,
    /// The suspected sender.
    pub src: Address,
    /// Null when the protocol has no ports.
    pub src_port: Option<u16>,
    /// The receiver.
    pub dst: Address,
    pub dst_port: Option<u16>,
    #[serde(with = "protocol_text")]
    #[schema(value_type = String)]
    pub protocol: u8,
    /// The end that opened the session.
    pub initiator: End,
    pub technique: Technique,
    pub severity: Severity,
    /// The score, 0 to 1; an alert has at least the threshold.
    pub score: f64,
    pub threshold: f64,
    /// IP bytes and packets of the session so far, from `src` and to it. What was dropped is not in them.
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    /// IP bytes that `src` tried to send so far: what left and what was stopped.
    #[serde(default)]
    pub bytes_attempted: u64,
    /// IP bytes from `src` that a block, a rate or a budget has dropped so far.
    #[serde(default)]
    pub bytes_stopped: u64,
    /// IP bytes that had left when the alert opened.
    pub bytes_leaked: u64,
    /// IP bytes that had left when the first block of this traffic was active; null when nothing was
    /// blocked.
    pub bytes_leaked_before_block: Option<u64>,
    /// IP bytes of the sender that no explanation fits, on the alert's day; 0 where a technique was recognised.
    #[serde(default)]
    pub unexplained_bytes: u64,
    /// 1 at first, higher when it grew.
    pub revision: u32,
    /// The forest's output: the model's bias and the sum of its reasons' contributions.
    pub raw_score: f64,
    pub first_seen: Timestamp,
    /// Of packet time, from the session's first packet to the alert's first revision; 0 where a log does
    /// not say.
    pub seconds_to_detect: f64,
    /// Whom the alert is about: where there are more than one, `dst` is the first, the bytes are of all, and
    /// the first reason lists them. Counted to 256; 0 where the alert is about no traffic.
    #[serde(default)]
    pub receivers: u32,
    #[schema(value_type = Option<String>)]
    pub dst_name: Option<Arc<str>>,
    /// The registered domain of a DNS tunnel.
    #[schema(value_type = Option<String>)]
    pub domain: Option<Arc<str>>,
    pub community_id: String,
    /// The JA4 fingerprint of the client's TLS hello, if it was read whole.
    #[schema(value_type = Option<String>)]
    pub ja4: Option<Arc<str>>,
    /// The rules that decided first, then what moved `raw_score`. Lists leave them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    pub action: ActionTaken,
    /// The reason or remedy of the action, if there is one.
    pub action_note: Option<String>,
    /// When the first block of this traffic began.
    #[serde(default)]
    pub blocked_at: Option<Timestamp>,
    /// When the latest block of this traffic ended; null while one is active.
    #[serde(default)]
    pub block_ended: Option<Timestamp>,
    /// The model's schema and hash.
    #[schema(value_type = String)]
    pub model: Arc<str>,
    /// The agent that saw it; null for captures and logs, which say the same on every machine.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub sensor: Option<Arc<str>>,
    /// What happened to the monitor, in one sentence: the alert is then about no traffic, and its addresses
    /// and bytes are empty. Null where it is about a session.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub monitor_event: Option<Arc<str>>,
    #[serde(skip)]
    pub basis: Basis,
    /// Payload samples of the flow that raised the alert, if they were kept.
    #[serde(skip)]
    pub samples: Vec<PayloadSample>,
}

impl Alert {
    /// The fields that every CSV with alerts has, by their name in JSON and in this order.
    pub const CSV_FIELDS: &'static [&'static str] = &[
        "id",
        "revision",
        "time",
        "src",
        "src_port",
        "dst",
        "dst_port",
        "protocol",
        "initiator",
        "technique",
        "severity",
        "score",
        "threshold",
        "bytes_out",
        "bytes_in",
        "packets_out",
        "packets_in",
        "bytes_leaked",
        "dst_name",
        "community_id",
        "action",
        "sensor",
        "bytes_attempted",
        "bytes_stopped",
        "bytes_leaked_before_block",
        "monitor_event",
        "receivers",
    ];

    /// One sentence about the alert.
    #[must_use]
    pub fn headline(&self) -> String {
        if let Some(event) = &self.monitor_event {
            return event.to_string();
        }
        let from = self.src;
        let to = match (&self.domain, &self.dst_name) {
            (Some(domain), _) => format!("through the domain {domain}"),
            (None, Some(name)) => format!("to {name}"),
            (None, None) => format!("to {}", self.dst),
        };
        let to = match self.receivers {
            0 | 1 => to,
            receivers => format!("{to} and {}", units::counted(u64::from(receivers) - 1, "other")),
        };
        let sent = units::bytes(self.bytes_out);
        // A record of a log does not say for how long.
        let over = match self.time.seconds_since(self.first_seen) {
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
    pub(super) src: Address,
    pub(super) src_port: Option<u16>,
    pub(super) dst: Address,
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
        let ((src, src_port), (dst, dst_port)) = match sender {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        Self { src, src_port, dst, dst_port, protocol: number }
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

#[cfg(test)]
pub(crate) mod example {
    use super::*;

    /// An alert with a value in every field that may have one.
    pub(crate) fn alert() -> Alert {
        let reason = |feature: &'static str, value, contribution, text: &str| Reason {
            feature: feature.into(),
            value,
            contribution,
            text: text.to_owned(),
        };
        Alert {
            id: AlertId::live(0xab),
            time: Timestamp::from_ns(1_694_185_912_610_000_000),
            src: [10, 0, 0, 7].into(),
            src_port: Some(40_000),
            dst: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
            dst_port: Some(443),
            protocol: protocol::TCP,
            initiator: End::Src,
            technique: Technique::BulkUpload,
            severity: Severity::High,
            score: 0.875,
            threshold: 0.5,
            bytes_out: 48_000_000,
            bytes_in: 300_000,
            packets_out: 32_000,
            packets_in: 6_000,
            bytes_attempted: 48_000_000,
            bytes_stopped: 0,
            bytes_leaked: 16_400,
            bytes_leaked_before_block: None,
            unexplained_bytes: 0,
            revision: 2,
            raw_score: 0.875,
            first_seen: Timestamp::from_ns(1_694_185_872_610_000_000),
            seconds_to_detect: 40.0,
            receivers: 1,
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
                reason("others", None, 0.125, "4 other columns together"),
            ],
            action: ActionTaken::None,
            action_note: None,
            blocked_at: None,
            block_ended: None,
            model: "session-1".into(),
            sensor: Some("gateway-1".into()),
            monitor_event: None,
            basis: Basis { vector: vec![0.75], rules: 1.0, baseline: false },
            samples: Vec::new(),
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
        assert_eq!(AlertId::live(1).to_string(), "0000000000000001");
        let found = AlertId { number: 1, analysis: 4 };
        assert_eq!("0000000000000001-4".parse(), Ok(found));
        assert_eq!(found.to_string(), "0000000000000001-4");
        for wrong in ["1", "000000000000000g", "0000000000000001-", "0000000000000001--4"] {
            assert!(wrong.parse::<AlertId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let sample = PayloadSample {
            direction: Way::Out,
            first: Bytes::from_static(&[0, 255]),
            payload_bytes: 9,
        };
        let json = serde_json::to_string(&sample).unwrap();
        assert_eq!(json, r#"{"direction":"out","hex":"00ff","bytes":9}"#);
        assert_eq!(serde_json::from_str::<PayloadSample>(&json).unwrap(), sample);
        let told = Alert { basis: Basis::default(), ..example::alert() };
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), told);
    }
}
