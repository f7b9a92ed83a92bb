//! From a frame to the packet it carries, or to the reason why there is none.
//!
//! Every IP byte lands in a flow: where the transport header cannot be read (a later fragment, a
//! short capture, a chain of extension headers beyond the bound) the packet is accounted with
//! ports 0. Only what is not IP, or whose IP header contradicts itself, is skipped.
//!
//! The code is straight lines and bounded loops because the verifier walks every path of it.

mod link;
pub mod protocol;
mod recorded;
#[cfg(test)]
mod tests;
mod tunnel;

pub use link::number;
pub use tunnel::Tunnel;

use crate::flow::{Address, Direction, FlowKey};
use crate::frame::{Frame, LinkType, Word};
use link::ETHERTYPE_IPV4;

/// IPv6 extension headers read before the packet is accounted by address only. RFC 8504 lets a
/// host limit them; eight is what common stacks accept.
const MAX_EXTENSIONS: usize = 8;
/// The shortest frame of Ethernet without its check sequence. A packet that a stack hands over before
/// it cuts it into segments is longer, and padding is never.
const MIN_FRAME: u32 = 60;
/// Longer than what any stack hands over at once, which is 512 KiB.
const MAX_FRAME: u32 = 1 << 20;

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
    /// An 802.3 length field instead of an EtherType, and no IP behind it: spanning tree.
    Llc = 2,
    /// Any other EtherType, address family or version nibble that is not IP.
    NotIp = 3,
    /// More tags and labels than are read.
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

impl Skip {
    /// Whether [`Packet::unopened`] says what the frame is instead.
    #[inline(always)]
    #[must_use]
    pub fn is_unopened(self) -> bool {
        matches!(self, Self::Llc | Self::NotIp | Self::TooManyTags)
    }
}

/// Which tunnels are opened so that the inner packet is accounted instead of the outer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decapsulation {
    pub vxlan: bool,
    pub gre: bool,
    pub gtp_u: bool,
    /// IPv4 or IPv6 in IPv4 or IPv6: IP-in-IP, 6in4, 4in6.
    pub ip_in_ip: bool,
    pub geneve: bool,
    /// Mirrored frames in GRE.
    pub erspan: bool,
    /// Version 2, which carries PPP.
    pub l2tp: bool,
}

impl Decapsulation {
    pub const NONE: Self = Self::from_bits(0);
    pub const ALL: Self = Self::from_bits(0x7f);

    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            vxlan: bits & 1 != 0,
            gre: bits & 2 != 0,
            gtp_u: bits & 4 != 0,
            ip_in_ip: bits & 8 != 0,
            geneve: bits & 16 != 0,
            erspan: bits & 32 != 0,
            l2tp: bits & 64 != 0,
        }
    }

    #[must_use]
    pub fn bits(self) -> u32 {
        let Self { vxlan, gre, gtp_u, ip_in_ip, geneve, erspan, l2tp } = self;
        let bits = [vxlan, gre, gtp_u, ip_in_ip, geneve, erspan, l2tp];
        bits.into_iter().zip(0..).map(|(bit, place)| u32::from(bit) << place).sum()
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
    /// Of a frame that is refused as no IP: what it is instead, see [`number`].
    pub unopened: u32,
    /// 1: a link header has an integrity check over the packet, which must stay as it is. Says
    /// nothing where the IP header stands right behind an Ethernet header.
    pub sealed: u32,
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
            unopened: 0,
            sealed: 0,
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
    let place = link::locate(frame, link);
    let (family, offset) = match place.read() {
        Ok(found) => found,
        Err((skip, number)) => {
            packet.unopened = number;
            return Err(skip);
        }
    };
    packet.sealed = u32::from(place.is_sealed());
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
    if let Some((family, offset)) = tunnel::inner(frame, packet, decapsulation)
        && network(frame, family, frame.forget(offset), packet).is_err()
    {
        // Nothing is written before the inner header proves sound.
    }
}

/// Whether a frame goes to a group of its link: by the first bit of its destination (IEEE 802.3 clause
/// 3.2.3), or as Linux noted it.
#[inline(always)]
pub fn goes_to_group<F: Frame>(frame: &F, link: LinkType) -> bool {
    let noted = |kind: u16| kind == 1 || kind == 2;
    match link {
        LinkType::Ethernet => frame.load(0).is_some_and(|[word]| byte(word, 0) & 1 != 0),
        LinkType::LinuxCooked1 => frame.load(0).is_some_and(|[word]| noted(upper(word))),
        LinkType::LinuxCooked2 => {
            frame.load(8).is_some_and(|[word]| noted(u16::from(byte(word, 2))))
        }
        _ => false,
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

/// Whether an IP length of 0 means that the packet is as long as its frame: a stack that leaves the
/// cutting to the device need not fill it in (TSO, LSO), and cannot for what is longer than the field
/// (BIG TCP).
#[inline(always)]
fn is_unsegmented<F: Frame>(frame: &F) -> bool {
    frame.segmentation().size != 0 || (MIN_FRAME + 1..MAX_FRAME).contains(&frame.wire_len())
}

/// Adds what a capture cut off a frame and says nothing of.
#[inline(always)]
fn restore<F: Frame>(frame: &F, end: usize, packet: &mut Packet) {
    if frame.is_sliced() {
        packet.frame_bytes = packet.frame_bytes.max(end as u32);
    }
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
    let ip_len = if total == 0 && is_unsegmented(frame) { available } else { total };
    if header_len < 20 || header_len as u32 > ip_len {
        return Err(Skip::BadHeaderLength);
    }
    if ip_len > available && !frame.is_sliced() {
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
    restore(frame, end, packet);
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
    let jumbo = payload == 0
        && match next {
            protocol::HOP_BY_HOP => true,
            protocol::NO_NEXT_HEADER => false,
            _ => is_unsegmented(frame),
        };
    let ip_len = if jumbo { available } else { payload + 40 };
    if ip_len > available && !frame.is_sliced() {
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
    restore(frame, end, packet);
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
            let Some([ports, sequence, _, flags]) = frame.load(offset) else {
                if F::RECORDED
                    && let Some([_, flags]) = frame.load(offset + 6)
                {
                    // The shortest captures end behind the flags.
                    packet.tcp_flags = byte(flags, 3);
                    packet.sequence = frame.load(offset + 4).map_or(0, |[word]| u32::from_be(word));
                }
                return ports_alone(frame, 20, offset, room, packet);
            };
            let header_len = u32::from(byte(flags, 0) >> 4) * 4;
            packet.payload_offset += if header_len < 20 { 20 } else { header_len };
            packet.sequence = u32::from_be(sequence);
            packet.tcp_flags = byte(flags, 1);
            ports
        }
        protocol::DCCP if room >= 12 => {
            let Some([ports, second, _]) = frame.load(offset) else {
                return ports_alone(frame, 12, offset, room, packet);
            };
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
        _ => ports_alone(frame, protocol::port_header_bytes(number), offset, room, packet),
    }
}

/// The ports of a header of `header_len` bytes, 0 for a protocol that has none: all that is read of
/// most, and all that is left where a capture or a tiny fragment ends inside the header.
#[inline(always)]
fn ports_alone<F: Frame>(
    frame: &F,
    header_len: u32,
    offset: usize,
    room: usize,
    packet: &mut Packet,
) -> u32 {
    if header_len == 0 || room < 4 {
        return 0;
    }
    let Some([ports]) = frame.load(offset) else { return 0 };
    packet.payload_offset += header_len;
    ports
}
