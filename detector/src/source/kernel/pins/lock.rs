//! One agent at a time in a network namespace: a lock that goes with its process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

const NAME: &str = "lock";

/// The lock of an instance. Its file goes with it.
#[derive(Debug)]
pub(in crate::source::kernel) struct Lock {
    _file: File,
    path: PathBuf,
}

/// What became of an attempt to lock.
#[derive(Debug)]
pub(in crate::source::kernel) enum Taken {
    Ours(Lock),
    /// The process that holds it, where it says so.
    Held(String),
}

impl Lock {
    /// Takes the lock in an instance's directory, which is made where it is missing.
    pub(in crate::source::kernel) fn take(folder: &Path) -> anyhow::Result<Taken> {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
        let path = folder.join(NAME);
        loop {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .with_context(|| format!("failed to open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Taken::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => {
                    return Err(anyhow!(error))
                        .with_context(|| format!("failed to lock {}", path.display()));
                }
            }
            // Whoever held it may have removed the file since it was opened.
            if !is_at(&file, &path)? {
                continue;
            }
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .with_context(|| format!("failed to write {}", path.display()))?;
            return Ok(Taken::Ours(Self { _file: file, path }));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The directory stays where others have files in it.
        let removed = fs::remove_file(&self.path);
        let folder = self.path.parent().map(fs::remove_dir);
        tracing::trace!("lock removed: {removed:?}, its directory: {folder:?}");
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn is_at(file: &File, path: &Path) -> anyhow::Result<bool> {
    let own = file.metadata().context("failed to read the lock")?;
    Ok(fs::metadata(path)
        .is_ok_and(|there| (there.st_dev(), there.st_ino()) == (own.st_dev(), own.st_ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = std::env::temp_dir().join(format!("detector-lock-{}", std::process::id()));
        let Taken::Ours(lock) = Lock::take(&folder).unwrap() else { panic!("held by nobody") };
        let Taken::Held(pid) = Lock::take(&folder).unwrap() else { panic!("taken twice") };
        assert_eq!(pid, std::process::id().to_string());
        drop(lock);
        assert!(!folder.exists());
        assert!(matches!(Lock::take(&folder).unwrap(), Taken::Ours(_)));
        assert!(!folder.exists());
    }
}
