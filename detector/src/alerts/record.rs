//! An alert that is kept: the record that was scored, where it was found, and how far people are
//! with it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::features::Kind;
use crate::verdict::Alert;

/// The origin of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "OriginFields")]
pub enum Origin {
    #[default]
    Live,
    Capture {
        capture: i64,
        analysis: i64,
    },
    /// A record of a log.
    Record,
}

/// An origin as JSON has it, among the alert's own fields.
#[derive(Serialize, ToSchema)]
struct OriginFields {
    origin: OriginName,
    /// The number of the alert's capture.
    capture: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OriginName {
    Live,
    Capture,
    Record,
}

impl From<Origin> for OriginFields {
    fn from(origin: Origin) -> Self {
        let name = match origin {
            Origin::Live => OriginName::Live,
            Origin::Capture { .. } => OriginName::Capture,
            Origin::Record => OriginName::Record,
        };
        Self { origin: name, capture: origin.capture() }
    }
}

impl Origin {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Capture { .. } => "capture",
            Self::Record => "record",
        }
    }

    /// What the alert's vector describes.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Live | Self::Capture { .. } => Kind::Session,
            Self::Record => Kind::Record,
        }
    }

    /// 0: live traffic, or a record.
    #[must_use]
    pub fn analysis(self) -> i64 {
        match self {
            Self::Capture { analysis, .. } => analysis,
            Self::Live | Self::Record => 0,
        }
    }

    #[must_use]
    pub fn capture(self) -> Option<i64> {
        match self {
            Self::Capture { capture, .. } => Some(capture),
            Self::Live | Self::Record => None,
        }
    }
}

/// The state of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlertStatus)]
pub enum Status {
    #[default]
    Open,
    Acknowledged,
    Closed,
}

impl Status {
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Closed];

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// The label of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    Benign,
    Confirmed,
}

impl Resolution {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Benign, Self::Confirmed].into_iter().find(|resolution| resolution.name() == name)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Confirmed => "confirmed",
        }
    }
}

/// An alert with its state and label.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StoredAlert {
    /// Its place in the database; 0 where it has none yet.
    #[serde(skip)]
    pub key: i64,
    #[serde(flatten)]
    pub alert: Alert,
    #[serde(flatten)]
    #[schema(value_type = OriginFields)]
    pub origin: Origin,
    pub status: Status,
    /// The label, once a person set it.
    pub resolution: Option<Resolution>,
    /// The technique in words.
    pub technique_name: &'static str,
    /// MITRE ATT&CK.
    pub attack_id: &'static str,
    /// The alert in one sentence.
    pub headline: String,
}

impl StoredAlert {
    /// An alert that nobody has looked at yet: what pages and messages are given at once.
    #[must_use]
    pub fn new(mut alert: Alert, origin: Origin) -> Self {
        alert.id.analysis = origin.analysis();
        Self {
            key: 0,
            origin,
            status: Status::Open,
            resolution: None,
            technique_name: alert.technique.title(),
            attack_id: alert.technique.attack_id(),
            headline: alert.headline(),
            alert,
        }
    }
}
