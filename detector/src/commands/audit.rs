//! `detector audit`: who changed what is blocked and allowed, when, why, and what had come of it.
//!
//! Reads the log itself, so that it answers when no agent runs.

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};

use super::listing::{Column, Listing, json, short_time};
use crate::audit::{History, Record, read};
use crate::cli::LiveFormat;
use crate::cli::control::Audit;
use crate::clock::now_ns;
use crate::config::Config;
use crate::features::Timestamp;
use crate::units;

pub fn run(args: &Audit, config: &Config) -> anyhow::Result<()> {
    let since = args.since.as_deref().map(|text| since(text, now_ns())).transpose()?;
    let History { records, damaged } = read(&config.state_dir, since.as_deref(), args.limit)?;
    if damaged != 0 {
        tracing::warn!("skipped {} of the audit log: damaged", units::counted(damaged, "line"));
    }
    let mut output = BufWriter::new(io::stdout().lock());
    match args.listed.format {
        LiveFormat::Json => json(&mut output, &records),
        LiveFormat::Table => list(&mut output, &records),
    }
    .and_then(|()| output.flush())
    .context("failed to write the log")
}

/// The time that is meant, as records have it.
fn since(text: &str, now_ns: u64) -> anyhow::Result<String> {
    // Digits alone are seconds ago here, as in every other option that takes a duration.
    if let Some(seconds) = units::parse_seconds(text) {
        let ago = seconds.saturating_mul(1_000_000_000);
        return Ok(units::rfc3339(now_ns.saturating_sub(ago)));
    }
    let Ok(time) = text.parse::<Timestamp>() else {
        bail!("`{text}` is not a time: write 2024-01-31T12:00:00Z, or an age such as 2h");
    };
    let seconds = u64::try_from(time.unix_secs()).unwrap_or(0);
    Ok(units::rfc3339(seconds.saturating_mul(1_000_000_000)))
}

fn list(output: &mut impl Write, records: &[Record]) -> io::Result<()> {
    if records.is_empty() {
        return writeln!(
            output,
            "no changes: the agent logs each change of a block, an exception or the mode"
        );
    }
    let mut listing = Listing::new([
        Column::Left("TIME (UTC)"),
        Column::Left("WHO"),
        Column::Left("ACTION"),
        Column::Left("CHANGE"),
        Column::Right("FOR"),
        Column::Right("PACKETS"),
        Column::Right("BYTES"),
        Column::Left("WHY"),
    ]);
    for record in records {
        listing.row([
            short_time(&record.time),
            record.who.clone(),
            record.action.name().to_owned(),
            what(record),
            record.ttl_secs.map_or(String::new(), |seconds| units::seconds(seconds as f64)),
            record.packets.map_or(String::new(), units::count),
            record.bytes.map_or(String::new(), units::bytes),
            why(record),
        ]);
    }
    listing.write(output)
}

/// `4 pair 10.0.0.7 192.0.2.1`, `block`.
fn what(record: &Record) -> String {
    let number = record.number.map(|number| number.to_string());
    let target = record.target.map(|target| target.to_string());
    let mode = record.mode.map(|mode| mode.to_string());
    [number, target, mode].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn why(record: &Record) -> String {
    let alert = record.alert.as_ref().map(|alert| format!("alert {alert}"));
    let parts = [record.why.clone(), record.detail.clone(), alert];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Action;
    use crate::commands::example::text;
    use crate::response::Mode;

    #[test]
    fn records_read_as_a_table() {
        let placed = Record {
            time: "2027-01-31T00:00:00.000000Z".into(),
            who: "agent".into(),
            action: Action::Placed,
            target: Some("host 10.0.0.7".parse().unwrap()),
            number: Some(4),
            why: Some("bulk_upload".into()),
            alert: Some("00ab".into()),
            ttl_secs: Some(600),
            ..Record::default()
        };
        let mode = Record {
            who: "uid 0 (root)".into(),
            action: Action::Mode,
            target: None,
            number: None,
            mode: Some(Mode::Block),
            packets: Some(3),
            bytes: Some(1_400),
            why: None,
            alert: None,
            ttl_secs: None,
            detail: Some("was\x1b observe".into()),
            ..placed.clone()
        };
        let expected = "\
TIME (UTC)           WHO           ACTION  CHANGE              FOR  PACKETS   BYTES  WHY
2027-01-31 00:00:00  agent         placed  4 host 10.0.0.7  10 min                   bulk_upload, alert 00ab
2027-01-31 00:00:00  uid 0 (root)  mode    block                          3  1.4 kB  was\u{fffd} observe
";
        assert_eq!(text(|output| list(output, &[placed, mode])), expected);
        assert!(text(|output| list(output, &[])).starts_with("no changes"));
    }

    #[test]
    fn times_are_absolute_or_ago() {
        let now_ns = 1_800_000_000_000_000_000;
        let check = |text: &str, expected: &str| assert_eq!(since(text, now_ns).unwrap(), expected);
        check("2h", "2027-01-15T06:00:00.000000Z");
        check("3600", "2027-01-15T07:00:00.000000Z");
        check("2026-12-31T12:00:00+01:00", "2026-12-31T11:00:00.000000Z");
        check("999999d", "1970-01-01T00:00:00.000000Z");
        let error = since("yesterday", now_ns).unwrap_err().to_string();
        assert!(error.contains("`yesterday` is not a time"), "{error}");
    }
}
