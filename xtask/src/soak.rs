//! `cargo xtask soak`: an agent for a while among flows that come and go. Its memory at the end is
//! that of its first minutes, or the verb fails.

#![expect(clippy::print_stdout, reason = "the figures are for people")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use detector_tests::require_root;

use crate::load::{Cost, Load};
use crate::release;
use crate::setup::{self, Profile};

/// How much more there may be at the end.
const GROWTH: f64 = 0.05;
/// From when on it is compared: flows idle for a minute, and sessions idle for another, are gone by
/// then, and others have come.
const SETTLED: Duration = Duration::from_secs(300);
const CONFIG: &str = "[session]\nwindow_secs = 60\n";
const LOOK: Duration = Duration::from_secs(10);
const MAX_FLOWS: u32 = 262_144;
/// Flows at a time, each a session of its own, and how many of them others take the place of in a
/// second: by the clock, so that a machine that has become faster has no more of them.
const LIVE: u32 = 50_000;
const FRESH: u64 = 1_000;
/// Letters of the plot's longest line.
const WIDTH: f64 = 50.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Duration in minutes
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..))]
    minutes: u64,
}

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    require_root()?;
    setup::run(Profile::Demo)?;
    release::build(&["--package", "detector"])?;
    let load = Load::start(MAX_FLOWS, CONFIG)?;
    let length = Duration::from_secs(arguments.minutes * 60);
    let started = Instant::now();
    let samples = load.while_sending(
        |_| {
            // Goes round by itself.
            let first = (started.elapsed().as_millis() as u64 * FRESH / 1_000) as u32;
            first..first + LIVE
        },
        || watch(&load, length),
    )?;
    let (live, lost) = (load.count("flows")?, load.count("events_lost")?);
    load.stop()?;
    // Memory that nothing was in would not grow either.
    ensure!(live >= u64::from(LIVE), "{live} of {LIVE} flows are active");
    let map_mb = samples.costs.last().map_or(0.0, |(_, cost)| cost.map_mb);
    let sent = samples.sent;
    println!(
        "{sent} packets sent, {live} flows active, {lost} events lost, {map_mb:.0} MB of maps"
    );
    assess(&samples)
}

struct Samples {
    /// Since the start, in seconds.
    costs: Vec<(f64, Cost)>,
    sent: u64,
}

fn watch(load: &Load, length: Duration) -> Result<Samples> {
    let started = Instant::now();
    let mut costs: Vec<(f64, Cost)> = Vec::new();
    println!("{:>7}  {:>7}  {:>6}", "SECONDS", "MB", "CORES");
    while started.elapsed() < length {
        sleep(LOOK);
        let cost = load.cost()?;
        let cores = costs.last().map_or(0.0, |(_, before)| cost.cores_since(before));
        let seconds = started.elapsed().as_secs_f64();
        let bar = "█".repeat((cost.rss_mb / 400.0 * WIDTH).min(WIDTH) as usize);
        println!("{seconds:>7.0}  {:>7.1}  {cores:>6.2}  {bar}", cost.rss_mb);
        costs.push((seconds, cost));
    }
    Ok(Samples { costs, sent: load.sent() })
}

/// The median of a minute on either side.
fn assess(samples: &Samples) -> Result<()> {
    let minute = |from: f64| {
        let within = samples.costs.iter().filter(|(at, _)| (from..from + 60.0).contains(at));
        let mut sizes: Vec<f64> = within.map(|(_, cost)| cost.rss_mb).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.get(sizes.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let last = samples.costs.last().map_or(0.0, |(at, _)| *at);
    let (early, late) = (minute(SETTLED.as_secs_f64() - 30.0), minute(last - 59.0));
    let growth = late / early - 1.0;
    println!("{early:.1} MB after five minutes, {late:.1} MB at the end: {:+.1} %", growth * 100.0);
    ensure!(growth <= GROWTH, "the agent's memory grew by {:.1} %", growth * 100.0);
    Ok(())
}
