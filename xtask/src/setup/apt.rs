//! Debian packages, by the command that is missed. A command that is already on the machine, from
//! wherever, is left alone. Never upgrades and never starts a daemon.

#![expect(clippy::print_stdout, reason = "setup prints its steps")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use super::{Profile, Step};

/// Command, and the Debian package that brings it.
type Need = (&'static str, &'static str);

/// What the build and the demo call. Kept small: a newcomer waits for it.
const DEMO: &[Need] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("ping", "iputils-ping"),
    // Crates that build C.
    ("cc", "gcc"),
];

/// What builds the dashboard.
const UI: &[Need] = &[("node", "nodejs"), ("npm", "npm")];

/// What tests and bench call, besides.
const TEST: &[Need] = &[
    ("ss", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("ethtool", "ethtool"),
    ("iperf3", "iperf3"),
    ("ncat", "ncat"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("scp", "openssh-client"),
    ("iodined", "iodine"),
    ("openssl", "openssl"),
    ("aiosmtpd", "python3-aiosmtpd"),
    // The browser that tries the dashboard.
    ("chromium", "chromium"),
    // The fuzzer's engine.
    ("c++", "g++"),
    // Runs a part beside the others.
    ("chrt", "util-linux"),
];

/// What starts other kernels in virtual machines, and what they carry, besides.
const VM: &[Need] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("wg", "wireguard-tools"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("strip", "binutils"),
];

/// What the lab records at work, besides.
const LAB: &[Need] = &[
    ("sftp", "openssh-client"),
    ("rsync", "rsync"),
    ("ptunnel-ng", "ptunnel-ng"),
    ("nginx", "nginx"),
    ("dnsmasq", "dnsmasq-base"),
    ("dig", "bind9-dnsutils"),
    ("restic", "restic"),
    ("git", "git"),
    ("socat", "socat"),
    ("wget", "wget"),
    ("aria2c", "aria2"),
    ("hping3", "hping3"),
    ("swaks", "swaks"),
    ("lftp", "lftp"),
    ("rclone", "rclone"),
    ("borg", "borgbackup"),
    ("dns2tcpd", "dns2tcp"),
    ("kdig", "knot-dnsutils"),
    ("fping", "fping"),
    ("mtr", "mtr-tiny"),
    ("traceroute", "traceroute"),
    ("stunnel", "stunnel4"),
    ("tinyproxy", "tinyproxy"),
    ("openvpn", "openvpn"),
    ("wireguard-go", "wireguard-go"),
    ("wg", "wireguard-tools"),
];

/// Where root's tools live, although a user's PATH may not name them.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

pub(super) fn install_missing(profile: Profile) -> Result<Step> {
    let needs = match profile {
        Profile::Demo => DEMO.to_vec(),
        Profile::Ui => UI.to_vec(),
        Profile::Test => [DEMO, UI, TEST].concat(),
        Profile::Vm => [DEMO, UI, TEST, VM].concat(),
        Profile::Lab => [DEMO, UI, TEST, LAB].concat(),
    };
    let missing: Vec<Need> =
        needs.iter().copied().filter(|(command, _)| find(command).is_none()).collect();
    if missing.is_empty() {
        return Ok(Step::AlreadyThere(format!(
            "{} commands ({} … {})",
            needs.len(),
            needs[0].0,
            needs[needs.len() - 1].0
        )));
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    require_apt(&missing, &packages)?;
    println!("installing with apt-get: {}", packages.join(" "));
    install(&packages)?;
    let still: Vec<&str> = missing
        .iter()
        .map(|(command, _)| *command)
        .filter(|command| find(command).is_none())
        .collect();
    if !still.is_empty() {
        bail!(
            "apt-get installed {}, yet these commands are still missing: {}",
            packages.join(" "),
            still.join(" ")
        );
    }
    Ok(Step::Done(format!("installed {}", packages.join(" "))))
}

/// The first file of that name that somebody may execute.
pub(crate) fn find(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    let executable = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(command)).find(executable)
}

fn require_apt(missing: &[Need], packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        let commands: Vec<&str> = missing.iter().map(|(command, _)| *command).collect();
        bail!(
            "this is not a Debian machine; install these commands with its package manager and \
             run again: {} (Debian's packages are: {})",
            commands.join(" "),
            packages.join(" ")
        );
    }
    if detector_tests::require_root().is_err() {
        bail!(
            "installing packages needs root; run this, then `cargo xtask setup` again: sudo \
             apt-get update && sudo apt-get install --yes --no-install-recommends {}",
            packages.join(" ")
        );
    }
    Ok(())
}

/// Tries with the package lists as they are, then once more with fresh ones: a new machine has
/// none, and old lists name files that mirrors no longer hold.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let _no_daemons = NoDaemons::hold()?;
    let arguments = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    if apt_get(&arguments)?.status.success() {
        return Ok(());
    }
    println!("refreshing the package lists with apt-get update");
    checked(&["update"])?;
    checked(&arguments)
}

fn checked(arguments: &[&str]) -> Result<()> {
    let output = apt_get(arguments)?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        bail!(
            "apt-get {} failed: {}; repair it by hand and run again",
            arguments.join(" "),
            last.into_iter().rev().collect::<Vec<_>>().join(" / ")
        );
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<Output> {
    Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another apt-get may be at work: wait for it, do not fail.
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .output()
        .context("failed to start apt-get")
}

/// Debian starts a daemon as soon as its package is installed, unless this file says no. Where the
/// machine has one of its own, that one stays and is not overruled.
struct NoDaemons {
    created: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoDaemons {
    fn hold() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { created: false });
        }
        let held = Self { created: true };
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("failed to write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("failed to make {POLICY} executable"))?;
        Ok(held)
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.created {
            fs::remove_file(POLICY).ok();
        }
    }
}
