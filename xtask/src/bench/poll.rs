//! Reading the flow map at a million entries: thousands a call, and one by one.

use std::time::Instant;

use anyhow::{Result, ensure};
use detector::source::kernel::batch::BatchReader;
use detector_common::flow::{FlowCounters, FlowKey};

use super::figures::{Figures, ROUNDS};
use super::kernel::{ACK, Bed, tcp, ticks_per_second};

const FLOWS: u32 = 1_000_000;
const MAX_FLOWS: u32 = 1 << 20;
/// Entries read one by one: enough to leave the caches.
const SINGLE: usize = 100_000;

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let mut bed = Bed::load(MAX_FLOWS, ticks_per_second()?)?;
    bed.load_xdp("xdp_many_account")?;
    bed.open_flows(&tcp(1, ACK, 128), 0, FLOWS)?;
    let mut reader = BatchReader::new(bed.flows_data()?)?;
    for _ in 0..ROUNDS {
        figures.sample("poll_entries_per_s", batch(&mut reader)?);
        figures.sample("poll_single_entries_per_s", single(&bed)?);
    }
    Ok(())
}

fn batch(reader: &mut BatchReader<FlowKey, FlowCounters>) -> Result<f64> {
    let started = Instant::now();
    reader.restart();
    let (mut entries, mut packets) = (0, 0);
    while let Some((keys, values)) = reader.next_entries()? {
        entries += keys.len();
        packets += values.iter().map(|value| value.halves[0].packets).sum::<u64>();
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        entries == FLOWS as usize && packets == u64::from(FLOWS),
        "read {entries} flows with {packets} packets of {FLOWS} flows with one packet each"
    );
    Ok(entries as f64 / seconds)
}

fn single(bed: &Bed) -> Result<f64> {
    let flows = bed.flows()?;
    let started = Instant::now();
    let mut packets = 0;
    for key in flows.keys().take(SINGLE) {
        packets += flows.get(&key?, 0)?.halves[0].packets;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(packets == SINGLE as u64, "read {packets} packets one by one");
    Ok(SINGLE as f64 / seconds)
}
