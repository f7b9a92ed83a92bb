//! Frames as the hooks hand them over. All packet-pointer arithmetic is in this file.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{__sk_buff, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::generated::{
    bpf_l3_csum_replace, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
    bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::ffi::c_void;
use detector_common::abi::{FIRST_PAYLOAD_BYTES, FirstPayloadEvent};
use detector_common::frame::{Frame, Segmentation, Word};

/// A frame whose payload can be copied out and whose IP header can be marked.
pub(crate) trait Payload: Frame {
    /// Gives the IP header at `offset` a codepoint, below 64, where it is the outermost.
    fn mark(&self, offset: u32, codepoint: u8);

    /// Copies up to `length` bytes from `offset` on into `head` and returns how many.
    ///
    /// `length` is at least 1 and at most [`FIRST_PAYLOAD_BYTES`].
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; FIRST_PAYLOAD_BYTES]) -> u32;
}

/// What a program is called with: where the packet came by, and how to read it.
pub(crate) trait Context {
    type Frame: Payload;

    fn interface_index(&self) -> u32;

    /// The index of the device that received the packet; 0 for the host's own.
    fn received_by(&self) -> u32;

    /// The frame. `word` is memory that the verifier does not follow, valid as long as the program
    /// runs and used by nothing else.
    fn frame(&self, word: *mut u32) -> Self::Frame;
}

/// See [`Frame::forget`]: the offset goes through memory that the verifier does not follow and
/// comes back as any number below 32,768, which with the longest load is what it lets a packet
/// pointer move.
#[inline(always)]
fn through(word: *mut u32, offset: usize) -> usize {
    // SAFETY: `word` is as [`Context::frame`] asks for.
    unsafe {
        core::ptr::write_volatile(word, offset as u32);
        (core::ptr::read_volatile(word) & 0x7fff) as usize
    }
}

/// A payload sample's length as the verifier believes it: from 1 to [`FIRST_PAYLOAD_BYTES`]. Before
/// Linux 6.8 a comparison with 0 teaches it nothing, and a helper that might be asked for 0 bytes
/// is refused ("invalid access to memory, mem_size=576 off=64 size=0", 5.10 to 6.1).
#[inline(always)]
fn bounded(word: *mut u32, length: u32) -> u32 {
    const { assert!(FIRST_PAYLOAD_BYTES.is_power_of_two()) };
    (through(word, length as usize - 1) & (FIRST_PAYLOAD_BYTES - 1)) as u32 + 1
}

/// Reads a `T`, which is bytes, between two packet pointers.
#[inline(always)]
fn linear<T: Copy>(start: usize, end: usize, offset: usize) -> Option<T> {
    let at = start + offset;
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: the bytes were just compared with the end of the packet, as the verifier checks. The
    // address may be misaligned, which BPF loads on the architectures we build for do not mind; an
    // unaligned read would be put together byte by byte.
    Some(unsafe { *(at as *const T) })
}

/// Beyond what a link header takes, with two tags and one to spare, there is a tunnel: a checksum of
/// its own may cover the header inside.
const LAST_OUTERMOST: u32 = 14 + 3 * 4;

/// The first two bytes of an IP header with another codepoint in its DSCP (RFC 2474, RFC 8200
/// section 7); the two bits of ECN behind it (RFC 3168) stay.
#[inline(always)]
fn remarked(first: u16, codepoint: u8) -> u16 {
    if is_v4(first) {
        first & 0xff03 | u16::from(codepoint) << 2
    } else {
        first & 0xf03f | u16::from(codepoint) << 6
    }
}

#[inline(always)]
fn is_v4(first: u16) -> bool {
    first >> 12 == 4
}

/// An IPv4 header's checksum after one of its words has changed (RFC 1624 equation 3).
#[inline(always)]
fn adjusted(checksum: u16, from: u16, to: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!from) + u32::from(to);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// Where the checksum stands in an IPv4 header.
const CHECKSUM: usize = 10;

/// Marks the IP header at `at` before the packet's `end`.
#[inline(always)]
fn mark(at: usize, end: usize, codepoint: u8) {
    if at + CHECKSUM + 2 > end {
        return;
    }
    // SAFETY: the bytes were just compared with the end of the packet, as the verifier checks, and
    // XDP may write where it may read.
    unsafe {
        let word = at as *mut u16;
        let from = u16::from_be(*word);
        let to = remarked(from, codepoint);
        *word = to.to_be();
        if is_v4(from) {
            let checksum = (at + CHECKSUM) as *mut u16;
            // The sum of words is the same in either byte order (RFC 1071 section 2).
            *checksum = adjusted(u16::from_be(*checksum), from, to).to_be();
        }
    }
}

/// XDP on frames in one buffer.
pub(crate) struct Linear<'a>(pub(crate) &'a XdpContext);

impl Context for Linear<'_> {
    type Frame = XdpFrame;

    #[inline(always)]
    fn interface_index(&self) -> u32 {
        self.0.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn received_by(&self) -> u32 {
        self.interface_index()
    }

    #[inline(always)]
    fn frame(&self, word: *mut u32) -> XdpFrame {
        XdpFrame { start: self.0.data(), end: self.0.data_end(), word }
    }
}

/// An XDP frame in one buffer.
pub(crate) struct XdpFrame {
    start: usize,
    end: usize,
    word: *mut u32,
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        linear(self.start, self.end, offset)
    }

    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        through(self.word, offset)
    }
}

impl Payload for XdpFrame {
    #[inline(always)]
    fn mark(&self, offset: u32, codepoint: u8) {
        if offset <= LAST_OUTERMOST {
            mark(self.start + through(self.word, offset as usize), self.end, codepoint);
        }
    }

    /// `bpf_xdp_load_bytes` does not exist before Linux 5.18, so this copies by hand, eight bytes at a
    /// time. What is left at the end comes out of the last eight bytes before it: a header of more than
    /// that stands before any payload.
    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; FIRST_PAYLOAD_BYTES]) -> u32 {
        const { assert!(core::mem::offset_of!(FirstPayloadEvent, bytes).is_multiple_of(LONG)) };
        // What the verifier learns of the length here must not make each next record another case.
        let length = through(self.word, length as usize);
        let base = self.start + through(self.word, offset as usize);
        let longs = head.cast::<u64>();
        let mut copied = 0;
        for index in 0..FIRST_PAYLOAD_BYTES / LONG {
            if copied + LONG > length {
                break;
            }
            let Some(long) = linear::<u64>(base, self.end, index * LONG) else { break };
            // SAFETY: `index` is below what the record's array holds, which lies at a multiple of eight
            // bytes, as records do.
            unsafe { longs.add(index).write(long) };
            copied += LONG;
        }
        let copied = through(self.word, copied);
        let rest = length & (LONG - 1);
        if rest == 0 || copied + rest != length {
            return copied as u32;
        }
        let last = self.start + through(self.word, offset as usize + length - LONG);
        let Some(long) = linear::<u64>(last, self.end, 0) else { return copied as u32 };
        let long = (u64::from_le(long) >> (8 * (LONG - rest))).to_le();
        // SAFETY: a multiple of eight within the array, as above.
        unsafe { longs.byte_add(copied & (FIRST_PAYLOAD_BYTES - LONG)).write(long) };
        length as u32
    }
}

/// Bytes copied at a time.
const LONG: usize = size_of::<u64>();

/// XDP on frames that may lie in several buffers.
pub(crate) struct Fragments<'a>(pub(crate) &'a XdpContext);

impl Context for Fragments<'_> {
    type Frame = XdpFragmentsFrame;

    #[inline(always)]
    fn interface_index(&self) -> u32 {
        self.0.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn received_by(&self) -> u32 {
        self.interface_index()
    }

    #[inline(always)]
    fn frame(&self, word: *mut u32) -> XdpFragmentsFrame {
        let context = self.0.as_ptr();
        // SAFETY: the helper takes the context this program was called with.
        let length = unsafe { bpf_xdp_get_buff_len(context.cast()) } as u32;
        XdpFragmentsFrame { context, start: self.0.data(), end: self.0.data_end(), length, word }
    }
}

/// An XDP frame that may continue in further buffers.
pub(crate) struct XdpFragmentsFrame {
    context: *mut c_void,
    start: usize,
    end: usize,
    length: u32,
    word: *mut u32,
}

impl Frame for XdpFragmentsFrame {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.length
    }

    /// Headers lie in the first buffer: drivers that split frames put all of them there.
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        linear(self.start, self.end, offset)
    }

    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        through(self.word, offset)
    }
}

impl Payload for XdpFragmentsFrame {
    #[inline(always)]
    fn mark(&self, offset: u32, codepoint: u8) {
        if offset <= LAST_OUTERMOST {
            mark(self.start + through(self.word, offset as usize), self.end, codepoint);
        }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; FIRST_PAYLOAD_BYTES]) -> u32 {
        let length = bounded(self.word, length);
        // SAFETY: `length` is at most FIRST_PAYLOAD_BYTES, the size of the record's array.
        let result =
            unsafe { bpf_xdp_load_bytes(self.context.cast(), offset, head.cast(), length) };
        if result == 0 { length } else { 0 }
    }
}

/// Headers that are made linear where they are not: Ethernet with two tags, IPv6 and TCP with
/// options take 122 bytes. The stack itself keeps its headers linear, so that this happens to what
/// a driver or a user of raw sockets built otherwise.
const HEADER_BYTES: u32 = 128;

/// Either tc hook.
pub(crate) struct Skb<'a>(pub(crate) &'a TcContext);

impl Context for Skb<'_> {
    type Frame = SkbFrame;

    #[inline(always)]
    fn interface_index(&self) -> u32 {
        // SAFETY: the context of a running program is valid, the field readable at tc.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn received_by(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0.skb.skb).ingress_ifindex }
    }

    #[inline(always)]
    fn frame(&self, word: *mut u32) -> SkbFrame {
        let skb = self.0.skb.skb;
        // SAFETY: the context of a running program is valid, the field readable at tc.
        let length = unsafe { (*skb).len };
        let linear = (self.0.data_end() - self.0.data()) as u32;
        if linear < HEADER_BYTES && linear < length {
            // A failure leaves the frame as it is: what cannot be read of it has ports 0.
            // SAFETY: the helper takes the context this program was called with.
            unsafe { bpf_skb_pull_data(skb, length.min(HEADER_BYTES)) };
        }
        // Read anew: after the helper the verifier takes no pointer from before, and the compiler
        // must not keep one.
        // SAFETY: as above.
        let (start, end) = unsafe {
            (
                core::ptr::read_volatile(&raw const (*skb).data) as usize,
                core::ptr::read_volatile(&raw const (*skb).data_end) as usize,
            )
        };
        SkbFrame { skb, start, end, word }
    }
}

/// An skb at tc, read where it is linear. [`Context::frame`] sees to it that the headers are: a
/// helper call per field costs more than the whole of the parser, and for the verifier each doubles
/// the ways through it.
pub(crate) struct SkbFrame {
    skb: *mut __sk_buff,
    start: usize,
    end: usize,
    word: *mut u32,
}

impl Frame for SkbFrame {
    #[expect(clippy::misnamed_getters, reason = "a frame's length on the wire is the skb's")]
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        linear(self.start, self.end, offset)
    }

    #[inline(always)]
    fn forget(&self, offset: usize) -> usize {
        through(self.word, offset)
    }

    #[inline(always)]
    fn segmentation(&self) -> Segmentation {
        // SAFETY: as above.
        unsafe { Segmentation { count: (*self.skb).gso_segs, size: (*self.skb).gso_size } }
    }

    #[inline(always)]
    fn stripped_bytes(&self) -> u32 {
        // SAFETY: as above.
        if unsafe { (*self.skb).vlan_present } != 0 { 4 } else { 0 }
    }
}

impl Payload for SkbFrame {
    /// Through helpers: a packet written to directly may be another's as well.
    #[inline(always)]
    fn mark(&self, offset: u32, codepoint: u8) {
        if offset > LAST_OUTERMOST {
            return;
        }
        let Some([word]) = self.load::<1>(through(self.word, offset as usize)) else { return };
        let from = word as u16;
        let to = remarked(u16::from_be(from), codepoint).to_be();
        let v4 = is_v4(u16::from_be(from));
        // A whole packet's checksum, where the device has computed one, covers an IPv6 header; in an
        // IPv4 header the change and that of its own checksum are nothing together.
        let flags = if v4 { 0 } else { u64::from(BPF_F_RECOMPUTE_CSUM) };
        // SAFETY: the helpers check the offsets; no packet pointer is used after them.
        unsafe {
            if v4 {
                let (from, to) = (u64::from(from), u64::from(to));
                bpf_l3_csum_replace(self.skb, offset + CHECKSUM as u32, from, to, 2);
            }
            bpf_skb_store_bytes(self.skb, offset, (&raw const to).cast(), 2, flags);
        }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; FIRST_PAYLOAD_BYTES]) -> u32 {
        let length = bounded(self.word, length);
        // SAFETY: `length` is at most FIRST_PAYLOAD_BYTES, the size of the record's array.
        let result = unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, head.cast(), length) };
        if result == 0 { length } else { 0 }
    }
}
