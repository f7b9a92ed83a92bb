//! What cold paths write to the log, and that they write nothing unless they are asked to.

use std::sync::Mutex;

use aya_log::EbpfLogger;
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{TRACE_LINES_PER_SECOND, TraceLimit, map, program};
use log::{Log, Metadata, Record};

use crate::bed::{FETCHING, Kernel, PROGRAMS, small};
use crate::budgets::{bed, out, v4};

/// Keeps lines.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for &Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// 500 flows of one host through tables with room for one: what is written about it.
fn crowd(trace: bool) -> (Kernel, Vec<String>) {
    let mut kernel = bed(&ObjectConfig { max_flows: 1, max_budgets: 1, trace, ..small() });
    // Before the log is read: that takes its map, which the programs need to be loaded.
    PROGRAMS.into_iter().chain(FETCHING).for_each(|program| kernel.ready(program));
    let lines = Lines::default();
    let mut logger = EbpfLogger::init_with_logger(&mut kernel.object.ebpf, &lines).unwrap();
    for port in 0..500 {
        kernel.passed(program::TC_EGRESS, &out(&v4(), 10_000 + port, 1_000), 1);
    }
    logger.flush();
    let lines = lines.0.lock().unwrap().clone();
    (kernel, lines)
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn cold_paths_write_lines_where_they_are_asked_to() {
    let (mut kernel, lines) = crowd(true);
    let full = "the flow table is full: ::ffff:10.";
    assert!(lines.iter().any(|line| line.starts_with(full)), "{lines:?}");
    assert!(lines.len() as u64 <= 2 * TRACE_LINES_PER_SECOND, "{}", lines.len());
    assert!(kernel.totals(program::TC_EGRESS).overflow.packets > 300);

    let (mut kernel, lines) = crowd(false);
    assert_eq!(lines, [""; 0]);
    assert!(kernel.totals(program::TC_EGRESS).overflow.packets > 300);
    let limits = kernel.object.ebpf.take_map(map::TRACE_LIMITS).unwrap();
    let limits = aya::maps::PerCpuArray::<_, TraceLimit>::try_from(limits).unwrap();
    let written = limits.get(&0, 0).unwrap().iter().map(|limit| limit.written).sum::<u64>();
    assert_eq!(written, 0);
}
