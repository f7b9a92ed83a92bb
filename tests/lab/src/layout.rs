//! Lays clips of one recording out over days, by packet times alone: no byte of a frame changes. Pure,
//! but for reading the recording and writing the result.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use detector_tests::Recording;

use super::pcap::{self, Record};

pub(super) const HOUR_US: u64 = 3_600_000_000;
pub(super) const DAY_US: u64 = 24 * HOUR_US;
/// A Monday at midnight, UTC: 1 January 2024.
pub(super) const FIRST_DAY_US: u64 = 1_704_067_200_000_000;

/// A stretch of a recording, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clip {
    pub(super) from_us: u64,
    pub(super) until_us: u64,
}

/// Where a clip stands in the days laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) clip: Clip,
    pub(super) at_us: u64,
}

impl Placed {
    /// The clip's own time there, in seconds since 1970.
    pub(super) fn within_s(&self) -> (f64, f64) {
        let end = self.at_us + self.clip.until_us - self.clip.from_us;
        (self.at_us as f64 / 1e6, end as f64 / 1e6)
    }
}

/// Writes the clips at their new times, in the order of time.
pub(super) fn write(recording: &Path, placed: &[Placed], out: &Path) -> Result<Recording> {
    let bytes = pcap::load(recording)?;
    let records = pcap::records(&bytes)?;
    let frames = shifted(&records, placed);
    let mut laid_out = bytes[..pcap::FILE_HEADER].to_vec();
    for (time_us, record) in &frames {
        pcap::write_shifted(&mut laid_out, &bytes, record, *time_us);
    }
    fs::write(out, laid_out).with_context(|| format!("failed to write {}", out.display()))?;
    Ok(Recording { file: out.to_owned(), packets: frames.len() as u64 })
}

fn shifted(records: &[Record], placed: &[Placed]) -> Vec<(u64, Record)> {
    let of_one = |placed: &Placed| {
        let Placed { clip, at_us } = *placed;
        let from = records.partition_point(|record| record.time_us < clip.from_us);
        let until = records.partition_point(|record| record.time_us < clip.until_us);
        let frames = records[from..until.max(from)].iter();
        frames
            .map(move |record| (at_us + record.time_us - clip.from_us, *record))
            .collect::<Vec<_>>()
    };
    let mut frames: Vec<(u64, Record)> = placed.iter().flat_map(of_one).collect();
    // Stable: frames of the same microsecond keep their order.
    frames.sort_by_key(|(time_us, _)| *time_us);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_us: u64) -> Record {
        Record { time_us, wire_bytes: 60, start: 0, end: 0 }
    }

    fn check(times: &[u64], placed: &[(u64, u64, u64)], expected: &[u64]) {
        let records: Vec<Record> = times.iter().map(|time_us| record(*time_us)).collect();
        let placed: Vec<Placed> = placed
            .iter()
            .map(|&(from_us, until_us, at_us)| Placed { clip: Clip { from_us, until_us }, at_us })
            .collect();
        let found: Vec<u64> = shifted(&records, &placed).iter().map(|(time, _)| *time).collect();
        assert_eq!(found, expected, "{times:?} {placed:?}");
    }

    #[test]
    fn clips_stand_where_they_were_put() {
        check(&[], &[(0, 9, 100)], &[]);
        check(&[10, 12, 20], &[(10, 15, 100)], &[100, 102]);
        check(&[10, 12, 20], &[(20, 30, 500), (10, 15, 100)], &[100, 102, 500]);
        check(&[10, 12, 20], &[(10, 15, 100), (10, 15, 101)], &[100, 101, 102, 103]);
        check(&[10, 12, 20], &[(13, 19, 100)], &[]);
    }
}
