//! FTP as it is still used: files to fetch, and web sites to publish.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::pause;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::ftp::{self, Mode};

/// Enough data ports for every file of a site.
const PASSIVE_PORTS: u16 = 100;

/// Files of many sizes, from a server that has them.
pub(crate) fn download(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let _server = ftp::serve(scene, 50_000, PASSIVE_PORTS)?;
    let mut total = 0;
    for number in 0..random.between(1, 4) {
        let size = random.size(2_000, 9_000_000);
        let name = format!("release-{number}.tar.gz");
        fs::write(scene.inbox(&name), random.bytes(size)).context("failed to write a release")?;
        let mode = *random.pick(&[Mode::Passive, Mode::Extended, Mode::Active]);
        let got = ftp::get(scene, mode, &target, &name)?;
        ensure!(got == size, "{size} bytes were asked for and {got} came");
        total += size;
        pause(random, 0.1, 1.0);
    }
    Ok(Outcome::benign(format!("{total} bytes from {}", target.host)))
}

/// Many small pages to the host that serves them.
pub(crate) fn publish(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let _server = ftp::serve(scene, 50_000, PASSIVE_PORTS)?;
    let mode = Mode::draw(random);
    let (mut files, mut total) = (Vec::new(), 0);
    for number in 0..random.between(8, 30) {
        let length = random.size(400, 40_000);
        total += length;
        let page = format!("<!doctype html><title>{}</title>", random.word(9)).into_bytes();
        let page: Vec<u8> = page.into_iter().chain(random.document(length)).take(length).collect();
        files.push(scene.document(&format!("page-{number}.html"), &page)?);
    }
    ftp::put(scene, mode, &target, &files)?;
    let arrived = fs::read_dir(scene.inbox(""))
        .context("failed to list what arrived")?
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|file| file.len() as usize)
        .sum();
    ensure_arrived(total, arrived)?;
    Ok(Outcome::benign(format!(
        "{} pages, {total} bytes to {}, {mode:?}",
        files.len(),
        target.host
    )))
}
