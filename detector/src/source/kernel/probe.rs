//! Questions to bpf(2) whose answer says whether this kernel knows something. Each makes the smallest
//! thing that needs it and lets it go; no interface is touched.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::batch::{BPF_MAP_LOOKUP_BATCH, BatchAttributes};
use super::sys::{bpf, number, open};

// Of `enum bpf_cmd` in include/uapi/linux/bpf.h.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_LINK_CREATE: libc::c_long = 28;

const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

// Of `enum bpf_func_id`.
const KTIME_GET_COARSE_NS: i32 = 160;

/// No interface has this index.
const NOWHERE: u32 = i32::MAX as u32;
/// The shortest frame that a test run takes.
const FRAME: [u8; 64] = [0; 64];

/// The part of `union bpf_attr` for loading a program.
#[derive(Default)]
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// The part for creating a map.
#[derive(Default)]
#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// The part for a link to an interface.
#[derive(Default)]
#[repr(C)]
struct LinkAttributes {
    program_fd: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    padding: u32,
    revision: u64,
}

/// The part for a run of a program on a frame.
#[derive(Default)]
#[repr(C)]
struct RunAttributes {
    program_fd: u32,
    result: u32,
    size_in: u32,
    size_out: u32,
    frame_in: u64,
    frame_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    processor: u32,
    batch_size: u32,
    padding: u32,
}

/// Whether XDP programs may take frames of several buffers.
pub(super) fn fragments() -> io::Result<bool> {
    known(load(BPF_PROG_TYPE_XDP, BPF_F_XDP_HAS_FRAGS, &returning(2)).map(drop))
}

/// Whether tc programs attach by links. A kernel that knows such links looks for the interface; one
/// that does not stops at the type.
pub(super) fn tcx() -> io::Result<bool> {
    let program = load(BPF_PROG_TYPE_SCHED_CLS, 0, &returning(-1))?;
    let mut attributes = LinkAttributes {
        program_fd: number(program.as_fd()),
        interface: NOWHERE,
        attach_type: BPF_TCX_INGRESS,
        ..LinkAttributes::default()
    };
    // SAFETY: the command takes numbers and no address.
    match unsafe { bpf(BPF_LINK_CREATE, &mut attributes) } {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(true),
        other => known(other.map(drop)),
    }
}

/// Whether a hash map is read many entries a call. An empty one answers that there are none.
pub(super) fn batches() -> io::Result<bool> {
    let mut attributes = MapAttributes {
        kind: BPF_MAP_TYPE_HASH,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
    };
    // SAFETY: the command takes numbers and no address.
    let map = unsafe { open(BPF_MAP_CREATE, &mut attributes) }?;
    let (mut place, mut key, mut value) = (0_u32, 0_u32, 0_u32);
    let mut attributes = BatchAttributes {
        out_batch: (&raw mut place) as u64,
        keys: (&raw mut key) as u64,
        values: (&raw mut value) as u64,
        count: 1,
        map_fd: number(map.as_fd()),
        ..BatchAttributes::default()
    };
    // SAFETY: the place, one key and one value of four bytes each, as the map has them.
    match unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes) } {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        other => known(other.map(drop)),
    }
}

/// Whether an atomic addition may return what was there before.
pub(super) fn fetching_additions() -> io::Result<bool> {
    const STORE: u64 = instruction(0x7a, 10, 0, -8, 0);
    const ONE: u64 = instruction(0xb7, 1, 0, 0, 1);
    const FETCH_ADD: u64 = instruction(0xdb, 10, 1, -8, 1);
    let [zero, exit] = returning(0);
    let program = [STORE, ONE, FETCH_ADD, zero, exit];
    known(load(BPF_PROG_TYPE_SCHED_CLS, 0, &program).map(drop))
}

/// Whether there is the coarse clock. The next release, with it, counts maps where the memory of
/// processes is counted: the helper is what other loaders tell that by, too.
pub(super) fn coarse_clock() -> io::Result<bool> {
    const CALL: u64 = instruction(0x85, 0, 0, 0, KTIME_GET_COARSE_NS);
    let [zero, exit] = returning(0);
    known(load(BPF_PROG_TYPE_SCHED_CLS, 0, &[CALL, zero, exit]).map(drop))
}

/// Whether a test run can send real frames. The one that it sends here is dropped at once.
pub(super) fn live_frames() -> io::Result<bool> {
    let program = load(BPF_PROG_TYPE_XDP, 0, &returning(1))?;
    let mut attributes = RunAttributes {
        program_fd: number(program.as_fd()),
        size_in: FRAME.len() as u32,
        frame_in: FRAME.as_ptr() as u64,
        repeat: 1,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        // What came with them: older kernels refuse what they do not know.
        batch_size: 1,
        ..RunAttributes::default()
    };
    // SAFETY: the frame has as many bytes as is said and is only read.
    known(unsafe { bpf(BPF_PROG_TEST_RUN, &mut attributes) }.map(drop))
}

/// A refusal of what is not known is an answer; any other is none.
fn known(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::E2BIG)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A program that returns a number.
const fn returning(value: i32) -> [u64; 2] {
    [instruction(0xb7, 0, 0, 0, value), instruction(0x95, 0, 0, 0, 0)]
}

/// `struct bpf_insn` in one word.
const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> u64 {
    let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
    let [offset_0, offset_1] = offset.to_ne_bytes();
    let [byte_0, byte_1, byte_2, byte_3] = immediate.to_ne_bytes();
    u64::from_ne_bytes([code, registers, offset_0, offset_1, byte_0, byte_1, byte_2, byte_3])
}

fn load(kind: u32, flags: u32, instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut attributes = LoadAttributes {
        kind,
        instruction_count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        flags,
        ..LoadAttributes::default()
    };
    // SAFETY: as many instructions as is said, and a text that ends with a zero byte; both are only
    // read.
    unsafe { open(BPF_PROG_LOAD, &mut attributes) }
}

#[cfg(test)]
mod tests {
    use super::{instruction, known};
    use std::io;

    #[test]
    fn instructions_are_as_the_kernel_reads_them() {
        // Of a disassembled program: r0 = -1.
        let bytes = instruction(0xb7, 0, 0, 0, -1).to_le_bytes();
        assert_eq!(bytes, [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        let bytes = instruction(0xdb, 10, 1, -8, 1).to_le_bytes();
        assert_eq!(bytes, [0xdb, 0x1a, 0xf8, 0xff, 1, 0, 0, 0]);
    }

    #[test]
    fn only_a_refusal_of_the_unknown_is_a_no() {
        let answer = |number| known(Err(io::Error::from_raw_os_error(number)));
        assert!(!answer(libc::EINVAL).unwrap());
        assert!(!answer(libc::E2BIG).unwrap());
        assert_eq!(answer(libc::EPERM).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert!(known(Ok(())).unwrap());
    }
}
