//! A kernel to start: its image and the modules that the scenarios need, taken out of packages once
//! and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::archive::{Archive, Package, create, remove, store, write};
use super::line::{Line, modules_of};
use super::modules::Modules;

/// How many builds of a line are tried: lists name files that mirrors no longer hold.
const ATTEMPTS: usize = 6;

/// What is kept of a build.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) package: String,
    pub(super) version: String,
    folder: PathBuf,
}

impl Kernel {
    /// The newest build of a line that can be had.
    pub(super) fn fetch(line: &Line, archive: &Archive) -> Result<Self> {
        let builds = archive.newest(|name| line.is_build(name))?;
        ensure!(!builds.is_empty(), "no archive has a package of {line}");
        let mut refusals = Vec::new();
        for package in builds.iter().take(ATTEMPTS) {
            match Self::of(package, archive) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => refusals.push(format!("{}: {error:#}", package.name)),
            }
        }
        Err(anyhow!("{}", refusals.join("; "))
            .context(format!("no package of {line} can be downloaded")))
    }

    fn of(package: &Package, archive: &Archive) -> Result<Self> {
        let Package { name, version } = package;
        let folder = store().join(format!("{name}_{version}"));
        let kernel = Self { package: name.clone(), version: version.clone(), folder };
        if kernel.folder.join(COMPLETE).exists() {
            return Ok(kernel);
        }
        let unpacked = kernel.folder.join("unpacked");
        if kernel.folder.exists() {
            remove(&kernel.folder)?;
        }
        archive.unpack(package, &unpacked)?;
        if let Some(modules) = modules_of(name)
            && archive.has(&modules)?
        {
            let version = version.clone();
            archive.unpack(&Package { name: modules, version }, &unpacked)?;
        }
        kernel.keep(&unpacked)?;
        remove(&unpacked)?;
        write(&kernel.folder.join(COMPLETE), "")?;
        Ok(kernel)
    }

    /// Takes the image and the modules out of what was unpacked.
    fn keep(&self, unpacked: &Path) -> Result<()> {
        let image = files(unpacked)?.into_iter().find(|file| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        });
        let Some(image) = image else { bail!("the package has no kernel") };
        let copied = fs::copy(&image, self.image()).context("failed to store the kernel")?;
        ensure!(copied != 0, "the package's kernel is empty");
        let folder = self.folder.join(MODULES);
        create(&folder)?;
        Modules::find(unpacked)?.keep(&folder)
    }

    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The modules in the order in which they are to be loaded.
    pub(super) fn modules(&self) -> Result<Vec<PathBuf>> {
        let mut modules = files(&self.folder.join(MODULES))?;
        modules.sort();
        Ok(modules)
    }
}

/// Written last.
const COMPLETE: &str = "complete";
const MODULES: &str = "modules";

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let listing =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in listing {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        let kind = entry.file_type().context("failed to look at a file")?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
