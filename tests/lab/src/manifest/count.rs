//! A culprit's packets and bytes in both directions, counted from the recording.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::outcome::{Culprit, Habit};
use crate::pcap::{Frame, Key};

/// A culprit of at least so many bytes in so many packets is of tier A, as in other sets of captures.
const TIER_A: (u64, usize) = (20_000, 40);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Malicious {
    src: IpAddr,
    dst: IpAddr,
    proto: String,
    dport: Option<u16>,
    flows: u64,
    packets_out: u64,
    bytes_out: u64,
    packets_in: u64,
    bytes_in: u64,
    first_seen_rel_s: f64,
    last_seen_rel_s: f64,
    role: String,
    pub(super) tier: String,
    /// How the theft stands to the host's habit, where the recording holds one. The pair of hosts is
    /// then the culprit only between `first_seen_rel_s` and `last_seen_rel_s`.
    #[serde(flatten)]
    habit: Option<Habit>,
}

impl Malicious {
    /// Both directions between the culprit's two ends. A culprit whom no packet shows is an error.
    pub(super) fn count(frames: &[Frame], culprit: &Culprit, start: f64) -> Result<Self> {
        let own: Vec<&Frame> = frames.iter().filter(|frame| is_of(frame, culprit)).collect();
        let (out, back): (Vec<&Frame>, Vec<&Frame>) = own
            .into_iter()
            .partition(|frame| frame.key.is_some_and(|key| key.source == culprit.source));
        ensure!(
            !out.is_empty(),
            "no packet of the theft to {} is in the recording",
            culprit.destination
        );
        let mut ports: Vec<(u16, u16)> = out.iter().filter_map(|frame| ports(frame)).collect();
        ports.sort_unstable();
        ports.dedup();
        let bytes_out = sum(&out);
        let large = bytes_out >= TIER_A.0 && out.len() >= TIER_A.1;
        Ok(Self {
            src: culprit.source,
            dst: culprit.destination,
            proto: culprit.protocol.to_owned(),
            dport: culprit.port,
            flows: ports.len() as u64,
            packets_out: out.len() as u64,
            bytes_out,
            packets_in: back.len() as u64,
            bytes_in: sum(&back),
            first_seen_rel_s: out[0].seconds - start,
            last_seen_rel_s: out[out.len() - 1].seconds - start,
            role: culprit.role.text().to_owned(),
            tier: if large { "A" } else { "B" }.to_owned(),
            habit: culprit.habit.clone(),
        })
    }
}

/// Between the culprit's two ends, at its port on either side, and within its time.
fn is_of(frame: &Frame, culprit: &Culprit) -> bool {
    let Some(Key { source, destination, protocol, source_port, destination_port }) = frame.key
    else {
        return false;
    };
    let ends = [(source, destination), (destination, source)];
    ends.contains(&(culprit.source, culprit.destination))
        && protocol == number(culprit)
        && culprit.port.is_none_or(|port| [source_port, destination_port].contains(&port))
        && culprit.habit.as_ref().is_none_or(|habit| habit.covers(frame.seconds))
}

fn number(culprit: &Culprit) -> u8 {
    match (culprit.protocol, culprit.destination) {
        ("tcp", _) => 6,
        ("udp", _) => 17,
        (_, IpAddr::V4(_)) => 1,
        (_, IpAddr::V6(_)) => 58,
    }
}

fn ports(frame: &Frame) -> Option<(u16, u16)> {
    frame.key.map(|key| (key.source_port, key.destination_port))
}

fn sum(frames: &[&Frame]) -> u64 {
    frames.iter().map(|frame| frame.bytes).sum()
}
