//! What a host does in the background of its days, as clips: small, so that a month of them fits in a file.

use anyhow::Result;

use super::{mail, network, post, web};
use crate::layout::Clip;
use crate::random::Random;
use crate::recorder::SceneRecorder;
use crate::scene::{Outcome, Scene};

type Act = fn(&Scene<'_>, &mut Random) -> Result<Outcome>;

const PAGES: usize = 7;
/// Of a page, at most.
const ASSETS: u64 = 5;
const LOOKUPS: usize = 2;
/// Each once: they count what arrives at servers of their own.
const OTHERS: [Act; 4] = [mail::submission, post::telemetry, post::ocsp, network::ping];

/// Pages above all, and one of each of the others.
pub(crate) fn film(recorder: &SceneRecorder<'_>, random: &mut Random) -> Result<Vec<Clip>> {
    let scene = recorder.scene;
    let mut clips = Vec::new();
    for _ in 0..PAGES {
        clips.push(recorder.shoot(|| web::visit_with(scene, random, ASSETS))?);
    }
    for _ in 0..LOOKUPS {
        clips.push(recorder.shoot(|| network::ask(scene, random, "names", 20).map(drop))?);
    }
    for act in OTHERS {
        clips.push(recorder.shoot(|| act(scene, random).map(drop))?);
    }
    Ok(clips)
}
