//! The data of the service that this one replaces, distribution by distribution.

use std::net::IpAddr;

use super::draws::Draws;
use super::{DAY_SECS, YEAR_DAYS, time};
use crate::features::Record;
use crate::features::record::{Action, Protocol};

const PORTS: [u16; 4] = [80, 443, 22, 3_389];
const ORDINARY_BYTES: (u64, u64) = (100, 9_999);
const THEFT_BYTES: (u64, u64) = (50_000, 999_999);
const RECEIVERS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 1)),
];

pub(super) fn record(draws: &mut Draws, theft: bool) -> Record {
    let second = draws.below(YEAR_DAYS * DAY_SECS);
    let ordinary = Record {
        timestamp: time(second / DAY_SECS, second % DAY_SECS),
        source_ip: address(draws),
        destination_ip: address(draws),
        source_port: draws.within((1_024, 65_534)) as u16,
        destination_port: draws.pick(&PORTS),
        protocol: draws.pick(&Protocol::ALL),
        bytes_sent: draws.within(ORDINARY_BYTES),
        bytes_received: draws.within(ORDINARY_BYTES),
        action: action(draws),
    };
    if !theft {
        return ordinary;
    }
    Record {
        destination_ip: draws.pick(&RECEIVERS),
        bytes_sent: draws.within(THEFT_BYTES),
        ..ordinary
    }
}

fn address(draws: &mut Draws) -> IpAddr {
    IpAddr::from((draws.below(1 << 32) as u32).to_be_bytes())
}

fn action(draws: &mut Draws) -> Action {
    match draws.fraction() {
        fraction if fraction < 0.7 => Action::Allow,
        fraction if fraction < 0.9 => Action::Deny,
        _ => Action::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, records};
    use super::*;

    const ROWS: usize = 20_000;

    fn all() -> Vec<(Record, bool)> {
        records(Profile::SeedCompatible, ROWS as u64, 11).unwrap().collect()
    }

    #[test]
    fn shares_are_as_listed() {
        let rows = all();
        let check = |what: &str, expected: f64, is: &dyn Fn(&Record) -> bool| {
            let share = rows.iter().filter(|(record, _)| is(record)).count() as f64 / ROWS as f64;
            assert!((share - expected).abs() < 0.015, "{what}: {share} instead of {expected}");
        };
        for port in PORTS {
            check("port", 0.25, &|record| record.destination_port == port);
        }
        for protocol in Protocol::ALL {
            check("protocol", 0.2, &|record| record.protocol == protocol);
        }
        check("allow", 0.7, &|record| record.action == Action::Allow);
        check("deny", 0.2, &|record| record.action == Action::Deny);
        check("drop", 0.1, &|record| record.action == Action::Drop);
        check("night", 0.25, &|record| record.timestamp.hour() < 6);
        check("weekend", 2.0 / 7.0, &|record| record.timestamp.weekday() > 4);
        check("low port", 0.5, &|record| record.source_port < 33_279);
        check("low volume", 0.95 / 2.0, &|record| record.bytes_sent < 5_050);
        check("little received", 0.5, &|record| record.bytes_received < 5_050);
        check("large", 0.025, &|record| record.bytes_sent >= 525_000);
    }

    #[test]
    fn thefts_are_large_and_go_to_two_addresses() {
        for (record, theft) in all() {
            let bytes = if theft { THEFT_BYTES } else { ORDINARY_BYTES };
            assert!((bytes.0..=bytes.1).contains(&record.bytes_sent), "{record:?}");
            assert!((100..=9_999).contains(&record.bytes_received), "{record:?}");
            assert!((1_024..=65_534).contains(&record.source_port), "{record:?}");
            assert!(!theft || RECEIVERS.contains(&record.destination_ip), "{record:?}");
            assert!(record.timestamp.to_string().starts_with("2024-"), "{record:?}");
        }
    }
}
