//! `detector doctor`: whether this machine can run the detector, and how it would attach.
//!
//! It changes nothing: the BPF object is loaded with small maps and let go again, no interface is
//! touched. What cannot be read without privileges is said so, and the rest is told.

mod check;
mod machine;
mod network;

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use self::check::{Check, Report};
use super::load_model;
use crate::cli::{Doctor, LiveFormat};
use crate::config::{Config, DEFAULT_PATH};
use crate::features::{SCHEMA_NAME, schema_hash};
use crate::sink::Style;

/// # Errors
///
/// A problem that would keep `detector run` from working, an output that cannot be written.
pub fn run(args: Doctor, mut config: Config) -> anyhow::Result<()> {
    if !args.interface.is_empty() {
        config.interfaces.clone_from(&args.interface);
    }
    let mut report = Report::default();
    report.push(configuration(args.config.as_deref()));
    report.push(model(&config));
    machine::examine(&config, &mut report);
    network::examine(&config, &mut report);
    print(&report, args.format).context("failed to write the report")?;
    match report.problems() {
        0 => Ok(()),
        1 => bail!("a problem keeps `detector run` from working"),
        count => bail!("{count} problems keep `detector run` from working"),
    }
}

fn configuration(path: Option<&Path>) -> Check {
    let default = Path::new(DEFAULT_PATH);
    match path {
        Some(path) => Check::ok("config", path.display().to_string()),
        None if default.exists() => Check::ok("config", DEFAULT_PATH),
        None => Check::ok("config", format!("defaults, there is no {DEFAULT_PATH}")),
    }
}

fn model(config: &Config) -> Check {
    let usable = load_model(None, config).and_then(|model| {
        model.check_schema(SCHEMA_NAME, schema_hash())?;
        Ok(model)
    });
    match usable {
        Ok(model) => {
            let from = match &config.model.path {
                Some(path) => path.display().to_string(),
                None => "shipped".to_owned(),
            };
            let threshold = config.model.threshold.unwrap_or(model.meta.threshold);
            let (trees, columns) = (model.forest.tree_count(), model.forest.columns());
            Check::ok(
                "model",
                format!(
                    "{from}: schema {SCHEMA_NAME}-{:016x}, {trees} trees, {columns} columns, \
                     threshold {threshold:.3}",
                    schema_hash()
                ),
            )
        }
        Err(error) => Check::problem(
            "model",
            format!("{error:#}"),
            "leave model.path out to use the shipped one, or train one with `detector train`",
        ),
    }
}

fn print(report: &Report, format: LiveFormat) -> io::Result<()> {
    let stdout = io::stdout();
    let style = Style::choose(stdout.is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let mut output = BufWriter::new(stdout);
    match format {
        LiveFormat::Json => report.write_json(&mut output)?,
        LiveFormat::Table => report.write_table(&mut output, style)?,
    }
    output.flush()
}
