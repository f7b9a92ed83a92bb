//! What cold paths write to the log: every line that is asked for is written, left out and counted, and
//! nothing is written where nothing is asked for.

use std::sync::Mutex;

use aya::maps::PerCpuArray;
use aya_log::EbpfLogger;
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{TRACE_LINES_PER_SECOND, TraceLimit, map, program};
use detector_common::policy::BudgetKey;
use log::{Log, Metadata, Record};

use crate::bed::{FETCHING, Kernel, PROGRAMS, mapped, small};
use crate::budgets::{bed, out, v4};

/// Packets of a crowd, each of a flow and a pair of its own: more than may be written about in a second.
const CROWD: u16 = 500;

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

/// What a crowd left behind.
struct Traced {
    kernel: Kernel,
    lines: Vec<String>,
    limits: Vec<TraceLimit>,
    /// Seconds of the kernel's clock that it touched.
    seconds: u64,
}

fn crowd(config: &ObjectConfig, samples_per_second: u64) -> Traced {
    let mut kernel = bed(config);
    kernel.control(|control| control.first_payloads_per_second = samples_per_second);
    // Before the log is read: that takes its map, which the programs need to be loaded.
    PROGRAMS.into_iter().chain(FETCHING).for_each(|program| kernel.ready(program));
    let lines = Lines::default();
    let mut logger = EbpfLogger::init_with_logger(&mut kernel.object.ebpf, &lines).unwrap();
    let limits = kernel.object.ebpf.take_map(map::TRACE_LIMITS).unwrap();
    let limits = PerCpuArray::<_, TraceLimit>::try_from(limits).unwrap();
    let began = kernel.now();
    for number in 0..CROWD {
        let [high, low] = number.to_be_bytes();
        let pair = BudgetKey { destination: mapped([203, 0, 113 + high, low]), ..v4() };
        kernel.passed(program::TC_EGRESS, &out(&pair, 10_000 + number, 1_000), 1);
        logger.flush();
    }
    let seconds = kernel.now() / kernel.second() - began / kernel.second() + 1;
    let lines = lines.0.lock().unwrap().clone();
    let limits = limits.get(&0, 0).unwrap().iter().copied().collect();
    Traced { kernel, lines, limits, seconds }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn cold_paths_write_lines_where_they_are_asked_to() {
    let check = |config: ObjectConfig, samples: u64, text: &str| {
        let traced = crowd(&ObjectConfig { trace: true, ..config }, samples);
        let Traced { lines, limits, seconds, .. } = &traced;
        assert!(lines.iter().any(|line| line.starts_with(text)), "{text}: {lines:?}");
        // None is lost on its way, and no processor writes more than it may.
        let written: u64 = limits.iter().map(|limit| limit.lines).sum();
        assert_eq!(lines.len() as u64, written, "{text}");
        for limit in limits {
            assert!(limit.lines <= seconds * TRACE_LINES_PER_SECOND, "{text}: {limit:?}");
        }
        traced
    };
    check(ObjectConfig { max_flows: 1, ..small() }, 0, "the flow table is full: ::ffff:10.");
    check(ObjectConfig { max_budgets: 1, ..small() }, 0, "the budget table is full: ::ffff:10.");
    let full = ObjectConfig { ring_buffer_bytes: 4_096, ..small() };
    check(full, 1_000_000, "the ring buffer is full: ::ffff:10.");

    // Each packet whose sample is refused has its line, or is counted among those left out.
    let mut traced = check(small(), 1, "no payload sample is left this second: ::ffff:10.");
    let suppressed: u64 = traced.limits.iter().map(|limit| limit.suppressed).sum();
    let refused = traced.kernel.totals(program::TC_EGRESS).first_payloads_refused;
    assert_eq!(traced.lines.len() as u64 + suppressed, refused);
    assert!(refused > u64::from(CROWD) / 2, "{refused}");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn nothing_is_written_where_nothing_is_asked_for() {
    let full = ObjectConfig { max_flows: 1, max_budgets: 1, ..small() };
    let mut traced = crowd(&full, 1);
    assert_eq!(traced.lines, [""; 0]);
    assert_eq!(traced.limits, vec![TraceLimit::default(); traced.limits.len()]);
    assert!(traced.kernel.totals(program::TC_EGRESS).overflow.packets > 300);
}
