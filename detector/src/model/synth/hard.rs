//! Records on which no column alone shows an exfiltration: each kind of use has its services,
//! hours, volumes and share of answers, and every one of these is shared by exfiltrations and
//! ordinary use.
//!
//! The volumes are invented, in the orders of magnitude of what the names represent.

use std::net::IpAddr;

use super::draws::Draws;
use super::{YEAR_DAYS, time};
use crate::features::Record;
use crate::features::record::{Action, Protocol};

/// One kind of use.
#[derive(Debug)]
struct Use {
    /// How often, relative to the others of its list.
    weight: u64,
    /// Destination port and protocol, alike often.
    services: [(u16, Protocol); 3],
    /// Least and most bytes sent; each power of ten alike often.
    sent: (f64, f64),
    /// Least and most bytes received for each byte sent, likewise; none: nothing comes back.
    answered: Option<(f64, f64)>,
    /// First and last hour of the day; the last may be after midnight.
    hours: (u64, u64),
    actions: [Action; 3],
}

const DAY: (u64, u64) = (7, 20);
const NIGHT: (u64, u64) = (22, 29);
const ALWAYS: (u64, u64) = (0, 23);
const ALLOWED: [Action; 3] = [Action::Allow; 3];
const REFUSED: [Action; 3] = [Action::Deny, Action::Deny, Action::Drop];

const ORDINARY: [Use; 9] = [
    // Browsing.
    Use {
        weight: 38,
        services: [(443, Protocol::Https), (443, Protocol::Https), (80, Protocol::Http)],
        sent: (300.0, 30_000.0),
        answered: Some((2.0, 200.0)),
        hours: DAY,
        actions: ALLOWED,
    },
    // Names.
    Use {
        weight: 15,
        services: [(53, Protocol::Udp); 3],
        sent: (40.0, 700.0),
        answered: Some((0.8, 6.0)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
    // What the firewall refuses.
    Use {
        weight: 10,
        services: [(445, Protocol::Tcp), (22, Protocol::Tcp), (3_389, Protocol::Tcp)],
        sent: (60.0, 5_000.0),
        answered: None,
        hours: ALWAYS,
        actions: REFUSED,
    },
    // Files kept alike in the cloud.
    Use {
        weight: 9,
        services: [(443, Protocol::Https); 3],
        sent: (50_000.0, 8_000_000.0),
        answered: Some((0.3, 5.0)),
        hours: DAY,
        actions: ALLOWED,
    },
    // Backups.
    Use {
        weight: 7,
        services: [(22, Protocol::Tcp), (873, Protocol::Tcp), (443, Protocol::Https)],
        sent: (1_000_000.0, 80_000_000.0),
        answered: Some((0.014, 0.06)),
        hours: NIGHT,
        actions: ALLOWED,
    },
    // Calls, which come in bursts.
    Use {
        weight: 6,
        services: [(3_478, Protocol::Udp), (443, Protocol::Udp), (443, Protocol::Https)],
        sent: (100_000.0, 20_000_000.0),
        answered: Some((0.4, 2.5)),
        hours: DAY,
        actions: ALLOWED,
    },
    // Mail.
    Use {
        weight: 5,
        services: [(25, Protocol::Tcp), (587, Protocol::Tcp), (993, Protocol::Tcp)],
        sent: (1_000.0, 400_000.0),
        answered: Some((0.2, 3.0)),
        hours: DAY,
        actions: ALLOWED,
    },
    // Programs that report on themselves: drips without a malicious sender.
    Use {
        weight: 7,
        services: [(443, Protocol::Https), (8_080, Protocol::Http), (80, Protocol::Http)],
        sent: (500.0, 12_000.0),
        answered: Some((0.008, 0.3)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
    // Monitoring.
    Use {
        weight: 3,
        services: [(0, Protocol::Icmp); 3],
        sent: (64.0, 9_000.0),
        answered: Some((0.9, 1.0)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
];

const THEFTS: [Use; 5] = [
    // One upload.
    Use {
        weight: 35,
        services: [(443, Protocol::Https), (80, Protocol::Http), (80, Protocol::Tcp)],
        sent: (40_000.0, 20_000_000.0),
        answered: Some((0.000_2, 0.017)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
    // A copy by remote login.
    Use {
        weight: 20,
        services: [(22, Protocol::Tcp), (443, Protocol::Tcp), (3_389, Protocol::Tcp)],
        sent: (100_000.0, 50_000_000.0),
        answered: Some((0.000_5, 0.017)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
    // Drips.
    Use {
        weight: 20,
        services: [(443, Protocol::Https), (8_080, Protocol::Http), (4_444, Protocol::Tcp)],
        sent: (7_000.0, 60_000.0),
        answered: Some((0.000_5, 0.014)),
        hours: NIGHT,
        actions: ALLOWED,
    },
    // A tunnel through names.
    Use {
        weight: 15,
        services: [(53, Protocol::Udp); 3],
        sent: (550.0, 60_000.0),
        answered: Some((0.3, 3.0)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
    // A tunnel through pings.
    Use {
        weight: 10,
        services: [(0, Protocol::Icmp); 3],
        sent: (6_000.0, 800_000.0),
        answered: Some((0.01, 1.0)),
        hours: ALWAYS,
        actions: ALLOWED,
    },
];

pub(super) fn record(draws: &mut Draws, theft: bool) -> Record {
    let of = if theft { chosen(draws, &THEFTS) } else { chosen(draws, &ORDINARY) };
    let (destination_port, protocol) = draws.pick(&of.services);
    let bytes_sent = draws.spread(of.sent);
    let answered = of.answered.map_or(0.0, |range| draws.spread(range));
    let source_port = draws.within((32_768, 60_999)) as u16;
    Record {
        timestamp: time(
            draws.below(YEAR_DAYS),
            draws.within(of.hours) % 24 * 3_600 + draws.below(3_600),
        ),
        source_ip: IpAddr::from([10, 0, draws.below(4) as u8, draws.within((2, 254)) as u8]),
        destination_ip: destination(draws),
        source_port: if protocol == Protocol::Icmp { 0 } else { source_port },
        destination_port,
        protocol,
        bytes_sent: bytes_sent as u64,
        bytes_received: (bytes_sent * answered) as u64,
        action: draws.pick(&of.actions),
    }
}

fn chosen<'a, const N: usize>(draws: &mut Draws, uses: &'a [Use; N]) -> &'a Use {
    let mut left = draws.below(uses.iter().map(|one| one.weight).sum());
    for one in uses {
        if left < one.weight {
            return one;
        }
        left -= one.weight;
    }
    &uses[N - 1]
}

/// Within the block for benchmarks (RFC 2544): nobody's.
fn destination(draws: &mut Draws) -> IpAddr {
    IpAddr::from([198, 18, draws.below(256) as u8, draws.within((1, 254)) as u8])
}
