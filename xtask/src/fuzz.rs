//! `cargo xtask fuzz`: hostile bytes for every reader, two targets at a time, and
//! mutated frames for the loaded programs. What is found stays in fuzz/artifacts and fails the run.

#![expect(clippy::print_stdout, reason = "the results are for people")]

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use detector_tests::{Scratch, require_root};

use crate::setup::{self, Profile};
use crate::{project, release};

/// Every processor of the smallest machine that tests run on.
const TOGETHER: usize = 2;
/// A multiple of what the largest reader may hold; an input that makes one hold more is a finding.
const MEMORY_MB: u32 = 2_048;
/// An input that takes longer is a finding.
const SLOWEST_SECS: u32 = 10;
/// The longest input tried: a few packets, a page of configuration, a small model.
const LONGEST_BYTES: u32 = 8_192;
/// Executions a second below which a target was starved and has shown nothing: the slowest reader
/// does some 2,000 on a processor of its own.
const LEAST_PER_SECOND: u64 = 20;
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Seed of the random inputs; 0: another one each time
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u32,
    /// Instead, send this many mutated frames through the loaded programs (root)
    #[arg(long, value_name = "N", conflicts_with = "targets")]
    frames: Option<u64>,
    /// Targets in fuzz/fuzz_targets [default: all]
    targets: Vec<String>,
}

/// What one target came to.
struct Outcome {
    target: String,
    executions: u64,
    per_second: u64,
    /// Edges of the program that inputs have reached.
    coverage: u64,
    /// The inputs that broke it, or why it did not run.
    findings: Vec<String>,
}

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run(Profile::Test)?;
    if let Some(frames) = arguments.frames {
        return mutated_frames(frames);
    }
    let known = targets()?;
    for target in &arguments.targets {
        ensure!(known.contains(target), "there is no target {target}: use {}", known.join(", "));
    }
    let chosen = if arguments.targets.is_empty() { known } else { arguments.targets.clone() };
    build(&chosen)?;
    println!("{} targets, {} s each, {TOGETHER} at a time", chosen.len(), arguments.seconds);
    println!("{:10} {:>12} {:>9} {:>9}  findings", "target", "executions", "a second", "coverage");
    let queue = Mutex::new(VecDeque::from(chosen));
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| work(&queue, &outcomes, arguments));
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    report(&outcomes)
}

/// The targets that there are: a file each.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    project::root().join("fuzz")
}

/// What libFuzzer asks of the compiler: every branch counted, every comparison reported, and no
/// branches that are folded into one.
const INSTRUMENTATION: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// One target, or all of them at once: they share everything but their last file.
fn build(chosen: &[String]) -> Result<()> {
    let mut command = release::cargo();
    command.args(["build", "--release", "--target", TRIPLE, "--target-dir"]).arg(built());
    command.arg("--manifest-path").arg(folder().join("Cargo.toml"));
    if let [target] = chosen {
        command.args(["--bin", target]);
    }
    // What is fuzzed is safe code: what can go wrong are panics, sums that overflow, time and
    // memory. The address sanitizer would find none of these and cost most of the executions.
    let mut flags = INSTRUMENTATION.to_vec();
    // One unit would leave all processors but one idle for most of the build.
    flags.extend(["-Cdebug-assertions", "-Ccodegen-units=16"]);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env_remove("CARGO_TARGET_DIR");
    // Nothing is loaded here.
    command.env("AYA_BUILD_SKIP", "1");
    let status = command.status().context("failed to start cargo")?;
    ensure!(status.success(), "failed to build the fuzz targets: see the compiler's output above");
    Ok(())
}

fn built() -> PathBuf {
    folder().join("target")
}

fn work(queue: &Mutex<VecDeque<String>>, outcomes: &Mutex<Vec<Outcome>>, arguments: &Arguments) {
    loop {
        let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
        let Some(target) = next else { return };
        let outcome = fuzz(&target, arguments).unwrap_or_else(|error| Outcome {
            target,
            executions: 0,
            per_second: 0,
            coverage: 0,
            findings: vec![format!("{error:#}")],
        });
        outcome.print();
        if let Ok(mut outcomes) = outcomes.lock() {
            outcomes.push(outcome);
        }
    }
}

fn fuzz(target: &str, arguments: &Arguments) -> Result<Outcome> {
    let (corpus, artifacts) = (folder().join("corpus").join(target), artifacts(target));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let before = files(&artifacts)?;
    let log = folder().join("corpus").join(format!("{target}.log"));
    let output =
        File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
    let scratch = Scratch::new("fuzz")?;
    let status = Command::new(built().join(TRIPLE).join("release").join(target))
        .env("TMPDIR", scratch.path())
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg(format!("-seed={}", arguments.seed))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-timeout={SLOWEST_SECS}"))
        .arg(format!("-max_len={LONGEST_BYTES}"))
        .arg("-print_final_stats=1")
        .arg(&corpus)
        .arg(folder().join("seeds").join(target))
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("failed to start {target}"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let mut findings = files(&artifacts)?;
    findings.retain(|file| !before.contains(file));
    let executions = stat(&text, "number_of_executed_units");
    let least = LEAST_PER_SECOND * arguments.seconds;
    if findings.is_empty() && executions < least {
        findings.push(format!("it ran only {executions} times: {least} are needed"));
    }
    if !status.success() && findings.is_empty() {
        findings.push(format!("it ended with {status}: see {}", log.display()));
    }
    Ok(Outcome {
        target: target.to_owned(),
        executions,
        per_second: stat(&text, "average_exec_per_sec"),
        coverage: coverage(&text),
        findings,
    })
}

fn artifacts(target: &str) -> PathBuf {
    folder().join("artifacts").join(target)
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path().display().to_string())).collect()
}

/// A line such as `stat::number_of_executed_units: 123`.
fn stat(log: &str, name: &str) -> u64 {
    let prefix = format!("stat::{name}:");
    let mut values = log.lines().filter_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok());
    values.next_back().unwrap_or(0)
}

/// The last `cov: 123` of the progress lines.
fn coverage(log: &str) -> u64 {
    let mut values = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once(" cov: ")?;
        rest.split(' ').next()?.parse().ok()
    });
    values.next_back().unwrap_or(0)
}

impl Outcome {
    fn print(&self) {
        let Self { target, executions, per_second, coverage, findings } = self;
        let found = findings.len();
        println!("{target:10} {executions:>12} {per_second:>9} {coverage:>9}  {found}");
    }
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    let executions: u64 = outcomes.iter().map(|outcome| outcome.executions).sum();
    let broken: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| !outcome.findings.is_empty()).collect();
    println!("{executions} executions, {} of {} targets failed", broken.len(), outcomes.len());
    for outcome in &broken {
        for finding in &outcome.findings {
            println!("{}: {finding}", outcome.target);
        }
    }
    if let Some(first) = broken.first() {
        let program = built().join(TRIPLE).join("release").join(&first.target);
        bail!(
            "{} of {} targets failed: run {} with the file, and add a test with it",
            broken.len(),
            outcomes.len(),
            program.display()
        );
    }
    Ok(())
}

/// Frames through the loaded programs: the test of it, at full length.
fn mutated_frames(frames: u64) -> Result<()> {
    require_root().context("only root can load programs")?;
    let status = release::cargo()
        .args(["test", "--release", "--package", "detector-tests", "--test", "kernel", "--"])
        .args(["--ignored", "--nocapture", "--test-threads=1", "mutants::"])
        .env("MUTANT_FRAMES", frames.to_string())
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "the programs and the host disagree: see the output above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{coverage, stat};

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #900\tNEW    cov: 345 ft: 400 corp: 5/9b lim: 4 exec/s: 0\n\
                   stat::number_of_executed_units: 12345\n\
                   stat::average_exec_per_sec:     617\n";
        assert_eq!(stat(log, "number_of_executed_units"), 12_345);
        assert_eq!(stat(log, "average_exec_per_sec"), 617);
        assert_eq!(coverage(log), 345);
        assert_eq!((stat("", "peak_rss_mb"), coverage("")), (0, 0));
    }
}
