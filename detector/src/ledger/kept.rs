//! What a restart must not forget: today's unexplained bytes, what was spent of today's allowances, and
//! what was said and done about them.
//!
//! Bytes that waited for an explanation at the end of a run are unexplained in the next one. What left
//! while no agent ran was not seen and is not in here.

use std::sync::Arc;

use anyhow::Context as _;
use detector_common::FlowKey;
use detector_common::flow::Direction;
use serde::{Deserialize, Serialize};

use super::destinations::Destination;
use super::sender::{Acted, Alerted, Sender, Spent};
use super::{Class, LedgerConfig};
use crate::flow::FlowView;
use crate::network::Address;

/// Destinations that are kept of one sender, those with the most unexplained bytes and those that spent the
/// most of the day's exchange.
const MAX_DESTINATIONS: usize = 8;

/// One sender's day.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    day: u64,
    unexplained: [u64; Class::ALL.len()],
    resolves: bool,
    #[serde(default)]
    services: u64,
    hourly: u64,
    refilled_ns: u64,
    alerted: Option<Alerted>,
    withheld_day: Option<u64>,
    acted: [Option<Acted>; Class::ALL.len()],
    destinations: Vec<KeptDestination>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptDestination {
    address: Address,
    name: Option<Arc<str>>,
    protocol: u8,
    port: u16,
    client_port: u16,
    from_client: bool,
    first_seen_ns: u64,
    first_day: u64,
    unexplained: [u64; Class::ALL.len()],
    exchange_bytes: u64,
}

/// A sender's day as text.
pub(super) fn text(sender: &Sender) -> String {
    let mut rows: Vec<&Destination> = sender.destinations.rows().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.weight().max(row.exchange_bytes)));
    let destinations = rows.into_iter().take(MAX_DESTINATIONS).map(|row| KeptDestination {
        address: row.address,
        name: row.name.clone(),
        protocol: row.protocol,
        port: row.port,
        client_port: row.flow.initiator_port(),
        from_client: row.from_client,
        first_seen_ns: row.first_seen_ns,
        first_day: row.first_day,
        unexplained: Class::ALL.map(|class| row.unexplained(class)),
        exchange_bytes: row.exchange_bytes,
    });
    let (hourly, refilled_ns) = sender.allowance.hourly();
    let kept = Kept {
        day: sender.day,
        unexplained: Class::ALL.map(|class| sender.all_of(class)),
        resolves: sender.resolves,
        services: sender.services.in_period(sender.day),
        hourly,
        refilled_ns,
        alerted: sender.alerted,
        withheld_day: sender.withheld_day,
        acted: sender.acted,
        destinations: destinations.collect(),
    };
    // Numbers, addresses and lists of them are all there is: there is nothing that JSON cannot hold.
    serde_json::to_string(&kept).unwrap_or_default()
}

/// The sender that a text of [`text`] is about; none where it is of another day.
pub(super) fn sender(
    address: Address,
    text: &str,
    config: &LedgerConfig,
    day: u64,
) -> anyhow::Result<Option<Sender>> {
    let kept: Kept = serde_json::from_str(text).context("failed to read a ledger account")?;
    if kept.day != day {
        return Ok(None);
    }
    let mut sender = Sender::new(address, None, config, kept.refilled_ns);
    sender.day = day;
    sender.unexplained = kept.unexplained;
    sender.resolves = kept.resolves;
    sender.services = Spent::of(day, kept.services);
    sender.allowance.set_hourly(kept.hourly.min(config.exchange.bytes_per_hour));
    (sender.alerted, sender.withheld_day) = (kept.alerted, kept.withheld_day);
    sender.acted = kept.acted;
    for row in kept.destinations {
        let flow = flow(address, &row);
        let mut destination = Destination::new(row.address, flow, row.first_seen_ns, false);
        (destination.name, destination.port) = (row.name, row.port);
        (destination.from_client, destination.first_day) = (row.from_client, row.first_day);
        destination.day = day;
        destination.unexplained = row.unexplained;
        destination.exchange_bytes = row.exchange_bytes;
        sender.destinations.recall(destination);
    }
    Ok(Some(sender))
}

/// The latest flow with a destination, as far as it is kept.
fn flow(sender: Address, row: &KeptDestination) -> FlowView {
    let ends = [(sender, row.client_port), (row.address, row.port)];
    let (client, server) = if row.from_client {
        (ends[0], ends[1])
    } else {
        ((row.address, row.client_port), (sender, row.port))
    };
    let (low, high) = if client <= server { (client, server) } else { (server, client) };
    let key = FlowKey {
        low: low.0.octets(),
        high: high.0.octets(),
        low_port: low.1.to_be_bytes(),
        high_port: high.1.to_be_bytes(),
        protocol: row.protocol,
        ..FlowKey::default()
    };
    let initiator = if client <= server { Direction::FromLow } else { Direction::FromHigh };
    let first_seen_ns = row.first_seen_ns;
    FlowView { key, initiator, icmp: 0, first_seen_ns, last_seen_ns: first_seen_ns }
}
