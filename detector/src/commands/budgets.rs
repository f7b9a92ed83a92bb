//! `detector budgets`: what hosts may still send, what is held back, and letting more pass.

use std::io::{self, Write};

use super::control::{Output, show, unexpected};
use super::listing::{Column, Listing};
use crate::cli::control::{Budgets, BudgetsCommand};
use crate::config::Config;
use crate::control::{Answer, BudgetLine, Request};
use crate::units;

pub fn run(args: Budgets, config: &Config) -> anyhow::Result<()> {
    let Budgets { reach, command } = args;
    let (request, listed) = match command {
        BudgetsCommand::List(listed) => (Request::Budgets {}, listed),
        BudgetsCommand::Raise(raise) => {
            let request = Request::BudgetsRaise {
                home: raise.home,
                destination: raise.destination,
                bytes: raise.bytes,
            };
            (request, raise.listed)
        }
    };
    show(&reach, config, &request, listed, table)
}

fn table(output: &mut Output, answer: &Answer, _now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Budgets { budgets, more } => list(output, budgets, *more),
        Answer::Raised { budget } => raised(output, budget),
        _ => unexpected(),
    }
}

pub(super) fn list(output: &mut impl Write, budgets: &[BudgetLine], more: u64) -> io::Result<()> {
    if budgets.is_empty() {
        return writeln!(
            output,
            "no budgets: set budget.bytes in the configuration to give every new destination one"
        );
    }
    let mut listing = Listing::new([
        Column::Left("HOST"),
        Column::Left("DESTINATION"),
        Column::Left("STATE"),
        Column::Right("LIMIT"),
        Column::Right("SENT"),
        Column::Right("HELD"),
        Column::Right("HELD FOR"),
    ]);
    for line in budgets {
        listing.row([
            line.home.to_string(),
            line.destination.to_string(),
            line.state.clone(),
            limit(line),
            units::bytes(line.charged),
            units::bytes(line.held_bytes),
            line.held_secs.map_or(String::new(), units::seconds),
        ]);
    }
    listing.write(output)?;
    if more != 0 {
        writeln!(output, "and {} more", units::counted(more, "budget"))?;
    }
    Ok(())
}

fn limit(line: &BudgetLine) -> String {
    line.limit.map_or("none".to_owned(), units::bytes)
}

fn raised(output: &mut impl Write, line: &BudgetLine) -> io::Result<()> {
    let (home, destination) = (line.home, line.destination);
    let sent = units::bytes(line.charged);
    match line.limit {
        Some(limit) => {
            let limit = units::bytes(limit);
            writeln!(output, "{home} may send {limit} to {destination} and has sent {sent}")
        }
        None => writeln!(output, "{home} may send any amount to {destination} and has sent {sent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;

    fn held() -> BudgetLine {
        BudgetLine {
            home: "10.0.0.7".parse().unwrap(),
            destination: "2001:db8::1".parse().unwrap(),
            limit: Some(64_000),
            charged: 63_500,
            held_packets: 3,
            held_bytes: 4_200,
            held_secs: Some(4.0),
            state: "held".into(),
        }
    }

    #[test]
    fn budgets_read_as_a_table() {
        let free = BudgetLine { limit: None, held_secs: None, state: "free".into(), ..held() };
        let expected = "\
HOST      DESTINATION  STATE  LIMIT   SENT    HELD  HELD FOR
10.0.0.7  2001:db8::1  held   64 kB  64 kB  4.2 kB     4.0 s
10.0.0.7  2001:db8::1  free    none  64 kB  4.2 kB
and 2 budgets more
";
        assert_eq!(text(|output| list(output, &[held(), free], 2)), expected);
        assert!(text(|output| list(output, &[], 0)).contains("budget.bytes"));
    }

    #[test]
    fn what_may_be_sent_from_now_on() {
        let expected = "10.0.0.7 may send 64 kB to 2001:db8::1 and has sent 64 kB\n";
        assert_eq!(text(|output| raised(output, &held())), expected);
        let free = BudgetLine { limit: None, ..held() };
        let expected = "10.0.0.7 may send any amount to 2001:db8::1 and has sent 64 kB\n";
        assert_eq!(text(|output| raised(output, &free)), expected);
    }
}
