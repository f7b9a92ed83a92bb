//! Frames as the hooks hand them over. All packet-pointer arithmetic is in this file.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use detector_common::abi::HEAD_BYTES;
use detector_common::frame::{Frame, Segmentation, Word};

/// A frame whose payload can be copied out.
pub(crate) trait Payload: Frame {
    /// Copies up to `length` bytes from `offset` on into `head` and returns how many.
    ///
    /// `length` is at least 1 and at most [`HEAD_BYTES`].
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; HEAD_BYTES]) -> u32;
}

/// The longest load. Helpers copy into one buffer of this size per frame, not one per load: the
/// stack has 512 bytes.
const SCRATCH_BYTES: usize = 40;
type Scratch = UnsafeCell<MaybeUninit<[u8; SCRATCH_BYTES]>>;

/// Reads a `T`, which is bytes, between two packet pointers.
#[inline(always)]
fn linear<T: Copy>(start: usize, end: usize, offset: usize) -> Option<T> {
    let at = start + offset;
    if at + size_of::<T>() > end {
        return None;
    }
    // SAFETY: the bytes were just compared with the end of the packet, as the verifier checks.
    Some(unsafe { (at as *const T).read_unaligned() })
}

/// An XDP frame in one buffer.
pub(crate) struct XdpFrame {
    start: usize,
    end: usize,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self {
            start: context.data(),
            end: context.data_end(),
        }
    }
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
}

impl Payload for XdpFrame {
    /// `bpf_xdp_load_bytes` does not exist before Linux 5.18, so this copies by hand.
    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; HEAD_BYTES]) -> u32 {
        // The verifier wants a bounded offset: 16 bits hold every XDP frame.
        let offset = (offset & 0xffff) as usize;
        let head = head.cast::<u8>();
        let mut copied = 0usize;
        while copied < HEAD_BYTES {
            if copied as u32 >= length {
                break;
            }
            let Some([byte]) = linear::<[u8; 1]>(self.start, self.end, offset + copied) else {
                break;
            };
            // SAFETY: `copied` is below HEAD_BYTES, the size of the record's array.
            unsafe { head.add(copied).write(byte) };
            copied += 1;
        }
        copied as u32
    }
}

/// An XDP frame that may continue in further buffers.
pub(crate) struct XdpFragmentsFrame {
    context: *mut c_void,
    start: usize,
    end: usize,
    length: u32,
    scratch: Scratch,
}

impl XdpFragmentsFrame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        let pointer = context.as_ptr();
        // SAFETY: the helper takes the context this program was called with.
        let length = unsafe { bpf_xdp_get_buff_len(pointer.cast()) } as u32;
        Self {
            context: pointer,
            start: context.data(),
            end: context.data_end(),
            length,
            scratch: Scratch::new(MaybeUninit::uninit()),
        }
    }
}

impl Frame for XdpFragmentsFrame {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        if let Some(bytes) = linear(self.start, self.end, offset) {
            return Some(bytes);
        }
        const { assert!(N * 4 <= SCRATCH_BYTES) };
        let scratch = self.scratch.get();
        // SAFETY: the helper writes exactly N words, which the scratch holds, or fails.
        let result = unsafe {
            bpf_xdp_load_bytes(
                self.context.cast(),
                offset as u32,
                scratch.cast(),
                N as u32 * 4,
            )
        };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper succeeded, so the first N words are written.
        Some(unsafe { scratch.cast::<[Word; N]>().read_unaligned() })
    }
}

impl Payload for XdpFragmentsFrame {
    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; HEAD_BYTES]) -> u32 {
        // SAFETY: `length` is at most HEAD_BYTES, the size of the record's array.
        let result =
            unsafe { bpf_xdp_load_bytes(self.context.cast(), offset, head.cast(), length) };
        if result == 0 { length } else { 0 }
    }
}

/// An skb at tc. The linear part is read directly, the rest through a helper: a helper call per
/// field costs more than the whole of the parser.
pub(crate) struct SkbFrame {
    skb: *mut __sk_buff,
    start: usize,
    end: usize,
    scratch: Scratch,
}

impl SkbFrame {
    #[inline(always)]
    pub(crate) fn new(context: &TcContext) -> Self {
        Self {
            skb: context.skb.skb,
            start: context.data(),
            end: context.data_end(),
            scratch: Scratch::new(MaybeUninit::uninit()),
        }
    }

    #[inline(always)]
    pub(crate) fn interface_index(&self) -> u32 {
        // SAFETY: the context of a running program is valid, the field readable at tc.
        unsafe { (*self.skb).ifindex }
    }
}

impl Frame for SkbFrame {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[Word; N]> {
        if let Some(bytes) = linear(self.start, self.end, offset) {
            return Some(bytes);
        }
        const { assert!(N * 4 <= SCRATCH_BYTES) };
        let scratch = self.scratch.get();
        // SAFETY: the helper writes exactly N words, which the scratch holds, or fails.
        let result = unsafe {
            bpf_skb_load_bytes(self.skb.cast(), offset as u32, scratch.cast(), N as u32 * 4)
        };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper succeeded, so the first N words are written.
        Some(unsafe { scratch.cast::<[Word; N]>().read_unaligned() })
    }

    #[inline(always)]
    fn segmentation(&self) -> Segmentation {
        // SAFETY: as above.
        unsafe {
            Segmentation {
                count: (*self.skb).gso_segs,
                size: (*self.skb).gso_size,
            }
        }
    }

    #[inline(always)]
    fn stripped_bytes(&self) -> u32 {
        // SAFETY: as above.
        if unsafe { (*self.skb).vlan_present } != 0 {
            4
        } else {
            0
        }
    }
}

impl Payload for SkbFrame {
    #[inline(always)]
    fn copy(&self, offset: u32, length: u32, head: *mut [u8; HEAD_BYTES]) -> u32 {
        // SAFETY: `length` is at most HEAD_BYTES, the size of the record's array.
        let result = unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, head.cast(), length) };
        if result == 0 { length } else { 0 }
    }
}
