//! Frames built byte by byte, and what the parser makes of them.

use std::vec::Vec;

use super::{Decapsulation, Fragment, Packet, Skip, general, number, parse, plain, protocol};
use crate::frame::{Captured, Frame, LinkType, Word};

/// Ethernet, then `ethertype`, then `rest`.
fn ethernet(ethertype: u16, rest: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), rest].concat()
}

/// An IPv4 packet of `number` with `options` words of options.
fn ipv4(number: u8, options: usize, fragment: u16, transport: &[u8]) -> Vec<u8> {
    let header_len = 20 + options * 4;
    let total = (header_len + transport.len()) as u16;
    let mut packet = Vec::from([0x40 | (header_len / 4) as u8, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, number, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7]);
    packet.resize(header_len, 1);
    packet.extend(transport);
    packet
}

fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0x60, 0, 0, 0]);
    packet.extend((rest.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0xfd; 16]);
    packet.extend([0x20; 16]);
    packet.extend(rest);
    packet
}

fn tcp(payload: usize) -> Vec<u8> {
    let mut segment = Vec::from([0x9c, 0x40, 1, 0xbb, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x18]);
    segment.resize(20 + payload, 0);
    segment
}

fn udp(payload: usize) -> Vec<u8> {
    let mut datagram = Vec::from([0x9c, 0x40, 0, 53, 0, 0, 0, 0]);
    datagram.resize(8 + payload, 0);
    datagram
}

/// Without options, with a data offset of 4 words.
fn dccp(payload: usize) -> Vec<u8> {
    let mut packet = Vec::from([0x9c, 0x40, 1, 0xbb, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9]);
    packet.resize(16 + payload, 0);
    packet
}

/// A frame as a hook hands it over, whose length on the wire is its own.
struct Handed<'a>(Captured<'a>);

impl Frame for Handed<'_> {
    fn wire_len(&self) -> u32 {
        self.0.wire_len
    }

    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        self.0.load(offset)
    }
}

fn read(bytes: &[u8]) -> Result<Packet, Skip> {
    let mut packet = Packet::empty();
    let frame = Handed(Captured::whole(bytes));
    parse(&frame, LinkType::Ethernet, Decapsulation::NONE, &mut packet)?;
    Ok(packet)
}

/// A record of a capture: its bytes, and the length on the wire that it gives.
fn recorded(link: u32, bytes: &[u8], wire_len: usize, open: Decapsulation) -> Result<Packet, Skip> {
    let mut packet = Packet::empty();
    let link = LinkType::from_pcap(link).unwrap();
    parse(&Captured { bytes, wire_len: wire_len as u32 }, link, open, &mut packet)?;
    Ok(packet)
}

fn ports(packet: &Packet) -> [u16; 2] {
    let (_, source) = packet.key.source(packet.direction);
    let (_, destination) = packet.key.destination(packet.direction);
    [source, destination].map(u16::from_be_bytes)
}

/// Protocol, both ports, IP bytes, payload bytes.
type Expected = (u8, [u16; 2], u32, u32);

/// Frames with what they are.
fn samples() -> Vec<(Vec<u8>, Expected)> {
    let echo = [8, 0, 0, 0, 0x12, 0x34, 0, 1, 9, 9, 9, 9];
    let hop_by_hop = [&[protocol::TCP, 0, 1, 4, 0, 0, 0, 0][..], &tcp(3)].concat();
    let tagged = [&[0, 5, 0x81, 0, 0, 6, 0x08, 0][..], &ipv4(17, 0, 0, &udp(2))].concat();
    let ports = [40_000, 443];
    Vec::from([
        (ethernet(0x0800, &ipv4(6, 0, 0, &tcp(100))), (6, ports, 140, 100)),
        (ethernet(0x0800, &ipv4(17, 0, 0, &udp(40))), (17, [40_000, 53], 68, 40)),
        (ethernet(0x0800, &ipv4(6, 10, 0, &tcp(1))), (6, ports, 81, 1)),
        (ethernet(0x0800, &ipv4(1, 0, 0, &echo)), (1, [0x1234, 0x1234], 32, 4)),
        (ethernet(0x0800, &ipv4(47, 0, 0, &[0; 30])), (47, [0, 0], 50, 30)),
        (ethernet(0x0800, &ipv4(33, 0, 0, &dccp(10))), (33, ports, 46, 10)),
        (ethernet(0x0800, &ipv4(136, 0, 0, &udp(40))), (136, [40_000, 53], 68, 40)),
        (ethernet(0x86dd, &ipv6(33, &dccp(5))), (33, ports, 61, 5)),
        (ethernet(0x86dd, &ipv6(136, &udp(1))), (136, [40_000, 53], 49, 1)),
        (ethernet(0x0800, &ipv4(17, 0, 100, &udp(40))), (17, [0, 0], 68, 48)),
        (ethernet(0x86dd, &ipv6(6, &tcp(5))), (6, ports, 65, 5)),
        (ethernet(0x86dd, &ipv6(0, &hop_by_hop)), (6, ports, 71, 3)),
        (ethernet(0x88a8, &tagged), (17, [40_000, 53], 30, 2)),
    ])
}

#[test]
fn packets_are_read_to_their_payload() {
    for (frame, expected) in samples() {
        let packet = read(&frame).unwrap();
        let actual = (packet.key.protocol, ports(&packet), packet.ip_bytes, packet.payload_bytes);
        assert_eq!(actual, expected);
        assert_eq!(packet.frame_bytes as usize, frame.len());
    }
}

#[test]
fn what_is_no_packet_has_a_reason() {
    let check = |frame: &[u8], expected| assert_eq!(read(frame), Err(expected));
    check(&[2; 13], Skip::TruncatedLink);
    check(&ethernet(0x0806, &[0; 28]), Skip::Arp);
    check(&ethernet(0x0026, &[0; 38]), Skip::Llc);
    check(&ethernet(0x8847, &[0, 0, 1, 64, 0x50, 0, 0, 0]), Skip::NotIp);
    check(&ethernet(0x8847, &[0; 60]), Skip::TooManyTags);
    check(&ethernet(0x8100, &[0, 1, 0x81, 0].repeat(10)), Skip::TooManyTags);
    check(&ethernet(0x0800, &[0x45; 10]), Skip::TruncatedIp);
    check(&ethernet(0x0800, &ipv6(6, &tcp(0))), Skip::BadVersion);
    let mut short_header = ipv4(6, 0, 0, &tcp(0));
    short_header[0] = 0x44;
    check(&ethernet(0x0800, &short_header), Skip::BadHeaderLength);
    let mut long_packet = ipv4(6, 0, 0, &tcp(0));
    long_packet[3] += 1;
    check(&ethernet(0x0800, &long_packet), Skip::BadLength);
}

/// A frame cut anywhere, and one with any byte changed, is read or refused; what is read never
/// weighs more than its frame, and the short way through the parser finds what the long one does.
#[test]
fn damaged_frames_are_read_or_refused_the_same_way() {
    let mut plain_frames = 0;
    let mut check = |bytes: &[u8], wire_len: usize| {
        let frame = Handed(Captured { bytes, wire_len: wire_len as u32 });
        let (mut short, mut long) = (Packet::empty(), Packet::empty());
        let result = general(&frame, LinkType::Ethernet, &mut long);
        if result.is_ok() {
            assert!(long.ip_bytes <= long.frame_bytes, "{bytes:02x?}");
            assert!(long.payload_bytes <= long.ip_bytes, "{bytes:02x?}");
        }
        if plain(&frame, &mut short) {
            plain_frames += 1;
            assert_eq!((result, short), (Ok(()), long), "{bytes:02x?}");
        }
    };
    for (frame, _) in samples() {
        for length in 0..=frame.len() {
            check(&frame[..length], length);
            // Cut by the capture, not on the wire.
            check(&frame[..length], frame.len());
        }
        for at in 0..frame.len() {
            for value in [0, 1, 0x45, 0x7f, 0x80, 0xff] {
                let mut damaged = frame.clone();
                damaged[at] = value;
                check(&damaged, damaged.len());
            }
        }
    }
    assert!(plain_frames > 100, "the short way was hardly taken: {plain_frames}");
}

#[test]
fn a_later_fragment_has_its_firsts_identification() {
    let place = |fragment| {
        let packet = read(&ethernet(0x0800, &ipv4(17, 0, fragment, &udp(40)))).unwrap();
        (packet.fragment, packet.identification)
    };
    assert_eq!(place(0x2000), (Fragment::First, 7));
    assert_eq!(place(0x2010), (Fragment::Later, 7));
    assert_eq!(place(0x4000), (Fragment::None, 0));
}

/// Bytes between an Ethernet header's EtherType and an IPv4 packet, by EtherType.
fn link_headers() -> Vec<(&'static str, u16, Vec<u8>)> {
    let addresses = [2; 12];
    Vec::from([
        ("a tag", 0x8100, Vec::from([0, 5, 8, 0])),
        ("nine tags", 0x88a8, [&[0, 5, 0x81, 0].repeat(8)[..], &[0, 5, 8, 0]].concat()),
        ("PPPoE", 0x8864, Vec::from([0x11, 0, 0, 1, 0, 0, 0, 0x21])),
        ("PPPoE, a short protocol", 0x8864, Vec::from([0x11, 0, 0, 1, 0, 0, 0x21])),
        ("PPPoE in a tag", 0x8100, Vec::from([0, 5, 0x88, 0x64, 0x11, 0, 0, 1, 0, 0, 0, 0x21])),
        ("a label", 0x8847, Vec::from([0, 1, 1, 64])),
        ("three labels", 0x8848, Vec::from([0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64])),
        (
            "a frame behind a label",
            0x8847,
            [&[0, 1, 1, 64, 0, 0, 0, 0][..], &addresses, &[8, 0]].concat(),
        ),
        ("MACsec in the clear", 0x88e5, Vec::from([0, 0, 0, 0, 0, 1, 8, 0])),
        ("MACsec with a channel", 0x88e5, [&[0x20, 0, 0, 0, 0, 1][..], &[7; 8], &[8, 0]].concat()),
        ("SNAP", 0x0050, Vec::from([0xaa, 0xaa, 3, 0, 0, 0, 8, 0])),
        ("SNAP over a bridge", 0x0050, Vec::from([0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0])),
        ("IP as LLC", 0x0050, Vec::from([6, 6, 3])),
        ("802.1ah", 0x88e7, [&[0, 0, 0, 5][..], &addresses, &[8, 0]].concat()),
        ("VN-Tag", 0x8926, Vec::from([0, 1, 0, 2, 8, 0])),
        ("E-Tag", 0x893f, Vec::from([0, 1, 0, 2, 0, 0, 8, 0])),
        ("FabricPath", 0x8903, [&[0, 1][..], &addresses, &[8, 0]].concat()),
    ])
}

#[test]
fn ip_is_found_behind_link_headers() {
    for (name, ethertype, header) in link_headers() {
        let frame = ethernet(ethertype, &[&header, &ipv4(6, 0, 0, &tcp(100))[..]].concat());
        let packet = read(&frame).unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
        assert_eq!((ports(&packet), packet.ip_bytes), ([40_000, 443], 140), "{name}");
        assert_eq!(packet.frame_bytes as usize, frame.len(), "{name}");
        assert_eq!(packet.sealed != 0, name.starts_with("MACsec"), "{name}");
        for length in 0..header.len() + 14 {
            assert!(read(&frame[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

/// What stays unopened says what it is.
#[test]
fn what_is_no_ip_has_a_number() {
    let check = |link: u32, bytes: &[u8], skip, expected: u32| {
        let mut packet = Packet::empty();
        let link = LinkType::from_pcap(link).unwrap();
        let frame = Captured::whole(bytes);
        assert_eq!(parse(&frame, link, Decapsulation::NONE, &mut packet), Err(skip));
        assert_eq!(packet.unopened, expected, "{bytes:02x?}");
    };
    let tail = [0; 40];
    let behind = |ethertype: u16, header: &[u8]| ethernet(ethertype, &[header, &tail].concat());
    check(1, &behind(0x88cc, &[]), Skip::NotIp, 0x88cc);
    check(1, &behind(0x8100, &[0, 5, 0x88, 0xb5]), Skip::NotIp, 0x88b5);
    check(1, &behind(0x88e5, &[0x0c, 0]), Skip::NotIp, 0x88e5);
    check(1, &behind(0x8864, &[0x11, 0, 0, 1, 0, 0, 0xc0, 0x21]), Skip::NotIp, 0x1_c021);
    check(1, &behind(0x8864, &[0x11, 9, 0, 1, 0, 0]), Skip::NotIp, 0x8864);
    check(1, &behind(0x0026, &[0x42, 0x42, 3]), Skip::Llc, 0x42);
    check(1, &behind(0x0026, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]), Skip::Llc, 0xaa);
    check(1, &behind(0x8100, &[0, 5, 0x81, 0].repeat(10)), Skip::TooManyTags, 0x8100);
    check(101, &tail, Skip::NotIp, number::NO_VERSION);
    check(105, &[&[0x80, 0][..], &tail].concat(), Skip::NotIp, number::WIRELESS_MANAGEMENT);
    check(105, &[&[0x08, 0x41][..], &tail].concat(), Skip::NotIp, number::WIRELESS_ENCRYPTED);
    let continuation = [&[0x55; 6][..], &[0x61, 0xe6], &tail].concat();
    check(274, &continuation, Skip::NotIp, number::CONTINUATION);
}

#[test]
fn link_types_of_captures() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let header = [0x08, 1, 0, 0];
    let addresses = [2; 20];
    let quality = [0x88, 1, 0, 0];
    let data = [&header[..], &addresses, &snap].concat();
    let with_quality = [&quality[..], &addresses, &[0, 0], &snap].concat();
    let four = [&[0x08, 3, 0, 0][..], &addresses, &[2; 6], &snap].concat();
    let radiotap = |present: u32, fields: &[u8]| {
        let mut bytes = Vec::from([0, 0]);
        bytes.extend((8 + fields.len() as u16).to_le_bytes());
        bytes.extend(present.to_le_bytes());
        bytes.extend(fields);
        bytes
    };
    let padded =
        [&radiotap(3, &[0, 0, 0, 0, 0, 0, 0, 0, 0x20]), &with_quality[..26], &[0, 0], &snap];
    let nflog_little = [2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 3, 0, 5, 0, 10, 0, 1, 0, 0, 0, 144, 0, 9, 0];
    let nflog_big = [2, 0, 0, 0, 0, 8, 0, 1, 8, 0, 3, 0, 0, 144, 0, 9];
    for (name, link, header) in [
        ("PPP", 9, Vec::from([0, 0x21])),
        ("PPP with HDLC", 9, Vec::from([0xff, 3, 0, 0x21])),
        ("PPP, a short protocol", 50, Vec::from([0xff, 3, 0x21])),
        ("PPP with HDLC, Cisco's", 50, Vec::from([0x0f, 0, 8, 0])),
        ("PPP with a direction", 204, Vec::from([1, 0xff, 3, 0, 0x21])),
        ("PPPoE", 51, Vec::from([0x11, 0, 0, 1, 0, 0, 0, 0x21])),
        ("C-HDLC", 104, Vec::from([0x8f, 0, 8, 0])),
        ("NFLOG, little-endian", 239, Vec::from(nflog_little)),
        ("NFLOG, big-endian", 239, Vec::from(nflog_big)),
        ("802.11", 105, data.clone()),
        ("802.11 with quality of service", 105, with_quality.clone()),
        ("802.11, four addresses", 105, four),
        ("radiotap", 127, [&radiotap(0, &[])[..], &data].concat()),
        ("radiotap with flags", 127, [&radiotap(2, &[0, 0])[..], &with_quality].concat()),
        ("radiotap, a padded header", 127, padded.concat()),
        ("radiotap, two words", 127, [&radiotap(1 << 31, &[0; 4])[..], &data].concat()),
        ("802.3br, express", 274, [&[0x55; 7][..], &[0xd5], &[2; 12], &[8, 0]].concat()),
        ("802.3br, a start", 274, [&[0x55; 7][..], &[0xe6], &[2; 12], &[8, 0]].concat()),
        ("cooked, SNAP", 113, [&[0; 14][..], &[0, 4], &snap].concat()),
    ] {
        let frame = [&header[..], &ipv4(6, 0, 0, &tcp(100))].concat();
        let packet = recorded(link, &frame, frame.len(), Decapsulation::NONE);
        let packet = packet.unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
        assert_eq!((ports(&packet), packet.ip_bytes), ([40_000, 443], 140), "{name}");
        for length in 0..header.len() {
            let cut = recorded(link, &frame[..length], frame.len(), Decapsulation::NONE);
            assert!(cut.is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn tunnels_are_opened_where_the_options_say_so() {
    let packet = ipv4(6, 0, 0, &tcp(100));
    let frame = ethernet(0x0800, &packet);
    let to = |port: u16, header: &[u8], inside: &[u8]| {
        let mut datagram = udp(0);
        datagram[2..4].copy_from_slice(&port.to_be_bytes());
        (17, [&datagram, header, inside].concat())
    };
    let gre = |header: &[u8], inside: &[u8]| (47, [header, inside].concat());
    let none = Decapsulation::NONE;
    let geneve = Decapsulation { geneve: true, ..none };
    let erspan = Decapsulation { erspan: true, ..none };
    let l2tp = Decapsulation { l2tp: true, ..none };
    let ip_in_ip = Decapsulation { ip_in_ip: true, ..none };
    let v6 = ipv6(6, &tcp(80));
    for (name, open, (number, payload)) in [
        ("IP-in-IP", ip_in_ip, (4, packet.clone())),
        ("6in4", ip_in_ip, (41, v6.clone())),
        ("GENEVE", geneve, to(6081, &[0, 0, 0x65, 0x58, 0, 0, 5, 0], &frame)),
        ("GENEVE, IP", geneve, to(6081, &[0, 0, 8, 0, 0, 0, 5, 0], &packet)),
        (
            "GENEVE, options",
            geneve,
            to(6081, &[2, 0, 8, 0, 0, 0, 5, 0, 1, 1, 1, 1, 0, 0, 0, 0], &packet),
        ),
        ("ERSPAN I", erspan, gre(&[0, 0, 0x88, 0xbe], &frame)),
        (
            "ERSPAN II",
            erspan,
            gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0], &frame),
        ),
        (
            "ERSPAN III",
            erspan,
            gre(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 11], &[0]].concat(), &frame),
        ),
        (
            "ERSPAN III, more",
            erspan,
            gre(
                &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 11], &[1], &[0; 8]].concat(),
                &frame,
            ),
        ),
        ("L2TP", l2tp, to(1701, &[0, 2, 0, 1, 0, 1, 0, 0x21], &packet)),
        (
            "L2TP with all",
            l2tp,
            to(1701, &[0x4a, 2, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 3, 0x21], &packet),
        ),
    ] {
        let frame = ethernet(0x0800, &ipv4(number, 0, 0, &payload));
        let read = |open| recorded(1, &frame, frame.len(), open).unwrap();
        assert_eq!((ports(&read(open)), read(open).ip_bytes), ([40_000, 443], 140), "{name}");
        for closed in [none, Decapsulation { gre: open.l2tp, vxlan: true, gtp_u: true, ..none }] {
            assert_eq!(read(closed).key.protocol, number, "{name}");
        }
    }
    let control =
        ethernet(0x0800, &ipv4(17, 0, 0, &to(1701, &[0xc8, 2, 0, 12, 0, 1, 0, 0], &[]).1));
    assert_eq!(ports(&recorded(1, &control, control.len(), l2tp).unwrap()), [40_000, 1701]);
}

#[test]
fn the_bits_of_the_tunnels_are_read_back() {
    for bits in 0..=Decapsulation::ALL.bits() {
        assert_eq!(Decapsulation::from_bits(bits).bits(), bits);
    }
    assert_eq!(Decapsulation::ALL.bits().count_ones(), 7);
}

/// A length of 0 is as long as the frame, where that is longer than padding makes it.
#[test]
fn packets_from_before_segmentation() {
    let check = |mut packet: Vec<u8>, length_at: usize, expected: Result<u32, Skip>| {
        packet[length_at..length_at + 2].fill(0);
        let ethertype = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        let frame = ethernet(ethertype, &packet);
        assert_eq!(read(&frame).map(|packet| packet.ip_bytes), expected);
        let captured = recorded(1, &frame, frame.len(), Decapsulation::NONE);
        assert_eq!(captured.map(|packet| packet.ip_bytes), expected);
    };
    check(ipv4(6, 0, 0, &tcp(20_000)), 2, Ok(20_040));
    check(ipv4(17, 0, 0, &udp(20_000)), 2, Ok(20_028));
    check(ipv4(6, 0, 0, &tcp(0)), 2, Err(Skip::BadHeaderLength));
    check(ipv6(6, &tcp(20_000)), 4, Ok(20_060));
    check(ipv6(6, &tcp(200_000)), 4, Ok(200_060));
    check(ipv6(0, &[&[6, 0, 0xc2, 4, 0, 0, 0x4e, 0x3c][..], &tcp(20_000)].concat()), 4, Ok(20_068));
    check(ipv6(59, &[0; 40]), 4, Ok(40));
    check(ipv6(17, &[0; 6]), 4, Ok(40));
    // A record that claims 4 GB is not believed.
    let mut packet = ipv4(6, 0, 0, &tcp(0));
    packet[2..4].fill(0);
    let frame = ethernet(0x0800, &packet);
    let claimed = recorded(1, &frame, u32::MAX as usize, Decapsulation::NONE);
    assert_eq!(claimed, Err(Skip::BadHeaderLength));
}

/// Captured in part: what the record keeps and what it says of its length on the wire.
#[test]
fn captures_in_part() {
    let v4 = ethernet(0x0800, &ipv4(6, 0, 0, &tcp(1_000)));
    let v6 = ethernet(0x86dd, &ipv6(6, &tcp(1_000)));
    let tagged = ethernet(0x8100, &[&[0, 5, 0x86, 0xdd][..], &ipv6(6, &tcp(1_000))].concat());
    let datagram = ethernet(0x86dd, &ipv6(17, &udp(1_000)));
    for (name, frame, shortest) in
        [("v4", &v4, 38), ("v6", &v6, 58), ("tagged v6", &tagged, 62), ("udp", &datagram, 58)]
    {
        let whole = recorded(1, frame, frame.len(), Decapsulation::NONE).unwrap();
        for kept in shortest..frame.len() {
            for wire_len in [frame.len(), kept] {
                let read = recorded(1, &frame[..kept], wire_len, Decapsulation::NONE).unwrap();
                let what = std::format!("{name}: {kept} of {wire_len}");
                assert_eq!((read.key, read.ip_bytes), (whole.key, whole.ip_bytes), "{what}");
                assert_eq!(read.payload_bytes, whole.payload_bytes, "{what}");
                assert_eq!(read.frame_bytes, whole.frame_bytes, "{what}");
            }
        }
    }
    // The flags stand at the end of 14 bytes of TCP.
    let cut = recorded(1, &v6[..68], v6.len(), Decapsulation::NONE).unwrap();
    assert_eq!((cut.tcp_flags, cut.sequence), (0x18, 9));
    // On a hook nothing was cut; and a record that knows its length on the wire is believed.
    let short = &v4[..100];
    assert_eq!(read(short), Err(Skip::BadLength));
    assert_eq!(recorded(1, short, 200, Decapsulation::NONE), Err(Skip::BadLength));
}

/// A first fragment of eight bytes has ports (RFC 1858).
#[test]
fn a_tiny_fragment_has_ports() {
    let packet = read(&ethernet(0x0800, &ipv4(6, 0, 0x2000, &tcp(0)[..8]))).unwrap();
    assert_eq!((ports(&packet), packet.payload_bytes), ([40_000, 443], 0));
}
