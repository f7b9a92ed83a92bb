//! `detector doctor`: whether this machine can run the detector, and how it would attach.

use std::io::{self, BufWriter, Write as _};

use anyhow::{Context as _, bail};

use crate::cli::{Doctor, LiveFormat};
use crate::config::Config;
use crate::doctor::{Report, configuration, examine};
use crate::output::Style;

pub fn run(args: Doctor, mut config: Config) -> anyhow::Result<()> {
    if !args.interface.is_empty() {
        config.interfaces.clone_from(&args.interface);
    }
    let report = examine(Some(configuration(args.config.as_deref())), &config);
    print(&report, args.format).context("failed to write the report")?;
    match report.problems() {
        0 => Ok(()),
        1 => bail!("1 check failed: `detector run` would not work"),
        count => bail!("{count} checks failed: `detector run` would not work"),
    }
}

fn print(report: &Report, format: LiveFormat) -> io::Result<()> {
    let stdout = io::stdout();
    let style = Style::of(&stdout);
    let mut output = BufWriter::new(stdout);
    match format {
        LiveFormat::Json => report.write_json(&mut output)?,
        LiveFormat::Table => report.write_table(&mut output, style)?,
    }
    output.flush()
}
