//! Each tool's own way to carry files, and to show what arrived.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Uploader, folder_bytes};
use crate::random::Random;
use crate::scene::{Target, ensure_arrived};

/// Parts of a large object, as cloud clients cut them.
const PART_MB: [u64; 2] = [5, 8];

impl Uploader<'_> {
    pub(super) fn restic(&self, target: &Target, bytes: usize) -> Result<()> {
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

    pub(super) fn rsync(&self, target: &Target) -> Result<()> {
        let place = self.place(target);
        let goal = format!("root@{}:{}", target.host, place.display());
        let shell = format!("ssh -F {}", self.scene.shared.path("ssh_config"));
        let from = format!("{}/", self.folder(target).display());
        self.scene.run("rsync", &["-a", "-e", &shell, &from, &goal])?;
        ensure_arrived(folder_bytes(&self.folder(target))?, folder_bytes(&place)?)
    }

    pub(super) fn scp(&self, target: &Target, files: &[String]) -> Result<()> {
        let place = self.made_place(target)?;
        let ssh = self.scene.shared.path("ssh_config");
        let goal = format!("root@{}:{}", target.host, place.display());
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.scene.run("scp", &[&["-q", "-F", &ssh], &files[..], &[&goal]].concat())?;
        self.ensure_copied(&place, &files)
    }

    pub(super) fn sftp(&self, target: &Target, files: &[String]) -> Result<()> {
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

    pub(super) fn https(&self, target: &Target, files: &[String], bytes: usize) -> Result<()> {
        let mark = format!("/up/{}-{}", self.tool.name(), self.uses);
        for (number, file) in files.iter().enumerate() {
            let url = format!("https://{}{mark}-{number}", target.host);
            let fixed =
                ["--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null"];
            self.scene.run("curl", &[&fixed[..], &["--upload-file", file, &url]].concat())?;
        }
        ensure_arrived(bytes, self.scene.sunk_bytes(&format!("{mark}-"))?)
    }

    pub(super) fn s3(
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

    pub(super) fn git(&self, target: &Target, files: &[String]) -> Result<()> {
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
