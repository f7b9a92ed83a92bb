//! `detector status`: what the agent watches, how full its tables are, what it has counted.

use std::io::{self, Write};

use super::control::{Output, all_waiting, show, unexpected};
use super::listing::{Column, Listing};
use crate::cli::control::StatusArgs;
use crate::config::Config;
use crate::control::{Answer, Request, StatusReply};
use crate::units;

/// # Errors
///
/// No agent, whatever it refuses, an output that cannot be written.
pub fn run(args: &StatusArgs, config: &Config) -> anyhow::Result<()> {
    show(&args.reach, config, &Request::Status {}, args.listed, table)
}

fn table(output: &mut Output, answer: &Answer, _now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Status(status) => shown(output, status),
        _ => unexpected(),
    }
}

fn shown(output: &mut impl Write, status: &StatusReply) -> io::Result<()> {
    let interfaces = match status.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    writeln!(
        output,
        "detector {}, pid {}, mode {}, watches {interfaces}",
        status.version, status.pid, status.mode
    )?;
    all_waiting(output, &status.pending)?;
    if !status.tables.is_empty() {
        writeln!(output)?;
        let mut listing = Listing::new([
            Column::Left("TABLE"),
            Column::Right("USED"),
            Column::Right("OF"),
            Column::Right("MEMORY"),
            Column::Left("WHEN FULL"),
        ]);
        for table in &status.tables {
            listing.row([
                table.name.clone(),
                units::count(table.used),
                units::count(table.capacity),
                units::bytes(table.bytes),
                table.when_full.clone(),
            ]);
        }
        listing.write(output)?;
    }
    if !status.counters.is_empty() {
        writeln!(output)?;
        let mut listing = Listing::new([Column::Left("COUNTED"), Column::Right("SO FAR")]);
        for (name, count) in &status.counters {
            listing.row([name.replace('_', " "), units::count(*count)]);
        }
        listing.write(output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;
    use crate::control::{Pending, TableUse};
    use crate::response::Mode;

    #[test]
    fn status_answers_from_the_top() {
        let status = StatusReply {
            pid: 7,
            version: "0.1.0".into(),
            mode: Mode::Block,
            interfaces: vec!["eth0".into(), "wg0".into()],
            tables: vec![TableUse {
                name: "blocks".into(),
                used: 3,
                capacity: 65_536,
                bytes: 5_200_000,
                when_full: "refuses new blocks".into(),
            }],
            counters: [("dropped_packets".to_owned(), 1_234_567)].into(),
            pending: vec![Pending { id: 3, what: "mode block".into(), in_secs: 58 }],
        };
        let expected = "\
detector 0.1.0, pid 7, mode block, watches eth0, wg0
undone unless you confirm it:
  mode block, in 58 s: detector confirm 3

TABLE   USED    OF  MEMORY  WHEN FULL
blocks     3  66 k  5.2 MB  refuses new blocks

COUNTED          SO FAR
dropped packets   1.2 M
";
        assert_eq!(text(|output| shown(output, &status)), expected);
    }
}
