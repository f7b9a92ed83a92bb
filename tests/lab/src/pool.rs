//! Makes recordings, some at a time, and tells how each went.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};

use super::manifest::Entry;
use super::shared::Shared;

type Record = Box<dyn Fn(&Shared) -> Result<Vec<Entry>> + Send>;

/// One scene to play, whatever number of recordings comes of it.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) scenario: &'static str,
    pub(super) record: Record,
}

pub(super) struct Done {
    pub(super) name: String,
    scenario: &'static str,
    seconds: f64,
    pub(super) result: Result<Vec<Entry>>,
}

pub(super) fn run(shared: &Shared, tasks: Vec<Task>, at_a_time: usize) -> Vec<Done> {
    let total = tasks.len();
    let queue = Mutex::new(tasks.into_iter());
    let finished = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let worker = || {
        while let Some(task) = queue.lock().ok().and_then(|mut queue| queue.next()) {
            let done = play(shared, task);
            report(&done, count.fetch_add(1, Ordering::Relaxed) + 1, total);
            if let Ok(mut finished) = finished.lock() {
                finished.push(done);
            }
        }
    };
    std::thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(worker))));
    finished.into_inner().unwrap_or_default()
}

fn play(shared: &Shared, task: Task) -> Done {
    let start = Instant::now();
    let result = (task.record)(shared).with_context(|| task.name.clone());
    let seconds = start.elapsed().as_secs_f64();
    Done { name: task.name, scenario: task.scenario, seconds, result }
}

fn report(done: &Done, number: usize, total: usize) {
    let Done { name, seconds, .. } = done;
    match &done.result {
        Ok(entries) => {
            let notes: Vec<&str> = entries.iter().map(|entry| entry.notes.as_str()).collect();
            eprintln!("[{number}/{total}] {name} {seconds:.1} s: {}", notes.join("; "));
        }
        Err(error) => eprintln!("[{number}/{total}] FAILED {error:#}"),
    }
}

/// One line per scenario, by name.
pub(super) fn summarise(done: &[Done]) {
    println!(
        "{:<24} {:>4} {:>6} {:>10} {:>12} {:>8}",
        "scenario", "runs", "failed", "packets", "bytes", "seconds"
    );
    let mut scenarios: Vec<&str> = done.iter().map(|done| done.scenario).collect();
    scenarios.sort_unstable();
    scenarios.dedup();
    for scenario in scenarios {
        let own: Vec<&Done> = done.iter().filter(|done| done.scenario == scenario).collect();
        let entries = || own.iter().filter_map(|done| done.result.as_ref().ok()).flatten();
        println!(
            "{:<24} {:>4} {:>6} {:>10} {:>12} {:>8.1}",
            scenario,
            own.len(),
            own.iter().filter(|done| done.result.is_err()).count(),
            entries().map(|entry| entry.packets).sum::<u64>(),
            entries().map(|entry| entry.bytes).sum::<u64>(),
            own.iter().map(|done| done.seconds).sum::<f64>()
        );
    }
}
