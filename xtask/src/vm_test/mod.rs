//! `cargo xtask vm-test`: the one BPF object and the released agent under every kernel line that is
//! supported, each in a virtual machine of its own, and the table that comes of it.
//!
//! A kernel that cannot be had, or started, is reported in its column and fails the run: nothing is
//! left out in silence.

#![expect(clippy::print_stdout, reason = "the verb prints a table")]

mod archive;
mod boot;
mod cpio;
mod initramfs;
mod kernel;
mod line;
mod modules;
mod results;
mod table;
mod version;

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::setup::{self, Profile};
use crate::test::binaries;
use crate::{project, release};
use archive::Archive;
use initramfs::Contents;
use kernel::Kernel;
use line::{LINES, Line, Source};
use results::Results;
use table::Column;

#[derive(clap::Args, Debug, Default)]
pub(crate) struct Arguments {
    /// Only these kernel lines, such as 5.10,7
    #[arg(long, value_name = "LINE", value_delimiter = ',')]
    pub(crate) kernel: Vec<String>,
    /// Only scenarios whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) only: String,
    /// Run this agent instead of building one
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Run these scenarios instead of building them
    #[arg(long, value_name = "FILE")]
    pub(crate) scenarios: Option<PathBuf>,
}

/// The test program that runs in the machines.
pub(crate) const SCENARIOS: &str = "vm";

/// As many machines as run at a time: a second one makes use of a second processor.
const AT_A_TIME: usize = 2;
const PAGE: &str = "docs/kernels.md";

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let lines = line::chosen(&arguments.kernel)?;
    ensure!(
        env::consts::ARCH == "x86_64",
        "kernels for virtual machines exist for x86_64 only, and this machine is {}",
        env::consts::ARCH
    );
    setup::run(Profile::Vm)?;
    let folder = work_folder()?;
    let contents = build(arguments, &folder)?;
    let columns = run_all(&lines, &contents, &folder, &arguments.only)?;
    print!("{}", table::text(&columns));
    // Also where something failed: the page says what was found.
    if lines.len() == LINES.len() && arguments.only.is_empty() {
        archive::write(&project::root().join(PAGE), &table::page(&columns))?;
        println!("wrote {PAGE}");
    }
    let complaints = table::complaints(&columns);
    if !complaints.is_empty() {
        bail!("{} parts failed:\n  {}", complaints.len(), complaints.join("\n  "));
    }
    Ok(())
}

/// Beside what is built, and gone with it.
fn work_folder() -> Result<PathBuf> {
    let folder = release::program("vm-test")?;
    archive::create(&folder)?;
    Ok(folder)
}

/// Our own programs, and what they need to run elsewhere.
fn build(arguments: &Arguments, folder: &Path) -> Result<Contents> {
    let agent = match &arguments.agent {
        Some(agent) => agent.clone(),
        None => release::detector()?,
    };
    let scenarios = match &arguments.scenarios {
        Some(scenarios) => scenarios.clone(),
        None => build_scenarios()?,
    };
    Contents::gather(&agent, &scenarios, folder)
}

fn build_scenarios() -> Result<PathBuf> {
    let built = binaries::build(&["--package", "detector-tests", "--test", SCENARIOS])?;
    let scenarios = built.into_iter().find(|binary| binary.name == SCENARIOS);
    Ok(scenarios.context("cargo's output does not name the scenarios")?.file)
}

/// Fetches one after the other, as apt does, and runs two at a time, in the order of the lines.
fn run_all(
    lines: &[&'static Line],
    contents: &Contents,
    folder: &Path,
    only: &str,
) -> Result<Vec<Column>> {
    let archives = Archives::default();
    let queue: Mutex<VecDeque<&'static Line>> = Mutex::new(lines.iter().copied().collect());
    let done: Mutex<Vec<Column>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(lines.len()) {
            scope.spawn(|| {
                // A function of its own, so that the lock is let go before the machine starts.
                let next = || lock(&queue).pop_front();
                while let Some(line) = next() {
                    let column = run_one(line, &archives, contents, folder, only);
                    lock(&done).push(column);
                }
            });
        }
    });
    let mut columns = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    columns.sort_by_key(|column| LINES.iter().position(|line| line == column.line));
    ensure!(columns.len() == lines.len(), "a kernel was not run");
    Ok(columns)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_one(
    line: &'static Line,
    archives: &Archives,
    contents: &Contents,
    folder: &Path,
    only: &str,
) -> Column {
    let started = Instant::now();
    let results = archives.fetch(line).and_then(|kernel| {
        let Kernel { package, version, .. } = &kernel;
        println!("{line}: {package} {version} is ready after {:.0?}", started.elapsed());
        let archive = folder.join(format!("{}.cpio", line.name));
        contents.write(&kernel, only, &archive)?;
        let said = boot::run(&kernel, &archive, &folder.join(format!("{}.log", line.name)));
        fs::remove_file(&archive).context("failed to remove an archive")?;
        let results = Results::read(&said?);
        ensure!(!results.cells.is_empty(), "no scenario was run, see {}.log", line.name);
        Ok(results)
    });
    let outcome = match &results {
        Ok(results) => {
            let (cells, failed) = (results.cells.len(), results.failures());
            format!("{cells} scenarios, {failed} failed, {}", results.release)
        }
        Err(error) => format!("{error:#}"),
    };
    println!("{line}: {outcome} ({:.0?})", started.elapsed());
    Column { line, results: results.map_err(|error| format!("{error:#}")) }
}

/// The archives that are asked, opened when they are.
#[derive(Debug, Default)]
struct Archives(Mutex<Opened>);

#[derive(Debug, Default)]
struct Opened {
    debian: Option<Archive>,
    ubuntu: Option<Archive>,
}

impl Archives {
    fn fetch(&self, line: &Line) -> Result<Kernel> {
        let mut opened = lock(&self.0);
        let Opened { debian, ubuntu } = &mut *opened;
        let debian = match debian {
            Some(archive) => archive,
            None => debian.insert(Archive::debian()?),
        };
        let archive = match (line.source, ubuntu) {
            (Source::Debian, _) => debian,
            (Source::Ubuntu, Some(archive)) => archive,
            (Source::Ubuntu, ubuntu) => ubuntu.insert(Archive::ubuntu(debian)?),
        };
        Kernel::fetch(line, archive)
    }
}
