//! Seven tools that carry a folder's new files to a host, for a thief and for a nightly backup alike.
//! Each checks what the receiver has.

mod ways;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use detector_tests::{Background, wait_for_tcp_listener};

use crate::random::Random;
use crate::scene::{S3_PORT, Scene, Target};

const START: Duration = Duration::from_secs(30);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Restic,
    Rsync,
    Scp,
    Sftp,
    Https,
    S3,
    Git,
}

impl Tool {
    pub(crate) const ALL: [Self; 7] =
        [Self::Restic, Self::Rsync, Self::Scp, Self::Sftp, Self::Https, Self::S3, Self::Git];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Restic => "restic",
            Self::Rsync => "rsync",
            Self::Scp => "scp",
            Self::Sftp => "sftp",
            Self::Https => "https",
            Self::S3 => "s3",
            Self::Git => "git",
        }
    }

    /// What the tool calls itself at length.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Restic => "restic over sftp",
            Self::Rsync => "rsync over ssh",
            Self::Scp => "scp",
            Self::Sftp => "sftp",
            Self::Https => "curl -T",
            Self::S3 => "boto3",
            Self::Git => "git push over ssh",
        }
    }

    pub(crate) fn port(self) -> u16 {
        if matches!(self, Self::Https | Self::S3) { 443 } else { 22 }
    }

    pub(crate) fn technique(self) -> &'static str {
        if matches!(self, Self::Https | Self::S3) { "https_upload" } else { "ssh_transfer" }
    }
}

/// A tool at work in a scene; it may be used many times, for several targets.
#[derive(Debug)]
pub(crate) struct Uploader<'a> {
    scene: &'a Scene<'a>,
    tool: Tool,
    /// Sets the files of one use apart from those of the next.
    uses: usize,
    /// The object store, where the tool needs one.
    _store: Option<Background>,
}

impl<'a> Uploader<'a> {
    pub(crate) fn new(scene: &'a Scene<'a>, tool: Tool) -> Result<Self> {
        let store = if tool == Tool::S3 { Some(store(scene)?) } else { None };
        Ok(Self { scene, tool, uses: 0, _store: store })
    }

    /// Carries about `bytes` new bytes, which nothing can compress, in one file or a few.
    pub(crate) fn send(
        &mut self,
        random: &mut Random,
        target: &Target,
        bytes: usize,
    ) -> Result<()> {
        self.uses += 1;
        let files = self.write_files(random, target, bytes)?;
        match self.tool {
            Tool::Restic => self.restic(target, bytes),
            Tool::Rsync => self.rsync(target),
            Tool::Scp => self.scp(target, &files),
            Tool::Sftp => self.sftp(target, &files),
            Tool::Https => self.https(target, &files, bytes),
            Tool::S3 => self.s3(random, target, &files, bytes),
            Tool::Git => self.git(target, &files),
        }
    }

    /// One to three files of the folder to save, `bytes` in all.
    fn write_files(
        &self,
        random: &mut Random,
        target: &Target,
        bytes: usize,
    ) -> Result<Vec<String>> {
        let folder = self.folder(target);
        fs::create_dir_all(&folder).context("failed to create the folder to save")?;
        let count = random.between(1, 3) as usize;
        let sizes = (0..count).map(|number| {
            if number == 0 { bytes - bytes / count * (count - 1) } else { bytes / count }
        });
        sizes
            .enumerate()
            .map(|(number, size)| {
                let file = folder.join(format!("file-{}-{number}", self.uses));
                fs::write(&file, random.bytes(size)).context("failed to write a file to save")?;
                Ok(file.display().to_string())
            })
            .collect()
    }

    /// What one target is sent, and no other.
    fn folder(&self, target: &Target) -> PathBuf {
        self.scene.scratch.join(&format!("saved-{}", target.host))
    }

    /// The receiver's place for one target.
    fn place(&self, target: &Target) -> PathBuf {
        self.scene.inbox(&format!("{}-{}", self.tool.name(), target.host))
    }
}

/// An object store behind nginx.
fn store(scene: &Scene<'_>) -> Result<Background> {
    let port = S3_PORT.to_string();
    let arguments = ["-H", "127.0.0.1", "-p", &port].map(str::to_owned);
    let server = scene.start_module(scene.internet(), "moto.server", &arguments)?;
    wait_for_tcp_listener(scene.internet(), S3_PORT, START)?;
    Ok(server)
}

/// Of all files below a folder.
pub(crate) fn folder_bytes(folder: &Path) -> Result<usize> {
    let mut total = 0;
    for file in
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?
    {
        let file = file.context("failed to list a folder")?;
        let details = file.metadata().context("failed to look at a file")?;
        total +=
            if details.is_dir() { folder_bytes(&file.path())? } else { details.len() as usize };
    }
    Ok(total)
}
