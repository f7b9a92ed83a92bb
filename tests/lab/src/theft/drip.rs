//! Thefts so slow that no counter of bytes sees them: a minute of what would go on for weeks. Rates are
//! real; time is not compressed.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use detector_tests::poll_until;

use super::dns;
use super::icmp;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};

const START: Duration = Duration::from_secs(15);
const LENGTH_SECS: f64 = 50.0;

/// Some bytes every few seconds, over one connection.
pub(crate) fn tcp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let port = *random.pick(&[4443_u16, 6667, 8081]);
    let got = scene.inbox("got");
    let serve = ["serve".to_owned(), port.to_string(), got.display().to_string()];
    let server = scene.start_script(scene.internet(), "drip.py", &serve)?;
    server.wait_for_line("ready", START)?;
    let rate = random.log_uniform(0.5, 2_000.0);
    let pause_secs = random.log_uniform(0.3, 6.0);
    let drop = (rate * pause_secs).ceil().max(1.0) as usize;
    let document = random.document(drop * (LENGTH_SECS / pause_secs) as usize);
    let file = scene.document("stolen", &document)?;
    let [drop, pause, jitter, seed] = [
        drop.to_string(),
        pause_secs.to_string(),
        random.uniform(0.0, 0.6).to_string(),
        random.between(0, 1 << 30).to_string(),
    ];
    let address = target.address.to_string();
    let port_text = port.to_string();
    let send =
        ["send", &address, &port_text, &file, &drop, &pause, &jitter, &seed].map(str::to_owned);
    scene.run_script_within("drip.py", &send, Duration::from_secs(120))?;
    let arrived = || fs::metadata(&got).map_or(0, |file| file.len() as usize);
    poll_until(START, || (arrived() >= document.len()).then_some(())).ok();
    ensure_arrived(document.len(), arrived()).context("drops are missing")?;
    let notes =
        format!("{rate:.1} B/s, {drop} bytes every {pause_secs:.1} s, to {}:{port}", target.host);
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(port))?, document.len(), notes))
}

/// A name every few seconds.
pub(crate) fn names(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    dns::drip(scene, random, LENGTH_SECS)
}

/// A request every few seconds.
pub(crate) fn echo(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    icmp::drip(scene, random, LENGTH_SECS)
}
