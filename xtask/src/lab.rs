//! `cargo xtask lab`: the lab of `tests/lab`, with its tools installed first.

use anyhow::Result;
use detector_lab::Workplace;

use crate::project;
use crate::setup::{self, Profile};

pub(crate) use detector_lab::Arguments;

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (out, python) = (project::root().join("target/lab"), setup::python());
    let workplace = Workplace { out: &out, python: &python };
    detector_lab::run(arguments, workplace, || setup::run(Profile::Lab))
}
