//! Starts a kernel without hardware help, on every machine alike, and reads what it says on its
//! serial line. Nothing of this machine is within its reach: it has no disk and no network.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use detector_tests::Background;

use super::archive::write;
use super::initramfs::END;
use super::kernel::Kernel;

/// The kernel's guards against its processor's faults take most of the time where there is none.
const WORDS: &str = "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off";
const MEMORY_MB: &str = "1024";
/// A kernel that has not come to its end by then is taken to hang: several times what it takes
/// where the processors do nothing else.
const LIMIT: Duration = Duration::from_secs(1_200);

/// Runs a kernel to its end; returns what it wrote, which is in `log` as it continues.
pub(super) fn run(kernel: &Kernel, archive: &Path, log: &Path) -> Result<String> {
    write(log, "")?;
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-m", MEMORY_MB])
        .args(["-smp", "1", "-nographic", "-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-append", WORDS])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(archive)
        .arg("-serial")
        .arg(format!("file:{}", log.display()));
    let mut machine = Background::start(&mut command)?;
    let deadline = Instant::now() + LIMIT;
    while machine.is_running() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
    }
    let late = machine.is_running();
    machine.kill().context("failed to stop a virtual machine")?;
    let said = fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    if said.lines().any(|line| line.trim() == END) {
        return Ok(said);
    }
    let why = if late { format!("within {LIMIT:?}") } else { machine.output() };
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    bail!("the machine did not finish {why}, see {}; its last line: {last}", log.display())
}
