//! A folder for the files of one test or one recording, removed with its guard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const PREFIX: &str = "detector-";

static NEXT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(purpose: &str) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{purpose}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file into the folder and returns where it stands.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.join(name);
        fs::write(&path, contents)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }
}

/// Removes the folders of processes that no longer exist, as a killed run leaves them.
pub fn remove_stale_scratch() -> Result<()> {
    let folders = fs::read_dir(std::env::temp_dir())
        .context("failed to list the folder for temporary files")?;
    for folder in folders.flatten() {
        let name = folder.file_name().into_string().unwrap_or_default();
        let mut parts = name.rsplit('-');
        let (number, owner) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let ours = name.starts_with(PREFIX)
            && number.parse::<u32>().is_ok()
            && owner.parse::<u32>().is_ok();
        if ours && !Path::new("/proc").join(owner).exists() {
            remove(&folder.path());
        }
    }
    Ok(())
}

/// Removes a folder, and the file system that a program may have mounted in it for its pins: what
/// is pinned there goes with it.
fn remove(path: &Path) {
    let mounted = path.join("run/bpf");
    if mounted.exists() {
        // It is not mounted where nothing was pinned.
        Command::new("umount").arg("--lazy").arg(mounted).output().ok();
    }
    fs::remove_dir_all(path).ok();
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}
