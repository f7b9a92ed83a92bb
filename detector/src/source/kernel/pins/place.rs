//! Where pins can be: a BPF file system of ours.
//!
//! It is mounted where processes come from that outlive us: `ip netns exec`, for one, gives each
//! program a mount namespace of its own, and what is mounted there goes with the program.

use std::fs;
use std::io;
use std::os::fd::IntoRawFd as _;
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
    let outside = outlook().map(|process| seen_from(process, &own));
    let found = [outside, Some(own), Some(shared)].into_iter().flatten().find(|path| is_bpf(path));
    found.map(held)
}

/// A file system for pins, mounted if there is none.
pub(super) fn make(runtime_dir: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(runtime_dir) {
        return Ok(found);
    }
    let own = runtime_dir.join(FOLDER);
    let mounted = match outlook() {
        Some(process) => {
            let outside = seen_from(process, &own);
            mount_outside(process, &own).map(|()| held(outside)).or_else(|error| {
                tracing::warn!("{error:#}: the pins end with this mount namespace");
                mount_here(&own).map(|()| held(own))
            })
        }
        None => mount_here(&own).map(|()| held(own)),
    };
    mounted.or_else(|error| {
        let shared = Path::new(SHARED).join("detector");
        if is_bpf(Path::new(SHARED)) && fs::create_dir_all(&shared).is_ok() {
            Ok(held(shared))
        } else {
            Err(error)
        }
    })
}

/// A path as another process sees it.
fn seen_from(process: u32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{process}/root")).join(path.strip_prefix("/").unwrap_or(path))
}

/// The same directory through a descriptor that is kept open: the process through which we see it
/// may end before we do, and whoever unmounts the file system would take the programs off with it.
fn held(path: PathBuf) -> PathBuf {
    match fs::File::open(&path) {
        Ok(directory) => PathBuf::from(format!("/proc/self/fd/{}", directory.into_raw_fd())),
        Err(_) => path,
    }
}

/// A process that lives in another mount namespace than we do and outlives us: process 1, or, where
/// even root may not look at that, the eldest of our ancestors. None where they share ours.
fn outlook() -> Option<u32> {
    let identity = |process: &str| {
        fs::metadata(format!("/proc/{process}/ns/mnt")).map(|namespace| namespace.st_ino()).ok()
    };
    let own = identity("self")?;
    let eldest = [1].into_iter().chain(ancestors().into_iter().rev());
    let (process, namespace) =
        eldest.filter_map(|process| Some((process, identity(&process.to_string())?))).next()?;
    (namespace != own).then_some(process)
}

/// Our parent, its parent and so on.
fn ancestors() -> Vec<u32> {
    let mut line = Vec::new();
    let mut process = std::os::unix::process::parent_id();
    // Longer lines of descent there are none.
    while process > 1 && line.len() < 1_000 {
        line.push(process);
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|entry| entry.strip_prefix("PPid:"));
        process = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
    }
    line
}

fn mount_here(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), path, Some("bpf"), flags, Some("mode=0700"))
        .with_context(|| format!("failed to mount a BPF file system on {}", path.display()))
}

/// Mounts it in the mount namespace of another process, from a thread that goes there and ends.
fn mount_outside(process: u32, path: &Path) -> anyhow::Result<()> {
    let file = format!("/proc/{process}/ns/mnt");
    let namespace = fs::File::open(&file).with_context(|| format!("failed to open {file}"))?;
    let path = path.to_owned();
    let inside = std::thread::Builder::new().spawn(move || {
        // Threads share a root directory and cannot change namespaces as long as they do.
        unshare(CloneFlags::CLONE_FS).context("failed to leave the mount namespace")?;
        setns(&namespace, CloneFlags::CLONE_NEWNS)
            .with_context(|| format!("failed to enter the mount namespace of process {process}"))?;
        if is_bpf(&path) { Ok(()) } else { mount_here(&path) }
    });
    let inside = inside.context("failed to start a thread")?;
    inside.join().map_err(|_| anyhow!("the thread that mounts panicked"))?
}

/// Whether an error is that of somebody who may not.
pub(in crate::source::kernel) fn is_refusal(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let number = cause.downcast_ref::<nix::Error>().map(|number| *number as i32);
        matches!(io.or(number), Some(libc::EPERM | libc::EACCES | libc::EROFS))
    })
}
