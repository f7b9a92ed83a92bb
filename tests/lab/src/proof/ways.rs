//! Tools of the proof, used by thieves and others alike.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use detector_tests::{Background, wait_for_tcp_listener};

use crate::random::Random;
use crate::scene::{Scene, Target};

const START: Duration = Duration::from_secs(15);
pub(super) const SFTP_PORT: u16 = 2222;
const WEBDAV_PORT: u16 = 8444;

/// A second sshd, at a port of its own.
pub(super) fn sshd(scene: &Scene<'_>) -> Result<Background> {
    let port = SFTP_PORT.to_string();
    let configuration = scene.shared.path("sshd_config");
    let server = scene
        .internet()
        .spawn("/usr/sbin/sshd", ["-D", "-e", "-p", &port, "-f", &configuration])?;
    wait_for_tcp_listener(scene.internet(), SFTP_PORT, START)?;
    Ok(server)
}

/// lftp with an SFTP session that is open to `target`, for these commands.
pub(super) fn lftp_sftp(scene: &Scene<'_>, target: &Target, commands: &str) -> Result<()> {
    let script = format!(
        "set cmd:fail-exit yes; set sftp:auto-confirm yes; set sftp:connect-program 'ssh -a -x -F {}'; open -p {SFTP_PORT} sftp://root:none@{}; {commands}",
        scene.shared.path("ssh_config"),
        target.host
    );
    scene.run("lftp", &["-c", &script]).map(drop)
}

/// The same with FTP.
pub(super) fn lftp_ftp(scene: &Scene<'_>, target: &Target, commands: &str) -> Result<()> {
    let script = format!(
        "set cmd:fail-exit yes; open -u user,correct-horse ftp://{}; {commands}",
        target.url_host()
    );
    scene.run("lftp", &["-c", &script]).map(drop)
}

/// A folder over WebDAV inside TLS, whose root is the scene's inbox.
pub(super) fn webdav(scene: &Scene<'_>) -> Result<Background> {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| scene.shared.path(name));
    let root = scene.inbox("").display().to_string();
    let address = format!(":{WEBDAV_PORT}");
    let arguments = [
        "serve",
        "webdav",
        &root,
        "--addr",
        &address,
        "--cert",
        &certificate,
        "--key",
        &key,
        "--config",
        "",
    ];
    let server = scene.internet().spawn("rclone", arguments)?;
    wait_for_tcp_listener(scene.internet(), WEBDAV_PORT, START)?;
    Ok(server)
}

/// `rclone copy`, from or to `:webdav:`.
pub(super) fn rclone(scene: &Scene<'_>, target: &Target, from: &str, to: &str) -> Result<u16> {
    let url = format!("https://{}:{WEBDAV_PORT}", target.host);
    let fixed = [
        "--config",
        "",
        "--no-check-certificate",
        "--webdav-vendor",
        "other",
        "--webdav-url",
        &url,
    ];
    scene.run("rclone", &[&["copy", from, to], &fixed[..]].concat())?;
    Ok(WEBDAV_PORT)
}

/// A new repository where there is none, and one archive of the folder.
pub(super) fn borg(scene: &Scene<'_>, target: &Target, folder: &str, archive: &str) -> Result<()> {
    let script = format!(
        "set -e; export BORG_BASE_DIR={here} BORG_RSH='ssh -F {ssh}' BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes\n\
         [ -e {place} ] || borg init -e none ssh://root@{host}{place}; borg create ssh://root@{host}{place}::{archive} {folder}",
        here = scene.scratch.path().display(),
        ssh = scene.shared.path("ssh_config"),
        place = scene.inbox("borg").display(),
        host = target.host,
    );
    scene.run("sh", &["-c", &script]).map(drop)
}

/// A folder with a few files, `bytes` in all.
pub(super) fn folder(
    scene: &Scene<'_>,
    random: &mut Random,
    name: &str,
    bytes: usize,
) -> Result<String> {
    let folder = scene.scratch.join(name);
    std::fs::create_dir_all(&folder)?;
    let files = random.between(1, 5) as usize;
    for number in 0..files {
        let size = if number == 0 { bytes - bytes / files * (files - 1) } else { bytes / files };
        std::fs::write(Path::new(&folder).join(format!("part-{number}")), random.bytes(size))?;
    }
    Ok(folder.display().to_string())
}
