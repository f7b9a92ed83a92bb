//! Programs that only say that they are there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::random::Random;
use crate::scene::{Outcome, Scene};

const START: Duration = Duration::from_secs(15);
const LENGTH_SECS: f64 = 50.0;

/// A few bytes every few seconds, each answered, over one connection.
pub(crate) fn heartbeat(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let port = *random.pick(&["1883", "5222", "8081"]);
    let serve = ["serve", port, "-"].map(str::to_owned);
    let server = scene.start_script(scene.internet(), "drip.py", &serve)?;
    server.wait_for_line("ready", START)?;
    let [size, period, seed] = [
        random.between(2, 60).to_string(),
        random.log_uniform(0.5, 10.0).to_string(),
        random.between(0, 1 << 30).to_string(),
    ];
    let address = target.address.to_string();
    let beat = ["beat", &address, port, &LENGTH_SECS.to_string(), &size, &period, &seed]
        .map(str::to_owned);
    let answered = scene.run_script_within("drip.py", &beat, Duration::from_secs(120))?;
    let answered: u64 = answered.trim().parse().with_context(|| format!("it says {answered:?}"))?;
    ensure!(answered > 2, "only {answered} beats were answered");
    Ok(Outcome::benign(format!("{answered} beats of {size} bytes to {}:{port}", target.host)))
}
