//! `cargo xtask lab`: records real tools at work, stealing and benign, in network namespaces, and labels
//! what it recorded. One scenario is one row in `lab/table.rs`. Never sends a packet outside the
//! namespaces it made, and never trusts an exit code: the bytes that arrived are what counts.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "progress and the closing table are for a person"
)]

mod benign;
mod line;
mod loot;
mod manifest;
mod outcome;
mod pcap;
mod random;
mod scene;
mod shared;
mod sites;
mod table;
mod theft;
mod tools;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use manifest::Entry;
use shared::Shared;
use table::Row;

use crate::{project, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where recordings and manifest.json go [default: target/lab]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only scenarios whose name contains this; entries of the others stay in the manifest
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Sizes, rates, distances and destinations follow from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Recordings at a time; each has namespaces of its own
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Multiplies the runs of every scenario
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: u64,
    /// Print the scenarios and record nothing
    #[arg(long)]
    list: bool,
}

/// One recording to make.
struct Job {
    row: &'static Row,
    /// Which of the row's runs this is; the seed follows from it.
    run: u64,
}

struct Done {
    job: Job,
    seconds: f64,
    result: Result<Entry>,
}

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let rows = table::matching(arguments.only.as_deref());
    if rows.is_empty() {
        bail!(
            "no scenario is called {:?}; `cargo xtask lab --list` shows them",
            arguments.only.as_deref().unwrap_or_default()
        );
    }
    if arguments.list {
        list(&rows);
        return Ok(());
    }
    detector_tests::remove_leftovers()?;
    detector_tests::remove_stale_scratch()?;
    setup::run(setup::Profile::Lab)?;
    let out = arguments.out.clone().unwrap_or_else(|| project::root().join("target/lab"));
    let shared = Shared::prepare(&out, arguments.seed)?;
    let done = record_all(&shared, plan(&rows, arguments.runs), arguments.jobs.max(1));
    summarise(&rows, &done);
    let failed: Vec<String> =
        done.iter().filter(|done| done.result.is_err()).map(|done| name_of(&done.job)).collect();
    let entries: Vec<Entry> = done.into_iter().filter_map(|done| done.result.ok()).collect();
    let file = manifest::write(&out, entries, arguments.only.is_some())?;
    println!("wrote {}", file.display());
    if !failed.is_empty() {
        bail!("{} recordings failed: {}; the messages are above", failed.len(), failed.join(" "));
    }
    Ok(())
}

fn list(rows: &[&'static Row]) {
    println!("{:<24} {:<7} {:<18} {:>4}  tool", "scenario", "label", "technique", "runs");
    for row in rows {
        println!(
            "{:<24} {:<7} {:<18} {:>4}  {}",
            row.name,
            row.label.text(),
            row.technique,
            row.runs,
            row.tool
        );
    }
}

/// First runs of all scenarios, then second ones: idle and busy scenarios mix, so that recordings made
/// at the same time rarely compete for the processors.
fn plan(rows: &[&'static Row], times: u64) -> Vec<Job> {
    let most = rows.iter().map(|row| row.runs * times).max().unwrap_or(0);
    (0..most)
        .flat_map(|run| {
            rows.iter().filter(move |row| run < row.runs * times).map(move |row| Job { row, run })
        })
        .collect()
}

fn record_all(shared: &Shared, jobs: Vec<Job>, at_a_time: usize) -> Vec<Done> {
    let total = jobs.len();
    let queue = Mutex::new(jobs.into_iter());
    let finished = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let worker = || {
        while let Some(job) = queue.lock().ok().and_then(|mut queue| queue.next()) {
            let start = Instant::now();
            let result = scene::record(shared, job.row, job.run).with_context(|| name_of(&job));
            let done = Done { seconds: start.elapsed().as_secs_f64(), job, result };
            report(&done, count.fetch_add(1, Ordering::Relaxed) + 1, total);
            if let Ok(mut finished) = finished.lock() {
                finished.push(done);
            }
        }
    };
    std::thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(worker))));
    finished.into_inner().unwrap_or_default()
}

fn name_of(job: &Job) -> String {
    format!("{}-{}", job.row.name, job.run)
}

fn report(done: &Done, number: usize, total: usize) {
    match &done.result {
        Ok(entry) => eprintln!(
            "[{number}/{total}] {} {:.1} s: {}",
            name_of(&done.job),
            done.seconds,
            entry.notes
        ),
        Err(error) => eprintln!("[{number}/{total}] FAILED {error:#}"),
    }
}

/// One line per scenario, in the order of the table.
fn summarise(rows: &[&'static Row], done: &[Done]) {
    println!(
        "{:<24} {:<7} {:>4} {:>6} {:>10} {:>12} {:>8}",
        "scenario", "label", "runs", "failed", "packets", "bytes", "seconds"
    );
    for row in rows {
        let own: Vec<&Done> = done.iter().filter(|done| done.job.row.name == row.name).collect();
        let entries: Vec<&Entry> =
            own.iter().filter_map(|done| done.result.as_ref().ok()).collect();
        println!(
            "{:<24} {:<7} {:>4} {:>6} {:>10} {:>12} {:>8.1}",
            row.name,
            row.label.text(),
            own.len(),
            own.len() - entries.len(),
            entries.iter().map(|entry| entry.packets).sum::<u64>(),
            entries.iter().map(|entry| entry.bytes).sum::<u64>(),
            own.iter().map(|done| done.seconds).sum::<f64>()
        );
    }
}
