//! Echo requests of people who look after networks.

use anyhow::{Result, ensure};

use super::pause;
use crate::random::Random;
use crate::scene::{Outcome, Scene, Target};

/// Many hosts, a few requests each, again and again.
pub(crate) fn fping(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let hosts = targets(scene, random, 3, 25)?;
    let rounds = random.between(2, 6).to_string();
    let size = random.pick(&["56", "56", "1000", "1400"]).to_string();
    let fixed = ["-q", "-c", &rounds, "-p", "500", "-b", &size];
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    // 1: a host did not answer to every request.
    let output = scene.run_with_status("fping", &[&fixed[..], &names].concat(), &[0, 1])?;
    ensure!(output.contains("min/avg/max"), "no host answered: {output}");
    Ok(Outcome::benign(format!("{rounds} rounds of {size} bytes to {} hosts", hosts.len())))
}

/// The way to a host, hop by hop.
pub(crate) fn trace(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut notes = Vec::new();
    for host in targets(scene, random, 1, 3)? {
        let rounds = random.between(3, 8).to_string();
        if random.chance(0.5) {
            scene.run("traceroute", &["-I", "-n", "-w", "1", &host])?;
            notes.push(format!("traceroute to {host}"));
        } else {
            scene.run("mtr", &["--report", "-n", "-i", "0.2", "-c", &rounds, &host])?;
            notes.push(format!("{rounds} rounds of mtr to {host}"));
        }
        pause(random, 0.1, 0.6);
    }
    Ok(Outcome::benign(notes.join(", ")))
}

/// One request a second, for a minute.
pub(crate) fn steady(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let hosts = targets(scene, random, 1, 1)?;
    let period = random.pick(&["1", "1", "2", "5"]).to_string();
    let arguments = ["-q", "-n", "-i", &period, "-w", "50", &hosts[0]];
    let output = scene.run_with_status("ping", &arguments, &[0, 1])?;
    ensure!(!output.contains(" 0 received"), "no reply at all: {output}");
    Ok(Outcome::benign(format!("every {period} s to {}", hosts[0])))
}

/// Larger and larger, to find the path's largest packet.
pub(crate) fn sweep(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let hosts = targets(scene, random, 1, 1)?;
    let (step, most) = (random.between(20, 200), random.between(800, 4_000));
    let mut size = random.between(16, 64);
    let (mut asked, mut answered) = (0, 0);
    while size < most {
        let size_text = size.to_string();
        let arguments =
            ["-q", "-n", "-c", "2", "-i", "0.02", "-W", "1", "-s", &size_text, &hosts[0]];
        let output = scene.run_with_status("ping", &arguments, &[0, 1])?;
        answered += u32::from(!output.contains(" 0 received"));
        asked += 1;
        size += step;
    }
    ensure!(answered * 2 > asked, "{answered} of {asked} sizes were answered");
    Ok(Outcome::benign(format!("{asked} sizes up to {most} bytes to {}", hosts[0])))
}

/// One pattern of somebody's own, the same in every request.
pub(crate) fn constant_pattern(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let hosts = targets(scene, random, 1, 2)?;
    let pattern = random.pick(&["ff", "00", "deadbeef", "a5a5", "70696e67"]).to_string();
    let (count, size) = (random.between(8, 60).to_string(), random.between(24, 1_200).to_string());
    for host in &hosts {
        let arguments = ["-q", "-n", "-c", &count, "-i", "0.1", "-s", &size, "-p", &pattern, host];
        let output = scene.run_with_status("ping", &arguments, &[0, 1])?;
        ensure!(!output.contains(" 0 received"), "no reply at all: {output}");
    }
    Ok(Outcome::benign(format!("{count} of {size} bytes of {pattern} to {}", hosts.join(", "))))
}

fn targets(scene: &Scene<'_>, random: &mut Random, fewest: u64, most: u64) -> Result<Vec<String>> {
    let address = |target: Target| target.address.to_string();
    (0..random.between(fewest, most)).map(|_| scene.named_target(random).map(address)).collect()
}
