//! The first file system of a virtual machine, which is all it has: the programs with the libraries
//! that they load, modules, and an init that runs the scenarios and switches off.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use detector_tests::run_checked;

use super::cpio::Archive;
use super::kernel::Kernel;
use crate::setup;

/// What the scenarios call, besides our own programs. `sh` and what init needs is busybox's.
const TOOLS: [&str; 6] = ["ip", "tc", "ethtool", "wg", "setarch", "ss"];

/// Folders that must be there before something is mounted on them or put into them.
const FOLDERS: [&str; 17] = [
    "bin", "dev", "etc", "lib", "lib64", "modules", "proc", "root", "run", "sbin", "sys", "tmp",
    "usr", "usr/bin", "usr/sbin", "usr/lib", "var",
];

const CONSOLE: (u32, u32) = (5, 1);
const NULL: (u32, u32) = (1, 3);

/// The last line of a run that came to its end.
pub(super) const END: &str = "@end";

/// Where init looks for programs; busybox comes last, so that it replaces nothing.
const INIT: &str = include_str!("init.sh");

/// The same for every kernel, but for the modules.
#[derive(Debug)]
pub(super) struct Contents {
    /// Path in the machine, and the file here.
    programs: Vec<(String, PathBuf)>,
    libraries: Vec<PathBuf>,
}

impl Contents {
    /// `detector` and `scenarios` are stripped copies in `folder`.
    pub(super) fn gather(detector: &Path, scenarios: &Path, folder: &Path) -> Result<Self> {
        let mut programs = vec![
            ("usr/bin/detector".to_owned(), stripped(detector, folder)?),
            ("usr/bin/scenarios".to_owned(), stripped(scenarios, folder)?),
        ];
        for name in TOOLS.into_iter().chain(["busybox"]) {
            let file = setup::find(name)
                .with_context(|| format!("no {name}: run `cargo xtask setup --with vm`"))?;
            programs.push((format!("bin/{name}"), file));
        }
        let mut libraries = BTreeSet::new();
        for (_, file) in &programs {
            libraries.extend(needed(file)?);
        }
        Ok(Self { programs, libraries: libraries.into_iter().collect() })
    }

    /// Writes the archive for one kernel. `filter`: the scenarios whose names contain it.
    pub(super) fn write(&self, kernel: &Kernel, filter: &str, file: &Path) -> Result<()> {
        let output =
            File::create(file).with_context(|| format!("failed to create {}", file.display()))?;
        let mut archive = Archive::new(BufWriter::new(output));
        self.fill(kernel, filter, &mut archive)
            .and_then(|()| Ok(archive.finish()?))
            .with_context(|| format!("failed to write {}", file.display()))
    }

    fn fill(
        &self,
        kernel: &Kernel,
        filter: &str,
        archive: &mut Archive<BufWriter<File>>,
    ) -> Result<()> {
        let mut folders: BTreeSet<String> = FOLDERS.iter().map(|path| (*path).to_owned()).collect();
        for library in &self.libraries {
            let above = library.ancestors().skip(1).map(inside);
            folders.extend(above.filter(|path| !path.is_empty()));
        }
        for folder in &folders {
            archive.folder(folder)?;
        }
        archive.character_device("dev/console", CONSOLE)?;
        archive.character_device("dev/null", NULL)?;
        archive.program("init", INIT.as_bytes())?;
        archive.file("etc/filter", filter.as_bytes())?;
        // Some look names of protocols and users up.
        archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")?;
        for (path, file) in &self.programs {
            archive.program(path, &read(file)?)?;
        }
        for library in &self.libraries {
            archive.program(&inside(library), &read(library)?)?;
        }
        for module in kernel.modules()? {
            let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
            archive.file(&format!("modules/{name}"), &read(&module)?)?;
        }
        Ok(())
    }
}

/// A path of this machine in the archive.
fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("failed to read {}", file.display()))
}

/// A copy without what only debuggers read, which is most of it.
fn stripped(program: &Path, folder: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program has no name")?;
    let copy = folder.join(name);
    run_checked(Command::new("strip").arg("-o").arg(&copy).arg(program))?;
    Ok(copy)
}

/// The libraries that a program loads, its loader among them; none of one that is whole.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("failed to start ldd")?;
    Ok(libraries(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)` and `/lib64/ld-linux… (0x…)`.
fn libraries(told: &str) -> Vec<PathBuf> {
    told.lines()
        .filter_map(|line| {
            let place = line.split_once(" => ").map_or(line, |(_, place)| place).trim();
            let path = place.split(" (").next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::libraries;
    use std::path::PathBuf;

    #[test]
    fn libraries_are_read_from_what_the_loader_tells() {
        let told = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f15)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f16)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries(told), expected.map(PathBuf::from));
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }
}
