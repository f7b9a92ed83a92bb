//! Arbitrary frames through the parser and the counters that the kernel programs share with the
//! agent. The first twelve bytes choose link type, tunnels, lengths and segmentation; the rest is
//! the frame. Never reads anything but its input.
#![no_main]

use detector_common::flow::{Clock, FlowCounters, Plain, Recorded, Seen};
use detector_common::frame::{Frame, LinkType, Segmentation, Word};
use detector_common::parse::{Decapsulation, Packet, parse, skipped_frames};
use libfuzzer_sys::fuzz_target;

/// A frame as any of the three sources may hand it over.
struct Shaped<'a> {
    bytes: &'a [u8],
    wire_len: u32,
    segmentation: Segmentation,
    stripped_bytes: u32,
    is_sliced: bool,
}

impl Frame for Shaped<'_> {
    const RECORDED: bool = true;

    fn is_sliced(&self) -> bool {
        self.is_sliced
    }

    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        let words = self.bytes.get(offset..)?.as_chunks::<4>().0.first_chunk::<N>()?;
        Some(words.map(Word::from_ne_bytes))
    }

    fn segmentation(&self) -> Segmentation {
        self.segmentation
    }

    fn stripped_bytes(&self) -> u32 {
        self.stripped_bytes
    }
}

/// BIG TCP hands over 512 KiB at once, at most.
const SUPER_PACKET_MAX_BYTES: u32 = 512 << 10;
const SUPER_PACKET: u8 = 1;
const STRIPPED_TAG: u8 = 2;
const SLICED: u8 = 4;
/// The link types of captures, by their pcap numbers.
const LINKS: [u32; 13] = [1, 101, 0, 113, 276, 9, 204, 51, 104, 239, 105, 127, 274];

impl<'a> Shaped<'a> {
    /// Only what a source can say: a capture claims any length on the wire, up to 2^32; a
    /// super-packet has no more segments than its bytes fill.
    fn new(flags: u8, [a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4], bytes: &'a [u8]) -> Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let claimed = u32::from_le_bytes([a, b, c, d]);
        if flags & SUPER_PACKET == 0 {
            let segmentation = Segmentation::default();
            let is_sliced = flags & SLICED != 0;
            let wire_len = if is_sliced { len } else { claimed.max(len) };
            return Self { bytes, wire_len, segmentation, stripped_bytes: 0, is_sliced };
        }
        let wire_len = len + claimed % SUPER_PACKET_MAX_BYTES;
        let size = u32::from(u16::from_le_bytes([e, f]));
        let count = u32::from(u16::from_le_bytes([g, h]));
        let most = if size == 0 { 0 } else { wire_len.div_ceil(size) };
        Self {
            bytes,
            wire_len,
            segmentation: Segmentation { count: count.min(most), size },
            stripped_bytes: if flags & STRIPPED_TAG == 0 { 0 } else { 4 },
            is_sliced: false,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, frame)) = data.split_first_chunk::<12>() else { return };
    let [link, tunnels, flags, _, a, b, c, d, e, f, g, h] = *head;
    let number = LINKS[usize::from(link) % LINKS.len()];
    let link = LinkType::from_pcap(number).expect("a link type that is read");
    let tunnels = Decapsulation::from_bits(u32::from(tunnels));
    let frame = Shaped::new(flags, [a, b, c, d], [e, f, g, h], frame);
    let mut packet = Packet::empty();
    match parse(&frame, link, tunnels, &mut packet) {
        Ok(()) => {
            check_packet(&frame, &packet);
            check_counters(&packet);
        }
        Err(_) => {
            let (frames, bytes) = skipped_frames(&frame);
            assert!(frames >= 1);
            let stripped = u64::from(frames) * u64::from(frame.stripped_bytes);
            assert_eq!(u64::from(bytes), u64::from(frame.wire_len) + stripped);
        }
    }
});

/// Every byte on the wire is an IP byte or a link-layer byte, in numbers wide enough not to wrap.
fn check_packet(frame: &Shaped<'_>, packet: &Packet) {
    let wide = u64::from;
    assert!(packet.segments >= 1);
    assert!(packet.ip_bytes <= packet.frame_bytes, "{packet:?}");
    assert!(packet.payload_bytes <= packet.ip_bytes, "{packet:?}");
    assert!(packet.segment_bytes <= packet.ip_bytes, "{packet:?}");
    assert!(packet.ip_offset <= packet.payload_offset, "{packet:?}");
    let end = packet.ip_offset + packet.ip_bytes;
    let wire_len = if frame.is_sliced { frame.wire_len.max(end) } else { frame.wire_len };
    assert!(packet.payload_offset <= wire_len, "{packet:?}");

    let repeated = wide(packet.segments) - 1;
    let tags = wide(packet.segments) * wide(frame.stripped_bytes);
    assert_eq!(
        wide(packet.frame_bytes),
        wide(wire_len) + repeated * wide(packet.payload_offset) + tags,
        "{packet:?}"
    );
    let headers = wide(packet.payload_offset - packet.ip_offset);
    assert_eq!(
        wide(packet.ip_bytes),
        wide(packet.segments) * headers + wide(packet.payload_bytes),
        "{packet:?}"
    );

    let key = &packet.key;
    assert!((key.low, key.low_port) <= (key.high, key.high_port), "{key:?}");
    assert_eq!(key.padding, [0; 3]);
    assert_eq!(key.source(packet.direction), key.destination(packet.direction.reverse()));
}

/// A flow counts what the parser found, at the first observation point that saw it and nowhere
/// else.
fn check_counters(packet: &Packet) {
    let clock = Clock { now: 1_000, ticks_per_second: 100 };
    let mut flow = FlowCounters::default();
    let first = flow.record::<Plain>(packet, Seen::Received, &clock);
    assert!(matches!(first, Recorded::Counted(_)));
    assert_eq!(flow.record::<Plain>(packet, Seen::Forwarded, &clock), Recorded::Duplicate);
    let half = flow.half(packet.direction);
    assert_eq!(half.packets, u64::from(packet.segments));
    assert_eq!(half.ip_bytes, u64::from(packet.ip_bytes));
    assert_eq!(half.payload_bytes, u64::from(packet.payload_bytes));
    assert!(half.size_min <= half.size_max);
    assert_eq!(flow.half(packet.direction.reverse()).packets, 0);
}
