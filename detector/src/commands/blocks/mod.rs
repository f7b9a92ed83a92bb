//! `detector blocks`: what the kernel blocks, what it has stopped, and whether it holds.

mod rpz;

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};

use super::control::{Output, ask, present, show, unexpected, waiting};
use super::listing::{Column, Listing, ago, json, left};
use crate::cli::control::{Blocks, BlocksAdd, BlocksCommand, BlocksVerify, ExportFormat, Reach};
use crate::clock::now_ns;
use crate::config::Config;
use crate::control::{Answer, BlockLine, BlockState, EffectWanted, Pending, Request, VerifyLine};
use crate::network::Network;
use crate::response::Target;
use crate::units;
use crate::verify::verify;

pub fn run(args: Blocks, config: &Config) -> anyhow::Result<()> {
    let Blocks { reach, command } = args;
    let (request, listed) = match command {
        BlocksCommand::List(listed) => (Request::BlocksList {}, listed),
        BlocksCommand::Add(add) => (add_request(&add)?, add.change.listed),
        BlocksCommand::Remove(remove) => {
            let (target, number) = named(&remove.block)?;
            let confirm_within_secs = remove.change.confirm_within;
            let request = Request::BlocksRemove { target, number, confirm_within_secs };
            (request, remove.change.listed)
        }
        BlocksCommand::Flush(change) => {
            let confirm_within_secs = change.confirm_within;
            (Request::BlocksFlush { confirm_within_secs }, change.listed)
        }
        BlocksCommand::Verify(verify) => return run_verify(&reach, config, &verify),
        BlocksCommand::Export(export) => return run_export(&reach, config, export.format),
    };
    show(&reach, config, &request, listed, table)
}

fn add_request(add: &BlocksAdd) -> anyhow::Result<Request> {
    let effect = match (add.police, add.mark) {
        (Some(bytes_per_second), _) => EffectWanted::Police { bytes_per_second },
        (None, Some(dscp)) => EffectWanted::Mark { dscp },
        (None, None) => EffectWanted::Drop,
    };
    Ok(Request::BlocksAdd {
        target: target(&add.target)?,
        ttl_secs: add.ttl,
        effect,
        simulate: add.simulate,
        reason: add.reason.clone(),
        confirm_within_secs: add.change.confirm_within,
    })
}

/// A target in words; a bare address or prefix is a destination.
fn target(words: &[String]) -> anyhow::Result<Target> {
    let text = words.join(" ");
    let bare = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return text.parse::<Network>().map(Target::Destination);
    }
    text.parse()
}

/// A block by its number or its target.
fn named(words: &[String]) -> anyhow::Result<(Option<Target>, Option<u32>)> {
    if let [word] = words
        && let Ok(number) = word.trim_start_matches('#').parse()
    {
        return Ok((None, Some(number)));
    }
    Ok((Some(target(words)?), None))
}

fn run_verify(reach: &Reach, config: &Config, args: &BlocksVerify) -> anyhow::Result<()> {
    let (target, number) = match args.block.as_slice() {
        [] => (None, None),
        words => named(words)?,
    };
    let blocks = verify(target, number, &mut |request| ask(reach, config, &request))?;
    present(&Answer::Verified { blocks }, args.listed, table)
}

fn run_export(reach: &Reach, config: &Config, format: ExportFormat) -> anyhow::Result<()> {
    let answer = ask(reach, config, &Request::BlocksExport {})?;
    let Answer::Domains { domains } = answer else {
        bail!("the agent's answer is of an unknown kind: restart the agent after an upgrade");
    };
    let mut output = BufWriter::new(io::stdout().lock());
    match format {
        ExportFormat::Json => json(&mut output, &domains),
        ExportFormat::Rpz => rpz::write(&mut output, &domains, now_ns()).map(|refused| {
            if refused != 0 {
                tracing::warn!(
                    "left out {} without a valid DNS name",
                    units::counted(refused, "domain")
                );
            }
        }),
    }
    .and_then(|()| output.flush())
    .context("failed to write the zone")
}

fn table(output: &mut Output, answer: &Answer, now_ns: u64) -> io::Result<()> {
    match answer {
        Answer::Blocks { blocks } => list(output, blocks, now_ns),
        Answer::Placed { block, pending } => placed(output, block, pending.as_ref()),
        Answer::Removed { blocks, pending } => removed(output, blocks, pending.as_ref()),
        Answer::Verified { blocks } => verified(output, blocks),
        _ => unexpected(),
    }
}

pub(super) fn list(output: &mut impl Write, blocks: &[BlockLine], now_ns: u64) -> io::Result<()> {
    if blocks.is_empty() {
        return writeln!(
            output,
            "no blocks: add one with `detector blocks add 192.0.2.1 --ttl 10m`; in mode block the \
             agent adds them on alerts"
        );
    }
    let mut listing = Listing::new([
        Column::Right("NO"),
        Column::Left("TARGET"),
        Column::Left("EFFECT"),
        Column::Left("STATE"),
        Column::Right("ENDS IN"),
        Column::Right("PACKETS"),
        Column::Right("BYTES"),
        Column::Left("LAST HIT"),
        Column::Left("BY"),
        Column::Left("WHY"),
    ]);
    for block in blocks {
        listing.row([
            block.number.to_string(),
            block.target.to_string(),
            effect(block.effect),
            state(&block.state, now_ns),
            units::seconds(block.remaining_secs as f64),
            units::count(block.packets),
            units::bytes(block.bytes),
            block.last_hit.as_deref().map_or("never".to_owned(), |time| ago(time, now_ns)),
            block.by.clone(),
            why(block),
        ]);
    }
    listing.write(output)
}

fn effect(effect: EffectWanted) -> String {
    match effect {
        EffectWanted::Drop => "drop".to_owned(),
        EffectWanted::Police { bytes_per_second } => {
            format!("{}/s", units::bytes(bytes_per_second))
        }
        EffectWanted::Mark { dscp } => format!("mark {dscp}"),
    }
}

/// `suspended, 58 s left` where the exact words are `suspended until` a time.
fn state(state: &BlockState, now_ns: u64) -> String {
    match state.until().and_then(|until| left(until, now_ns)) {
        Some(left) => format!("{}, {left} left", state.name()),
        None => state.to_string(),
    }
}

fn why(block: &BlockLine) -> String {
    let mut why = block.reason.clone();
    if block.times > 1 {
        why.push_str(&format!(", time {}", block.times));
    }
    if let Some(alert) = &block.alert {
        why.push_str(&format!(" (alert {alert})"));
    }
    why
}

fn placed(output: &mut impl Write, block: &BlockLine, pending: Option<&Pending>) -> io::Result<()> {
    writeln!(
        output,
        "block {}: {}, {}, for {}, {}",
        block.number,
        block.target,
        effect(block.effect),
        units::seconds(block.remaining_secs as f64),
        block.state.name()
    )?;
    waiting(output, pending)
}

fn removed(
    output: &mut impl Write,
    blocks: &[BlockLine],
    pending: Option<&Pending>,
) -> io::Result<()> {
    if blocks.is_empty() {
        return writeln!(output, "no blocks to remove");
    }
    for block in blocks {
        writeln!(
            output,
            "block {} ended: {}, after {} and {}",
            block.number,
            block.target,
            units::counted(block.packets, "packet"),
            units::bytes(block.bytes)
        )?;
    }
    waiting(output, pending)
}

fn verified(output: &mut impl Write, blocks: &[VerifyLine]) -> io::Result<()> {
    if blocks.is_empty() {
        return writeln!(
            output,
            "no blocks to verify: `detector blocks list` shows the active ones"
        );
    }
    let mut listing = Listing::new([
        Column::Right("NO"),
        Column::Left("TARGET"),
        Column::Left("WORKS"),
        Column::Left("BY"),
        Column::Right("DROPPED"),
        Column::Right("PASSED"),
        Column::Left("FINDING"),
    ]);
    for line in blocks {
        let holds = match line.holds {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "unknown",
        };
        listing.row([
            line.number.to_string(),
            line.target.to_string(),
            holds.to_owned(),
            line.how.name().to_owned(),
            units::count(line.dropped_packets),
            units::count(line.passed_packets),
            line.text.clone(),
        ]);
    }
    listing.write(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::block;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn targets_are_words_or_one_text() {
        let check = |given: &[String], expected: &str| {
            assert_eq!(target(given).unwrap().to_string(), expected);
        };
        check(&words("pair 10.0.0.7 192.0.2.1"), "pair 10.0.0.7 192.0.2.1");
        check(&["pair 10.0.0.7 192.0.2.1".into()], "pair 10.0.0.7 192.0.2.1");
        check(&words("192.0.2.1"), "destination 192.0.2.1");
        check(&words("192.0.2.0/24"), "destination 192.0.2.0/24");
        check(&words("2001:db8::/32"), "destination 2001:db8::/32");
        let error = format!("{:#}", target(&words("192.0.2.1/24")).unwrap_err());
        assert!(error.contains("write 192.0.2.0/24"), "{error}");
        let error = format!("{:#}", target(&words("everything")).unwrap_err());
        assert!(error.contains("`everything` is not a target"), "{error}");
    }

    #[test]
    fn blocks_are_named_by_number_or_target() {
        assert_eq!(named(&words("4")).unwrap(), (None, Some(4)));
        assert_eq!(named(&words("#4")).unwrap(), (None, Some(4)));
        let (target, number) = named(&words("host 10.0.0.7")).unwrap();
        assert_eq!((target.unwrap().to_string().as_str(), number), ("host 10.0.0.7", None));
        assert!(named(&words("-4")).is_err());
    }

    #[test]
    fn what_is_asked_for() {
        let add = BlocksAdd {
            target: words("host 10.0.0.7"),
            ttl: Some(600),
            police: Some(10_000),
            mark: None,
            simulate: true,
            reason: "leak".into(),
            change: crate::cli::control::Change {
                confirm_within: Some(60),
                listed: crate::cli::control::Listed { format: crate::cli::LiveFormat::Json },
            },
        };
        let expected = Request::BlocksAdd {
            target: "host 10.0.0.7".parse().unwrap(),
            ttl_secs: Some(600),
            effect: EffectWanted::Police { bytes_per_second: 10_000 },
            simulate: true,
            reason: "leak".into(),
            confirm_within_secs: Some(60),
        };
        assert_eq!(add_request(&add).unwrap(), expected);
    }

    #[test]
    fn blocks_read_as_a_table() {
        let other = BlockLine {
            number: 12,
            target: "destination 2001:db8::/32".parse().unwrap(),
            effect: EffectWanted::Police { bytes_per_second: 10_000 },
            by: "uid 0 (root)".into(),
            reason: "drop\x1b site".into(),
            alert: None,
            last_hit: None,
            times: 1,
            packets: 0,
            bytes: 0,
            state: BlockState::Suspended { until: "2027-01-15T08:01:00.500000Z".into() },
            ..block()
        };
        let mut text = Vec::new();
        list(&mut text, &[block(), other], 1_800_000_012_000_000_000).unwrap();
        let expected = "\
NO  TARGET                     EFFECT   STATE                 ENDS IN  PACKETS   BYTES  LAST HIT  BY            WHY
 4  pair 10.0.0.7 192.0.2.1    drop     in force               10 min     1234  1.4 MB  12 s ago  agent         bulk_upload, time 2 (alert 00000000000000ab)
12  destination 2001:db8::/32  10 kB/s  suspended, 48 s left   10 min        0     0 B  never     uid 0 (root)  drop\u{fffd} site
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn changes_say_what_they_did_and_how_to_keep_them() {
        let pending = Pending { id: 3, what: "a block".into(), in_secs: 60 };
        let mut text = Vec::new();
        placed(&mut text, &block(), Some(&pending)).unwrap();
        removed(&mut text, &[block()], None).unwrap();
        removed(&mut text, &[], None).unwrap();
        list(&mut text, &[], 0).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "block 4: pair 10.0.0.7 192.0.2.1, drop, for 10 min, in force",
                "the agent undoes this in 60 s unless you run: detector confirm 3",
                "block 4 ended: pair 10.0.0.7 192.0.2.1, after 1234 packets and 1.4 MB",
                "no blocks to remove",
            ]
        );
        assert!(lines[4].contains("`detector blocks add 192.0.2.1 --ttl 10m`"), "{text}");
    }
}
