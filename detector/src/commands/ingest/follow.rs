//! `detector ingest --follow`: a log that grows, scored as its lines come.
//!
//! A report has what was read since the one before it.

use std::io::{self, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::LiveFormat;
use crate::features::Record;
use crate::ingest::{Follow, Format, Keeper, RecordSink, Report, Unreadable, lines};

/// How often is reported at most.
const PACE: Duration = Duration::from_secs(1);

pub(super) fn run(
    path: &Path,
    format: Option<Format>,
    listed: LiveFormat,
    keeper: Keeper,
) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_signals(Arc::clone(&stop))?;
    let follow =
        Follow::open(path, stop).with_context(|| format!("failed to follow {}", path.display()))?;
    let mut reporting = Reporting { keeper, path, listed, last: Instant::now() };
    let mut report = Report::default();
    let read = lines(BufReader::new(follow), format, &mut reporting, &mut report);
    let kept = reporting.keeper.finish();
    reporting.write(&mut report)?;
    kept?;
    match read {
        // Its lines were reported, or there was none.
        Err(error) if error.is::<Unreadable>() => Ok(()),
        read => read.with_context(|| format!("failed to take in {}", path.display())),
    }
}

/// The first signal ends the log, and what came before it is kept; the second ends the program.
fn stop_at_signals(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("failed to wait for signals")?;
    let wait = move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stop.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
            }
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .context("failed to wait for signals")?;
    Ok(())
}

struct Reporting<'a> {
    keeper: Keeper,
    path: &'a Path,
    listed: LiveFormat,
    last: Instant,
}

impl Reporting<'_> {
    fn write(&mut self, report: &mut Report) -> io::Result<()> {
        self.last = Instant::now();
        let report = std::mem::take(report);
        if report == Report::default() {
            return Ok(());
        }
        let mut output = io::stdout().lock();
        super::write(&mut output, self.listed, self.path, &report)?;
        output.flush()
    }
}

impl RecordSink for Reporting<'_> {
    fn record(&mut self, record: &Record) -> anyhow::Result<bool> {
        self.keeper.record(record)
    }

    fn pause(&mut self, so_far: &mut Report) -> anyhow::Result<()> {
        self.keeper.finish()?;
        if self.last.elapsed() >= PACE {
            self.write(so_far)?;
        }
        Ok(())
    }
}
