//! What an operator said at run time and must outlive a restart.
//!
//! One file, always whole: a new one is written beside it, synced and put in its place. One that is
//! damaged is set aside and said; nothing of it is guessed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// The file's name in the state directory.
pub const FILE: &str = "policy.json";

/// The form of the file that this program reads and writes.
pub const VERSION: u32 = 1;

/// No file of ours is larger: a hundred thousand entries.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    pub version: u32,
    pub allow: Vec<KeptAllow>,
    pub released: Vec<KeptRelease>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { version: VERSION, allow: Vec::new(), released: Vec::new() }
    }
}

/// An exception that was added at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptAllow {
    pub id: String,
    pub source: Option<Network>,
    pub destination: Option<Network>,
    pub name: Option<String>,
    pub port: Option<u16>,
    pub reason: String,
    /// Who added it, as in the audit log.
    pub by: String,
    /// Nanoseconds since the epoch; none: for good.
    pub until_ns: Option<u64>,
}

/// A session that was let go by hand and is not to be blocked again for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRelease {
    pub source: String,
    pub destination: String,
    pub until_ns: u64,
}

/// The file and where it is.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

impl State {
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// What was kept; nothing where there is no file, or where it is damaged and was set aside.
    pub fn load(&self) -> anyhow::Result<Kept> {
        let path = self.path();
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", path.display()));
            }
        };
        parse(&text).or_else(|error| {
            let aside = path.with_extension("json.damaged");
            fs::rename(&path, &aside)
                .with_context(|| format!("failed to rename {}", path.display()))?;
            tracing::warn!(
                "{} is damaged: {error:#}. It was renamed to {}. Add the exceptions of `detector \
                 allow add` again",
                path.display(),
                aside.display()
            );
            Ok(Kept::default())
        })
    }

    /// Puts `kept` in the place of what was there, whole or not at all.
    pub fn save(&self, kept: &Kept) -> anyhow::Result<()> {
        let path = self.path();
        self.replace(&path, kept).with_context(|| format!("failed to write {}", path.display()))
    }

    fn replace(&self, path: &Path, kept: &Kept) -> anyhow::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.dir)?;
        let mut text = serde_json::to_vec_pretty(kept)?;
        text.push(b'\n');
        let beside = path.with_extension("json.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The directory, too: it is what knows the new name.
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &[u8]) -> anyhow::Result<Kept> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    ensure!(text.len() as u64 <= MAX_BYTES, "the file has more than {MAX_BYTES} bytes");
    let Version { version } = serde_json::from_slice(text)?;
    ensure!(version == VERSION, "the file has version {version}, this program reads {VERSION}");
    Ok(serde_json::from_slice(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> (PathBuf, State) {
        let dir = std::env::temp_dir().join(format!("detector-{name}-{}", std::process::id()));
        let _leftover = fs::remove_dir_all(&dir);
        (dir.clone(), State::new(&dir))
    }

    fn kept() -> Kept {
        Kept {
            allow: vec![KeptAllow {
                id: "a1".into(),
                source: None,
                destination: Some("192.0.2.0/24".parse().unwrap()),
                name: None,
                port: Some(443),
                reason: "nightly backup".into(),
                by: "uid 0 (root)".into(),
                until_ns: Some(u64::MAX),
            }],
            released: vec![KeptRelease {
                source: "10.0.0.7".into(),
                destination: "192.0.2.1".into(),
                until_ns: 1_800_000_000_000_000_000,
            }],
            ..Kept::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (dir, state) = scratch("state");
        assert_eq!(state.load().unwrap(), Kept::default());
        state.save(&kept()).unwrap();
        state.save(&kept()).unwrap();
        assert_eq!(state.load().unwrap(), kept());
        let files: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, [FILE]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let (dir, state) = scratch("damaged-state");
        state.save(&kept()).unwrap();
        let whole = fs::read_to_string(dir.join(FILE)).unwrap();
        for text in [
            "",
            "[]",
            &whole[..whole.len() / 2],
            &whole.replace("\"version\": 1", "\"version\": 2"),
            &whole.replace("192.0.2.0/24", "192.0.2.1/24"),
            &whole.replace("\"port\"", "\"ports\""),
        ] {
            fs::write(dir.join(FILE), text).unwrap();
            assert_eq!(state.load().unwrap(), Kept::default(), "{text}");
            assert_eq!(fs::read_to_string(dir.join("policy.json.damaged")).unwrap(), text);
            assert!(!dir.join(FILE).exists());
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_write_that_fails_says_where() {
        let (dir, state) = scratch("no-state");
        fs::write(&dir, "a file in the way").unwrap();
        let error = format!("{:#}", state.save(&kept()).unwrap_err());
        assert!(error.contains("failed to write") && error.contains(FILE), "{error}");
        fs::remove_file(&dir).unwrap();
    }
}
