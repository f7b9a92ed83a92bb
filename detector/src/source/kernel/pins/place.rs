//! Where pins can be: a BPF file system of ours.
//!
//! It is mounted where processes come from that outlive us: `ip netns exec`, for one, gives each
//! program a mount namespace of its own, and what is mounted there goes with the program.

use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, statfs};

/// Inside the runtime directory.
const FOLDER: &str = "bpf";
/// Where others have mounted one.
const SHARED: &str = "/sys/fs/bpf";
const OUTSIDE: &str = "/proc/1/root";
/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Whether a directory is on a BPF file system.
fn is_bpf(path: &Path) -> bool {
    statfs(path).is_ok_and(|system| system.filesystem_type() == FsType(BPF_FS_MAGIC as _))
}

/// The file system that an earlier run used, without mounting one.
pub(super) fn find(runtime_dir: &Path) -> Option<PathBuf> {
    let own = runtime_dir.join(FOLDER);
    let shared = Path::new(SHARED).join("detector");
    [own.clone(), outside(&own), shared].into_iter().find(|path| is_bpf(path))
}

/// A file system for pins, mounted if there is none.
///
/// # Errors
///
/// With what each place said, where none can be had.
pub(super) fn make(runtime_dir: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(runtime_dir) {
        return Ok(found);
    }
    let own = runtime_dir.join(FOLDER);
    let mounted = if in_a_mount_namespace_of_our_own() {
        mount_outside(&own).map(|()| outside(&own)).or_else(|error| {
            tracing::debug!("{error:#}: pins will not outlive this mount namespace");
            mount_here(&own).map(|()| own)
        })
    } else {
        mount_here(&own).map(|()| own)
    };
    mounted.or_else(|error| {
        let shared = Path::new(SHARED).join("detector");
        if is_bpf(Path::new(SHARED)) && fs::create_dir_all(&shared).is_ok() {
            Ok(shared)
        } else {
            Err(error)
        }
    })
}

/// A path as processes see it that live where process 1 does.
fn outside(path: &Path) -> PathBuf {
    Path::new(OUTSIDE).join(path.strip_prefix("/").unwrap_or(path))
}

/// False where process 1 may not be looked at, too.
fn in_a_mount_namespace_of_our_own() -> bool {
    let identity = |path: &str| fs::metadata(path).map(|namespace| namespace.st_ino());
    match (identity("/proc/self/ns/mnt"), identity("/proc/1/ns/mnt")) {
        (Ok(own), Ok(first)) => own != first,
        _ => false,
    }
}

fn mount_here(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), path, Some("bpf"), flags, Some("mode=0700"))
        .with_context(|| format!("failed to mount a BPF file system on {}", path.display()))
}

/// Mounts it in the mount namespace of process 1, from a thread that goes there and ends.
fn mount_outside(path: &Path) -> anyhow::Result<()> {
    let namespace = fs::File::open("/proc/1/ns/mnt").context("failed to open /proc/1/ns/mnt")?;
    let path = path.to_owned();
    let inside = std::thread::Builder::new().spawn(move || {
        // Threads share a root directory and cannot change namespaces as long as they do.
        unshare(CloneFlags::CLONE_FS).context("failed to leave the mount namespace")?;
        setns(&namespace, CloneFlags::CLONE_NEWNS)
            .context("failed to enter the mount namespace of process 1")?;
        if is_bpf(&path) { Ok(()) } else { mount_here(&path) }
    });
    let inside = inside.context("failed to start a thread")?;
    inside.join().map_err(|_| anyhow!("the thread that mounts panicked"))?
}

/// Whether an error is that of somebody who may not.
pub(super) fn is_refusal(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let number = cause.downcast_ref::<nix::Error>().map(|number| *number as i32);
        matches!(io.or(number), Some(libc::EPERM | libc::EACCES | libc::EROFS))
    })
}
