//! Stolen files by FTP, where commands and bytes go over connections of their own.

use std::fs;

use anyhow::{Context, Result};

use crate::payloads;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::ftp::{self, CONTROL_PORT, Mode};

/// One small file of credentials, or an archive of some megabytes.
pub(crate) fn upload(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let mode = Mode::draw(random);
    let passive = random.between(40_100, 60_000) as u16;
    let _server = ftp::serve(scene, passive, 1)?;
    let found = if random.chance(0.7) {
        payloads::small(random)
    } else {
        let length = random.size(100_000, 8_000_000);
        payloads::archive(random, length)
    };
    let file = scene.document(&found.name, &found.bytes)?;
    ftp::put(scene, mode, &target, &[file])?;
    let arrived = fs::metadata(scene.inbox(&found.name)).context("nothing arrived")?.len();
    ensure_arrived(found.bytes.len(), arrived as usize)?;
    let culprit = scene.culprit(&target, "tcp", Some(mode.data_port(passive)))?;
    let notes = format!("{arrived} bytes as {} to {}, {mode:?}", found.name, target.host);
    Ok(Outcome::stolen(culprit, arrived as usize, notes).with_control(CONTROL_PORT))
}
