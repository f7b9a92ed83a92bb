//! `cargo xtask ui`: the dashboard, built from detector/ui into detector/ui/dist, which the agent
//! carries. Does nothing where what was built is newer than all it is built from.

#![expect(clippy::print_stdout, reason = "a build prints its steps")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use detector_tests::run_checked;

use crate::project;
use crate::setup::{self, Profile};

/// What of detector/ui is not made here.
const SOURCES: [&str; 8] = [
    "index.html",
    "openapi.json",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "tsconfig.json",
    "vite.config.ts",
];

/// The verb.
pub(crate) fn run() -> Result<()> {
    let folder = project::root().join("detector/ui");
    if is_built(&folder)? {
        println!("the dashboard is built already");
        return Ok(());
    }
    build(&folder)
}

/// For the other verbs: silent where nothing was to do.
pub(crate) fn build_if_needed() -> Result<()> {
    let folder = project::root().join("detector/ui");
    if is_built(&folder)? { Ok(()) } else { build(&folder) }
}

fn is_built(folder: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(folder.join("dist/index.html")).and_then(|file| file.modified())
    else {
        return Ok(false);
    };
    for source in SOURCES {
        if newest(&folder.join(source))?.is_some_and(|changed| changed > built) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// When something at `path`, or below it, was changed last.
fn newest(path: &Path) -> Result<Option<SystemTime>> {
    let about = fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?;
    if !about.is_dir() {
        return Ok(Some(about.modified()?));
    }
    let mut newest_inside = None;
    for entry in fs::read_dir(path)? {
        newest_inside = newest_inside.max(newest(&entry?.path())?);
    }
    Ok(newest_inside)
}

fn build(folder: &Path) -> Result<()> {
    println!("building the dashboard");
    setup::run(Profile::Ui)?;
    // The packages are those of the lock file, and no other.
    install_packages(folder)?;
    run_checked(npm(folder).args(["run", "--silent", "build"])).map(drop)
}

/// The packages that a folder's lock file names, where they are not there yet.
pub(crate) fn install_packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("failed to read the lock file in {}", folder.display()))?;
    let installed: PathBuf = folder.join("node_modules/.installed");
    if fs::read(&installed).is_ok_and(|known| known == lock) {
        return Ok(());
    }
    run_checked(npm(folder).args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(&installed, lock).context("failed to record the installed packages")
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}
