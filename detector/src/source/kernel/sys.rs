//! The few calls that aya and nix have none for: of bpf(2) pinned links whatever they are, and the
//! number of keys in a map whatever they are; a mount that nobody sees; a namespace's cookie.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

// Of `enum bpf_cmd` in include/uapi/linux/bpf.h.
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_LINK_DETACH: libc::c_long = 34;

// Of `enum bpf_attach_type`.
const BPF_CGROUP_SETSOCKOPT: u32 = 22;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;

// Of `enum bpf_link_type`.
const BPF_LINK_TYPE_XDP: u32 = 6;
const BPF_LINK_TYPE_TCX: u32 = 11;

/// The part of `union bpf_attr` for pinned objects.
#[repr(C)]
struct PathAttributes {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The part for what is known of an object.
#[repr(C)]
struct InfoAttributes {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The part for a walk over keys.
#[repr(C)]
struct KeyAttributes {
    map_fd: u32,
    padding: u32,
    key: u64,
    next_key: u64,
}

/// The part for a question about what is at a hook.
#[derive(Default)]
#[repr(C)]
struct QueryAttributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    padding: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}

/// The start of `struct bpf_link_info`, as it is for XDP and tcx.
#[derive(Default)]
#[repr(C)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program_id: u32,
    padding: u32,
    interface: u32,
    attach_type: u32,
}

/// # Safety
///
/// `attributes` must be what the command takes, and every address in it that of memory which the
/// kernel may read or write as the command does.
pub(super) unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller vouches for what the attributes point to; they themselves are as long as
    // is said.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same with a command that returns a new descriptor.
///
/// # Safety
///
/// As for [`bpf`].
pub(super) unsafe fn open<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for the attributes.
    let fd = unsafe { bpf(command, attributes) }?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just handed it out, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

/// Opens what is pinned at a path.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes =
        PathAttributes { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the path ends with a zero byte and outlives the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &mut attributes) }?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just handed it out, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins an object at a path, which must not be there.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes =
        PathAttributes { pathname: path.as_ptr() as u64, bpf_fd: number(object), file_flags: 0 };
    // SAFETY: the path ends with a zero byte and outlives the call.
    unsafe { bpf(BPF_OBJ_PIN, &mut attributes) }.map(drop)
}

/// Takes a link's program off its interface now, whoever else holds the link. Closing the last
/// descriptor, or removing the last pin, would do so some time later.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut fd = number(link);
    // SAFETY: the command takes a descriptor and no address.
    unsafe { bpf(BPF_LINK_DETACH, &mut fd) }.map(drop)
}

/// The index of the interface that a link is attached to; 0 where that is gone.
pub(super) fn link_interface(link: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = LinkInfo::default();
    let mut attributes = InfoAttributes {
        bpf_fd: number(link),
        info_len: size_of::<LinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes, which is what there is, and integers
    // only.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    match info.kind {
        BPF_LINK_TYPE_XDP | BPF_LINK_TYPE_TCX => Ok(info.interface),
        kind => Err(io::Error::other(format!("a link of type {kind} is neither XDP nor tcx"))),
    }
}

/// The numbers of the programs at an interface's tcx hook, in the order in which they run.
pub(super) fn tcx_programs(interface: u32, ingress: bool) -> io::Result<Vec<u32>> {
    programs_at(interface, if ingress { BPF_TCX_INGRESS } else { BPF_TCX_EGRESS })
}

/// Those at setsockopt of a control group itself.
pub(super) fn option_programs(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    programs_at(number(group), BPF_CGROUP_SETSOCKOPT)
}

/// `target`: an interface's index, or a descriptor.
fn programs_at(target: u32, attach_type: u32) -> io::Result<Vec<u32>> {
    // What a hook has room for.
    let mut programs = vec![0_u32; 64];
    let mut attributes = QueryAttributes {
        target,
        attach_type,
        programs: programs.as_mut_ptr() as u64,
        count: programs.len() as u32,
        ..QueryAttributes::default()
    };
    // SAFETY: the kernel writes at most as many numbers as `count` says there is room for.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    programs.truncate(attributes.count as usize);
    Ok(programs)
}

/// Keys in a map of any layout whose keys have `key_size` bytes.
pub(super) fn count_keys(map: BorrowedFd<'_>, key_size: u32) -> io::Result<u64> {
    let mut key = vec![0_u8; key_size as usize];
    let mut next = key.clone();
    let mut count = 0;
    loop {
        let mut attributes = KeyAttributes {
            map_fd: number(map),
            padding: 0,
            // Without a key the walk begins.
            key: if count == 0 { 0 } else { key.as_ptr() as u64 },
            next_key: next.as_mut_ptr() as u64,
        };
        // SAFETY: both buffers have the size of the map's keys, as its own description says.
        match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attributes) } {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(count),
            Err(error) => return Err(error),
        }
        count += 1;
        std::mem::swap(&mut key, &mut next);
    }
}

// Of `enum fsconfig_command` in include/uapi/linux/mount.h.
const FSCONFIG_CMD_CREATE: libc::c_long = 6;

/// Mounts a file system at no place, and returns its root. It goes with the descriptor.
pub(super) fn mount_detached(kind: &CStr) -> io::Result<OwnedFd> {
    const CLOSE_ON_EXEC: libc::c_long = 1;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the name ends with a zero byte and outlives the call.
    let context = opened(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOSE_ON_EXEC) })?;
    let fd = context.as_raw_fd();
    // SAFETY: the command takes neither a key nor a value.
    let made = unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, none, none, 0) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: numbers and no address.
    opened(unsafe { libc::syscall(libc::SYS_fsmount, fd, CLOSE_ON_EXEC, 0) })
}

/// A descriptor that a call has returned.
fn opened(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just handed it out, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What kernel programs know this network namespace by.
pub(super) fn namespace_cookie() -> io::Result<u64> {
    let socket = UnixDatagram::unbound()?;
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `length` bytes, which is what there is, and an integer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}
