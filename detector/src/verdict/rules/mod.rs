//! Rules: what the physics of a technique shows without a forest.
//!
//! A rule looks at one sender of a session and finds something or nothing. It is as sure as its
//! [`Found::certainty`] says, and is joined with the forest in [`super::score`]. Every constant
//! names the publication, the standard or the measurement it comes from. No rule reads an address.

mod baseline;
mod clear;
mod dns;
#[cfg(test)]
mod dns_tests;
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
    /// Whether it is about size and shape alone, and so silent on what is a baseline of the host.
    pub excused_by_baseline: bool,
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
    [dns::RULES, icmp::RULES, clear::RULES, volume::RULES, baseline::RULES].into_iter().flatten()
}

/// What the rules find about a sender.
pub fn find<'a>(sample: &'a Sample<'_>) -> impl Iterator<Item = (&'static Rule, Found)> + 'a {
    let baseline = sample.context.has_baseline();
    let heard = rules().filter(move |rule| !(baseline && rule.excused_by_baseline));
    heard.filter_map(|rule| Some((rule, (rule.find)(sample)?)))
}

/// The text of `docs/rules.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Rules\n\nThe rules that detect exfiltration beside the forest, with the source of \
         their constants. Generated \
         from `detector/src/verdict/rules`: change it there. [detection.md](detection.md) \
         explains how a \
         rule's certainty becomes part of a score.\n\n*Blocks*: a finding of this rule alone may \
         lead to a \
         block. *Baseline*: the rule ignores traffic that fits the host's baseline.\n\n\
         | rule | detects | source | blocks | baseline |\n|---|---|---|---|---|\n",
    );
    let word = |yes| if yes { "yes" } else { "no" };
    for rule in rules() {
        let Rule { name, meaning, source, may_block, excused_by_baseline, .. } = rule;
        let (blocks, baseline) = (word(*may_block), word(*excused_by_baseline));
        text.push_str(&format!("| `{name}` | {meaning} | {source} | {blocks} | {baseline} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rules_have_names_of_their_own_and_sources() {
        let names: BTreeSet<_> = rules().map(|rule| rule.name).collect();
        assert_eq!(names.len(), rules().count());
        assert!(rules().all(|rule| rule.source.len() > 20 && rule.meaning.len() > 20));
    }

    /// `UPDATE_GOLDEN=1 cargo test` writes the page.
    #[test]
    fn the_generated_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "docs/rules.md is old: run UPDATE_GOLDEN=1 cargo test");
    }
}
