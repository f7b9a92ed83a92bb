//! An upload over HTTP/3.

use anyhow::Result;

use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::quic;

/// One file, or parts of it over one connection.
pub(crate) fn upload(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let _server = quic::serve(scene, &target)?;
    let parts = if random.chance(0.5) { 1 } else { random.between(2, 8) };
    let bytes = random.size(20_000, 6_000_000 / parts);
    let file = scene.document("stolen", &random.document(bytes))?;
    quic::put(scene, &target, &file, parts, random.uniform(0.0, 0.8))?;
    let carried = bytes * parts as usize;
    ensure_arrived(carried, scene.sunk_bytes("/up/quic")?)?;
    let culprit = scene.culprit(&target, "udp", Some(quic::PORT))?;
    Ok(Outcome::stolen(culprit, carried, format!("{parts} times {bytes} bytes to {}", target.host)))
}
