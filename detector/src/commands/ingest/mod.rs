//! `detector ingest`: logs of other programs, scored and kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::contacts::open;
use super::listing;
use super::progress::Reading;
use crate::analysis::recordings::STANDARD_INPUT;
use crate::builtin_models;
use crate::cli::LiveFormat;
use crate::cli::notify::{Ingest, LogFormat};
use crate::config::Config;
use crate::decompress::{Expand, Limits};
use crate::features::Kind;
use crate::ingest::{EndedEarly, Format, Keeper, Report, ingest};
use crate::text::clean;
use crate::units;

mod follow;

/// What is read at once of a file.
const CHUNK_BYTES: usize = 1 << 20;

pub fn run(args: &Ingest, config: &Config) -> anyhow::Result<()> {
    let store = open(&args.place, config)?;
    let model = builtin_models::in_use(Kind::Record, Some(&store), config)?;
    let threshold = builtin_models::threshold_of(Kind::Record, &model, config);
    let mut keeper = Keeper::new(store, model, threshold, config.hash())?;
    if args.follow {
        let [path] = args.files.as_slice() else { bail!("--follow takes one file") };
        ensure!(
            args.log_format != LogFormat::Json,
            "--follow reads line by line: --log-format json has no lines, use ndjson"
        );
        return follow::run(path, format(args.log_format), args.listed.format, keeper);
    }
    let mut output = io::stdout().lock();
    let (mut useless, mut cut) = (Vec::new(), Vec::new());
    for path in &args.files {
        let input = input(path, config.decompression)?;
        let report = ingest(input, format(args.log_format), &mut keeper)
            .with_context(|| format!("failed to read {}", path.display()))?;
        write(&mut output, args.listed.format, path, &report)?;
        if report.accepted == 0 && report.rejected != 0 {
            useless.push(path.display().to_string());
        }
        if let Some(EndedEarly { detail, .. }) = report.ended_early {
            cut.push(format!("{}: {detail}", path.display()));
        }
    }
    output.flush()?;
    if !useless.is_empty() {
        bail!("no valid record in {}", useless.join(", "));
    }
    if !cut.is_empty() {
        bail!("failed to read to the end of {}", cut.join("; "));
    }
    Ok(())
}

fn input(path: &Path, limits: Limits) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok(Box::new(BufReader::new(Expand::new(io::stdin(), limits))));
    }
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let input = Expand::new(Reading::new(file, path), limits);
    Ok(Box::new(BufReader::with_capacity(CHUNK_BYTES, input)))
}

fn format(named: LogFormat) -> Option<Format> {
    match named {
        LogFormat::Auto => None,
        LogFormat::Json => Some(Format::Json),
        LogFormat::Ndjson => Some(Format::Ndjson),
        LogFormat::Csv => Some(Format::Csv),
        LogFormat::Zeek => Some(Format::Zeek),
        LogFormat::Eve => Some(Format::Eve),
    }
}

fn write(
    output: &mut impl Write,
    format: LiveFormat,
    path: &Path,
    report: &Report,
) -> io::Result<()> {
    match format {
        LiveFormat::Table => table(output, path, report),
        LiveFormat::Json => listing::json(output, [json!({ "file": path, "report": report })]),
    }
}

fn table(output: &mut impl Write, path: &Path, report: &Report) -> io::Result<()> {
    let Report { accepted, rejected, skipped, alerts, notes, errors, ended_early } = report;
    writeln!(
        output,
        "{}: {} scored, {rejected} rejected, {skipped} skipped; {}",
        path.display(),
        units::counted(*accepted, "record"),
        units::counted(*alerts, "alert")
    )?;
    for (note, lines) in notes {
        writeln!(output, "  {} {}", units::counted(*lines, "line"), note.text())?;
    }
    for error in errors {
        writeln!(output, "  line {}: {}", error.line, clean(&error.detail))?;
    }
    if let Some(more) = rejected.checked_sub(errors.len() as u64).filter(|more| *more != 0) {
        writeln!(output, "  and {more} more")?;
    }
    if let Some(EndedEarly { reason, detail }) = ended_early {
        writeln!(output, "  not read to its end ({}): {detail}", reason.name())?;
    }
    Ok(())
}
