//! What the programs' cold paths say with `--trace-kernel`: lines of aya-log, and how many were left out.

use anyhow::Context as _;
use aya::maps::{MapData, PerCpuArray};
use aya_log::EbpfLogger;
use detector_common::abi::{TraceLimit, map};
use log::Log;

use super::object::Object;

/// Reads the lines that the programs wrote and hands them to the log.
pub(super) struct KernelTrace {
    logger: EbpfLogger<&'static dyn Log>,
    limits: PerCpuArray<MapData, TraceLimit>,
    /// Lines left out that were reported already.
    reported: u64,
}

impl KernelTrace {
    /// # Errors
    ///
    /// An object without the maps.
    pub(super) fn new(object: &mut Object) -> anyhow::Result<Self> {
        let logger = EbpfLogger::init(&mut object.ebpf).context("failed to read kernel traces")?;
        let limits = object.ebpf.take_map(map::TRACE_LIMITS);
        let limits = limits.context("the BPF object has no limits of its trace")?;
        Ok(Self { logger, limits: PerCpuArray::try_from(limits)?, reported: 0 })
    }

    /// Logs what has been written since the last call.
    pub(super) fn flush(&mut self) {
        self.logger.flush();
        let Ok(limits) = self.limits.get(&0, 0) else { return };
        let suppressed = limits.iter().map(|limit| limit.suppressed).sum();
        if suppressed > self.reported {
            tracing::warn!(
                "{} kernel trace lines were left out: each processor writes a bounded number a second",
                suppressed - self.reported
            );
            self.reported = suppressed;
        }
    }
}
