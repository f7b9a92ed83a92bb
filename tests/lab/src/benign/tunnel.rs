//! Pages through the same tunnels that thieves use.

use std::time::Instant;

use anyhow::Result;

use super::{LENGTH_SECS, pause};
use crate::random::Random;
use crate::scene::{Outcome, Scene};
use crate::tools::tunnel::{self, Open};

pub(crate) fn socks(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browse(scene, random, tunnel::socks)
}

pub(crate) fn stunnel(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browse(scene, random, tunnel::stunnel)
}

pub(crate) fn connect(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browse(scene, random, tunnel::connect)
}

pub(crate) fn wireguard(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browse(scene, random, tunnel::wireguard)
}

pub(crate) fn openvpn(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browse(scene, random, tunnel::openvpn)
}

fn browse(scene: &Scene<'_>, random: &mut Random, open: Open) -> Result<Outcome> {
    let tunnel = open(scene, random)?;
    let (mut fetched, start) = (0, Instant::now());
    while start.elapsed().as_secs_f64() < LENGTH_SECS {
        tunnel.fetch(scene, &format!("/page-{}.html", random.between(0, 59)))?;
        for _ in 0..random.between(0, 6) {
            tunnel.fetch(scene, &format!("/asset-{}", random.between(0, 59)))?;
            fetched += 1;
        }
        pause(random, 0.2, 1.5);
    }
    Ok(Outcome::benign(format!("{fetched} parts of pages through {}", tunnel.host())))
}
