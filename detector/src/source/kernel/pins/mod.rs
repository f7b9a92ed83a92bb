//! What outlives the agent: maps and links by name in a BPF file system, so that blocks hold and
//! counters continue without it, and the next agent can take them over.
//!
//! A directory of pins belongs to one network namespace and to whoever holds its lock. A directory
//! named after the ABI version is made last and marks it as complete.

mod abi;
mod epoch;
mod lock;
mod place;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use aya::maps::MapInfo;
use aya::programs::links::FdLink;
use detector_common::abi::map;

use super::object::ObjectConfig;
use super::sys;
use crate::config::Config;
use crate::flow::TimeBase;
use crate::instance;
use crate::units::counted;
pub(super) use abi::MAPS;
pub(super) use lock::{Lock, Taken};
pub(super) use place::is_refusal;

/// Whether what an earlier agent left is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// It is removed.
    #[default]
    Fresh,
    /// It continues: counters, blocks and flows; where there is nothing, as afresh.
    Adopt,
}

/// Which of an interface's places a link is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Native,
    Generic,
    Ingress,
    Egress,
}

impl Hook {
    pub(super) const ALL: [Self; 4] = [Self::Native, Self::Generic, Self::Ingress, Self::Egress];

    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    pub links: u64,
    /// Orders in the tables, those whose time was over among them.
    pub blocks: u64,
    /// tc filters of kernels that have no tcx.
    pub filters: u64,
}

/// The pins of this agent. Dropped, they are removed, unless they are to be kept.
#[derive(Debug)]
pub(super) struct Pins {
    /// None where nothing is pinned, and why.
    folder: Result<PathBuf, String>,
    /// Taken over from an earlier agent.
    pub(super) adopted: bool,
    keep: bool,
    _lock: Option<Lock>,
}

const LINK: &str = "link-";

impl Pins {
    /// Takes this namespace's lock and removes or checks what an earlier agent left.
    pub(super) fn open(
        config: &Config,
        sizes: &ObjectConfig,
        start: Start,
    ) -> anyhow::Result<Self> {
        let runtime = &config.runtime_dir;
        let lock = match Lock::take(&instance::instance_dir(runtime)) {
            Ok(Taken::Ours(lock)) => lock,
            Ok(Taken::Held(pid)) => bail!(
                "another agent (pid {pid}) runs here: stop it first, or set another runtime_dir"
            ),
            // Who may not write there may not load programs either, which is said next.
            Err(error) if start == Start::Fresh && is_refusal(&error) => {
                return Ok(Self::none(format!("{error:#}"), None));
            }
            Err(error) => return Err(error),
        };
        let base = if config.kernel.pin {
            place::make(runtime)
        } else {
            place::find(runtime).context("kernel.pin is false")
        };
        let base = match base {
            Ok(base) => base,
            Err(error) if start == Start::Fresh => {
                return Ok(Self::none(format!("{error:#}"), Some(lock)));
            }
            Err(error) => return Err(error.context("there are no pins to continue with")),
        };
        sweep(&base, runtime);
        let folder = base.join(instance::name());
        let adopted = start == Start::Adopt && may_adopt(&folder, sizes)?;
        if !adopted {
            let removed = remove(&folder)?;
            if removed != Detached::default() {
                tracing::info!(
                    "removed {} and {} of an earlier run",
                    counted(removed.links, "link"),
                    counted(removed.blocks, "block")
                );
            }
            if start == Start::Adopt {
                tracing::info!(
                    "an earlier run left nothing: starting without its counters, blocks and flows"
                );
            }
        }
        if !config.kernel.pin {
            ensure!(start == Start::Fresh, "--adopt needs kernel.pin = true");
            return Ok(Self::none("kernel.pin is false".to_owned(), Some(lock)));
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
        // What is taken over stays as it was should this start fail.
        Ok(Self { folder: Ok(folder), adopted, keep: adopted, _lock: Some(lock) })
    }

    fn none(why: String, lock: Option<Lock>) -> Self {
        Self { folder: Err(why), adopted: false, keep: false, _lock: lock }
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref().ok()
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        match &self.folder {
            Ok(_) => Ok(()),
            Err(why) => bail!("this agent pins nothing, so blocks end with it: {why}"),
        }
    }

    /// All maps are there: marks the directory as complete.
    pub(super) fn seal(&self) -> anyhow::Result<()> {
        let Some(folder) = self.folder() else { return Ok(()) };
        match fs::create_dir(folder.join(abi::marker())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("failed to write to {}", folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// The time base that every agent of these pins goes by.
    pub(super) fn time_base(&self, found: TimeBase) -> anyhow::Result<TimeBase> {
        self.folder().map_or(Ok(found), |folder| epoch::keep(folder, found))
    }

    /// The pin of a link, where there is one.
    pub(super) fn link(&self, interface: u32, hook: Hook) -> Option<PathBuf> {
        self.link_path(interface, hook).filter(|path| path.exists())
    }

    fn link_path(&self, interface: u32, hook: Hook) -> Option<PathBuf> {
        Some(self.folder()?.join(format!("{LINK}{interface}-{}", hook.name())))
    }

    /// Pins a link, which is then held by its pin alone.
    pub(super) fn pin(&self, link: FdLink, interface: u32, hook: Hook) -> anyhow::Result<()> {
        let path = self.new_link(interface, hook)?;
        link.pin(&path)
            .map(drop)
            .with_context(|| format!("failed to pin a link as {}", path.display()))
    }

    /// Pins a link again, whose pin was removed.
    pub(super) fn pin_again(
        &self,
        link: BorrowedFd<'_>,
        interface: u32,
        hook: Hook,
    ) -> anyhow::Result<()> {
        let path = self.new_link(interface, hook)?;
        sys::pin(link, &path).with_context(|| format!("failed to pin a link as {}", path.display()))
    }

    /// Where a link will be pinned. The folder may have been removed.
    fn new_link(&self, interface: u32, hook: Hook) -> anyhow::Result<PathBuf> {
        let folder = self.folder().context("there is no folder to pin a link in")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
        self.link_path(interface, hook).context("there is no folder to pin a link in")
    }

    /// Takes the programs off an interface that are pinned, but for those at `kept`.
    pub(super) fn take_off(&self, interface: u32, kept: &[Hook]) -> anyhow::Result<()> {
        for hook in Hook::ALL.into_iter().filter(|hook| !kept.contains(hook)) {
            if let Some(path) = self.link(interface, hook) {
                take_off(&path)?;
            }
        }
        Ok(())
    }

    /// Takes the programs off all interfaces but some.
    pub(super) fn take_off_others(&self, kept: impl Fn(u32) -> bool) -> anyhow::Result<()> {
        let Some(folder) = self.folder() else { return Ok(()) };
        for path in links(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let index =
                name.strip_prefix(LINK).and_then(|rest| rest.split('-').next()?.parse().ok());
            if !index.is_some_and(&kept) {
                take_off(&path)?;
            }
        }
        Ok(())
    }

    /// From now on this agent answers for what it took over.
    pub(super) fn own(&mut self) {
        self.keep = false;
    }

    /// Everything stays when this is dropped.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }

    /// Takes the programs off and removes the pins; maps stay as long as somebody has them open.
    pub(super) fn remove(&mut self) -> anyhow::Result<()> {
        self.keep = true;
        if let Some(folder) = self.folder() {
            remove(folder)?;
        }
        Ok(())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = self.remove()
        {
            tracing::error!("{error:#}");
        }
    }
}

/// Whether there is a complete set of pins that this agent understands; false where there is none.
fn may_adopt(folder: &Path, sizes: &ObjectConfig) -> anyhow::Result<bool> {
    let Some(version) = abi::version(folder)? else { return Ok(false) };
    abi::check(folder, version, sizes).with_context(|| {
        let blocks = counted(blocks(folder), "block");
        format!(
            "failed to adopt the programs of an earlier agent: start without --adopt, or run \
             `detector detach`, which ends {blocks}"
        )
    })?;
    Ok(true)
}

/// Removes the pins that an agent which no longer runs left in this network namespace. No other
/// starts while the lock is held.
pub(super) fn remove_all(runtime_dir: &Path) -> anyhow::Result<(Detached, Lock)> {
    let lock = match Lock::take(&instance::instance_dir(runtime_dir))? {
        Taken::Ours(lock) => lock,
        Taken::Held(pid) => {
            bail!("an agent (pid {pid}) runs here: stop it, and it removes everything itself")
        }
    };
    let mut detached = Detached::default();
    if let Some(base) = place::find(runtime_dir) {
        sweep(&base, runtime_dir);
        detached = remove(&base.join(instance::name()))?;
    }
    Ok((detached, lock))
}

/// Takes the programs off and removes the pins of one instance.
fn remove(folder: &Path) -> anyhow::Result<Detached> {
    let mut removed = Detached::default();
    if !folder.exists() {
        return Ok(removed);
    }
    removed.blocks = blocks(folder);
    // Links first: without its maps' names nothing could be done about one that stays.
    for path in links(folder)? {
        take_off(&path)?;
        removed.links += 1;
    }
    for path in entries(folder)? {
        let result = if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        result.with_context(|| format!("failed to remove {}", path.display()))?;
    }
    fs::remove_dir(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    Ok(removed)
}

/// Removes the pins of namespaces that are gone, whose maps hold memory for nobody.
fn sweep(base: &Path, runtime_dir: &Path) {
    let own = instance::name();
    for folder in entries(base).unwrap_or_default() {
        let name = folder.file_name().unwrap_or_default();
        if name == own.as_str() || !is_defunct(&folder) {
            continue;
        }
        let Ok(Taken::Ours(_lock)) = Lock::take(&runtime_dir.join(name)) else { continue };
        match remove(&folder) {
            Ok(removed) => tracing::info!(
                "removed {} and {} of a dead agent in {}",
                counted(removed.links, "link"),
                counted(removed.blocks, "block"),
                name.to_string_lossy()
            ),
            Err(error) => tracing::debug!("{error:#}"),
        }
    }
}

/// Whether there are links and all have lost their interfaces.
fn is_defunct(folder: &Path) -> bool {
    let links = links(folder).unwrap_or_default();
    let gone = |path: &PathBuf| {
        sys::open_pin(path)
            .and_then(|link| sys::link_interface(link.as_fd()))
            .is_ok_and(|it| it == 0)
    };
    !links.is_empty() && links.iter().all(gone)
}

pub(super) fn take_off(path: &Path) -> anyhow::Result<()> {
    let detached = sys::open_pin(path).and_then(|link| sys::detach_link(link.as_fd()));
    if let Err(error) = detached {
        // Its interface may be gone; without its pin it goes, too, if a little later.
        tracing::debug!("failed to detach {}: {error}", path.display());
    }
    fs::remove_file(path).with_context(|| format!("failed to remove {}", path.display()))
}

/// Blocks in pinned maps of whatever layout.
fn blocks(folder: &Path) -> u64 {
    let count = |name: &str| -> Option<u64> {
        let path = folder.join(name);
        let key_size = MapInfo::from_pin(&path).ok()?.key_size();
        sys::count_keys(sys::open_pin(&path).ok()?.as_fd(), key_size).ok()
    };
    [map::BLOCKS, map::PREFIXES].into_iter().filter_map(count).sum()
}

fn links(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_link = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINK))
    };
    Ok(entries(folder)?.into_iter().filter(is_link).collect())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listing = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let result: io::Result<Vec<PathBuf>> = listing();
    result.with_context(|| format!("failed to list {}", folder.display()))
}
