//! What is wanted about an alert: by mode, score and technique, and for how long.
//!
//! Pure: whether it is allowed, and what it becomes, is the [`super::PolicyState`]'s.

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::enforcer::Effect;
use crate::network::Network;
use crate::verdict::Technique;

/// What is done about an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    Observe,
    Mark,
    Police,
    DropFlow,
    #[default]
    DropSession,
    DropDestination,
}

/// Another action for some alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActionRule {
    /// All where it is not named.
    pub technique: Option<Technique>,
    /// A score.
    pub at_least: Option<f64>,
    pub action: ActionKind,
    pub ttl_secs: Option<u64>,
    /// For `police`.
    pub bytes_per_second: Option<u64>,
    /// For `mark`.
    pub dscp: Option<u8>,
}

impl ActionRule {
    /// Sees that the rule has what its action needs.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, with what would do.
    pub fn check(&self, max_ttl_secs: u64) -> anyhow::Result<()> {
        if let Some(score) = self.at_least {
            ensure!((0.0..=1.0).contains(&score), "at_least is {score}: use 0 to 1");
        }
        if let Some(ttl) = self.ttl_secs {
            ensure!(
                (1..=max_ttl_secs).contains(&ttl),
                "ttl_secs is {ttl}: use 1 to block.max_ttl_secs, which is {max_ttl_secs}"
            );
        }
        if self.action == ActionKind::Police {
            let rate = self.bytes_per_second.unwrap_or(0);
            ensure!(rate > 0, "action police needs bytes_per_second, at least 1");
        }
        if self.action == ActionKind::Mark {
            ensure!(self.dscp.is_some_and(|dscp| dscp < 64), "action mark needs dscp, 0 to 63");
        }
        Ok(())
    }
}

/// What a rate lets through at once at least: a super-packet, or nothing larger ever passes.
pub const MIN_BURST_BYTES: u64 = 65_536;

/// A burst is what a second's rate allows.
#[must_use]
pub fn police(bytes_per_second: u64) -> Effect {
    Effect::Police { bytes_per_second, burst_bytes: bytes_per_second.max(MIN_BURST_BYTES) }
}

/// What is wanted about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredAction {
    pub kind: ActionKind,
    pub effect: Effect,
    pub ttl: Duration,
}

/// The rules of the house.
#[derive(Clone, Debug)]
pub struct Policy {
    pub action: ActionKind,
    pub rules: Vec<ActionRule>,
    pub ttl: Duration,
    pub max_ttl: Duration,
    /// How long what a person released is left alone.
    pub released: Duration,
    /// What may not be blocked as a whole.
    pub home: Vec<Network>,
    /// The rate that uploads without an explanation and tunnels through resolvers are slowed down to, in IP
    /// bytes a second, and for how long the former are.
    pub police_bytes_per_second: u64,
    pub police_ttl: Duration,
    /// See `budget.raise_below` and `budget.window_secs` of the configuration.
    pub raise_below: f64,
    pub budget_window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            action: ActionKind::DropSession,
            rules: Vec::new(),
            ttl: Duration::from_secs(600),
            max_ttl: Duration::from_secs(14_400),
            released: Duration::from_secs(3_600),
            home: Vec::new(),
            police_bytes_per_second: 8_000,
            police_ttl: Duration::from_secs(3_600),
            raise_below: 0.1,
            budget_window: Duration::from_secs(86_400),
        }
    }
}

impl Policy {
    /// What is wanted about an alert of this technique and score.
    #[must_use]
    pub fn wish(&self, technique: Technique, score: f64) -> DesiredAction {
        // Bytes without an explanation are not shown to be exfiltration: only rules that name them count.
        let unexplained = technique == Technique::UnexplainedUpload;
        let is_meant = |rule: &&ActionRule| !unexplained || rule.technique.is_some();
        let fits = |rule: &&ActionRule| {
            rule.technique.is_none_or(|named| named == technique)
                && rule.at_least.is_none_or(|least| score >= least)
        };
        let Some(rule) = self.rules.iter().filter(is_meant).find(fits) else {
            return if unexplained {
                let effect = police(self.police_bytes_per_second);
                DesiredAction { kind: ActionKind::Police, effect, ttl: self.police_ttl }
            } else {
                DesiredAction { kind: self.action, effect: Effect::Drop, ttl: self.ttl }
            };
        };
        let effect = match rule.action {
            ActionKind::Police => police(rule.bytes_per_second.unwrap_or(1)),
            ActionKind::Mark => Effect::Mark { dscp: rule.dscp.unwrap_or(0) },
            _ => Effect::Drop,
        };
        DesiredAction {
            kind: rule.action,
            effect,
            ttl: rule.ttl_secs.map_or(self.ttl, Duration::from_secs),
        }
    }

    /// How long the next block of a pair lasts that was blocked `times` before.
    #[must_use]
    pub fn ttl(&self, base: Duration, times: u32) -> Duration {
        base.saturating_mul(times.saturating_add(1)).min(self.max_ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_wins() {
        let rules = "
            [[rules]]
            technique = 'slow_drip'
            action = 'police'
            bytes_per_second = 1000
            [[rules]]
            at_least = 0.9
            action = 'drop_destination'
            ttl_secs = 60
            [[rules]]
            technique = 'dns_tunnel'
            action = 'observe'
        ";
        #[derive(Deserialize)]
        struct Rules {
            rules: Vec<ActionRule>,
        }
        let Rules { rules } = toml::from_str(rules).unwrap();
        rules.iter().for_each(|rule| rule.check(3_600).unwrap());
        let policy = Policy { rules, ..Policy::default() };
        let check = |technique, score, kind, ttl| {
            let wish = policy.wish(technique, score);
            assert_eq!((wish.kind, wish.ttl.as_secs()), (kind, ttl), "{technique:?} {score}");
        };
        check(Technique::SlowDrip, 0.99, ActionKind::Police, 600);
        check(Technique::BulkUpload, 0.95, ActionKind::DropDestination, 60);
        check(Technique::DnsTunnel, 0.8, ActionKind::Observe, 600);
        check(Technique::BulkUpload, 0.8, ActionKind::DropSession, 600);
        check(Technique::UnexplainedUpload, 0.99, ActionKind::Police, 3_600);
    }

    #[test]
    fn repeaters_wait_longer_and_not_for_ever() {
        let policy = Policy { max_ttl: Duration::from_secs(1_500), ..Policy::default() };
        for (times, expected) in [(0, 600), (1, 1_200), (2, 1_500), (u32::MAX, 1_500)] {
            assert_eq!(policy.ttl(policy.ttl, times).as_secs(), expected);
        }
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        let check = |rule: ActionRule, expected: &str| {
            let error = rule.check(3_600).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let rule = |action| ActionRule { action, ..ActionRule::default() };
        check(rule(ActionKind::Police), "bytes_per_second");
        check(rule(ActionKind::Mark), "0 to 63");
        check(ActionRule { dscp: Some(64), ..rule(ActionKind::Mark) }, "0 to 63");
        check(ActionRule { ttl_secs: Some(0), ..ActionRule::default() }, "1 to");
        check(ActionRule { ttl_secs: Some(9_999), ..ActionRule::default() }, "3600");
        check(ActionRule { at_least: Some(1.5), ..ActionRule::default() }, "use 0 to 1");
    }
}
