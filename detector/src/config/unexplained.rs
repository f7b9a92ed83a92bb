//! What outbound bytes may be explained by, and when there is an alert about those that are not.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::{Config, MAX_BLOCK_TTL_SECS};
use crate::ledger::{ExchangeConfig, LedgerConfig, Police};

/// How many alerts there may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// 0: none but for `unexplained.always_bytes`.
    pub unexplained_per_day: u32,
}

/// The ledger of outbound bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unexplained {
    pub evidence_bytes: u64,
    pub new_bytes: u64,
    /// 0: never.
    pub always_bytes: u64,
    pub max_senders: u32,
    pub exchange_bytes_per_hour: u64,
    pub exchange_received_share: f64,
    pub exchange_received_share_quic: f64,
    pub exchange_new_destination_bytes_per_day: u64,
    pub police: Police,
    pub police_bytes_per_second: u64,
    pub police_secs: u64,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { unexplained_per_day: 1 }
    }
}

impl Default for Unexplained {
    fn default() -> Self {
        let LedgerConfig { exchange, max_senders, evidence_bytes, new_bytes, always_bytes, .. } =
            LedgerConfig::default();
        Self {
            evidence_bytes,
            new_bytes,
            always_bytes,
            max_senders,
            exchange_bytes_per_hour: exchange.bytes_per_hour,
            exchange_received_share: exchange.received_share,
            exchange_received_share_quic: exchange.received_share_quic,
            exchange_new_destination_bytes_per_day: exchange.new_destination_bytes_per_day,
            police: Police::default(),
            police_bytes_per_second: 8_000,
            police_secs: 3_600,
        }
    }
}

impl Unexplained {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, bytes) in [
            ("evidence_bytes", self.evidence_bytes),
            ("new_bytes", self.new_bytes),
            ("police_bytes_per_second", self.police_bytes_per_second),
        ] {
            ensure!(bytes > 0, "unexplained.{key} is 0: use at least 1");
        }
        ensure!(
            (1..=MAX_BLOCK_TTL_SECS).contains(&self.police_secs),
            "unexplained.police_secs is {}: use 1 to {MAX_BLOCK_TTL_SECS}",
            self.police_secs
        );
        ensure!(self.max_senders > 0, "unexplained.max_senders is 0: use at least 1");
        for (key, share) in [
            ("exchange_received_share", self.exchange_received_share),
            ("exchange_received_share_quic", self.exchange_received_share_quic),
        ] {
            ensure!((0.0..=1.0).contains(&share), "unexplained.{key} is {share}: use 0 to 1");
        }
        Ok(())
    }
}

impl Config {
    /// The sizes of the ledger of live traffic.
    #[must_use]
    pub fn ledger(&self) -> LedgerConfig {
        LedgerConfig {
            alerts_per_day: Some(self.alerts.unexplained_per_day),
            police: self.unexplained.police,
            ..self.ledger_of_captures()
        }
    }

    /// The same for captures, which have no days to spread alerts over.
    #[must_use]
    pub fn ledger_of_captures(&self) -> LedgerConfig {
        let unexplained = &self.unexplained;
        LedgerConfig {
            exchange: ExchangeConfig {
                bytes_per_hour: unexplained.exchange_bytes_per_hour,
                received_share: unexplained.exchange_received_share,
                received_share_quic: unexplained.exchange_received_share_quic,
                new_destination_bytes_per_day: unexplained.exchange_new_destination_bytes_per_day,
            },
            services: self.services(),
            max_senders: unexplained.max_senders,
            evidence_bytes: unexplained.evidence_bytes,
            new_bytes: unexplained.new_bytes,
            always_bytes: unexplained.always_bytes,
            alerts_per_day: None,
            police: Police::None,
        }
    }
}
