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
    /// An unencrypted mail, file transfer or web form.
    ClearUpload,
    /// Little at a time, again and again.
    BeaconUpload,
    /// Over a long time and below what anyone would notice.
    SlowDrip,
    /// Far more sent than received, in no long time.
    BulkUpload,
    /// More is received than sent, and yet the shape is that of exfiltration: a tunnel or a shell.
    Tunnel,
    /// More than the sender can explain, of no recognised kind.
    UnexplainedUpload,
    /// About the monitor itself and no traffic: a process went past its programs, or took one away.
    MonitorBypass,
    #[default]
    UnknownExfiltration,
}

/// Zeek's exfiltration script calls 2,000 B/s a sustained upload; below it is a drip.
const DRIP_BYTES_PER_SECOND: f64 = 2_000.0;
/// The shortest time over which a drip can be told from a short exchange.
const DRIP_SECONDS: f64 = 60.0;
/// Silences of a second that make traffic a beacon rather than a conversation with pauses.
const BEACON_BURSTS: u64 = 10;
/// What a beacon sends at a time at most.
const BEACON_BYTES_PER_BURST: u64 = 16 << 10;
/// Sent over received beyond which a session is an upload.
const UPLOAD_RATIO: u64 = 3;

impl Technique {
    pub const ALL: [Self; 10] = [
        Self::DnsTunnel,
        Self::IcmpTunnel,
        Self::ClearUpload,
        Self::BeaconUpload,
        Self::SlowDrip,
        Self::BulkUpload,
        Self::Tunnel,
        Self::UnexplainedUpload,
        Self::MonitorBypass,
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

    /// The same, unless it says bulk and the numbers say that it is little at a time.
    #[must_use]
    pub fn by_pace(self, sample: &Sample<'_>) -> Self {
        match (self, slow(sample)) {
            (Self::BulkUpload, Some(slow)) => slow,
            _ => self,
        }
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
            Self::ClearUpload => ", unencrypted",
            Self::BeaconUpload => ", a little at a time and again and again",
            Self::SlowDrip => ", slowly",
            // The amount and the time say it; the event does.
            Self::BulkUpload | Self::MonitorBypass => "",
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
            Self::ClearUpload => "unencrypted upload",
            Self::BeaconUpload => "beacon with uploads",
            Self::SlowDrip => "slow drip",
            Self::BulkUpload => "bulk upload",
            Self::Tunnel => "tunnel",
            Self::UnexplainedUpload => "unexplained upload",
            Self::MonitorBypass => "monitor bypass",
            Self::UnknownExfiltration => "unknown exfiltration",
        }
    }

    /// The technique's number in MITRE ATT&CK, version 16, tactic Exfiltration (TA0010), Command and
    /// Control (TA0011) or Defense Evasion (TA0005).
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
            Self::MonitorBypass => "T1562",
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
            Self::MonitorBypass => "monitor_bypass",
            Self::UnknownExfiltration => "unknown_exfiltration",
        }
    }
}

/// What sends little at a time.
fn slow(sample: &Sample<'_>) -> Option<Technique> {
    let (sent, Volume { bursts, .. }) = (sample.sent.payload_bytes(), *sample.sent);
    let seconds = sample.session.duration_ns() as f64 / 1e9;
    if bursts >= BEACON_BURSTS && sent / bursts <= BEACON_BYTES_PER_BURST {
        return Some(Technique::BeaconUpload);
    }
    let drips = seconds >= DRIP_SECONDS && sent as f64 / seconds <= DRIP_BYTES_PER_SECOND;
    drips.then_some(Technique::SlowDrip)
}

fn by_volume(sample: &Sample<'_>) -> Technique {
    if let Some(slow) = slow(sample) {
        return slow;
    }
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    if sent >= received.saturating_mul(UPLOAD_RATIO) {
        return Technique::BulkUpload;
    }
    if sent < received { Technique::Tunnel } else { Technique::UnknownExfiltration }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example::session;
    use crate::flow::{SessionKey, Side};

    #[test]
    fn the_name_follows_the_numbers() {
        let check = |sent: u64, received: u64, seconds: u64, bursts: u64, expected: [&str; 2]| {
            let mut session = session(SessionKey { protocol: 6, ..SessionKey::default() });
            session.last_seen_ns = seconds * 1_000_000_000;
            session.up = Volume { seen_payload_bytes: sent, bursts, ..Volume::default() };
            session.down = Volume { seen_payload_bytes: received, ..Volume::default() };
            let sample = Sample::new(&session, Side::Client, session.last_seen_ns);
            let names = [Technique::of(&sample), Technique::BulkUpload.by_pace(&sample)];
            assert_eq!(names.map(Technique::name), expected, "{sent} in {seconds} s");
        };
        check(48_000_000, 300_000, 40, 0, ["bulk_upload"; 2]);
        check(30_000, 1_000, 10, 0, ["bulk_upload"; 2]);
        check(30_000, 1_000, 60, 3, ["slow_drip"; 2]);
        check(2_000_000, 1_000, 7_200, 9, ["slow_drip"; 2]);
        check(200_000, 1_000, 600, 60, ["beacon_upload"; 2]);
        check(48_000_000, 1_000, 7_200, 5, ["bulk_upload"; 2]);
        check(1_000, 90_000, 20, 0, ["tunnel", "bulk_upload"]);
        assert_eq!(
            Technique::DnsTunnel.by_pace(&Sample::new(
                &session(SessionKey::default()),
                Side::Client,
                0
            )),
            Technique::DnsTunnel
        );
    }
}
