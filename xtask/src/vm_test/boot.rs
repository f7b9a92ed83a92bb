//! Starts a kernel without hardware help, on every machine alike, and reads what it says on its serial
//! line. Nothing of this machine is within its reach: it has no disk and no network.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use detector_tests::Background;

use super::archive::write;
use super::initramfs::END;
use super::kernel::Kernel;

/// The kernel's guards against its processor's faults take most of the time where there is none.
const WORDS: &str = "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off";
const MEMORY_MB: &str = "1024";
/// A kernel that has not come to its end by then is taken to hang: several times what it takes where
/// the processors do nothing else.
const LIMIT: Duration = Duration::from_secs(1_200);

/// Runs a kernel to its end; returns what it wrote, which is also kept in `log`.
pub(super) fn run(kernel: &Kernel, archive: &Path, log: &Path) -> Result<String> {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-m", MEMORY_MB])
        .args(["-smp", "1", "-nographic", "-nodefaults", "-no-user-config", "-serial", "stdio"])
        .arg("-no-reboot")
        .args(["-append", WORDS])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(archive);
    let machine = Background::start(&mut command)?;
    let ended = machine.wait_for_line(END, LIMIT);
    let said = machine.output();
    write(log, &said)?;
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    ended.map_err(|_| anyhow::anyhow!("the last it said: {}", last.trim())).with_context(|| {
        format!("it did not come to its end within {LIMIT:?}, see {}", log.display())
    })?;
    Ok(said)
}
