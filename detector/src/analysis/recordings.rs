//! Runs a capture through the pipeline with the configured bounds: what analysing, training and
//! evaluating share.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;

use crate::config::Config;
use crate::decompress::Expand;
use crate::output::{Summary, Unopened};
use crate::pipeline::{Mode, Pipeline};
use crate::source::capture::{CaptureConfig, CaptureSource, CaptureSummary, default_prefixes};

/// Where captures are read from.
pub const STANDARD_INPUT: &str = "-";

/// Reads captures as the configuration has it. Each capture is for itself.
#[derive(Debug)]
pub struct Recordings {
    source: CaptureSource,
    config: Config,
}

impl Recordings {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let home = match config.home_networks.as_slice() {
            [] => default_prefixes(),
            networks => networks.iter().map(|network| network.prefix()).collect(),
        };
        let source = CaptureSource::new(CaptureConfig {
            home,
            decapsulation: config.decapsulation(),
            max_flows: config.kernel.max_flows.get(),
        });
        Self { source, config: config.clone() }
    }

    /// A pipeline for one capture.
    #[must_use]
    pub fn pipeline<M: Mode>(&self, mode: M) -> Pipeline<M> {
        Pipeline::new(&self.config.tracker(), self.config.history(), mode)
    }

    /// A capture that may be compressed.
    pub fn expand<'a>(&self, reader: impl Read + 'a) -> Expand<'a> {
        Expand::new(reader, self.config.decompression)
    }

    /// Reads `reader` to its end, or to where it is damaged: the summary says so. What comes of it
    /// goes to `take` at once, so that nothing piles up.
    pub fn run<M: Mode>(
        &self,
        reader: impl Read,
        pipeline: &mut Pipeline<M>,
        take: impl FnMut(M::Output),
    ) -> CaptureSummary {
        self.source.run(reader, &mut pipeline.followed(take))
    }

    /// Reads the capture at `path` whole.
    pub fn run_file<M: Mode>(
        &self,
        path: &Path,
        pipeline: &mut Pipeline<M>,
        take: impl FnMut(M::Output),
    ) -> anyhow::Result<CaptureSummary> {
        let file = open(path)?;
        let capture = self.run(self.expand(file), pipeline, take);
        match capture.error {
            Some(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
            None => Ok(capture),
        }
    }
}

/// Opens a capture; `-` is standard input.
pub fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        File::open(path).with_context(|| format!("failed to open capture {}", path.display()))?;
    Ok(Box::new(file))
}

/// What is reported about a capture.
#[must_use]
pub fn summary(capture: &CaptureSummary, alerts: u64) -> Summary {
    let span_ns = capture.last_ns.unwrap_or(0).saturating_sub(capture.first_ns.unwrap_or(0));
    let mut summary = Summary {
        source: None,
        packets: capture.packets,
        bytes: capture.bytes,
        flows: capture.flows,
        alerts,
        skipped: capture.skipped().map(|(reason, count)| (reason, count.packets)).collect(),
        overflow_bytes: capture.overflow_bytes,
        unaccounted_bytes: capture.unaccounted_bytes,
        seconds: span_ns as f64 / 1e9,
        ..Summary::default()
    };
    summary.count([
        ("unaccounted_packets", capture.unaccounted_packets.unsigned_abs()),
        ("packets_captured_in_part", capture.truncated_packets),
        ("packets_backwards_in_time", capture.backwards),
        ("packets_cut_and_counted_by_ip_length", capture.sliced_packets),
        ("packets_with_a_stray_time", capture.stray_packets),
        ("packets_without_a_time", capture.untimed_packets),
        ("interfaces_with_a_clock_of_their_own", capture.own_clocks),
        ("clock_restarts", capture.restarts),
        ("gaps_of_five_minutes", capture.gaps),
        ("fragments_without_first", capture.totals.fragments_unknown.packets),
        ("fragments_forgotten", capture.fragments_forgotten),
        ("packets_beyond_host_table", capture.totals.overflow_rest.packets),
    ]);
    summary.count(capture.tracker.left_out());
    summary
        .leave(capture.unopened.iter().map(|(number, count)| (Unopened::Frames(*number), *count)));
    summary
        .leave(capture.unknown_links.iter().map(|(link, count)| (Unopened::Link(*link), *count)));
    summary.leave(Unopened::tunnels(&capture.tracker.tunnels));
    summary
}
