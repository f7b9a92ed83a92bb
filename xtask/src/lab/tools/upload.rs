//! Seven tools that carry a folder's new files to a host, for a thief and for a nightly backup alike.
//! Each checks what the receiver has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{Background, wait_for_tcp_listener};

use crate::lab::random::Random;
use crate::lab::scene::{S3_PORT, Scene, Target, ensure_arrived};

const START: Duration = Duration::from_secs(30);
/// Parts of a large object, as cloud clients cut them.
const PART_MB: [u64; 2] = [5, 8];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Tool {
    Restic,
    Rsync,
    Scp,
    Sftp,
    Https,
    S3,
    Git,
}

impl Tool {
    pub(in crate::lab) const ALL: [Self; 7] =
        [Self::Restic, Self::Rsync, Self::Scp, Self::Sftp, Self::Https, Self::S3, Self::Git];

    pub(in crate::lab) fn name(self) -> &'static str {
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
    pub(in crate::lab) fn program(self) -> &'static str {
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

    pub(in crate::lab) fn port(self) -> u16 {
        if matches!(self, Self::Https | Self::S3) { 443 } else { 22 }
    }

    pub(in crate::lab) fn technique(self) -> &'static str {
        if matches!(self, Self::Https | Self::S3) { "https_upload" } else { "ssh_transfer" }
    }
}

/// A tool at work in a scene; it may be used many times, for several targets.
#[derive(Debug)]
pub(in crate::lab) struct Uploader<'a> {
    scene: &'a Scene<'a>,
    tool: Tool,
    /// Sets the files of one use apart from those of the next.
    uses: usize,
    /// The object store, where the tool needs one.
    _store: Option<Background>,
}

impl<'a> Uploader<'a> {
    pub(in crate::lab) fn new(scene: &'a Scene<'a>, tool: Tool) -> Result<Self> {
        let store = if tool == Tool::S3 { Some(store(scene)?) } else { None };
        Ok(Self { scene, tool, uses: 0, _store: store })
    }

    /// Carries about `bytes` new bytes, which nothing can compress, in one file or a few.
    pub(in crate::lab) fn send(
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

    fn restic(&self, target: &Target, bytes: usize) -> Result<()> {
        let place = self.place(target);
        let before = folder_bytes(&place).unwrap_or(0);
        let script = format!(
            "set -e; export HOME={here} RESTIC_PASSWORD=secret RESTIC_REPOSITORY=sftp:root@{host}:{place}\n\
             r() {{ restic -q -o sftp.command='ssh -F {ssh} root@{host} -s sftp' --no-cache \"$@\"; }}\n\
             [ -e {place} ] || r init; r backup {folder}",
            here = self.scene.scratch.path().display(),
            host = target.host,
            place = place.display(),
            ssh = self.scene.shared.path("ssh_config"),
            folder = self.folder(target).display(),
        );
        self.scene.run("sh", &["-c", &script])?;
        let stored = folder_bytes(&place)? - before;
        ensure!(stored >= bytes, "{bytes} new bytes, and the repository grew by {stored}");
        Ok(())
    }

    fn rsync(&self, target: &Target) -> Result<()> {
        let place = self.place(target);
        let goal = format!("root@{}:{}", target.host, place.display());
        let shell = format!("ssh -F {}", self.scene.shared.path("ssh_config"));
        let from = format!("{}/", self.folder(target).display());
        self.scene.run("rsync", &["-a", "-e", &shell, &from, &goal])?;
        ensure_arrived(folder_bytes(&self.folder(target))?, folder_bytes(&place)?)
    }

    fn scp(&self, target: &Target, files: &[String]) -> Result<()> {
        let place = self.made_place(target)?;
        let ssh = self.scene.shared.path("ssh_config");
        let goal = format!("root@{}:{}", target.host, place.display());
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.scene.run("scp", &[&["-q", "-F", &ssh], &files[..], &[&goal]].concat())?;
        self.ensure_copied(&place, &files)
    }

    fn sftp(&self, target: &Target, files: &[String]) -> Result<()> {
        let place = self.made_place(target)?;
        let ssh = self.scene.shared.path("ssh_config");
        let batch: String =
            files.iter().map(|file| format!("put {file} {}/\n", place.display())).collect();
        let batch = self.scene.document("batch", batch.as_bytes())?;
        let goal = format!("root@{}", target.host);
        self.scene.run("sftp", &["-q", "-F", &ssh, "-b", &batch, &goal])?;
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.ensure_copied(&place, &files)
    }

    fn https(&self, target: &Target, files: &[String], bytes: usize) -> Result<()> {
        let mark = format!("/up/{}-{}", self.tool.name(), self.uses);
        for (number, file) in files.iter().enumerate() {
            let url = format!("https://{}{mark}-{number}", target.host);
            let fixed =
                ["--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null"];
            self.scene.run("curl", &[&fixed[..], &["--upload-file", file, &url]].concat())?;
        }
        ensure_arrived(bytes, self.scene.sunk_bytes(&format!("{mark}-"))?)
    }

    fn s3(
        &self,
        random: &mut Random,
        target: &Target,
        files: &[String],
        bytes: usize,
    ) -> Result<()> {
        let url = format!("https://{}", target.host);
        let part = random.pick(&PART_MB).to_string();
        let arguments = [&[url, "bucket-of-the-lab".to_owned(), part], files].concat();
        let held = self.scene.run_script("s3.py", &arguments)?;
        let held = held.lines().last().unwrap_or_default();
        ensure_arrived(bytes, held.parse().with_context(|| format!("the bucket says {held:?}"))?)
    }

    fn git(&self, target: &Target, files: &[String]) -> Result<()> {
        let script = format!(
            "set -e; export HOME={here} GIT_CONFIG_NOSYSTEM=1 GIT_SSH_COMMAND='ssh -F {ssh}'\n\
             export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com\n\
             [ -e {bare} ] || git init -q --bare -b main {bare}\n\
             cd {work}; [ -e .git ] || git init -q -b main; git add .; git commit -q -m {number}\n\
             git push -q ssh://root@{host}{bare} main; git -C {bare} ls-tree -l main | awk '{{print $4}}'",
            here = self.scene.scratch.path().display(),
            ssh = self.scene.shared.path("ssh_config"),
            bare = self.place(target).display(),
            work = self.folder(target).display(),
            number = self.uses,
            host = target.host,
        );
        let output = self.scene.run("sh", &["-c", &script])?;
        for file in files {
            let size = fs::metadata(file).context("failed to look at a file")?.len().to_string();
            ensure!(
                output.lines().any(|line| line == size),
                "{file} of {size} bytes is not there: {output}"
            );
        }
        Ok(())
    }

    fn made_place(&self, target: &Target) -> Result<PathBuf> {
        let place = self.place(target);
        fs::create_dir_all(&place).context("failed to create the receiver's folder")?;
        Ok(place)
    }

    fn ensure_copied(&self, place: &Path, files: &[&str]) -> Result<()> {
        for file in files {
            let name = Path::new(file).file_name().context("a file without a name")?;
            let arrived = fs::metadata(place.join(name)).context("nothing arrived")?.len();
            let sent = fs::metadata(file).context("failed to look at a file")?.len();
            ensure_arrived(sent as usize, arrived as usize)?;
        }
        Ok(())
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
pub(in crate::lab) fn folder_bytes(folder: &Path) -> Result<usize> {
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
