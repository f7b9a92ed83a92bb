//! One host at work for minutes, from which days are laid out: a scene, one long recording, and the
//! stretches of it that show one thing each.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use detector_tests::{Recorder, Topology};

use super::layout::Clip;
use super::scene::{Scene, TRAILING};

/// Between two clips nothing is said, so that none holds the end of another.
const SILENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct SceneRecorder<'a> {
    pub(super) scene: &'a Scene<'a>,
    recorder: Recorder,
    file: PathBuf,
}

impl<'a> SceneRecorder<'a> {
    pub(super) fn open(scene: &'a Scene<'a>) -> Result<Self> {
        let file = scene.scratch.join("clips.pcap");
        let recorder = Recorder::start(&scene.network.gateway, Topology::GATEWAY_INNER, &file)?;
        Ok(Self { scene, recorder, file })
    }

    /// Does something and says when it was.
    pub(super) fn shoot(&self, act: impl FnOnce() -> Result<()>) -> Result<Clip> {
        std::thread::sleep(SILENCE);
        let from_us = now_us()?;
        act()?;
        std::thread::sleep(TRAILING);
        Ok(Clip { from_us, until_us: now_us()? })
    }

    /// Ends the recording and says where it is.
    pub(super) fn finish(self) -> Result<PathBuf> {
        self.recorder.stop()?;
        Ok(self.file)
    }
}

fn now_us() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(since.as_micros() as u64)
}
