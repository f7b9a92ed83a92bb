//! One agent watches an interface: a lock by network namespace and index that goes with its process, in a
//! folder of mode 0700 that only those who may run an agent can enter.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use super::interfaces::{self, Interface, Selection};
use super::pins::{Lock, Taken, is_refusal};
use crate::instance;

/// Where all agents of the machine look, whatever their configuration.
const COMMON: &str = "/run/detector/interfaces";

/// Takes an interface for as long as what is returned lives. None where no lock can be kept, which is
/// said: another agent is then noticed by nobody.
///
/// # Errors
///
/// Another agent watches it.
pub(super) fn claim(interface: &Interface, runtime: &Path) -> anyhow::Result<Option<Lock>> {
    let place = place(interface.index);
    let mut refused = None;
    for folder in [Path::new(COMMON), &runtime.join("interfaces")] {
        let taken = make(folder)
            .with_context(|| format!("failed to create {}", folder.display()))
            .and_then(|()| Lock::take(&folder.join(&place)));
        match taken {
            Ok(Taken::Ours(lock)) => return Ok(Some(lock)),
            Ok(Taken::Held(_)) => bail!(
                "another agent watches {}: stop it first, or watch another interface",
                interface.name
            ),
            Err(error) if is_refusal(&error) => refused = Some(error),
            Err(error) => {
                return Err(error.context(format!("failed to claim {}", interface.name)));
            }
        }
    }
    let error = refused.unwrap_or_else(|| anyhow!("there is no folder for locks"));
    tracing::warn!("another agent on {} would not be noticed: {error:#}", interface.name);
    Ok(None)
}

/// Sees that no other agent watches an interface that is meant.
pub(super) fn check(selection: &Selection, runtime: &Path) -> anyhow::Result<()> {
    for interface in interfaces::list()?.values().filter(|each| selection.contains(each)) {
        drop(claim(interface, runtime)?);
    }
    Ok(())
}

/// The process that watches an interface; none where nobody does, or who asks may not know.
#[must_use]
pub fn holder(index: u32, runtime: &Path) -> Option<String> {
    [Path::new(COMMON), &runtime.join("interfaces")].into_iter().find_map(|folder| {
        let path = folder.join(place(index)).join("lock");
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                Some(fs::read_to_string(&path).ok()?.trim().to_owned())
            }
            _ => None,
        }
    })
}

/// The folder of an interface's lock.
fn place(index: u32) -> PathBuf {
    format!("{}-{index}", instance::name()).into()
}

fn make(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use detector_common::frame::LinkType;

    use super::*;

    #[test]
    fn an_interface_has_one_agent() {
        let runtime = std::env::temp_dir().join(format!("detector-claims-{}", std::process::id()));
        // No interface of this machine has this index.
        let index = u32::MAX - std::process::id();
        let interface = Interface {
            name: "test0".to_owned(),
            index,
            link: LinkType::Ethernet,
            loopback: false,
            networks: Vec::new(),
        };
        assert_eq!(holder(index, &runtime), None);
        let lock = claim(&interface, &runtime).unwrap();
        let error = claim(&interface, &runtime).unwrap_err().to_string();
        assert_eq!(error, "another agent watches test0: stop it first, or watch another interface");
        assert_eq!(holder(index, &runtime), Some(std::process::id().to_string()));
        drop(lock);
        assert_eq!(holder(index, &runtime), None);
        assert!(claim(&interface, &runtime).unwrap().is_some());
        fs::remove_dir_all(&runtime).unwrap_or_default();
    }
}
