//! What is called unaccounted while packets keep coming at full rate: nothing that is not lost, and all
//! that is.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use aya::maps::{HashMap, Map, MapData};
use detector_common::abi::map;
use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::parse::protocol;
use detector_tests::watch::{number, sink, traffic};
use detector_tests::{Topology, poll_until};

use crate::flood::start;
use crate::ground::{SERVER, counter, spawn};
use crate::kills::eprintln_figures;

/// More than the test waits for.
const SIZE: &str = "400000000000";

/// Deletes the flow of one datagram behind the agent's back, and returns its bytes.
fn leak(pins: &Path) -> u64 {
    let data = MapData::from_pin(pins.join(map::FLOWS)).unwrap();
    let mut flows: HashMap<_, FlowKey, FlowCounters> =
        HashMap::try_from(Map::HashMap(data)).unwrap();
    let found = flows.iter().map(Result::unwrap).find(|(key, _)| {
        let port = 9_000_u16.to_be_bytes();
        key.protocol == protocol::UDP && (key.low_port == port || key.high_port == port)
    });
    let (key, counters) = found.unwrap();
    flows.remove(&key).unwrap();
    counters.halves.iter().map(|half| half.ip_bytes).sum()
}

/// Two uploads at full rate: what comes while the counters are read is never called a loss. A packet that
/// is lost each second is shown beneath them.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_reading_is_no_loss_and_a_slow_leak_is_one() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let (watch, pins) = start(&topology, "max_flows = 16384");
    let uploads = [SERVER, SERVER].map(|server| spawn(client, &["stream", server, SIZE]));
    let unaccounted = || counter(&watch, client, "unaccounted_bytes");
    let before = counter(&watch, client, "bytes");
    for _ in 0..40 {
        sleep(Duration::from_millis(250));
        assert_eq!(unaccounted(), 0, "{}", watch.process.output());
    }
    let rate = (counter(&watch, client, "bytes") - before) / 10 / 125_000;
    let (mut leaked, mut packets) = (0, 0);
    let shown = poll_until(Duration::from_secs(120), || {
        traffic(client, &["datagrams", SERVER, "1"]);
        leaked += leak(&pins);
        packets += 1;
        sleep(Duration::from_secs(1));
        let shown = unaccounted();
        assert!(shown <= leaked, "{shown} shown, {leaked} lost");
        (shown > 0).then_some(shown)
    })
    .unwrap();
    drop(uploads);
    let report = watch.stop();
    assert_eq!(number(report.summary(), "unaccounted_bytes"), leaked, "{}", report.summary());
    eprintln_figures(&format!(
        "at {rate} Mbit/s nothing was called lost in 40 looks; a leak of a packet a second was shown \
         after {packets}: {shown} of {leaked} bytes"
    ));
}
