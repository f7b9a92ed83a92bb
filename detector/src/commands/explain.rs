//! `detector explain`: whether an address is blocked, why, and by which entry.

use std::io::{self, Write};

use super::control::{Output, show, unexpected};
use super::{allow, blocks, budgets};
use crate::cli::control::Explain;
use crate::config::Config;
use crate::control::{Answer, Explanation, Request};
use crate::text::clean;

pub fn run(args: &Explain, config: &Config) -> anyhow::Result<()> {
    show(&args.reach, config, &Request::Explain { address: args.address }, args.listed, table)
}

fn table(output: &mut Output, answer: &Answer, now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Explanation(explanation) => shown(output, explanation, now_ns),
        _ => unexpected(),
    }
}

fn shown(output: &mut impl Write, explanation: &Explanation, now_ns: u64) -> io::Result<()> {
    for sentence in &explanation.sentences {
        writeln!(output, "{}", clean(sentence))?;
    }
    if !explanation.blocks.is_empty() {
        writeln!(output, "\nblocks:")?;
        blocks::list(output, &explanation.blocks, now_ns)?;
    }
    if !explanation.allow.is_empty() {
        writeln!(output, "\nexceptions:")?;
        allow::list(output, &explanation.allow)?;
    }
    if !explanation.budgets.is_empty() {
        writeln!(output, "\nbudgets:")?;
        budgets::list(output, &explanation.budgets, 0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::{allow, block, text};

    #[test]
    fn the_answer_comes_first_and_the_entries_after() {
        let explanation = Explanation {
            address: "192.0.2.1".parse().unwrap(),
            home: false,
            sentences: vec!["192.0.2.1 is blocked.".into(), "Block 4 drops\x1b it.".into()],
            blocks: vec![block()],
            allow: vec![allow()],
            budgets: Vec::new(),
        };
        let text = text(|output| shown(output, &explanation, 0));
        let starts: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(
            starts,
            ["192.0.2.1", "Block", "", "blocks:", "NO", "", "", "exceptions:", "ID", "g1"],
            "{text}"
        );
        assert!(text.contains("drops\u{fffd} it"), "{text}");
    }
}
