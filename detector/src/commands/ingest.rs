//! `detector ingest`: logs of other programs, scored and kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::contacts::open;
use super::listing;
use super::progress::Reading;
use crate::builtin_models;
use crate::cli::LiveFormat;
use crate::cli::notify::{Ingest, LogFormat};
use crate::config::Config;
use crate::features::Kind;
use crate::ingest::{Format, Keeper, Report, ingest};
use crate::text::clean;
use crate::units;

/// # Errors
///
/// A file that cannot be read or is no log, a log of which no record was understood, a database that
/// cannot be written to.
pub fn run(args: &Ingest, config: &Config) -> anyhow::Result<()> {
    let store = open(&args.place, config)?;
    let model = builtin_models::in_use(Kind::Record, Some(&store), config)?;
    let threshold = builtin_models::threshold_of(Kind::Record, &model, config);
    let mut keeper = Keeper::new(store, model, threshold, config.hash())?;
    let mut output = io::stdout().lock();
    let mut useless = Vec::new();
    for path in &args.files {
        let report = ingest(input(path)?, format(args.log_format), &mut keeper)
            .with_context(|| format!("failed to take in {}", path.display()))?;
        match args.listed.format {
            LiveFormat::Table => write(&mut output, path, &report)?,
            LiveFormat::Json => {
                listing::json(&mut output, [json!({ "file": path, "report": report })])?;
            }
        }
        if report.accepted == 0 && report.rejected != 0 {
            useless.push(path.display().to_string());
        }
    }
    output.flush()?;
    if !useless.is_empty() {
        bail!("no record was understood in {}", useless.join(", "));
    }
    Ok(())
}

fn input(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, Reading::new(file, path))))
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

fn write(output: &mut impl Write, path: &Path, report: &Report) -> io::Result<()> {
    let Report { accepted, rejected, skipped, alerts, errors } = report;
    writeln!(
        output,
        "{}: {} taken in, {rejected} rejected, {skipped} skipped; {}",
        path.display(),
        units::counted(*accepted, "record"),
        units::counted(*alerts, "alert")
    )?;
    for error in errors {
        writeln!(output, "  line {}: {}", error.line, clean(&error.detail))?;
    }
    if let Some(more) = rejected.checked_sub(errors.len() as u64).filter(|more| *more != 0) {
        writeln!(output, "  and {more} more")?;
    }
    Ok(())
}
