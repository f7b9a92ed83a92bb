//! Rules: what the physics of a technique tells without a forest.
//!
//! A rule looks at one sender of a session and finds something or nothing. It is as sure as its
//! [`Found::certainty`] says, and is joined with the forest in [`super::score`]. Every constant names
//! the publication, the standard or the measurement it comes from. No rule reads an address.

mod clear;
mod dns;
#[cfg(test)]
mod dns_tests;
mod habit;
mod icmp;
mod pieces;
pub(super) mod services;
mod volume;

use crate::features::Sample;

use super::Technique;

/// One rule of the table.
#[derive(Debug)]
pub struct Rule {
    /// As reasons name it: lower case, with underscores.
    pub name: &'static str,
    /// What it looks for, for `docs/detection.md`.
    pub meaning: &'static str,
    /// Where its constants come from.
    pub source: &'static str,
    /// Whether what it finds may lead to a block without another witness: an anomaly may not.
    pub may_block: bool,
    /// Whether it is about size and shape alone, and so silent on what is a habit of the host.
    pub excused_by_habit: bool,
    pub find: fn(&Sample<'_>) -> Option<Found>,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The share of right alerts to expect of this finding, 0 to 1. A finding that is no reason for
    /// an alert by itself is below one half.
    pub certainty: f64,
    pub technique: Technique,
    /// In words, with the values.
    pub text: String,
}

/// Every rule, in the order of the documentation.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [dns::RULES, icmp::RULES, clear::RULES, volume::RULES, habit::RULES].into_iter().flatten()
}

/// What the rules find about a sender.
pub fn find<'a>(sample: &'a Sample<'_>) -> impl Iterator<Item = (&'static Rule, Found)> + 'a {
    let habit = sample.context.is_habit();
    let heard = rules().filter(move |rule| !(habit && rule.excused_by_habit));
    heard.filter_map(|rule| Some((rule, (rule.find)(sample)?)))
}
