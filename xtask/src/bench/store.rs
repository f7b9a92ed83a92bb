//! The database with a million alerts: how fast they go in, and how long each field's search takes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use detector::alerts::Origin;
use detector::alerts::search::Filter;
use detector::network::Address;
use detector::store::alerts::{NewAlert, insert, search};
use detector::store::{Store, alerts};
use detector::timestamp::Timestamp;
use detector::verdict::{Alert, AlertId, Basis, Reason, Severity, Technique};
use detector_tests::Scratch;

use super::figures::{Figures, ROUNDS};

const ALERTS: u64 = 1_000_000;
/// As the agent writes them together.
const TOGETHER: u64 = 1_024;
const HOSTS: u64 = 2_000;
const PAGE: usize = 50;
/// Of 2026.
const START_NS: u64 = 1_767_225_600_000_000_000;

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let scratch = Scratch::new("bench")?;
    let store = Store::open(&scratch.join("bench.db"))?;
    fill(&store, figures)?;
    let searches = searches();
    for _ in 0..ROUNDS {
        for (name, filter, found) in &searches {
            let started = Instant::now();
            let page = store.read(|connection| search(connection, filter, None, PAGE))?;
            let milliseconds = started.elapsed().as_secs_f64() * 1e3;
            ensure!(page.rows.is_empty() != *found, "{name}: found {}", page.total);
            figures.sample("alert_search_ms", milliseconds);
            if milliseconds > 100.0 {
                slow(name, milliseconds);
            }
        }
    }
    figures.quantile("alert_search_ms", 0.95, "alert_search_p95_ms");
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the benchmark prints which search is too slow")]
fn slow(name: &str, milliseconds: f64) {
    eprintln!("search for {name}: {milliseconds:.0} ms");
}

fn fill(store: &Store, figures: &mut Figures) -> Result<()> {
    let mut number = 0;
    while number < ALERTS {
        let batch: Arc<Vec<Alert>> =
            Arc::new((number..number + TOGETHER.min(ALERTS - number)).map(alert).collect());
        let count = batch.len() as f64;
        let started = Instant::now();
        store.write(move |connection| {
            batch.iter().try_for_each(|alert| {
                let origin = Origin::Live;
                let new = NewAlert { alert, origin, model_hash: "m", config_hash: "c" };
                insert(connection, &new).map(drop)
            })
        })?;
        figures.sample("alert_insert_per_s", count / started.elapsed().as_secs_f64());
        number += TOGETHER;
    }
    let id = alert(7).id;
    let known = store.read(|connection| alerts::detail(connection, id))?;
    known.context("a stored alert was not found").map(drop)
}

/// One of many: hosts, receivers and names repeat, everything else is nearly the same, as it is in
/// life.
fn alert(number: u64) -> Alert {
    let address = |first: u8, number: u64| {
        let [.., b, c, d] = (number as u32).to_be_bytes();
        Address::from([first, b, c, d])
    };
    let reason = |feature: &'static str, text: &str| Reason {
        feature: feature.into(),
        value: Some(0.5),
        contribution: 0.1,
        text: text.to_owned(),
    };
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let time = Timestamp::from_ns(START_NS + number * 1_000_000_000);
    let first_seen = Timestamp::from_ns(time.ns() - 40_000_000_000);
    Alert {
        id: AlertId::live(scattered),
        time,
        src: address(10, number % HOSTS),
        src_port: Some(1_024 + (scattered >> 48) as u16 % 60_000),
        dst: address(198, scattered % 100_000),
        dst_port: Some(443),
        protocol: 6,
        technique: if number.is_multiple_of(1_000) {
            Technique::DnsTunnel
        } else {
            Technique::BulkUpload
        },
        severity: Severity::ALL[(number % 4) as usize],
        score: 0.9,
        threshold: 0.75,
        bytes_out: number * 100,
        bytes_in: number,
        packets_out: number,
        packets_in: number,
        bytes_leaked: 30_000,
        revision: 1,
        raw_score: 0.9,
        first_seen,
        seconds_to_detect: time.seconds_since(first_seen),
        dst_name: Some(format!("drop-{}.example", scattered % 10_000).into()),
        community_id: format!("1:{scattered:x}="),
        reasons: vec![
            reason("producer_consumer_ratio", "sent 48 MB, received 300 kB: 160 to 1"),
            reason("sent_rate", "sent 1.0 MB a second (ordinary: 10 B to 40 kB)"),
            reason("receiver_named", "the receiver has no known name"),
        ],
        model: "session-1".into(),
        basis: Basis { vector: vec![0.5; 79], rules: 1.0, baseline: false },
        ..Alert::default()
    }
}

/// Each field where all have it, where few have it and where none has; and two that meet seldom.
fn searches() -> Vec<(&'static str, Filter, bool)> {
    let network = |text: &str| text.parse().ok();
    let none = Filter::default;
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..none() };
    let name = |name: &str| Filter { name: Some(name.to_owned()), ..none() };
    vec![
        ("nothing", none(), true),
        ("an address", Filter { address: network("10.0.0.7"), ..none() }, true),
        ("no address", Filter { address: network("203.0.113.9"), ..none() }, false),
        ("all addresses", Filter { address: network("10.0.0.0/8"), ..none() }, true),
        ("no network", Filter { src: network("203.0.113.0/24"), ..none() }, false),
        ("a receiver", Filter { dst: network("198.0.1.0"), ..none() }, true),
        ("all ports", Filter { port: Some(443), ..none() }, true),
        ("no port", Filter { port: Some(1), ..none() }, false),
        ("a port", Filter { src_port: Some(40_000), ..none() }, true),
        ("all protocols", Filter { protocol: vec!["tcp".into()], ..none() }, true),
        ("no protocol", Filter { protocol: vec!["udp".into()], ..none() }, false),
        ("a technique", Filter { technique: vec!["dns_tunnel".into()], ..none() }, true),
        ("no technique", Filter { technique: vec!["tunnel".into()], ..none() }, false),
        ("severities", Filter { severity: vec![2, 3], ..none() }, true),
        ("all status", Filter { status: vec!["open".into()], ..none() }, true),
        ("no status", Filter { status: vec!["closed".into()], ..none() }, false),
        ("no action", Filter { action: vec!["blocked".into()], ..none() }, false),
        ("a name", name("drop-77.example"), true),
        ("all names", name("example"), true),
        ("no name", name("nobody.test"), false),
        ("all words", text("sent"), true),
        ("two words of all", text("sent ordinary"), true),
        ("no word", text("unheard"), false),
        (
            "half of the time",
            Filter { to_ns: Some(START_NS + ALERTS * 500_000_000), ..none() },
            true,
        ),
        ("before all time", Filter { to_ns: Some(START_NS - 1), ..none() }, false),
        ("words of one host", Filter { src: network("10.0.0.7"), ..text("ordinary") }, true),
    ]
}
