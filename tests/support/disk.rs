//! A disk that can be full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run_checked;

/// Smaller than it could be written in one go.
const PIECE: [u8; 512] = [0; 512];

/// A small file system of its own, until it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts 4 MiB at `path`, which is made where it is not there.
    pub fn mount(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
        let size = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
        run_checked(Command::new("mount").args(size).arg(path))?;
        Ok(Self(path.to_owned()))
    }

    /// Takes all the room there is.
    pub fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.filler()).context("failed to begin to fill a disk")?;
        while file.write_all(&PIECE).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("failed to free a disk")
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(run_checked(Command::new("umount").arg("-l").arg(&self.0)));
    }
}
