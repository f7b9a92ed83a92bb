//! Reads back what was recorded: enough of pcap, Ethernet and IP to count packets per pair of hosts.
//! Independent of the detector's own reader on purpose, as labels must not depend on what they judge.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Microsecond pcap in little-endian order, as tcpdump writes it here.
const MAGIC: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const ETHERNET_HEADER: usize = 14;

/// One recorded frame; `key` is absent when it is not IP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) seconds: f64,
    pub(super) bytes: u64,
    pub(super) key: Option<Key>,
}

/// Later fragments have ports 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

pub(super) fn read(file: &Path) -> Result<Vec<Frame>> {
    let bytes = load(file)?;
    let frame = |record: Record| Frame {
        seconds: record.time_us as f64 / 1e6,
        bytes: u64::from(record.wire_bytes),
        key: key_of(&bytes[record.start + RECORD_HEADER..record.end]),
    };
    Ok(records(&bytes)?.into_iter().map(frame).collect())
}

/// One stored frame, its header included, within a file's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) time_us: u64,
    pub(super) wire_bytes: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The whole file, if it is of the one kind that the lab writes.
pub(super) fn load(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    ensure!(
        bytes.starts_with(&MAGIC),
        "{} is not a capture of the kind that tcpdump writes here",
        file.display()
    );
    Ok(bytes)
}

pub(super) fn records(bytes: &[u8]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut start = FILE_HEADER;
    while let Some(header) = bytes.get(start..start + RECORD_HEADER) {
        let word = |index: usize| {
            header[index..].first_chunk::<4>().map_or(0, |word| u32::from_le_bytes(*word))
        };
        let end = start + RECORD_HEADER + word(8) as usize;
        ensure!(end <= bytes.len(), "a capture ends in the middle of a frame");
        let time_us = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
        records.push(Record { time_us, wire_bytes: word(12), start, end });
        start = end;
    }
    Ok(records)
}

/// The record as it stands, at another time.
pub(super) fn write_shifted(to: &mut Vec<u8>, from: &[u8], record: &Record, time_us: u64) {
    to.extend(((time_us / 1_000_000) as u32).to_le_bytes());
    to.extend(((time_us % 1_000_000) as u32).to_le_bytes());
    to.extend(&from[record.start + 8..record.end]);
}

fn key_of(frame: &[u8]) -> Option<Key> {
    let packet = frame.get(ETHERNET_HEADER..)?;
    let (source, destination, protocol, payload) = match frame.get(12..14)? {
        [0x08, 0x00] => ipv4(packet)?,
        [0x86, 0xdd] => ipv6(packet)?,
        _ => return None,
    };
    let port = |at: usize| {
        payload.get(at..at + 2).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]))
    };
    let (source_port, destination_port) =
        if matches!(protocol, 6 | 17) { (port(0), port(2)) } else { (0, 0) };
    Some(Key { source, destination, protocol, source_port, destination_port })
}

type Parts<'a> = (IpAddr, IpAddr, u8, &'a [u8]);

fn ipv4(packet: &[u8]) -> Option<Parts<'_>> {
    let header = usize::from(packet.first()? & 15) * 4;
    let address = |at: usize| {
        packet
            .get(at..at + 4)?
            .first_chunk::<4>()
            .copied()
            .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
    };
    let later_fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff != 0;
    let payload = if later_fragment { &[][..] } else { packet.get(header..)? };
    Some((address(12)?, address(16)?, *packet.get(9)?, payload))
}

/// Steps over hop-by-hop and fragment headers; nothing else occurs in the lab.
fn ipv6(packet: &[u8]) -> Option<Parts<'_>> {
    let address = |at: usize| {
        packet
            .get(at..at + 16)?
            .first_chunk::<16>()
            .copied()
            .map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let (source, destination) = (address(8)?, address(24)?);
    let mut protocol = *packet.get(6)?;
    let mut payload = packet.get(40..)?;
    while matches!(protocol, 0 | 44) {
        let later_fragment = protocol == 44
            && u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]) & 0xfff8 != 0;
        let length = if protocol == 0 { 8 + usize::from(*payload.get(1)?) * 8 } else { 8 };
        protocol = *payload.first()?;
        payload = if later_fragment { &[] } else { payload.get(length..)? };
        if later_fragment {
            break;
        }
    }
    Some((source, destination, protocol, payload))
}
