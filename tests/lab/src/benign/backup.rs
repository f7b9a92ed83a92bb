//! Backups: into the home's own depot, and to a cloud that the client has used before.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::pause;
use crate::random::Random;
use crate::scene::{DEPOT, Outcome, Scene, Target, ensure_arrived};
use crate::tools::upload::{Tool, Uploader, folder_bytes};

const SMALLEST: u64 = 200_000;
const LARGEST: u64 = 30_000_000;

/// To the backup host in the home's second network, by any of four tools.
pub(crate) fn to_depot(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = Target { host: DEPOT.to_owned(), address: DEPOT.parse().context("no address")? };
    match random.between(0, 3) {
        0 => rsync(scene, random, &target, 1),
        1 => restic(scene, random, &target, 1),
        2 => copy(scene, random, &target, "scp"),
        _ => copy(scene, random, &target, "sftp"),
    }
}

pub(crate) fn rsync_to_cloud(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    rsync(scene, random, &target, 3)
}

pub(crate) fn restic_to_cloud(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    restic(scene, random, &target, 2)
}

/// The first backup to a new cloud, and small ones after it.
pub(crate) fn first_restic(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    first_and_later(scene, random, Tool::Restic)
}

pub(crate) fn first_s3(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    first_and_later(scene, random, Tool::S3)
}

pub(crate) fn first_https(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    first_and_later(scene, random, Tool::Https)
}

/// An album of films, in several parts each.
pub(crate) fn s3_in_parts(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let bytes = random.size(LARGEST / 3, LARGEST);
    Uploader::new(scene, Tool::S3)?.send(random, &target, bytes)?;
    Ok(Outcome::benign(format!("{bytes} bytes to {}", target.host)))
}

/// A release, copied to the server that runs it.
pub(crate) fn deploy_by_scp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    copy(scene, random, &target, "scp")
}

pub(crate) fn deploy_by_sftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    copy(scene, random, &target, "sftp")
}

/// A project's whole history to a second home, then day-to-day changes.
pub(crate) fn git_mirror(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    first_and_later(scene, random, Tool::Git)
}

fn first_and_later(scene: &Scene<'_>, random: &mut Random, tool: Tool) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let mut uploader = Uploader::new(scene, tool)?;
    let first = random.size(SMALLEST, LARGEST);
    uploader.send(random, &target, first)?;
    for _ in 0..random.between(0, 3) {
        pause(random, 0.5, 2.0);
        let later = random.size(5_000, 400_000);
        uploader.send(random, &target, later)?;
    }
    Ok(Outcome::benign(format!("{}, {first} bytes at first, to {}", tool.name(), target.host)))
}

/// Objects into a bucket: asks what is there, then sends what is new.
pub(crate) fn https_to_cloud(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let (objects, mut sent) = (random.between(3, 10), 0);
    let curl = ["--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null"];
    for number in 0..objects {
        let url = format!("https://{}/up/bucket/{number}", target.host);
        scene.run("curl", &[&curl[..], &[&url]].concat())?;
        let size = random.size(40_000, 3_000_000);
        let file = scene.document("object", &random.document(size))?;
        scene.run("curl", &[&curl[..], &["--upload-file", &file, &url]].concat())?;
        sent += size;
        pause(random, 0.05, 0.5);
    }
    ensure_arrived(sent, scene.sunk_bytes("/up/bucket")?)?;
    Ok(Outcome::benign(format!("{objects} objects, {sent} bytes to {}", target.host)))
}

/// A folder with files of many sizes; `rounds` times, with small changes in between.
fn rsync(scene: &Scene<'_>, random: &mut Random, target: &Target, rounds: u64) -> Result<Outcome> {
    let folder = home_folder(scene, random)?;
    let goal = format!("root@{}:{}", target.host, scene.inbox("copy").display());
    let shell = format!("ssh -F {}", scene.shared.path("ssh_config"));
    for round in 0..rounds {
        scene.run("rsync", &["-a", "--delete", "-e", &shell, &format!("{folder}/"), &goal])?;
        if round + 1 < rounds {
            change(random, Path::new(&folder))?;
            pause(random, 1.0, 2.5);
        }
    }
    let size = folder_bytes(Path::new(&folder))?;
    ensure_arrived(size, folder_bytes(&scene.inbox("copy"))?)?;
    Ok(Outcome::benign(format!("rsync, {size} bytes, {rounds} rounds to {}", target.host)))
}

fn restic(scene: &Scene<'_>, random: &mut Random, target: &Target, rounds: u64) -> Result<Outcome> {
    let folder = home_folder(scene, random)?;
    let script = format!(
        "set -e; export HOME={here} RESTIC_PASSWORD=secret RESTIC_REPOSITORY=sftp:root@{host}:{repository}\n\
         restic -q -o sftp.command='ssh -F {configuration} root@{host} -s sftp' --no-cache \"$@\"",
        here = scene.scratch.path().display(),
        host = target.host,
        repository = scene.inbox("repository").display(),
        configuration = scene.shared.path("ssh_config")
    );
    scene.run("sh", &["-c", &script, "restic", "init"])?;
    for _ in 0..rounds {
        scene.run("sh", &["-c", &script, "restic", "backup", &folder])?;
        change(random, Path::new(&folder))?;
        pause(random, 0.3, 1.5);
    }
    let stored = folder_bytes(&scene.inbox("repository"))?;
    ensure!(stored > 50_000, "the repository holds {stored} bytes only");
    Ok(Outcome::benign(format!(
        "restic, {stored} bytes stored, {rounds} rounds at {}",
        target.host
    )))
}

/// One archive.
fn copy(scene: &Scene<'_>, random: &mut Random, target: &Target, tool: &str) -> Result<Outcome> {
    let size = random.size(SMALLEST, LARGEST);
    let file = scene.document("archive", &random.document(size))?;
    let goal = scene.inbox("copy").display().to_string();
    let configuration = scene.shared.path("ssh_config");
    if tool == "scp" {
        scene.run(
            "scp",
            &["-q", "-F", &configuration, &file, &format!("root@{}:{goal}", target.host)],
        )?;
    } else {
        let batch = scene.document("batch", format!("put {file} {goal}\n").as_bytes())?;
        scene.run(
            "sftp",
            &["-q", "-F", &configuration, "-b", &batch, &format!("root@{}", target.host)],
        )?;
    }
    let arrived = fs::metadata(&goal).context("nothing arrived")?.len();
    ensure_arrived(size, arrived as usize)?;
    Ok(Outcome::benign(format!("{tool}, {size} bytes to {}", target.host)))
}

fn home_folder(scene: &Scene<'_>, random: &mut Random) -> Result<String> {
    let folder = scene.scratch.join("home");
    fs::create_dir_all(&folder).context("failed to create the folder to save")?;
    let total = random.size(SMALLEST, LARGEST);
    let files = random.between(3, 40) as usize;
    for number in 0..files {
        let size =
            random.size(1 + total as u64 / files as u64 / 4, 2 + total as u64 / files as u64 * 2);
        fs::write(folder.join(format!("file-{number}")), random.document(size))
            .context("failed to write a file to save")?;
    }
    Ok(folder.display().to_string())
}

/// Another day's work: one file new.
fn change(random: &mut Random, folder: &Path) -> Result<()> {
    let size = random.size(2_000, 300_000);
    let name = format!("file-new-{}", random.between(0, 1_000_000));
    fs::write(folder.join(name), random.document(size)).context("failed to write a changed file")
}
