//! `cargo xtask evaluate`: how good detection is on captures that the model has not seen, by one
//! command. Lab and real captures apart, each table out of fold.

#![expect(clippy::print_stdout, reason = "the headings between the tables are for people")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{project, release};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of labelled captures, with a manifest.json
    #[arg(long, required = true, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Recordings of the lab to train on, too [default: target/lab]
    #[arg(long, value_name = "DIR")]
    lab: Option<PathBuf>,
    /// List every missed exfiltration and every false alert
    #[arg(long)]
    list: bool,
}

/// One table: what it shows, and the options it takes.
const TABLES: [(&str, &[&str]); 5] = [
    ("Families held out: a lab scenario, an application, another repository", &["--out-of-fold"]),
    ("The same, without the hosts' history", &["--out-of-fold", "--without-context"]),
    (
        "The same, without DNS over HTTPS, whose labels come from file names",
        &["--out-of-fold", "--without", "doh"],
    ),
    (
        "Techniques held out, in lab and real captures alike",
        &["--out-of-fold", "--hold-out", "technique"],
    ),
    (
        "How well a forest distinguishes benign recordings of the lab from real ones",
        &["--lab-or-real"],
    ),
];

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let lab = arguments.lab.clone().unwrap_or_else(|| project::root().join("target/lab"));
    has_manifest(&lab).context("make the recordings with `cargo xtask lab`")?;
    for directory in &arguments.data {
        has_manifest(directory)?;
    }
    release::build(&["--package", "detector"])?;
    let program = release::program("detector")?;
    for (heading, options) in TABLES {
        println!("\n{heading}\n");
        let mut command = Command::new(&program);
        command.args(["evaluate", "--data"]).arg(&lab).args(&arguments.data);
        command.args(options).args(arguments.list.then_some("--list"));
        let status = command.status().context("failed to start the evaluation")?;
        ensure!(status.success(), "the evaluation ended with {status}");
    }
    Ok(())
}

fn has_manifest(directory: &Path) -> Result<()> {
    ensure!(
        directory.join("manifest.json").is_file(),
        "{} has no manifest.json: use a directory of labelled captures",
        directory.display()
    );
    Ok(())
}
