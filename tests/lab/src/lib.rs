//! The lab: records real tools at work, exfiltrating and benign, in network namespaces, and labels what
//! it recorded. One scenario is one row in `table/`; hosts over weeks and days are laid out from short
//! recordings by their packet times. Never sends a packet outside the namespaces it made, and never
//! trusts an exit code: the bytes that arrived are what counts.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "progress and the closing table are for a person"
)]

mod benign;
mod calendar;
mod days;
mod encoding;
mod habit;
mod layout;
mod line;
mod manifest;
mod outcome;
mod payloads;
mod pcap;
mod pool;
mod proof;
mod random;
mod recorder;
mod scene;
mod shared;
mod sites;
mod table;
mod theft;
mod tools;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use manifest::Entry;
use pool::Task;
use shared::Shared;
use table::Row;
use tools::upload::Tool;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where recordings and manifest.json go [default: target/lab]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only scenarios whose name contains one of these; entries of the others stay in the manifest
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Sizes, rates, distances and destinations follow from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Recordings at a time; each has namespaces of its own
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Multiplies the runs of every scenario
    #[arg(long, value_name = "N", default_value_t = 1)]
    runs: u64,
    /// Record hosts with a month of habit and thefts after it instead, into DIR/habit
    #[arg(long, conflicts_with_all = ["only", "days", "proof"])]
    habit: bool,
    /// Record N days of hosts in mixed ordinary use instead, into DIR/days
    #[arg(long, value_name = "N", conflicts_with = "only")]
    days: Option<u64>,
    /// Record the scenarios for proof instead, whose tools training never sees, into DIR/proof
    #[arg(long, conflicts_with = "days")]
    proof: bool,
    /// Print the scenarios and record nothing
    #[arg(long)]
    list: bool,
}

/// Hosts in mixed use whose days are recorded.
const HOSTS: u64 = 3;

/// What the lab is given of the project around it.
#[derive(Clone, Copy, Debug)]
pub struct Workplace<'a> {
    /// Where recordings go unless something else is asked for.
    pub out: &'a Path,
    /// The interpreter that sees the packages of the lab's scripts.
    pub python: &'a Path,
}

/// Records what was asked for; `install` puts the tools in place that are recorded.
pub fn run(
    arguments: &Arguments,
    workplace: Workplace<'_>,
    install: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let rows = table::matching(&arguments.only, arguments.proof);
    if rows.is_empty() {
        bail!(
            "no scenario is called {}; `cargo xtask lab --list` shows them",
            arguments.only.join(" or ")
        );
    }
    if arguments.list {
        list(&rows);
        return Ok(());
    }
    detector_tests::remove_leftovers()?;
    detector_tests::remove_stale_scratch()?;
    install()?;
    let (folder, tasks) = tasks(arguments, &rows);
    let out = arguments.out.as_deref().unwrap_or(workplace.out).join(folder);
    let seed = arguments.seed.wrapping_add(if arguments.proof { proof::SEED } else { 0 });
    let shared = Shared::prepare(&out, workplace.python, seed)?;
    let done = pool::run(&shared, tasks, arguments.jobs.max(1));
    pool::summarise(&done);
    let failed: Vec<String> =
        done.iter().filter(|done| done.result.is_err()).map(|done| done.name.clone()).collect();
    let entries: Vec<Entry> =
        done.into_iter().filter_map(|done| done.result.ok()).flatten().collect();
    let file = manifest::write(&out, entries, !arguments.only.is_empty())?;
    println!("wrote {}", file.display());
    if !failed.is_empty() {
        bail!("{} recordings failed: {}; the messages are above", failed.len(), failed.join(" "));
    }
    Ok(())
}

/// What to record, and the folder of the output that it goes to.
fn tasks(arguments: &Arguments, rows: &[&'static Row]) -> (&'static str, Vec<Task>) {
    if arguments.habit {
        return ("habit", Tool::ALL.into_iter().map(habit_task).collect());
    }
    if let Some(days) = arguments.days {
        return ("days", (0..HOSTS).map(|host| days_task(host, days.max(1))).collect());
    }
    let folder = if arguments.proof { "proof" } else { "" };
    (folder, plan(rows, arguments.runs))
}

fn habit_task(tool: Tool) -> Task {
    Task {
        name: format!("habit-{}", tool.name()),
        scenario: "habit",
        record: Box::new(move |shared| habit::record(shared, tool)),
    }
}

fn days_task(host: u64, days: u64) -> Task {
    Task {
        name: format!("mixed-{host}"),
        scenario: "mixed-day",
        record: Box::new(move |shared| Ok(vec![days::record(shared, host, days)?])),
    }
}

/// First runs of all scenarios, then second ones: idle and busy scenarios mix, so that recordings made
/// at the same time rarely compete for the processors.
fn plan(rows: &[&'static Row], times: u64) -> Vec<Task> {
    let most = rows.iter().map(|row| row.runs * times).max().unwrap_or(0);
    (0..most)
        .flat_map(|run| {
            rows.iter().filter(move |row| run < row.runs * times).map(move |row| row_task(row, run))
        })
        .collect()
}

fn row_task(row: &'static Row, run: u64) -> Task {
    Task {
        name: format!("{}-{run}", row.name),
        scenario: row.name,
        record: Box::new(move |shared| Ok(vec![scene::record(shared, row, run)?])),
    }
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
