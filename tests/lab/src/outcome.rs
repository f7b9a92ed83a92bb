//! What a scenario says about itself: who stole, what arrived, and where clients connect to.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Who leaks, to whom, how. The port that the
/// manifest names: the server's, or the client's where the server connects to the client.
#[derive(Clone, Debug)]
pub(super) struct Culprit {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: &'static str,
    pub(super) port: Option<u16>,
    pub(super) role: Role,
    pub(super) habit: Option<Habit>,
}

/// How a theft stands to what its host does every day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Habit {
    /// To a place that the host sends to every night.
    pub(super) known: bool,
    pub(super) usual_hour: bool,
    /// A usual night's bytes, or about ten times as many.
    pub(super) usual_volume: bool,
    /// The theft's own time in seconds since 1970: its pair of hosts has a longer, lawful history.
    #[serde(skip)]
    pub(super) within_s: (f64, f64),
}

impl Habit {
    pub(super) fn covers(&self, seconds: f64) -> bool {
        (self.within_s.0..self.within_s.1).contains(&seconds)
    }
}

/// How a culprit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Exfil,
    /// Commands beside the bytes, as of FTP: neither to be learned from nor to be counted.
    Control,
    /// To a known place at a usual hour and size: nobody can tell it from the network.
    Undetectable,
}

impl Role {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Exfil => "exfil",
            Self::Control => "control",
            Self::Undetectable => "undetectable",
        }
    }
}

/// What a scenario did.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) culprits: Vec<Culprit>,
    pub(super) arrived_bytes: Option<u64>,
    pub(super) notes: String,
}

impl Outcome {
    pub(super) fn benign(notes: impl Into<String>) -> Self {
        Self { notes: notes.into(), ..Self::default() }
    }

    /// A theft whose receiver has all `bytes`.
    pub(super) fn stolen(culprit: Culprit, bytes: usize, notes: impl Into<String>) -> Self {
        Self { culprits: vec![culprit], arrived_bytes: Some(bytes as u64), notes: notes.into() }
    }

    /// Names the connection with the commands that told the bytes where to go.
    pub(super) fn with_control(mut self, port: u16) -> Self {
        let control = self.culprits.first().map(|first| Culprit {
            port: Some(port),
            role: Role::Control,
            ..first.clone()
        });
        self.culprits.extend(control);
        self
    }
}

/// Where a client connects to: by name, or by bare address.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What a program is told: a name or an address.
    pub(super) host: String,
    pub(super) address: IpAddr,
}

impl Target {
    /// As part of a URL.
    pub(super) fn url_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// Keeps curl to the family that the label names.
    pub(super) fn family_flag(&self) -> &'static str {
        if self.address.is_ipv6() { "-6" } else { "-4" }
    }
}
