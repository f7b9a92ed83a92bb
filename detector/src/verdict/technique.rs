//! What an alert looks like, by plain physics on the session.
//!
//! A name for people, decided after the score and without influence on it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::features::Sample;
use crate::flow::Volume;

/// A closed list.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// In the names of DNS queries.
    DnsTunnel,
    /// In ICMP echo payloads.
    IcmpTunnel,
    /// A mail, file transfer or web form that can be read on the wire.
    ClearUpload,
    /// Little at a time, again and again.
    BeaconUpload,
    /// Without a pause and below what anyone would notice.
    SlowDrip,
    /// As fast as it goes.
    BulkUpload,
    /// More is received than sent, and yet the shape is that of a theft: a tunnel or a shell.
    Tunnel,
    /// More than the sender can explain, of no recognised kind.
    UnexplainedUpload,
    #[default]
    UnknownExfiltration,
}

/// Zeek's exfiltration script calls 2,000 B/s a sustained upload; below it is a drip.
const DRIP_BYTES_PER_SECOND: f64 = 2_000.0;
/// The shortest time over which a drip can be told from a short exchange.
const DRIP_SECONDS: f64 = 300.0;
/// Silences of a second that make traffic a beacon rather than a conversation with pauses.
const BEACON_BURSTS: u64 = 10;
/// What a beacon sends at a time at most.
const BEACON_BYTES_PER_BURST: u64 = 16 << 10;
/// Sent over received beyond which a session is an upload.
const UPLOAD_RATIO: u64 = 3;

impl Technique {
    pub const ALL: [Self; 9] = [
        Self::DnsTunnel,
        Self::IcmpTunnel,
        Self::ClearUpload,
        Self::BeaconUpload,
        Self::SlowDrip,
        Self::BulkUpload,
        Self::Tunnel,
        Self::UnexplainedUpload,
        Self::UnknownExfiltration,
    ];

    #[must_use]
    pub fn of(sample: &Sample<'_>) -> Self {
        let payloads = &sample.session.first_payloads;
        if payloads.icmp.is_some() {
            return Self::IcmpTunnel;
        }
        if payloads.dns.is_some() {
            return Self::DnsTunnel;
        }
        let http_uploads = payloads.http.as_deref().is_some_and(|http| http.uploads != 0);
        let commands = payloads.mail_commands + payloads.upload_commands;
        if http_uploads || commands != 0 || payloads.ftp_upload.is_some() {
            return Self::ClearUpload;
        }
        by_volume(sample)
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|technique| technique.name() == name)
    }

    /// How it was done, as the end of a sentence.
    #[must_use]
    pub fn clause(self) -> &'static str {
        match self {
            Self::DnsTunnel => ", hidden in the names of DNS queries",
            Self::IcmpTunnel => ", hidden in ping payloads",
            Self::ClearUpload => ", readable on the wire",
            Self::BeaconUpload => ", a little at a time and again and again",
            Self::SlowDrip => ", slowly and without a pause",
            Self::BulkUpload => ", as fast as it goes",
            Self::Tunnel => ", in the shape of a tunnel or a remote shell",
            Self::UnexplainedUpload => ", without an explanation",
            Self::UnknownExfiltration => ", in a way unlike what is usual",
        }
    }

    /// In words for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::DnsTunnel => "DNS tunnel",
            Self::IcmpTunnel => "ICMP tunnel",
            Self::ClearUpload => "upload in clear text",
            Self::BeaconUpload => "beacon that uploads",
            Self::SlowDrip => "slow drip",
            Self::BulkUpload => "bulk upload",
            Self::Tunnel => "tunnel",
            Self::UnexplainedUpload => "unexplained upload",
            Self::UnknownExfiltration => "unknown exfiltration",
        }
    }

    /// The technique's number in MITRE ATT&CK, version 16, tactic Exfiltration (TA0010) or Command
    /// and Control (TA0011).
    #[must_use]
    pub fn attack_id(self) -> &'static str {
        match self {
            Self::DnsTunnel => "T1071.004",
            Self::IcmpTunnel => "T1095",
            Self::ClearUpload => "T1048.003",
            Self::BeaconUpload => "T1020",
            Self::SlowDrip => "T1030",
            Self::BulkUpload => "T1048",
            Self::Tunnel => "T1572",
            Self::UnexplainedUpload => "T1048",
            Self::UnknownExfiltration => "T1041",
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DnsTunnel => "dns_tunnel",
            Self::IcmpTunnel => "icmp_tunnel",
            Self::ClearUpload => "clear_upload",
            Self::BeaconUpload => "beacon_upload",
            Self::SlowDrip => "slow_drip",
            Self::BulkUpload => "bulk_upload",
            Self::Tunnel => "tunnel",
            Self::UnexplainedUpload => "unexplained_upload",
            Self::UnknownExfiltration => "unknown_exfiltration",
        }
    }
}

fn by_volume(sample: &Sample<'_>) -> Technique {
    let Volume { payload_bytes: sent, bursts, .. } = *sample.sent;
    let received = sample.received.payload_bytes;
    let seconds = sample.session.duration_ns() as f64 / 1e9;
    if bursts >= BEACON_BURSTS && sent / bursts <= BEACON_BYTES_PER_BURST {
        return Technique::BeaconUpload;
    }
    if seconds >= DRIP_SECONDS && sent as f64 / seconds <= DRIP_BYTES_PER_SECOND {
        return Technique::SlowDrip;
    }
    if sent >= received.saturating_mul(UPLOAD_RATIO) {
        return Technique::BulkUpload;
    }
    if sent < received { Technique::Tunnel } else { Technique::UnknownExfiltration }
}
