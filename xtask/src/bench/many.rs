//! Packets of many flows, drawn by Zipf's law (exponent 1), through the accounting.
//!
//! A bench program writes each packet's source into the one frame before it is accounted; what that
//! costs is measured with parsing alone, reported, and taken off.

use anyhow::Result;

use super::figures::{Figures, ROUNDS};
use super::kernel::{ACK, Bed, POSITIONS, tcp, ticks_per_second};

/// The object is loaded again so many times.
const LOADS: usize = 3;

struct Case {
    figure: &'static str,
    flows: u32,
    max_flows: u32,
}

const CASES: [Case; 2] = [
    // The size of the table that is shipped.
    Case { figure: "xdp_hit_64k_zipf_ns", flows: 65_536, max_flows: 262_144 },
    Case { figure: "xdp_hit_1m_zipf_ns", flows: 1_000_000, max_flows: 1 << 20 },
];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let ticks = ticks_per_second()?;
    let frame = tcp(1, ACK, 128);
    for _ in 0..LOADS {
        for case in &CASES {
            let mut bed = Bed::load(case.max_flows, ticks)?;
            for name in ["xdp_parse", "xdp_many_parse", "xdp_many_account"] {
                bed.load_xdp(name)?;
            }
            bed.open_flows(&frame, 0, case.flows)?;
            bed.set_sequence(zipf(case.flows))?;
            for _ in 0..ROUNDS / LOADS {
                let parse = bed.time_xdp("xdp_parse", &frame)?;
                let rewrite = bed.walk("xdp_many_parse", &frame, POSITIONS)? - parse;
                let account = bed.walk("xdp_many_account", &frame, POSITIONS)?;
                figures.sample("xdp_rewrite_ns", rewrite);
                figures.sample(case.figure, account - rewrite);
            }
        }
    }
    Ok(())
}

/// Flow numbers below `flows`, the n-th most frequent with a weight of 1/n.
fn zipf(flows: u32) -> impl Iterator<Item = u32> {
    let mut sum = 0.0;
    let shares: Vec<f64> = (1..=flows)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        // Xorshift64* (Vigna 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let fraction =
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = shares.partition_point(|share| *share < fraction * sum) as u64;
        // Prime, so that frequent flows are not neighbours in the order of their opening.
        (rank * 7_919 % u64::from(flows)) as u32
    })
}

#[cfg(test)]
mod tests {
    use super::zipf;

    #[test]
    fn the_first_is_twice_as_frequent_as_the_second() {
        let mut counts = [0_u32; 8];
        for flow in zipf(8).take(100_000) {
            counts[flow as usize] += 1;
        }
        // 7,919 leaves 7 when it is divided by 8.
        let ratio = f64::from(counts[0]) / f64::from(counts[7]);
        assert!((1.9..2.1).contains(&ratio), "{counts:?}");
    }
}
