//! Tables that are full and a ring buffer that is overrun, while somebody steals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::maps::{HashMap, Map, MapData};
use detector::network::Address;
use detector_common::abi::{OverflowCounters, OverflowKey, map};
use detector_common::flow::{FlowCounters, FlowKey};
use detector_tests::watch::{HOME, START, Watch, number, sink, traffic, wait_until_quiet};
use detector_tests::{Background, Scratch, Topology, poll_until};

use crate::ground::{DEVICE, PROMPT, SERVER, counter, spawn, steal, summed, until_told};
use crate::kills::eprintln_figures;

/// What a frame of the flood counts.
const FRAME: u64 = 128;
/// No flow of the flood is over before it was looked at.
const PATIENT: &str = "[timeouts]\nudp_idle_secs = 600\n";

pub(crate) fn start(topology: &Topology, kernel: &str) -> (Watch, PathBuf) {
    let folders = Scratch::new("watch").unwrap();
    let base = folders.join("run/bpf");
    let config = format!("{HOME}[kernel]\n{kernel}\n{PATIENT}");
    let watch = Watch::start_in(folders, &topology.client, &[DEVICE], &[], &config);
    let pins = std::fs::read_dir(base).unwrap().next().unwrap().unwrap().path();
    (watch, pins)
}

fn flood(topology: &Topology, frames: u64, hosts: u64) -> Background {
    spawn(&topology.client, &["flood", DEVICE, &frames.to_string(), &hosts.to_string()])
}

/// Frames a second that were sent.
fn rate(mut flood: Background) -> String {
    assert!(flood.wait(Duration::from_secs(60)).unwrap().success(), "{}", flood.output());
    flood.wait_for_line("rate ", START).unwrap()
}

fn entries<K: aya::Pod, V: aya::Pod>(pins: &Path, name: &str) -> Vec<(K, V)> {
    let data = MapData::from_pin(pins.join(name)).unwrap();
    let map: HashMap<_, K, V> = HashMap::try_from(Map::HashMap(data)).unwrap();
    map.iter().map(Result::unwrap).collect()
}

/// IP bytes that each host has sent, by the kernel's flows and, as a second sum, its overflow table.
fn sent(pins: &Path) -> BTreeMap<Address, (u64, u64)> {
    let mut sums: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
    for (key, counters) in entries::<FlowKey, FlowCounters>(pins, map::FLOWS) {
        sums.entry(Address::from(key.low)).or_default().0 += counters.halves[0].ip_bytes;
        sums.entry(Address::from(key.high)).or_default().0 += counters.halves[1].ip_bytes;
    }
    for (key, counters) in entries::<OverflowKey, OverflowCounters>(pins, map::OVERFLOW) {
        if key.outbound == 1 {
            sums.entry(Address::from(key.address)).or_default().1 += counters.ip_bytes;
        }
    }
    sums
}

fn host(number: u64) -> Address {
    [10, 66, 1, 100 + number as u8].into()
}

/// A flood of one-packet flows from fifty hosts, at full rate, fills the flow map while another host
/// steals: that is told within seconds, and each host's bytes are exact.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_theft_in_a_flood_is_found_and_every_host_is_exact() {
    const FRAMES: u64 = 400_000;
    const HOSTS: u64 = 50;
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let (watch, pins) = start(&topology, "max_flows = 16384\nmax_overflow_entries = 512");
    let mut flood = flood(&topology, FRAMES, HOSTS);
    poll_until(START, || (counter(&watch, client, "overflow_bytes") > 0).then_some(())).unwrap();
    let theft = spawn(client, &["stream", SERVER, "3000000"]);
    let verdict = until_told(&watch.process, SERVER, PROMPT);
    assert!(flood.is_running(), "the flood was over before the theft was");
    let rate = rate(flood);
    drop(theft);
    wait_until_quiet(client, DEVICE);
    let sums = sent(&pins);
    for number in 0..HOSTS {
        let (flows, overflow) = sums[&host(number)];
        assert_eq!(flows + overflow, FRAMES / HOSTS * FRAME, "host {number}: {flows} + {overflow}");
    }
    let report = watch.stop();
    report.assert_all_accounted();
    assert!(
        number(report.summary(), "overflow_bytes") > FRAMES / 2 * FRAME,
        "{}",
        report.summary()
    );
    assert_eq!(summed(report.summary(), "packets_beyond_host_table"), 0, "{}", report.summary());
    eprintln_figures(&format!(
        "flood at {rate} frames a second: theft told {verdict:?} after it began; {HOSTS} hosts exact, {} unaccounted",
        report.summary()["unaccounted_bytes"]
    ));
}

/// More hosts than the overflow table holds: what is over is counted in one place, and all in all
/// nothing is missing.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn more_hosts_than_the_table_holds_are_exact_in_total() {
    const FRAMES: u64 = 150_000;
    const HOSTS: u64 = 150;
    let topology = Topology::simple().unwrap();
    let (watch, pins) = start(&topology, "max_flows = 1024\nmax_overflow_entries = 64");
    rate(flood(&topology, FRAMES, HOSTS));
    wait_until_quiet(&topology.client, DEVICE);
    let sums = sent(&pins);
    let report = watch.stop();
    report.assert_all_accounted();
    let rest = summed(report.summary(), "packets_beyond_host_table") * FRAME;
    assert!(rest > 0, "{}", report.summary());
    let flooding = (0..HOSTS).filter_map(|number| sums.get(&host(number)));
    let by_host: u64 = flooding.map(|(flows, overflow)| flows + overflow).sum();
    // Hosts that found no room are counted together; some of that is what others have sent to us.
    let all = by_host + rest;
    assert!(all >= FRAMES * FRAME, "{all} of {}", FRAMES * FRAME);
    let exact = (0..HOSTS).filter(|number| {
        sums.get(&host(*number)).is_some_and(|(a, b)| a + b == FRAMES / HOSTS * FRAME)
    });
    let exact = exact.count();
    assert!(exact >= 48, "{exact} hosts are exact, and the table holds 64 directions");
    eprintln_figures(&format!(
        "{HOSTS} hosts, 64 places: {exact} exact, {rest} bytes beyond them, {} unaccounted",
        report.summary()["unaccounted_bytes"]
    ));
}

/// A theft that begins when the flow map is full already.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_flow_map_hides_no_theft() {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    let (watch, _) = start(&topology, "max_flows = 1024");
    rate(flood(&topology, 20_000, 10));
    let before = std::time::Instant::now();
    steal(&topology, SERVER);
    let verdict = until_told(&watch.process, SERVER, PROMPT);
    let took = before.elapsed();
    wait_until_quiet(&topology.client, DEVICE);
    let report = watch.stop();
    report.assert_all_accounted();
    assert!(number(report.summary(), "overflow_bytes") > 15_000 * FRAME, "{}", report.summary());
    eprintln_figures(&format!(
        "flow map full: told {verdict:?} after the upload, {took:?} after its start"
    ));
}

/// A ring buffer of one page, which a dozen events fill: what is lost is counted, and polling finds
/// what it would have said.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_overrun_ring_buffer_delays_a_verdict_and_loses_none() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    // A payload sample of every flow: however fast the agent reads, there are more than a page of them.
    let small = "ring_buffer_bytes = 4096\n[payload_samples]\nper_second = 1000000";
    let (watch, _) = start(&topology, small);
    let flood = flood(&topology, 150_000, 10);
    poll_until(START, || (counter(&watch, client, "events_lost") > 0).then_some(())).unwrap();
    traffic(client, &["stream", SERVER, "3000000"]);
    let verdict = until_told(&watch.process, SERVER, PROMPT);
    let rate = rate(flood);
    wait_until_quiet(client, DEVICE);
    let report = watch.stop();
    report.assert_all_accounted();
    let lost = summed(report.summary(), "events_lost");
    assert!(lost > 1_000, "{}", report.summary());
    eprintln_figures(&format!(
        "ring overrun at {rate}: {lost} events lost, told {verdict:?} after the upload"
    ));
}
