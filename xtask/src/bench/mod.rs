//! `cargo xtask bench`: the figures that the project promises, each beside what it is measured
//! against in the same run.
//!
//! Everything is measured in rounds, the peers of a comparison one after the other in each, and the
//! median is reported. Times of different runs do not compare: other programs use the machine, too.

#[cfg(feature = "bench")]
mod agent;
#[cfg(feature = "bench")]
mod analyze;
#[cfg(any(feature = "bench", test))]
mod capture;
#[cfg(feature = "bench")]
mod figures;
#[cfg(feature = "bench")]
mod forest;
#[cfg(feature = "bench")]
mod kernel;
#[cfg(feature = "bench")]
mod leak;
#[cfg(feature = "bench")]
mod many;
#[cfg(feature = "bench")]
mod policy;
#[cfg(feature = "bench")]
mod poll;
#[cfg(feature = "bench")]
mod predict;
#[cfg(feature = "bench")]
mod single;
#[cfg(feature = "bench")]
mod store;
#[cfg(feature = "bench")]
mod upload;
#[cfg(feature = "bench")]
mod veth;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write the figures to this file, as one flat JSON object
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run only this group; may be repeated
    #[arg(long, value_enum, value_name = "GROUP")]
    only: Vec<Group>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// One packet repeatedly through the XDP and tc programs
    Programs,
    /// Packets of 64k and 1M flows through the XDP program
    Many,
    /// A flow's first packet with few and with many policy entries
    Policy,
    /// Packets over a veth pair
    Veth,
    /// Bytes that leave before an upload is blocked
    Leak,
    /// Reading 1M flows from the kernel
    Poll,
    /// Reading a capture
    Analyze,
    /// Scoring
    Forest,
    /// A database with a million alerts
    Store,
    /// The upload of a capture
    Upload,
    /// Requests to the API
    Predict,
    /// The agent's own cost under a million flows
    Agent,
}

/// Builds what is measured, and this program in release with the measuring in it, which takes over.
#[cfg(not(feature = "bench"))]
pub(crate) fn run(_arguments: &Arguments) -> Result<()> {
    use anyhow::{Context as _, ensure};

    crate::setup::run(crate::setup::Profile::Test)?;
    // Apart: in one build the agent would have the bench's programs in it.
    crate::release::build(&["--package", "detector"])?;
    crate::release::build(&["--package", "xtask", "--features", "xtask/bench"])?;
    let status = std::process::Command::new(crate::release::program("xtask")?)
        .args(std::env::args_os().skip(1))
        .status()
        .context("failed to start the benchmark")?;
    ensure!(status.success(), "the benchmark failed");
    Ok(())
}

#[cfg(feature = "bench")]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut figures = figures::Figures::default();
    for group in Group::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(group) {
            figures.begin(*group);
            measure(*group, &mut figures)?;
        }
    }
    figures.print();
    match &arguments.json {
        Some(path) => figures.write(path),
        None => Ok(()),
    }
}

#[cfg(feature = "bench")]
fn measure(group: Group, figures: &mut figures::Figures) -> Result<()> {
    let plain = [Group::Analyze, Group::Forest, Group::Store, Group::Predict];
    if !plain.contains(&group) {
        detector_tests::require_root()?;
    }
    match group {
        Group::Programs => single::measure(figures),
        Group::Many => many::measure(figures),
        Group::Policy => policy::measure(figures),
        Group::Veth => veth::measure(figures),
        Group::Leak => leak::measure(figures),
        Group::Poll => poll::measure(figures),
        Group::Analyze => analyze::measure(figures),
        Group::Forest => forest::measure(figures),
        Group::Store => store::measure(figures),
        Group::Upload => upload::measure(figures),
        Group::Predict => predict::measure(figures),
        Group::Agent => agent::measure(figures),
    }
}
