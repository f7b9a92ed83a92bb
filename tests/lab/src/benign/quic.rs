//! HTTP/3 as browsers and telephones use it.

use anyhow::{Result, ensure};

use super::pause;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::quic;

/// Pages and films.
pub(crate) fn watch(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut notes = Vec::new();
    for _ in 0..random.between(1, 3) {
        let target = scene.named_target(random)?;
        let _server = quic::serve(scene, &target)?;
        let (bytes, times) = (random.size(4_000, 1_500_000), random.between(1, 6));
        let came = quic::get(scene, &target, bytes, times, random.uniform(0.0, 0.6))?;
        ensure!(
            came == bytes * times as usize,
            "{times} times {bytes} bytes were asked for and {came} came"
        );
        notes.push(format!("{came} bytes from {}", target.host));
        pause(random, 0.2, 1.0);
    }
    Ok(Outcome::benign(notes.join(", ")))
}

/// A telephone brings its pictures to the cloud, and looks at some.
pub(crate) fn photos(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let _server = quic::serve(scene, &target)?;
    let (bytes, pictures) = (random.size(200_000, 1_500_000), random.between(1, 5));
    let file = scene.document("IMG_0042.jpg", &random.bytes(bytes))?;
    quic::get(scene, &target, 30_000, 3, 0.2)?;
    quic::put(scene, &target, &file, pictures, random.uniform(0.1, 1.0))?;
    ensure_arrived(bytes * pictures as usize, scene.sunk_bytes("/up/quic")?)?;
    Ok(Outcome::benign(format!("{pictures} pictures of {bytes} bytes to {}", target.host)))
}
