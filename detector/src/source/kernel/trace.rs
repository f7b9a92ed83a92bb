//! What the programs' cold paths say with `--trace-kernel`: lines of aya-log, how many were left
//! out, and how many found no room in the ring buffer.

use crate::units::counted;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use aya::maps::{MapData, PerCpuArray};
use aya_log::EbpfLogger;
use detector_common::abi::{TraceLimit, map};
use log::{Log, Metadata, Record};

use super::object::Object;

/// Reads the lines that the programs wrote and hands them to the log.
pub(super) struct KernelTrace {
    logger: EbpfLogger<Counting>,
    read: Arc<AtomicU64>,
    limits: PerCpuArray<MapData, TraceLimit>,
    /// Lines left out, and lines lost, that were reported already.
    reported: (u64, u64),
}

/// Hands lines on and counts them.
struct Counting(Arc<AtomicU64>);

impl Log for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        log::logger().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        log::logger().log(record);
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

impl KernelTrace {
    pub(super) fn new(object: &mut Object) -> anyhow::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let logger = EbpfLogger::init_with_logger(&mut object.ebpf, Counting(Arc::clone(&read)))
            .context("failed to read kernel traces")?;
        let limits = object.ebpf.take_map(map::TRACE_LIMITS);
        let limits = limits.context("the BPF object has no limits of its trace")?;
        Ok(Self { logger, read, limits: PerCpuArray::try_from(limits)?, reported: (0, 0) })
    }

    /// Logs what has been written since the last call, and what is missing of it.
    pub(super) fn flush(&mut self) {
        // Before the lines are read: one that is written meanwhile is no lost one.
        let limits = match self.limits.get(&0, 0) {
            Ok(limits) => limits,
            Err(error) => return tracing::warn!("failed to count kernel trace lines: {error}"),
        };
        self.logger.flush();
        let written: u64 = limits.iter().map(|limit| limit.lines).sum();
        let suppressed: u64 = limits.iter().map(|limit| limit.suppressed).sum();
        let lost = written.saturating_sub(self.read.load(Ordering::Relaxed));
        let (suppressed_before, lost_before) = self.reported;
        if suppressed > suppressed_before {
            tracing::warn!(
                "dropped {}: each processor writes a limited number a second",
                counted(suppressed - suppressed_before, "kernel trace line")
            );
        }
        if lost > lost_before {
            tracing::warn!(
                "lost {} because their ring buffer was full",
                counted(lost - lost_before, "kernel trace line")
            );
        }
        self.reported = (suppressed, lost.max(lost_before));
    }
}
