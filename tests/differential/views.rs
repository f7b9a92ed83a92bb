//! What each of the two parsers says of a frame, in the same words.

use std::net::Ipv4Addr;

use detector_common::frame::{Captured, LinkType};
use detector_common::parse::{Decapsulation, Fragment, Packet, Skip, parse, protocol};
use etherparse::err::Layer;
use etherparse::err::packet::SliceError;
use etherparse::{EtherType, LaxIpv6Slice, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Whether there is a packet at all; if not, nothing else is.
    Packet,
    Addresses,
    Protocol,
    Ports,
    IpBytes,
    PayloadBytes,
    /// Where the IP header starts, and so how many tags are before it.
    IpOffset,
    Fragment,
    /// TCP flags and sequence number, ICMP type and code.
    Transport,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) addresses: [[u8; 16]; 2],
    pub(crate) protocol: u8,
    pub(crate) ports: [u16; 2],
    pub(crate) ip_bytes: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) ip_offset: u32,
    /// Which kind, and the identification.
    pub(crate) fragment: (u32, u32),
    pub(crate) transport: (u8, u32, u16),
}

impl View {
    pub(crate) fn of(packet: &Packet) -> Self {
        let (source, source_port) = packet.key.source(packet.direction);
        let (destination, destination_port) = packet.key.destination(packet.direction);
        Self {
            addresses: [source, destination],
            protocol: packet.key.protocol,
            ports: [source_port, destination_port].map(u16::from_be_bytes),
            ip_bytes: packet.ip_bytes,
            payload_bytes: packet.payload_bytes,
            ip_offset: packet.ip_offset,
            fragment: (packet.fragment as u32, packet.identification),
            transport: (packet.tcp_flags, packet.sequence, packet.icmp),
        }
    }

    fn differences(&self, other: &Self) -> Vec<Field> {
        let pairs = [
            (Field::Addresses, self.addresses == other.addresses),
            (Field::Protocol, self.protocol == other.protocol),
            (Field::Ports, self.ports == other.ports),
            (Field::IpBytes, self.ip_bytes == other.ip_bytes),
            (Field::PayloadBytes, self.payload_bytes == other.payload_bytes),
            (Field::IpOffset, self.ip_offset == other.ip_offset),
            (Field::Fragment, self.fragment == other.fragment),
            (Field::Transport, self.transport == other.transport),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
    }
}

/// What the other parser says, and where and why it stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Theirs {
    pub(crate) view: View,
    pub(crate) is_v6: bool,
    pub(crate) header_bytes: u32,
    pub(crate) stopped: Option<(SliceError, Layer)>,
    /// IPv6 extension headers walked.
    pub(crate) extensions: usize,
    /// What the IPv4 header, or the fixed IPv6 header, says that follows.
    pub(crate) next: u8,
}

/// One frame as both see it.
pub(crate) struct Case<'a> {
    pub(crate) frame: Captured<'a>,
    pub(crate) ours: Result<Packet, Skip>,
    pub(crate) theirs: Option<Theirs>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(link: LinkType, frame: &Captured<'a>) -> Self {
        let mut packet = Packet::empty();
        let ours = parse(frame, link, Decapsulation::default(), &mut packet).map(|()| packet);
        Self { frame: *frame, ours, theirs: theirs(link, frame.bytes) }
    }

    pub(crate) fn differences(&self) -> Vec<Field> {
        match (&self.ours, &self.theirs) {
            (Ok(packet), Some(theirs)) => View::of(packet).differences(&theirs.view),
            (Err(_), None) => Vec::new(),
            _ => vec![Field::Packet],
        }
    }
}

/// The link headers that etherparse does not know are taken off here.
fn theirs(link: LinkType, bytes: &[u8]) -> Option<Theirs> {
    let number = |at: usize| {
        bytes.get(at..at + 2).map(|word| EtherType(u16::from_be_bytes([word[0], word[1]])))
    };
    let lax = match link {
        LinkType::Ethernet => LaxSlicedPacket::from_ethernet(bytes).ok()?,
        LinkType::Raw => LaxSlicedPacket::from_ip(bytes).ok()?,
        LinkType::Null => LaxSlicedPacket::from_ip(bytes.get(4..)?).ok()?,
        LinkType::LinuxCooked1 => LaxSlicedPacket::from_ether_type(number(14)?, bytes.get(16..)?),
        LinkType::LinuxCooked2 => LaxSlicedPacket::from_ether_type(number(0)?, bytes.get(20..)?),
        // Neither the frames nor the captures that are compared have another.
        _ => return None,
    };
    let mut read = match lax.net.as_ref()? {
        LaxNetSlice::Ipv4(v4) => {
            let header = v4.header();
            let offset = u32::from(header.fragments_offset().value());
            let kind = kind(offset != 0, header.more_fragments());
            let identification = if kind == 0 { 0 } else { u32::from(header.identification()) };
            Theirs {
                view: View {
                    addresses: [header.source(), header.destination()]
                        .map(|address| Ipv4Addr::from(address).to_ipv6_mapped().octets()),
                    protocol: v4.payload_ip_number().0,
                    ip_bytes: u32::from(header.total_len()),
                    ip_offset: offset_in(bytes, header.slice()),
                    fragment: (kind, identification),
                    ..View::default()
                },
                header_bytes: u32::from(header.ihl()) * 4,
                next: header.protocol().0,
                ..Theirs::default()
            }
        }
        LaxNetSlice::Ipv6(v6) => {
            let header = v6.header();
            let extensions = extensions(v6);
            Theirs {
                view: View {
                    addresses: [header.source(), header.destination()],
                    protocol: v6.payload().ip_number.0,
                    ip_bytes: u32::from(header.payload_length()) + 40,
                    ip_offset: offset_in(bytes, header.slice()),
                    fragment: fragment(&extensions),
                    ..View::default()
                },
                is_v6: true,
                header_bytes: 40,
                extensions: extensions.len(),
                next: header.next_header().0,
                ..Theirs::default()
            }
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let payload = lax.net.as_ref()?.ip_payload_ref()?.payload;
    let mut payload_at = offset_in(bytes, payload);
    if let Some(transport) = &lax.transport {
        payload_at += transported(transport, &mut read.view);
    }
    let headers = payload_at - read.view.ip_offset;
    read.view.payload_bytes = read.view.ip_bytes.saturating_sub(headers);
    read.stopped = lax.stop_err;
    Some(read)
}

fn offset_in(frame: &[u8], part: &[u8]) -> u32 {
    u32::try_from(part.as_ptr().addr() - frame.as_ptr().addr()).unwrap_or(u32::MAX)
}

/// 0 to 2, as [`Fragment`] has them.
fn kind(later: bool, more: bool) -> u32 {
    match (later, more) {
        (true, _) => Fragment::Later as u32,
        (false, true) => Fragment::First as u32,
        (false, false) => Fragment::None as u32,
    }
}

/// The extension headers that they walked: number and bytes of each. By hand, because their own
/// iterator (0.21) does not stop where the walk stopped at a fault, and reads beyond the end.
fn extensions(v6: &LaxIpv6Slice<'_>) -> Vec<(u8, Vec<u8>)> {
    let mut rest = v6.extensions().slice();
    let mut number = v6.header().next_header().0;
    let mut walked = Vec::new();
    while let [next, length, ..] = *rest {
        let size = match number {
            protocol::FRAGMENT => 8,
            protocol::AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let (header, after) = rest.split_at(size.min(rest.len()));
        walked.push((number, header.to_vec()));
        (number, rest) = (next, after);
    }
    walked
}

/// The last of the fragment headers that say anything.
fn fragment(extensions: &[(u8, Vec<u8>)]) -> (u32, u32) {
    let mut found = (Fragment::None as u32, 0);
    for (number, header) in extensions {
        if let (&protocol::FRAGMENT, &[_, _, high, low, a, b, c, d]) = (number, &header[..]) {
            let place = u16::from_be_bytes([high, low]);
            let (later, more) = (place & 0xfff8 != 0, place & 1 != 0);
            if later || more {
                found = (kind(later, more), u32::from_be_bytes([a, b, c, d]));
            }
        }
    }
    found
}

/// Fills in what the transport header says; returns its length.
fn transported(transport: &TransportSlice<'_>, view: &mut View) -> u32 {
    let echo = |is_echo: bool, rest: [u8; 4]| {
        let identifier = u16::from_be_bytes([rest[0], rest[1]]);
        if is_echo { [identifier; 2] } else { [0; 2] }
    };
    match transport {
        TransportSlice::Udp(udp) => {
            view.ports = [udp.source_port(), udp.destination_port()];
            8
        }
        TransportSlice::Tcp(tcp) => {
            view.ports = [tcp.source_port(), tcp.destination_port()];
            view.transport = (tcp.header_slice()[13], tcp.sequence_number(), 0);
            u32::from(tcp.data_offset()) * 4
        }
        TransportSlice::Icmpv4(icmp) => {
            view.ports = echo(matches!(icmp.type_u8(), 0 | 8), icmp.bytes5to8());
            view.transport.2 = u16::from_be_bytes([icmp.type_u8(), icmp.code_u8()]);
            u32::try_from(icmp.header_len()).unwrap_or(u32::MAX)
        }
        TransportSlice::Icmpv6(icmp) => {
            view.ports = echo(matches!(icmp.type_u8(), 128 | 129), icmp.bytes5to8());
            view.transport.2 = u16::from_be_bytes([icmp.type_u8(), icmp.code_u8()]);
            u32::try_from(icmp.header_len()).unwrap_or(u32::MAX)
        }
        // To us a group message is a payload like any other.
        TransportSlice::Igmp(_) => 0,
    }
}
