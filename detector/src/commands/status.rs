//! `detector status`: what the agent watches, how full its tables are, what it has counted.

use std::io::{self, Write};

use super::control::{Output, all_waiting, show, unexpected};
use super::listing::{Column, Listing};
use crate::cli::control::StatusArgs;
use crate::config::Config;
use crate::control::{Answer, NamedBytes, Outbound, Request, StatusReply};
use crate::units;

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
    outbound(output, &status.outbound)?;
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

/// What left, how much of it is explained, and who sent the rest.
fn outbound(output: &mut impl Write, outbound: &Outbound) -> io::Result<()> {
    let sum = |all: &[NamedBytes]| all.iter().map(|named| named.bytes).sum::<u64>();
    let (explained, unexplained) = (sum(&outbound.explained), sum(&outbound.unexplained));
    if explained + unexplained + outbound.waiting_bytes == 0 && outbound.senders.is_empty() {
        return Ok(());
    }
    writeln!(
        output,
        "\noutbound: {} explained, {} unexplained, {} may still be explained",
        units::bytes(explained),
        units::bytes(unexplained),
        units::bytes(outbound.waiting_bytes)
    )?;
    if outbound.alerts_withheld != 0 {
        let count = outbound.alerts_withheld;
        let noun = if count == 1 { "sender" } else { "senders" };
        writeln!(output, "no room for an alert about {count} {noun}: alerts.unexplained_per_day")?;
    }
    if outbound.senders.is_empty() {
        return Ok(());
    }
    writeln!(output)?;
    let mut listing = Listing::new([
        Column::Left("UNEXPLAINED TODAY"),
        Column::Right("BYTES"),
        Column::Left("WHY"),
        Column::Left("MOST OF IT TO"),
    ]);
    for sender in &outbound.senders {
        let to = sender.destination_name.as_ref().or(sender.destination.as_ref());
        listing.row([
            sender.address.clone(),
            units::bytes(sender.bytes),
            sender.class.clone(),
            to.map_or("-", String::as_str).to_owned(),
        ]);
    }
    listing.write(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;
    use crate::control::{Pending, TableUse, UnexplainedSender};
    use crate::response::Mode;

    #[test]
    fn status_answers_from_the_top() {
        let status = StatusReply {
            pid: 7,
            version: "0.1.0".into(),
            mode: Mode::Block,
            interfaces: vec!["eth0".into(), "wg0".into()],
            outbound: Outbound {
                explained: vec![NamedBytes { name: "exchange".into(), bytes: 3_000_000 }],
                unexplained: vec![NamedBytes { name: "new".into(), bytes: 12_000_000 }],
                waiting_bytes: 5_000,
                senders: vec![UnexplainedSender {
                    address: "10.0.0.7".into(),
                    class: "new".into(),
                    bytes: 12_000_000,
                    destination: Some("192.0.2.1".into()),
                    destination_name: Some("files.example".into()),
                    destination_bytes: 11_000_000,
                }],
                alerts_withheld: 1,
            },
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
changes that wait for confirmation:
  mode block, in 58 s: detector confirm 3

outbound: 3.0 MB explained, 12 MB unexplained, 5.0 kB may still be explained
no room for an alert about 1 sender: alerts.unexplained_per_day

UNEXPLAINED TODAY  BYTES  WHY  MOST OF IT TO
10.0.0.7           12 MB  new  files.example

TABLE   USED    OF  MEMORY  WHEN FULL
blocks     3  66 k  5.2 MB  refuses new blocks

COUNTED          SO FAR
dropped packets   1.2 M
";
        assert_eq!(text(|output| shown(output, &status)), expected);
    }
}
