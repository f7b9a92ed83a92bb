//! From a frame to the packet it carries, or to the reason why there is none.
//!
//! Every IP byte lands in a flow: where the transport header cannot be read (a later fragment, a
//! short capture, a chain of extension headers beyond the bound) the packet is accounted with
//! ports 0. Only what is not IP, or whose IP header contradicts itself, is skipped.
//!
//! The code is straight lines and bounded loops because the verifier walks every path of it.

pub mod protocol;

use crate::flow::{Address, Direction, FlowKey};
use crate::frame::{Frame, LinkType, Word};

/// VLAN tags read before a frame is given up: one 802.1Q tag inside one 802.1ad tag, and one to
/// spare.
const MAX_TAGS: usize = 3;
/// IPv6 extension headers read before the packet is accounted by address only. RFC 8504 lets a
/// host limit them; eight is what common stacks accept.
const MAX_EXTENSIONS: usize = 8;
/// GTP-U extension headers read; 5G uses one.
const MAX_GTP_EXTENSIONS: usize = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;
const ETHERTYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;
/// Below this an EtherType field is an 802.3 length (IEEE 802.3 clause 3.2.6).
const ETHERTYPE_MIN: u16 = 0x0600;

/// TCP flag bits as they stand in the header.
pub mod tcp {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// Why a frame belongs to no flow. The value is the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Skip {
    /// The frame ends inside its link-layer header.
    TruncatedLink = 0,
    /// ARP.
    Arp = 1,
    /// An 802.3 length field instead of an EtherType: LLC, spanning tree.
    Llc = 2,
    /// Any other EtherType, address family or version nibble that is not IP.
    NotIp = 3,
    /// More VLAN tags than are read.
    TooManyTags = 4,
    /// The frame ends inside its IP header.
    TruncatedIp = 5,
    /// The version nibble contradicts the link layer.
    BadVersion = 6,
    /// An IPv4 header length below 20 bytes or beyond the packet.
    BadHeaderLength = 7,
    /// An IP length beyond the frame.
    BadLength = 8,
}

impl Skip {
    pub const COUNT: usize = 9;
    /// The counters' names, in the order of their values.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "truncated_link",
        "arp",
        "llc",
        "not_ip",
        "too_many_tags",
        "truncated_ip",
        "bad_version",
        "bad_header_length",
        "bad_length",
    ];
}

/// Which tunnels are opened so that the inner packet is accounted instead of the outer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decapsulation {
    pub vxlan: bool,
    pub gre: bool,
    pub gtp_u: bool,
}

impl Decapsulation {
    pub const VXLAN_BIT: u32 = 1;
    pub const GRE_BIT: u32 = 2;
    pub const GTP_U_BIT: u32 = 4;

    #[inline(always)]
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self {
            vxlan: bits & Self::VXLAN_BIT != 0,
            gre: bits & Self::GRE_BIT != 0,
            gtp_u: bits & Self::GTP_U_BIT != 0,
        }
    }

    #[must_use]
    pub fn bits(self) -> u32 {
        let mut bits = 0;
        if self.vxlan {
            bits |= Self::VXLAN_BIT;
        }
        if self.gre {
            bits |= Self::GRE_BIT;
        }
        if self.gtp_u {
            bits |= Self::GTP_U_BIT;
        }
        bits
    }
}

/// Where a packet stands in its datagram. The identification is a field of [`Packet`]: inside the
/// enum it would be undefined where there is none, and the verifier refuses to read such a register
/// (`!read_ok`, Linux 6.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fragment {
    None = 0,
    /// Carries the transport header.
    First = 1,
    /// Does not; its ports are those of the first with the same identification.
    Later = 2,
}

/// One IP packet, or one super-packet that stands for several.
///
/// The programs keep it in a map, not on their stack: what the verifier cannot see into it does not
/// have to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    pub key: FlowKey,
    pub direction: Direction,
    /// TCP flags; 0 elsewhere.
    pub tcp_flags: u8,
    /// ICMP and ICMPv6 type and code (`type << 8 | code`); 0 elsewhere.
    pub icmp: u16,
    /// Frames on the wire.
    pub segments: u32,
    /// Bytes on the wire, all segments, link and encapsulation headers and padding included.
    pub frame_bytes: u32,
    /// IP bytes on the wire, all segments, headers included.
    pub ip_bytes: u32,
    /// IP bytes of one segment; the last of several may be smaller.
    pub segment_bytes: u32,
    /// Transport payload bytes, all segments.
    pub payload_bytes: u32,
    /// Where the IP header starts in the frame.
    pub ip_offset: u32,
    /// Where the transport payload starts in the frame.
    pub payload_offset: u32,
    /// TCP sequence number; 0 elsewhere.
    pub sequence: u32,
    pub fragment: Fragment,
    /// What the fragments of one datagram share; 0 for a whole one.
    pub identification: u32,
}

impl Packet {
    /// What [`parse`] fills in.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            key: FlowKey::default(),
            direction: Direction::FromLow,
            tcp_flags: 0,
            icmp: 0,
            segments: 0,
            frame_bytes: 0,
            ip_bytes: 0,
            segment_bytes: 0,
            payload_bytes: 0,
            ip_offset: 0,
            payload_offset: 0,
            sequence: 0,
            fragment: Fragment::None,
            identification: 0,
        }
    }
}

/// Reads a frame down to its transport header into `packet`, which is whole only where the result
/// is `Ok`.
///
/// # Errors
///
/// The reason why the frame belongs to no flow.
#[inline(always)]
pub fn parse<F: Frame>(
    frame: &F,
    link: LinkType,
    decapsulation: Decapsulation,
    packet: &mut Packet,
) -> Result<(), Skip> {
    if !(link == LinkType::Ethernet && plain(frame, packet)) {
        general(frame, link, packet)?;
    }
    if decapsulation != Decapsulation::default() {
        decapsulate(frame, decapsulation, packet);
    }
    Ok(())
}

/// Everything that [`plain`] is not. A function of its own in the program: its many variables would
/// otherwise push those of the hot path onto the stack.
#[inline(never)]
fn general<F: Frame>(frame: &F, link: LinkType, packet: &mut Packet) -> Result<(), Skip> {
    let (family, offset) = link_header(frame, link)?;
    network(frame, family, offset, packet)
}

/// What most frames are: Ethernet without tags, IPv4 without options or fragments, TCP or UDP. One
/// comparison with the frame's end and fixed offsets, half the cost of the general way; false,
/// with nothing said about why, where the frame is anything else.
#[inline(always)]
fn plain<F: Frame>(frame: &F, packet: &mut Packet) -> bool {
    const IP: u32 = 14;
    const TRANSPORT: u32 = IP + 20;
    let Some([first, second, third, source, destination, ports, sequence, _, flags, _]) =
        frame.load(IP as usize)
    else {
        return false;
    };
    let Some([ethertype]) = frame.load(12) else { return false };
    let ip_len = u32::from(lower(first));
    let protocol = byte(third, 1);
    let header_len = match protocol {
        protocol::TCP => u32::from(byte(flags, 0) >> 4) * 4,
        protocol::UDP => 8,
        _ => return false,
    };
    if upper(ethertype) != ETHERTYPE_IPV4
        || byte(first, 0) != 0x45
        || lower(second) & 0x3fff != 0
        || (protocol == protocol::TCP && header_len < 20)
        || ip_len < 20 + header_len
        || ip_len > frame.wire_len().wrapping_sub(IP)
    {
        return false;
    }
    packet.ip_offset = IP;
    packet.payload_offset = TRANSPORT + header_len;
    packet.fragment = Fragment::None;
    packet.identification = 0;
    packet.icmp = 0;
    (packet.sequence, packet.tcp_flags) =
        if protocol == protocol::TCP { (u32::from_be(sequence), byte(flags, 1)) } else { (0, 0) };
    (packet.key, packet.direction) =
        FlowKey::canonical(Address::mapped(source), Address::mapped(destination), ports, protocol);
    packet.measure(frame, ip_len);
    true
}

/// Replaces a tunnel's packet by the one it carries. What is no packet inside leaves the tunnel's
/// own. A function of its own in the program, so that its stack is not the hot path's.
#[inline(never)]
fn decapsulate<F: Frame>(frame: &F, decapsulation: Decapsulation, packet: &mut Packet) {
    if let Some((family, offset)) = inner(frame, packet, decapsulation)
        && network(frame, family, frame.forget(offset), packet).is_err()
    {
        // Nothing is written before the inner header proves sound.
    }
}

/// The frames and bytes on the wire that a skipped frame stands for.
#[inline(always)]
pub fn skipped_frames<F: Frame>(frame: &F) -> (u32, u32) {
    let count = frame.segmentation().count.max(1);
    (count, frame.wire_len() + count * frame.stripped_bytes())
}

/// Which IP header follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Packet {
    /// Adds up what the segments of a super-packet weigh on the wire: each repeats the headers
    /// through the transport header. `ip_len` is the length of the packet as handed over.
    #[inline(always)]
    fn measure<F: Frame>(&mut self, frame: &F, ip_len: u32) {
        let headers = self.payload_offset - self.ip_offset;
        let payload_bytes = ip_len.saturating_sub(headers);
        let segmentation = frame.segmentation();
        self.payload_bytes = payload_bytes;
        self.frame_bytes = frame.wire_len();
        if segmentation.size == 0 {
            self.segments = 1;
            self.segment_bytes = ip_len;
            self.ip_bytes = ip_len;
        } else {
            let count = match segmentation.count {
                0 => payload_bytes.div_ceil(segmentation.size).max(1),
                count => count,
            };
            self.segments = count;
            self.segment_bytes = (segmentation.size + headers).min(ip_len);
            self.ip_bytes = ip_len + (count - 1) * headers;
            self.frame_bytes += (count - 1) * self.payload_offset;
        }
        self.frame_bytes += self.segments * frame.stripped_bytes();
    }
}

/// The IP family and where its header starts.
#[inline(always)]
fn link_header<F: Frame>(frame: &F, link: LinkType) -> Result<(Family, usize), Skip> {
    match link {
        LinkType::Ethernet => ethernet(frame, 0),
        LinkType::Raw => {
            let [first] = frame.load(0).ok_or(Skip::TruncatedIp)?;
            match u32::from_be(first) >> 28 {
                4 => Ok((Family::V4, 0)),
                6 => Ok((Family::V6, 0)),
                _ => Err(Skip::NotIp),
            }
        }
        LinkType::Null => {
            let [family] = frame.load(0).ok_or(Skip::TruncatedLink)?;
            // AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 on the BSDs, 10 on Linux. The
            // field is in the writer's byte order.
            match u32::from_be(family).min(u32::from_le(family)) {
                2 => Ok((Family::V4, 4)),
                10 | 24 | 28 | 30 => Ok((Family::V6, 4)),
                _ => Err(Skip::NotIp),
            }
        }
        LinkType::LinuxCooked1 => {
            let [word] = frame.load(12).ok_or(Skip::TruncatedLink)?;
            tagged(frame, lower(word), 16)
        }
        LinkType::LinuxCooked2 => {
            let [word] = frame.load(0).ok_or(Skip::TruncatedLink)?;
            // The header is 20 bytes long; a shorter frame has no IP header either.
            tagged(frame, upper(word), 20)
        }
    }
}

#[inline(always)]
fn ethernet<F: Frame>(frame: &F, offset: usize) -> Result<(Family, usize), Skip> {
    // The EtherType and two bytes of what follows.
    let [word] = frame.load(offset + 12).ok_or(Skip::TruncatedLink)?;
    tagged(frame, upper(word), offset + 14)
}

/// The first two bytes of a word.
#[inline(always)]
fn upper(word: Word) -> u16 {
    (u32::from_be(word) >> 16) as u16
}

/// The last two bytes of a word.
#[inline(always)]
fn lower(word: Word) -> u16 {
    u32::from_be(word) as u16
}

/// One byte of a word, counted from 0.
#[inline(always)]
fn byte(word: Word, index: u32) -> u8 {
    (u32::from_be(word) >> (24 - 8 * index)) as u8
}

/// Steps over VLAN tags.
#[inline(always)]
fn tagged<F: Frame>(
    frame: &F,
    mut ethertype: u16,
    mut offset: usize,
) -> Result<(Family, usize), Skip> {
    // The stack takes the outer tag off before tc; it counts all the same.
    let stripped = usize::from(frame.stripped_bytes() != 0);
    for read in 0..MAX_TAGS {
        match ethertype {
            ETHERTYPE_IPV4 => return Ok((Family::V4, offset)),
            ETHERTYPE_IPV6 => return Ok((Family::V6, offset)),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => {
                if read + stripped >= MAX_TAGS {
                    return Err(Skip::TooManyTags);
                }
                let [tag] = frame.load(offset).ok_or(Skip::TruncatedLink)?;
                ethertype = lower(tag);
                offset += 4;
            }
            ETHERTYPE_ARP => return Err(Skip::Arp),
            0..ETHERTYPE_MIN => return Err(Skip::Llc),
            _ => return Err(Skip::NotIp),
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => Ok((Family::V4, offset)),
        ETHERTYPE_IPV6 => Ok((Family::V6, offset)),
        _ => Err(Skip::TooManyTags),
    }
}

#[inline(always)]
fn network<F: Frame>(
    frame: &F,
    family: Family,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Skip> {
    match family {
        Family::V4 => ipv4(frame, offset, packet),
        Family::V6 => ipv6(frame, offset, packet),
    }
}

/// The bytes from `offset` to the end of the frame as it was on the wire.
#[inline(always)]
fn rest<F: Frame>(frame: &F, offset: usize) -> u32 {
    frame.wire_len().saturating_sub(offset as u32)
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Skip> {
    let [first, second, third, source, destination] =
        frame.load(offset).ok_or(Skip::TruncatedIp)?;
    if byte(first, 0) >> 4 != 4 {
        return Err(Skip::BadVersion);
    }
    let header_len = usize::from(byte(first, 0) & 0x0f) * 4;
    let available = rest(frame, offset);
    let total = u32::from(lower(first));
    // A length of 0 on a super-packet means that it is too long for the field (BIG TCP).
    let ip_len = if total == 0 && frame.segmentation().size != 0 { available } else { total };
    if header_len < 20 || header_len as u32 > ip_len {
        return Err(Skip::BadHeaderLength);
    }
    if ip_len > available {
        return Err(Skip::BadLength);
    }
    let fragment = if lower(second) & 0x1fff != 0 {
        Fragment::Later
    } else if lower(second) & 0x2000 != 0 {
        Fragment::First
    } else {
        Fragment::None
    };
    let identification = if fragment == Fragment::None { 0 } else { u32::from(upper(second)) };
    let protocol = byte(third, 1);
    packet.ip_offset = offset as u32;
    packet.fragment = fragment;
    packet.identification = identification;
    let end = offset + ip_len as usize;
    // Before Linux 6.8 the verifier goes on where a length of 0 holds a header of 20, of which it
    // then knows nothing ("math between pkt pointer and register with unbounded min value").
    let ports = transport(frame, protocol, frame.forget(offset + header_len), end, packet);
    (packet.key, packet.direction) =
        FlowKey::canonical(Address::mapped(source), Address::mapped(destination), ports, protocol);
    // A TCP header may claim more than the packet holds.
    packet.payload_offset = packet.payload_offset.min(end as u32);
    packet.measure(frame, ip_len);
    Ok(())
}

#[inline(always)]
fn ipv6<F: Frame>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Skip> {
    let [first, second, a, b, c, d, e, f, g, h] = frame.load(offset).ok_or(Skip::TruncatedIp)?;
    if byte(first, 0) >> 4 != 6 {
        return Err(Skip::BadVersion);
    }
    let available = rest(frame, offset);
    let payload = u32::from(upper(second));
    let next = byte(second, 2);
    // 0 is a packet with nothing after the header, except on a super-packet and on a jumbogram
    // (RFC 2675), where the frame knows.
    let jumbo = payload == 0 && (frame.segmentation().size != 0 || next == protocol::HOP_BY_HOP);
    let ip_len = if jumbo { available } else { payload + 40 };
    if ip_len > available {
        return Err(Skip::BadLength);
    }
    let end = offset + ip_len as usize;
    let chain = extensions(frame, next, offset + 40, end);
    packet.ip_offset = offset as u32;
    packet.fragment = chain.fragment;
    packet.identification = chain.identification;
    let ports = transport(frame, chain.protocol, chain.offset, end, packet);
    (packet.key, packet.direction) = FlowKey::canonical(
        Address::from_words([a, b, c, d]),
        Address::from_words([e, f, g, h]),
        ports,
        chain.protocol,
    );
    // Extension headers may claim more than the packet holds.
    packet.payload_offset = packet.payload_offset.min(end as u32);
    packet.measure(frame, ip_len);
    Ok(())
}

/// Where a chain of IPv6 extension headers ends.
struct Chain {
    protocol: u8,
    offset: usize,
    fragment: Fragment,
    identification: u32,
}

/// Walks the extension headers of RFC 8200 section 4. The walk ends early, with the last header's
/// own number, where the packet ends or the bound is reached.
#[inline(always)]
fn extensions<F: Frame>(frame: &F, first: u8, start: usize, end: usize) -> Chain {
    let mut chain =
        Chain { protocol: first, offset: start, fragment: Fragment::None, identification: 0 };
    for _ in 0..MAX_EXTENSIONS {
        chain.offset = frame.forget(chain.offset);
        if chain.offset + 8 > end {
            break;
        }
        match chain.protocol {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6 => {
                let Some([word]) = frame.load(chain.offset) else {
                    break;
                };
                chain.protocol = byte(word, 0);
                chain.offset += (usize::from(byte(word, 1)) + 1) * 8;
            }
            protocol::AUTHENTICATION => {
                let Some([word]) = frame.load(chain.offset) else {
                    break;
                };
                chain.protocol = byte(word, 0);
                chain.offset += (usize::from(byte(word, 1)) + 2) * 4;
            }
            protocol::FRAGMENT => {
                let Some([word, identification]) = frame.load(chain.offset) else {
                    break;
                };
                let place = lower(word);
                chain.protocol = byte(word, 0);
                chain.offset += 8;
                if place & 0xfff8 != 0 {
                    // What follows is payload, whatever the number says.
                    chain.fragment = Fragment::Later;
                    chain.identification = u32::from_be(identification);
                    break;
                }
                // An atomic fragment (RFC 6946) is a whole packet.
                if place & 1 != 0 {
                    chain.fragment = Fragment::First;
                    chain.identification = u32::from_be(identification);
                }
            }
            _ => break,
        }
    }
    chain
}

/// Reads the transport header of a packet that ends at `end`, and returns its ports as
/// they stand in it. All is zero but the payload's place where there is no header to read.
#[inline(always)]
fn transport<F: Frame>(
    frame: &F,
    number: u8,
    offset: usize,
    end: usize,
    packet: &mut Packet,
) -> u32 {
    packet.payload_offset = offset as u32;
    packet.sequence = 0;
    packet.tcp_flags = 0;
    packet.icmp = 0;
    if packet.fragment == Fragment::Later {
        return 0;
    }
    // Beyond the IP packet there is padding, which must not be read as ports.
    let room = end.saturating_sub(offset);
    match number {
        protocol::TCP if room >= 20 => {
            let Some([ports, sequence, _, flags, _]) = frame.load(offset) else { return 0 };
            let header_len = u32::from(byte(flags, 0) >> 4) * 4;
            packet.payload_offset += if header_len < 20 { 20 } else { header_len };
            packet.sequence = u32::from_be(sequence);
            packet.tcp_flags = byte(flags, 1);
            ports
        }
        protocol::DCCP if room >= 12 => {
            let Some([ports, second, _]) = frame.load(offset) else { return 0 };
            // RFC 4340 section 5.1: the data offset counts words from the header's start.
            let header_len = u32::from(byte(second, 0)) * 4;
            packet.payload_offset += if header_len < 12 { 12 } else { header_len };
            ports
        }
        protocol::ICMP | protocol::ICMPV6 if room >= 8 => {
            let Some([first, second]) = frame.load(offset) else { return 0 };
            packet.payload_offset += 8;
            packet.icmp = upper(first);
            // Echo request and reply (RFC 792, RFC 4443) carry an identifier, which stands in for
            // both ports: request and reply meet in one flow.
            let echo = matches!(
                (number, byte(first, 0)),
                (protocol::ICMP, 0 | 8) | (protocol::ICMPV6, 128 | 129)
            );
            let identifier = if echo { u32::from(upper(second)) } else { 0 };
            (identifier << 16 | identifier).to_be()
        }
        _ => {
            let header_len = protocol::port_header_bytes(number);
            if header_len == 0 || room < header_len as usize {
                return 0;
            }
            let Some([ports, _]) = frame.load(offset) else { return 0 };
            packet.payload_offset += header_len;
            ports
        }
    }
}

const VXLAN_PORT: u16 = 4789;
/// What Linux used before the assignment, and still does by default.
const VXLAN_PORT_LINUX: u16 = 8472;
const GTP_U_PORT: u16 = 2152;

/// Where the packet inside a tunnel starts, if the options open that tunnel and it carries one.
#[inline(always)]
fn inner<F: Frame>(
    frame: &F,
    outer: &Packet,
    decapsulation: Decapsulation,
) -> Option<(Family, usize)> {
    if outer.fragment != Fragment::None {
        return None;
    }
    let payload = frame.forget(outer.payload_offset as usize);
    match outer.key.protocol {
        protocol::GRE if decapsulation.gre => gre(frame, payload),
        protocol::UDP => match u16::from_be_bytes(outer.key.destination(outer.direction).1) {
            VXLAN_PORT | VXLAN_PORT_LINUX if decapsulation.vxlan => {
                // RFC 7348 section 5: the I flag says that the network identifier is valid.
                let [flags, _] = frame.load(payload)?;
                if byte(flags, 0) & 0x08 == 0 {
                    return None;
                }
                ethernet(frame, payload + 8).ok()
            }
            GTP_U_PORT if decapsulation.gtp_u => gtp_u(frame, payload),
            _ => None,
        },
        _ => None,
    }
}

/// RFC 2784 and RFC 2890: version 0, optional checksum, key and sequence number.
#[inline(always)]
fn gre<F: Frame>(frame: &F, offset: usize) -> Option<(Family, usize)> {
    let [header] = frame.load(offset)?;
    if byte(header, 1) & 0x07 != 0 {
        return None;
    }
    // Checksum, key, sequence number: four bytes each.
    let optional = (byte(header, 0) & 0xb0).count_ones() as usize;
    let payload = offset + 4 + optional * 4;
    match lower(header) {
        ETHERTYPE_TRANSPARENT_BRIDGING => ethernet(frame, payload).ok(),
        ethertype => tagged(frame, ethertype, payload).ok(),
    }
}

/// 3GPP TS 29.281 section 5.1: version 1, message type 255 carries a user packet.
#[inline(always)]
fn gtp_u<F: Frame>(frame: &F, offset: usize) -> Option<(Family, usize)> {
    let [header, _] = frame.load(offset)?;
    if byte(header, 0) >> 5 != 1 || byte(header, 1) != 255 {
        return None;
    }
    let mut payload = offset + 8;
    if byte(header, 0) & 0x07 != 0 {
        // Sequence number, N-PDU number, next extension type: present together.
        let [word] = frame.load(payload)?;
        payload += 4;
        let mut next = byte(word, 3);
        for _ in 0..MAX_GTP_EXTENSIONS {
            if next == 0 {
                break;
            }
            payload = frame.forget(payload);
            let [word] = frame.load(payload)?;
            let length = usize::from(byte(word, 0)) * 4;
            if length == 0 {
                return None;
            }
            // The last byte of an extension is the type of the next.
            let [word] = frame.load(frame.forget(payload + length - 4))?;
            payload += length;
            next = byte(word, 3);
        }
        if next != 0 {
            return None;
        }
    }
    payload = frame.forget(payload);
    let [first] = frame.load(payload)?;
    match byte(first, 0) >> 4 {
        4 => Some((Family::V4, payload)),
        6 => Some((Family::V6, payload)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::{Decapsulation, Fragment, Packet, Skip, general, parse, plain, protocol};
    use crate::frame::{Captured, LinkType};

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

    fn read(bytes: &[u8]) -> Result<Packet, Skip> {
        let mut packet = Packet::empty();
        let frame = Captured::whole(bytes);
        parse(&frame, LinkType::Ethernet, Decapsulation::default(), &mut packet)?;
        Ok(packet)
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
            let (_, source) = packet.key.source(packet.direction);
            let (_, destination) = packet.key.destination(packet.direction);
            let ports = [source, destination].map(u16::from_be_bytes);
            let actual = (packet.key.protocol, ports, packet.ip_bytes, packet.payload_bytes);
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
        check(&ethernet(0x8847, &[0; 38]), Skip::NotIp);
        check(&ethernet(0x8100, &[0, 1, 0x81, 0].repeat(4)), Skip::TooManyTags);
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
            let frame = Captured { bytes, wire_len: wire_len as u32 };
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
}
