//! Frames built byte by byte, and the table of them that the kernel programs and the host's parser
//! are compared on. Nothing here computes a checksum: nobody who reads these frames looks at one.

use detector_common::frame::LinkType;

/// What the table calls a frame, how it starts, and its bytes.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub link: LinkType,
    pub bytes: Vec<u8>,
}

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
pub const VLAN: u16 = 0x8100;
pub const QINQ: u16 = 0x88a8;

/// At home in the tests, and not.
pub const HOME: [u8; 4] = [10, 0, 0, 7];
pub const AWAY: [u8; 4] = [203, 0, 113, 5];
pub const HOME_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
pub const AWAY_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

/// An Ethernet frame with `tags` before the EtherType.
pub fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 7]);
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IPv4 header; the fields that tests turn.
#[derive(Clone, Copy, Debug)]
pub struct V4 {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    pub protocol: u8,
    /// First byte: version and header length in words.
    pub first: u8,
    pub identification: u16,
    /// Flags and offset.
    pub fragment: u16,
    /// None: what the packet has.
    pub total: Option<u16>,
}

impl V4 {
    pub const fn new(protocol: u8) -> Self {
        Self {
            source: HOME,
            destination: AWAY,
            protocol,
            first: 0x45,
            identification: 0x1234,
            fragment: 0,
            total: None,
        }
    }

    pub const fn back(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let header_len = usize::from(self.first & 0x0f).max(5) * 4;
        let total = self.total.unwrap_or(short(header_len + payload.len()));
        let mut bytes = vec![self.first, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        // Options: no operation.
        bytes.resize(header_len, 1);
        bytes.extend(payload);
        bytes
    }
}

/// An IPv6 packet whose payload starts with a `next` header.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_between(HOME_V6, AWAY_V6, next, short(payload.len()), payload)
}

pub fn ipv6_between(
    source: [u8; 16],
    destination: [u8; 16],
    next: u8,
    length: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(payload);
    bytes
}

/// Extension headers in front of `payload`; each is its number and its length in its own unit.
pub fn chained(headers: &[(u8, u8)], last: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, (number, length)) in headers.iter().enumerate() {
        let next = headers.get(index + 1).map_or(last, |(number, _)| *number);
        let size = match number {
            51 => (usize::from(*length) + 2) * 4,
            _ => (usize::from(*length) + 1) * 8,
        };
        let start = bytes.len();
        bytes.extend([next, *length]);
        bytes.resize(start + size, 0);
    }
    bytes.extend(payload);
    let first = headers.first().map_or(last, |(number, _)| *number);
    ipv6(first, &bytes)
}

/// An IPv6 fragment header: its place in bytes, whether more follow.
pub fn fragment_v6(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset & 0xfff8 | u16::from(more)).to_be_bytes());
    bytes.extend([0, 0, 0xab, 0xcd]);
    bytes.extend(payload);
    ipv6(44, &bytes)
}

/// A TCP segment whose header has `words` of 32 bits.
pub fn tcp(ports: (u16, u16), sequence: u32, flags: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(usize::from(words).max(5) * 4, 1);
    bytes.extend(payload);
    bytes
}

pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(short(payload.len() + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

pub fn icmp(kind: u8, code: u8, identifier: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(identifier.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(payload);
    bytes
}

/// A UDP datagram from home to away and the Ethernet and IPv4 headers around it.
pub fn udp_frame(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    ethernet(&[], IPV4, &V4::new(17).packet(&udp(ports, payload)))
}

/// A TCP segment from home to away and the Ethernet and IPv4 headers around it.
pub fn tcp_frame(ports: (u16, u16), sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], IPV4, &V4::new(6).packet(&tcp(ports, sequence, flags, 5, payload)))
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Bytes that count up, so that a head taken from the wrong place is another head.
pub fn counting(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// Every protocol, option, extension header, tag, fragment and fault that the parser knows.
pub fn samples() -> Vec<Sample> {
    let mut table = Table::default();
    table.transports();
    table.links();
    table.ipv4_faults();
    table.options();
    table.extensions();
    table.fragments();
    table.tunnels();
    table.raw();
    table.samples
}

#[derive(Default)]
struct Table {
    samples: Vec<Sample>,
}

impl Table {
    fn add(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.samples.push(Sample { name: name.into(), link: LinkType::Ethernet, bytes });
    }

    fn v4(&mut self, name: impl Into<String>, packet: &[u8]) {
        self.add(name, ethernet(&[], IPV4, packet));
    }

    fn v6(&mut self, name: impl Into<String>, packet: &[u8]) {
        self.add(name, ethernet(&[], IPV6, packet));
    }

    fn transports(&mut self) {
        let data = counting(40);
        let sctp = [&[0x13, 0x88, 0x0b, 0x59, 0, 0, 0, 1, 0, 0, 0, 0][..], &data].concat();
        // A data offset of 5 words: 4 bytes of options.
        let dccp = [&[0x13, 0x88, 0x0b, 0x59, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9][..], &data];
        let dccp = dccp.concat();
        let gre = [&[0, 0, 8, 0][..], &data].concat();
        let esp = [&[0, 0, 0x10, 1, 0, 0, 0, 1][..], &data].concat();
        for (name, protocol, v6_protocol, payload) in [
            ("tcp syn", 6, 6, tcp((40_000, 443), 7, 2, 10, &[])),
            ("tcp data", 6, 6, tcp((40_000, 443), 8, 0x18, 8, &data)),
            ("tcp again", 6, 6, tcp((40_000, 443), 8, 0x18, 8, &data)),
            ("tcp overlap", 6, 6, tcp((40_000, 443), 28, 0x18, 8, &data)),
            ("tcp fin", 6, 6, tcp((40_000, 443), 68, 0x11, 5, &[])),
            ("tcp short offset", 6, 6, tcp((40_001, 443), 1, 0x18, 2, &data)),
            ("tcp long offset", 6, 6, tcp((40_002, 443), 1, 0x18, 15, &[])),
            ("udp", 17, 17, udp((40_000, 53), &data)),
            ("udp empty", 17, 17, udp((40_000, 54), &[])),
            ("echo request", 1, 58, icmp(8, 0, 99, &data)),
            ("echo request 6", 1, 58, icmp(128, 0, 99, &data)),
            ("unreachable", 1, 58, icmp(3, 1, 0, &data)),
            ("sctp", 132, 132, sctp),
            ("dccp", 33, 33, dccp),
            ("udp-lite", 136, 136, udp((40_000, 53), &data)),
            ("gre", 47, 47, gre),
            ("esp", 50, 50, esp),
            ("other", 253, 253, data.clone()),
            ("nothing", 253, 253, Vec::new()),
        ] {
            self.v4(format!("{name} over IPv4"), &V4::new(protocol).packet(&payload));
            self.v6(format!("{name} over IPv6"), &ipv6(v6_protocol, &payload));
        }
        let back = V4::new(6).back();
        self.v4("tcp answer", &back.packet(&tcp((443, 40_000), 1, 0x12, 5, &data)));
        self.v4("echo reply", &V4::new(1).back().packet(&icmp(0, 0, 99, &data)));
        let reply = icmp(129, 0, 99, &data);
        self.v6("echo reply 6", &ipv6_between(AWAY_V6, HOME_V6, 58, short(reply.len()), &reply));
        let same = V4 { destination: HOME, ..V4::new(17) };
        self.v4("one address, ports rising", &same.packet(&udp((1, 2), &data)));
        self.v4("one address, ports falling", &same.packet(&udp((2, 1), &data)));
        let broadcast = V4 { destination: [10, 0, 0, 255], ..V4::new(17) };
        let mut frame = ethernet(&[], IPV4, &broadcast.packet(&udp((1_234, 137), &data)));
        frame[..6].fill(0xff);
        self.add("to all of the link", frame);
        self.v4("jumbo frame", &V4::new(6).packet(&tcp((1, 2), 1, 0x10, 5, &counting(2_500))));
    }

    fn links(&mut self) {
        let v4 = V4::new(6).packet(&tcp((41_000, 80), 1, 0x18, 5, b"hello"));
        let v6 = ipv6(17, &udp((41_000, 80), b"hello"));
        for (name, tags) in [
            ("VLAN", &[VLAN][..]),
            ("QinQ", &[QINQ, VLAN]),
            ("old QinQ", &[0x9100, VLAN]),
            ("three tags", &[QINQ, VLAN, VLAN]),
            ("four tags", &[QINQ, VLAN, VLAN, VLAN]),
            ("five tags", &[VLAN; 5]),
            ("ten tags", &[VLAN; 10]),
            ("eleven tags", &[VLAN; 11]),
        ] {
            self.add(format!("{name}, IPv4"), ethernet(tags, IPV4, &v4));
            self.add(format!("{name}, IPv6"), ethernet(tags, IPV6, &v6));
        }
        self.add("ARP", ethernet(&[], 0x0806, &counting(28)));
        self.add("ARP in a VLAN", ethernet(&[VLAN], 0x0806, &counting(28)));
        for (name, ethertype, header) in link_headers() {
            let behind = |packet: &[u8]| ethernet(&[], ethertype, &[&header, packet].concat());
            self.add(format!("{name}, IPv4"), behind(&v4));
            // IPv6 where the last number says so, else a version that contradicts it.
            self.add(format!("{name}, IPv6 as IPv4"), behind(&v6));
            let mut tagged = vec![0, 7];
            tagged.extend(ethertype.to_be_bytes());
            self.add(
                format!("{name} in a VLAN"),
                ethernet(&[], VLAN, &[&tagged, &header, &v4[..]].concat()),
            );
        }
        for (name, ethertype, header) in [
            ("PPPoE, IPv6", 0x8864, &[0x11, 0, 0, 1, 0, 0, 0, 0x57][..]),
            ("MACsec, IPv6", 0x88e5, &[0, 0, 0, 0, 0, 1, 0x86, 0xdd]),
            ("SNAP, IPv6", 0x0040, &[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd]),
        ] {
            self.add(name, ethernet(&[], ethertype, &[header, &v6].concat()));
        }
        for (name, ethertype, header) in [
            ("PPPoE, link control", 0x8864, &[0x11, 0, 0, 1, 0, 0, 0xc0, 0x21][..]),
            ("PPPoE discovery", 0x8863, &[0x11, 9, 0, 0, 0, 0]),
            ("MACsec, encrypted", 0x88e5, &[0x2c, 0, 0, 0, 0, 1]),
            ("MPLS, twelve labels", 0x8847, &[0, 1, 0, 64].repeat(12)),
            ("MPLS, neither version", 0x8847, &[0, 1, 1, 64, 0x70]),
            ("SNAP of another organisation", 0x0040, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 8, 0]),
            ("spanning tree", 0x0026, &[0x42, 0x42, 3]),
        ] {
            self.add(name, ethernet(&[], ethertype, &[header, &counting(40)].concat()));
        }
        self.add("LLC", ethernet(&[], 0x0026, &counting(38)));
        self.add("unknown EtherType", ethernet(&[], 0x88b5, &counting(46)));
        self.add("LLDP", ethernet(&[], 0x88cc, &counting(46)));
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(60, 0xee);
            bytes
        };
        self.add("padding, tcp", padded(ethernet(&[], IPV4, &v4)));
        let empty = V4::new(253).packet(&[]);
        self.add("padding, no transport", padded(ethernet(&[], IPV4, &empty)));
        let cut = V4 { total: Some(24), ..V4::new(17) };
        self.add("padding, part of udp", padded(ethernet(&[], IPV4, &cut.packet(&[0, 1, 0, 2]))));
    }

    fn ipv4_faults(&mut self) {
        let payload = udp((42_000, 80), b"fault");
        let udp = V4::new(17);
        for (name, header) in [
            ("version 5", V4 { first: 0x55, ..udp }),
            ("version 6 in IPv4", V4 { first: 0x65, ..udp }),
            ("version 0", V4 { first: 0x05, ..udp }),
            ("header length 0", V4 { first: 0x40, ..udp }),
            ("header length 4", V4 { first: 0x44, ..udp }),
            ("header beyond the packet", V4 { first: 0x4f, total: Some(40), ..udp }),
            ("total length 0", V4 { total: Some(0), ..udp }),
            ("total length 19", V4 { total: Some(19), ..udp }),
            ("total length 20", V4 { total: Some(20), ..udp }),
            ("total length 27", V4 { total: Some(27), ..udp }),
            ("total length beyond the frame", V4 { total: Some(34), ..udp }),
            ("total length 65535", V4 { total: Some(65_535), ..udp }),
        ] {
            self.v4(name, &header.packet(&payload));
        }
        let unsegmented = V4 { total: Some(0), ..V4::new(6) };
        let segment = tcp((42_001, 80), 1, 0x18, 5, &counting(2_000));
        self.v4("length 0 of a long packet", &unsegmented.packet(&segment));
        let packet = ipv6_between(HOME_V6, AWAY_V6, 6, 0, &segment);
        self.v6("IPv6 length 0 of a long packet", &packet);
        self.v6("IPv6 length 0 and nothing next", &ipv6_between(HOME_V6, AWAY_V6, 59, 0, &segment));
        for (name, length) in [("0", 0), ("short", 4), ("one beyond", 14), ("65535", 65_535)] {
            let packet = ipv6_between(HOME_V6, AWAY_V6, 17, length, &payload);
            self.v6(format!("IPv6 payload length {name}"), &packet);
        }
        let mut wrong = ipv6(17, &payload);
        wrong[0] = 0x45;
        self.v6("version 4 in IPv6", &wrong);
        let jumbogram =
            ipv6_between(HOME_V6, AWAY_V6, 0, 0, &chained(&[(0, 0)], 17, &payload)[40..]);
        self.v6("jumbogram", &jumbogram);
    }

    fn options(&mut self) {
        for words in 6..=15_u8 {
            let header = V4 { first: 0x40 | words, ..V4::new(6) };
            let segment = tcp((43_000 + u16::from(words), 80), 1, 0x18, words.max(6), b"options");
            self.v4(format!("{words} words of IPv4 header"), &header.packet(&segment));
        }
        for words in 5..=15_u8 {
            let segment = tcp((43_100 + u16::from(words), 80), 1, 0x18, words, b"options");
            self.v6(format!("{words} words of TCP header"), &ipv6(6, &segment));
        }
    }

    fn extensions(&mut self) {
        let payload = tcp((44_000, 80), 1, 0x18, 5, b"extension");
        for (name, headers) in [
            ("hop-by-hop", &[(0, 0)][..]),
            ("routing", &[(43, 2)]),
            ("destination options", &[(60, 1)]),
            ("authentication", &[(51, 4)]),
            ("mobility", &[(135, 0)]),
            ("host identity", &[(139, 1)]),
            ("shim6", &[(140, 0)]),
            ("all in order", &[(0, 0), (60, 0), (43, 0), (51, 4), (60, 1)]),
            ("eight", &[(60, 0); 8]),
            ("nine", &[(60, 0); 9]),
            ("twelve", &[(60, 0); 12]),
        ] {
            self.v6(format!("extension: {name}"), &chained(headers, 6, &payload));
        }
        let mut beyond = chained(&[(60, 0)], 6, &payload);
        beyond[41] = 200;
        self.v6("extension beyond the packet", &beyond);
        self.v6("no next header", &ipv6(59, b"ignored"));
    }

    fn fragments(&mut self) {
        let data = counting(48);
        let whole = udp((45_000, 80), &data);
        let piece = |identification, fragment| V4 { identification, fragment, ..V4::new(17) };
        self.v4("first fragment", &piece(1, 0x2000).packet(&whole[..32]));
        self.v4("middle fragment", &piece(1, 0x2004).packet(&whole[32..48]));
        self.v4("last fragment", &piece(1, 0x0006).packet(&whole[48..]));
        self.v4("fragment without its first", &piece(2, 0x0004).packet(&whole[32..]));
        self.v4("fragment of the other way", &piece(1, 0x0004).back().packet(&whole[32..]));
        let other = V4 { protocol: 6, ..piece(1, 0x0004) };
        self.v4("fragment of another protocol", &other.packet(&whole[32..]));
        self.v4("tiny first fragment", &piece(4, 0x2000).packet(&whole[..8]));
        self.v4("first fragment of four bytes", &piece(5, 0x2000).packet(&whole[..4]));
        self.v4("do not fragment", &piece(3, 0x4000).packet(&whole));
        self.v6("atomic fragment", &fragment_v6(17, 0, false, &whole));
        self.v6("fragment 6 without its first", &fragment_v6(17, 64, false, &data));
        self.v6("first fragment 6", &fragment_v6(17, 0, true, &whole[..32]));
        self.v6("last fragment 6", &fragment_v6(17, 32, false, &whole[32..]));
        self.v6("fragment 6 of a chain", &fragment_v6(60, 0, true, &[17, 0, 0, 0, 0, 0, 0, 0]));
    }

    fn tunnels(&mut self) {
        let inner_v4 = V4 { source: [10, 1, 0, 1], destination: [10, 1, 0, 2], ..V4::new(6) }
            .packet(&tcp((46_000, 80), 1, 0x18, 5, b"inside"));
        let inner_v6 = ipv6(17, &udp((46_000, 80), b"inside"));
        let tunnel = |port, header: &[u8], inner: &[u8]| {
            V4::new(17).packet(&udp((46_001, port), &[header, inner].concat()))
        };
        let vni = [8, 0, 0, 0, 0, 0, 5, 0];
        for (name, port, header, inner) in [
            ("VXLAN, IPv4", 4789, &vni[..], ethernet(&[], IPV4, &inner_v4)),
            ("VXLAN, IPv6 in a VLAN", 8472, &vni, ethernet(&[VLAN], IPV6, &inner_v6)),
            ("VXLAN, ARP", 4789, &vni, ethernet(&[], 0x0806, &counting(28))),
            ("VXLAN without its flag", 4789, &[0; 8], ethernet(&[], IPV4, &inner_v4)),
            ("VXLAN, a bad packet", 4789, &vni, ethernet(&[], IPV4, &inner_v6)),
            ("GTP-U, IPv4", 2152, &[0x30, 255, 0, 49, 0, 0, 0, 1], inner_v4.clone()),
            ("GTP-U, IPv6", 2152, &[0x30, 255, 0, 54, 0, 0, 0, 1], inner_v6.clone()),
            (
                "GTP-U with a sequence number",
                2152,
                &[0x32, 255, 0, 53, 0, 0, 0, 1, 0, 1, 0, 0],
                inner_v4.clone(),
            ),
            (
                "GTP-U with an extension",
                2152,
                &[0x34, 255, 0, 57, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0],
                inner_v4.clone(),
            ),
            ("GTP-U echo", 2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0], Vec::new()),
            (
                "GTP-U, an endless extension",
                2152,
                &[0x34, 255, 0, 57, 0, 0, 0, 1, 0, 0, 0, 0x85, 0, 0, 0, 0x85],
                inner_v4.clone(),
            ),
        ] {
            self.v4(name, &tunnel(port, header, &inner));
            self.v6(
                format!("{name}, over IPv6"),
                &ipv6(17, &udp((46_001, port), &[header, &inner].concat())),
            );
        }
        let mirrored = ethernet(&[], IPV4, &inner_v4);
        let bridged = [&[0, 0, 0x65, 0x58][..], &ethernet(&[], IPV4, &inner_v4)].concat();
        for (name, payload) in [
            ("GRE, IPv4", [&[0, 0, 8, 0][..], &inner_v4].concat()),
            ("GRE, IPv6", [&[0, 0, 0x86, 0xdd][..], &inner_v6].concat()),
            ("GRE with a key", [&[0x20, 0, 8, 0, 0, 0, 0, 1][..], &inner_v4].concat()),
            ("GRE with all options", [&[0xb0, 0, 8, 0][..], &[0; 12], &inner_v4].concat()),
            ("GRE, Ethernet", bridged),
            ("GRE, version 1", [&[0x20, 1, 0x88, 0x0b][..], &inner_v4].concat()),
            ("ERSPAN I", [&[0, 0, 0x88, 0xbe][..], &mirrored].concat()),
            ("ERSPAN II", [&[0x10, 0, 0x88, 0xbe][..], &[0; 12], &mirrored].concat()),
            ("ERSPAN III", [&[0x10, 0, 0x22, 0xeb][..], &[0; 16], &mirrored].concat()),
            (
                "ERSPAN III, more",
                [&[0x10, 0, 0x22, 0xeb][..], &[0; 15], &[1; 9], &mirrored].concat(),
            ),
            ("GRE, MPLS", [&[0, 0, 0x88, 0x47, 0, 1, 1, 64][..], &inner_v4].concat()),
        ] {
            self.v4(name, &V4::new(47).packet(&payload));
        }
        for (name, port, header, inner) in [
            ("GENEVE", 6081, &[0, 0, 0x65, 0x58, 0, 0, 5, 0][..], &mirrored),
            ("GENEVE, IPv6", 6081, &[0, 0, 0x86, 0xdd, 0, 0, 5, 0], &inner_v6),
            ("GENEVE, options", 6081, &[1, 0, 8, 0, 0, 0, 5, 0, 1, 1, 1, 0], &inner_v4),
            ("GENEVE, all options", 6081, &[&[0x3f, 0, 8, 0][..], &[7; 256]].concat(), &inner_v4),
            ("GENEVE, control", 6081, &[0, 0x80, 8, 0, 0, 0, 5, 0], &inner_v4),
            ("L2TP", 1701, &[0, 2, 0, 1, 0, 1, 0, 0x21], &inner_v4),
            ("L2TP, IPv6", 1701, &[0x40, 2, 0, 0, 0, 1, 0, 1, 0xff, 3, 0x57], &inner_v6),
            ("L2TP, padded", 1701, &[2, 2, 0, 1, 0, 1, 0, 3, 9, 9, 9, 0, 0x21], &inner_v4),
            ("L2TP, control", 1701, &[0xc8, 2, 0, 12, 0, 1, 0, 0], &inner_v4),
        ] {
            self.v4(name, &tunnel(port, header, inner));
        }
        for (name, outer, inner) in
            [("IP-in-IP", 4, &inner_v4), ("6in4", 41, &inner_v6), ("version 4 as 6", 41, &inner_v4)]
        {
            self.v4(name, &V4::new(outer).packet(inner));
            self.v6(format!("{name}, over IPv6"), &ipv6(outer, inner));
        }
    }

    fn raw(&mut self) {
        let raw = |name: &str, bytes| Sample { name: name.into(), link: LinkType::Raw, bytes };
        let v4 = V4::new(6).packet(&tcp((47_000, 80), 1, 0x18, 6, b"raw"));
        self.samples.push(raw("raw IPv4", v4));
        self.samples.push(raw("raw IPv6", ipv6(17, &udp((47_000, 80), b"raw"))));
        self.samples.push(raw("raw, neither", counting(40)));
    }
}

/// What stands between an EtherType and an IPv4 packet.
fn link_headers() -> Vec<(&'static str, u16, Vec<u8>)> {
    let addresses = [2; 12];
    let inner = [&addresses[..], &IPV4.to_be_bytes()].concat();
    vec![
        ("PPPoE", 0x8864, vec![0x11, 0, 0, 1, 0, 0, 0, 0x21]),
        ("PPPoE, a short protocol", 0x8864, vec![0x11, 0, 0, 1, 0, 0, 0x21]),
        ("MPLS", 0x8847, vec![0, 1, 1, 64]),
        ("MPLS, three labels", 0x8848, vec![0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64]),
        ("MPLS, a frame", 0x8847, [&[0, 1, 1, 64, 0, 0, 0, 0][..], &inner].concat()),
        ("MACsec", 0x88e5, vec![0, 0, 0, 0, 0, 1, 8, 0]),
        ("MACsec with a channel", 0x88e5, [&[0x20, 0, 0, 0, 0, 1][..], &[7; 8], &[8, 0]].concat()),
        ("SNAP", 0x0050, vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        ("SNAP over a bridge", 0x0050, vec![0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0]),
        ("IP as LLC", 0x0050, vec![6, 6, 3]),
        ("802.1ah", 0x88e7, [&[0, 0, 0, 5][..], &inner].concat()),
        ("VN-Tag", 0x8926, vec![0, 1, 0, 2, 8, 0]),
        ("E-Tag", 0x893f, vec![0, 1, 0, 2, 0, 0, 8, 0]),
        ("FabricPath", 0x8903, [&[0, 1][..], &inner].concat()),
    ]
}

/// A frame cut off after every one of its bytes, from the `shortest` that can be handed over.
pub fn cuts(sample: &Sample, shortest: usize) -> Vec<Sample> {
    let longest = sample.bytes.len().min(160);
    (shortest..longest)
        .map(|length| Sample {
            name: format!("{}, cut to {length}", sample.name),
            link: sample.link,
            bytes: sample.bytes[..length].to_vec(),
        })
        .collect()
}
