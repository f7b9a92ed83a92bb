//! What a block is to do, and whether it does it now.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::refusal::Refusal;

/// The effect of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EffectWanted {
    #[default]
    Drop,
    /// The kernel drops outbound packets beyond this many IP bytes a second.
    Police { bytes_per_second: u64 },
    /// The kernel sets this DSCP codepoint, 0 to 63, on outbound packets.
    Mark { dscp: u8 },
}

impl EffectWanted {
    /// Sees that it can be carried out.
    pub fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Police { bytes_per_second: 0 } => Err(Refusal::invalid(
                "effect",
                "the rate is 0 bytes a second: use at least 1, or leave the rate out to drop \
                 everything",
            )),
            Self::Mark { dscp: dscp @ 64.. } => {
                Err(Refusal::invalid("effect", format!("the DSCP is {dscp}: use 0 to 63")))
            }
            Self::Drop | Self::Police { .. } | Self::Mark { .. } => Ok(()),
        }
    }
}

/// Whether a block does something now. As text on the wire, in the words of [`fmt::Display`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum BlockState {
    InForce,
    /// It only counts.
    CountsOnly,
    /// It does nothing, and is active again at this time unless its removal is confirmed.
    Suspended {
        until: String,
    },
    /// It is active, and ends at this time unless it is confirmed.
    Unconfirmed {
        until: String,
    },
}

const SUSPENDED: &str = "suspended";
const UNCONFIRMED: &str = "waits for confirmation";
const UNTIL: &str = " until ";

impl BlockState {
    /// The state without its time.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::CountsOnly => "counts only",
            Self::Suspended { .. } => SUSPENDED,
            Self::Unconfirmed { .. } => UNCONFIRMED,
        }
    }

    /// When it is another by itself, in RFC 3339.
    #[must_use]
    pub fn until(&self) -> Option<&str> {
        match self {
            Self::InForce | Self::CountsOnly => None,
            Self::Suspended { until } | Self::Unconfirmed { until } => Some(until),
        }
    }
}

/// `in force`, `suspended until 2027-01-31T00:00:00.000000Z`.
impl fmt::Display for BlockState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self.until() {
            Some(until) => write!(formatter, "{UNTIL}{until}"),
            None => Ok(()),
        }
    }
}

impl From<BlockState> for String {
    fn from(state: BlockState) -> Self {
        state.to_string()
    }
}

impl TryFrom<String> for BlockState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let timed = text.split_once(UNTIL).map(|(name, until)| (name, until.to_owned()));
        match (text.as_str(), timed) {
            ("in force", _) => Ok(Self::InForce),
            ("counts only", _) => Ok(Self::CountsOnly),
            (_, Some((SUSPENDED, until))) => Ok(Self::Suspended { until }),
            (_, Some((UNCONFIRMED, until))) => Ok(Self::Unconfirmed { until }),
            _ => Err(format!("`{text}` is not a state of a block")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_is_written() {
        let until = "2027-01-31T00:00:00.000000Z".to_owned();
        for (state, text) in [
            (BlockState::InForce, "in force"),
            (BlockState::CountsOnly, "counts only"),
            (
                BlockState::Suspended { until: until.clone() },
                "suspended until 2027-01-31T00:00:00.000000Z",
            ),
            (
                BlockState::Unconfirmed { until },
                "waits for confirmation until 2027-01-31T00:00:00.000000Z",
            ),
        ] {
            assert_eq!(state.to_string(), text);
            assert_eq!(BlockState::try_from(text.to_owned()), Ok(state));
        }
        assert!(BlockState::try_from("gone until 2027".to_owned()).is_err());
    }
}
