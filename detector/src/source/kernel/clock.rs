//! The kernel's clock in ours: what a jiffy is, and when tick 0 was.
//!
//! Both are found once, at start. A wall clock that is moved later moves no flow, no timeout and no
//! block.

use anyhow::{Context as _, ensure};
use aya::Ebpf;
use aya::maps::Array;
use detector_common::abi::{Clocks, map, program};
use nix::time::{ClockId, clock_gettime};

use super::object::run_classifier;
use crate::flow::TimeBase;

/// The kernel's tick rate and the wall clock's time at tick 0.
#[derive(Clone, Copy, Debug)]
pub struct KernelClock {
    pub ticks_per_second: u64,
    pub base: TimeBase,
}

/// The tick rates a kernel can be built with (kernel/Kconfig.hz, and the rates of Alpha and
/// others).
const RATES: [u64; 8] = [100, 250, 300, 1000, 1024, 1200, 128, 64];

/// Runs `read_clocks` and works out the rest.
pub(super) fn read_clock(ebpf: &mut Ebpf) -> anyhow::Result<KernelClock> {
    let clocks = read_clocks(ebpf)?;
    ensure!(clocks.jiffies != 0, "failed to read the kernel's clock: read_clocks wrote nothing");
    let ticks_per_second = rate(clocks);
    let realtime = nanoseconds(ClockId::CLOCK_REALTIME)?;
    let monotonic = nanoseconds(ClockId::CLOCK_MONOTONIC)?;
    let read_at = realtime - (monotonic - i128::from(clocks.monotonic_ns));
    let since_zero = i128::from(clocks.jiffies) * 1_000_000_000 / i128::from(ticks_per_second);
    let tick_zero_ns =
        i64::try_from(read_at - since_zero).context("the wall clock is out of range")?;
    Ok(KernelClock { ticks_per_second, base: TimeBase { ticks_per_second, tick_zero_ns } })
}

/// Both clocks at one instant.
pub(super) fn read_clocks(ebpf: &mut Ebpf) -> anyhow::Result<Clocks> {
    run_classifier(ebpf, program::READ_CLOCKS, &[0; 64], 1)?;
    let map = ebpf.map_mut(map::CLOCKS).context("the BPF object has no map CLOCKS")?;
    let clocks: Array<_, Clocks> = Array::try_from(map)?;
    clocks.get(&0, 0).context("failed to read the kernel's clock")
}

/// The tick rate that explains one reading best. Jiffies start five minutes before a wrap of their
/// lower 32 bits (INITIAL_JIFFIES in include/linux/jiffies.h), so that even a reading taken right
/// after boot distinguishes the rates.
fn rate(clocks: Clocks) -> u64 {
    let error = |rate: u64| {
        let start = (1_u64 << 32) - 300 * rate;
        let expected =
            i128::from(start) + i128::from(clocks.monotonic_ns) * i128::from(rate) / 1_000_000_000;
        (i128::from(clocks.jiffies) - expected).abs() / i128::from(rate)
    };
    RATES.into_iter().min_by_key(|rate| error(*rate)).unwrap_or(RATES[0])
}

fn nanoseconds(clock: ClockId) -> anyhow::Result<i128> {
    let time = clock_gettime(clock).context("failed to read a clock")?;
    Ok(i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}

#[cfg(test)]
mod tests {
    use super::{RATES, rate};
    use detector_common::abi::Clocks;

    #[test]
    fn one_reading_tells_the_rate() {
        for expected in RATES {
            for seconds in [0, 1, 100, 86_400, 86_400 * 365] {
                let jiffies = (1_u64 << 32) - 300 * expected + seconds * expected;
                let clocks = Clocks { jiffies, monotonic_ns: seconds * 1_000_000_000 + 3_000_000 };
                assert_eq!(rate(clocks), expected, "after {seconds} s");
            }
        }
    }
}
