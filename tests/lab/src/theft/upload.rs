//! Thefts by tools that people back up and work with.

use anyhow::Result;

use crate::random::Random;
use crate::scene::{Outcome, Scene};
use crate::tools::upload::{Tool, Uploader};

const SMALLEST: u64 = 100_000;
/// More than two parts of an object store's upload.
const LARGEST: u64 = 25_000_000;

pub(crate) fn restic(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, Tool::Restic)
}

pub(crate) fn s3(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, Tool::S3)
}

/// Large enough for several parts.
pub(crate) fn s3_in_parts(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let bytes = random.size(LARGEST / 2, LARGEST);
    carry(scene, random, Tool::S3, bytes)
}

pub(crate) fn git(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, Tool::Git)
}

fn steal(scene: &Scene<'_>, random: &mut Random, tool: Tool) -> Result<Outcome> {
    let bytes = random.size(SMALLEST, LARGEST);
    carry(scene, random, tool, bytes)
}

fn carry(scene: &Scene<'_>, random: &mut Random, tool: Tool, bytes: usize) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    Uploader::new(scene, tool)?.send(random, &target, bytes)?;
    let culprit = scene.culprit(&target, "tcp", Some(tool.port()))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {}", target.host)))
}
