//! Sockets that go past the programs: the one at setsockopt loaded in the variant that this kernel takes,
//! attached at the root of control groups, its records read.
//!
//! It lets every option through. Without it the agent watches all the same, and says what it cannot see.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::cgroup_sockopt::CgroupSockoptLinkId;
use aya::programs::{CgroupAttachMode, CgroupSockopt};
use detector_common::abi::{Bypass, BypassEvent, map, program};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

use super::events::bypass;
use super::object::Object;
use super::refusal::first_line;
use super::sys;

/// Where the hierarchy that programs attach to is mounted: alone, and beside the older ones.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A process asked for a way past the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastPrograms {
    pub bypass: Bypass,
    pub uid: u32,
    /// None where this kernel does not say.
    pub process: Option<Process>,
    /// The tick.
    pub now: u64,
}

/// A process as the kernel names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// As it calls itself.
    pub name: String,
}

impl PastPrograms {
    pub(super) fn of(event: &BypassEvent) -> Option<Self> {
        let bypass = [Bypass::NoQueue, Bypass::XdpRing]
            .into_iter()
            .find(|bypass| *bypass as u32 == event.bypass)?;
        let name = CStr::from_bytes_until_nul(&event.comm).map_or(&event.comm[..], CStr::to_bytes);
        let name = String::from_utf8_lossy(name).into_owned();
        let process = (event.named != 0).then_some(Process { pid: event.pid, name });
        Some(Self { bypass, uid: event.uid, process, now: event.now })
    }
}

/// What is seen of such sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// With the process, and of the agent's network namespace alone.
    pub named: bool,
    /// Of all processes; else of those in the agent's control group.
    pub whole: bool,
}

impl Sight {
    /// What is missing, in words; none where nothing is.
    #[must_use]
    pub fn gap(self) -> Option<&'static str> {
        match (self.named, self.whole) {
            (true, true) => None,
            (true, false) => Some("seen in the agent's own control group alone"),
            (false, true) => Some(
                "seen with the user and not the process, in every network namespace: this kernel says no \
                 more",
            ),
            (false, false) => {
                Some("seen with the user alone, and in the agent's own control group alone")
            }
        }
    }
}

/// The program that sees them, attached.
pub(super) struct Sockets {
    pub(super) sight: Sight,
    name: &'static str,
    root: OwnedFd,
    /// None while it is taken off.
    link: Option<CgroupSockoptLinkId>,
    events: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
    unknown: u64,
}

impl Sockets {
    /// # Errors
    ///
    /// A kernel that takes neither variant, no place to attach it, no permission.
    pub(super) fn attach(object: &mut Object) -> anyhow::Result<Self> {
        let (name, sight, root) = load(object)?;
        let link = attach(object, name, &root)?;
        let mut take = |name| {
            object.ebpf.take_map(name).with_context(|| format!("the BPF object has no map {name}"))
        };
        let events = RingBuf::try_from(take(map::BYPASS_EVENTS)?)?;
        let lost = PerCpuArray::try_from(take(map::BYPASSES_LOST)?)?;
        Ok(Self { sight, name, root, link: Some(link), events, lost, unknown: 0 })
    }

    /// Attaches the program again where it was taken off; true where it was.
    pub(super) fn restore(&mut self, object: &mut Object) -> anyhow::Result<bool> {
        let there = sys::option_programs(self.root.as_fd())
            .context("failed to ask what runs at the root of control groups")?;
        let own = program(&mut object.ebpf, self.name)?;
        if there.contains(&own.info()?.id()) {
            return Ok(false);
        }
        if let Some(link) = self.link.take() {
            own.detach(link).context("failed to let go of a link")?;
        }
        self.link = Some(attach(object, self.name, &self.root)?);
        Ok(true)
    }

    /// The next record, if there is one. Records of no known kind count as lost.
    pub(super) fn next(&mut self) -> Option<PastPrograms> {
        loop {
            let record = self.events.next()?;
            match bypass(&record).as_deref().and_then(PastPrograms::of) {
                Some(past) => return Some(past),
                None => self.unknown += 1,
            }
        }
    }

    /// Records that found no room, or were none.
    pub(super) fn lost(&self) -> anyhow::Result<u64> {
        let lost = self.lost.get(&0, 0).context("failed to count lost records of sockets")?;
        Ok(self.unknown + lost.iter().sum::<u64>())
    }

    pub(super) fn fd(&self) -> anyhow::Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned().context("failed to wait for sockets")
    }
}

/// What an agent would see here. Attaches nothing.
pub fn sight(object: &mut Object) -> anyhow::Result<Sight> {
    load(object).map(|(_, sight, _)| sight)
}

/// By a link: it stands beside other programs, and goes with this process.
fn attach(object: &mut Object, name: &str, root: &OwnedFd) -> anyhow::Result<CgroupSockoptLinkId> {
    program(&mut object.ebpf, name)?
        .attach(root, CgroupAttachMode::Single)
        .map_err(|error| anyhow!(error))
        .context("failed to attach at the root of control groups")
}

/// Loads the variant that this kernel takes, and finds where it would be attached.
fn load(object: &mut Object) -> anyhow::Result<(&'static str, Sight, OwnedFd)> {
    let full = program(&mut object.ebpf, program::SEE_OPTIONS)?.load();
    let name = match &full {
        Ok(()) => program::SEE_OPTIONS,
        Err(error) => {
            tracing::debug!("{}: {}", program::SEE_OPTIONS, first_line(error));
            program(&mut object.ebpf, program::SEE_OPTIONS_NAMELESS)?
                .load()
                .map_err(|error| anyhow!("this kernel refused it: {}", first_line(&error)))?;
            program::SEE_OPTIONS_NAMELESS
        }
    };
    let root = root()?;
    let own_group = format!("/proc/self/fd/{}/cgroup.type", root.as_raw_fd());
    let sight = Sight { named: full.is_ok(), whole: !Path::new(&own_group).exists() };
    Ok((name, sight, root))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut CgroupSockopt> {
    let program = ebpf.program_mut(name);
    program
        .with_context(|| format!("the BPF object has no program {name}"))?
        .try_into()
        .context("failed to use the BPF object: a program at setsockopt is of another type")
}

/// The root of control groups where it is mounted, else by a mount that nobody else sees: `ip netns
/// exec` hides the mounts.
fn root() -> anyhow::Result<OwnedFd> {
    let mounted = |path: &&str| {
        let folder = File::open(path).ok()?;
        let is = fstatfs(&folder).ok()?.filesystem_type() == CGROUP2_SUPER_MAGIC;
        is.then(|| folder.into())
    };
    if let Some(root) = MOUNTS.iter().find_map(mounted) {
        return Ok(root);
    }
    sys::mount_detached(c"cgroup2")
        .context("found no mount of cgroup2, and failed to make one: mount it at /sys/fs/cgroup")
}
