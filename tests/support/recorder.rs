//! tcpdump in a namespace, trusted only when it says that it lost nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Background, Namespace, poll_until};

const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(20);
/// The file must not have grown for this long before tcpdump is told to stop: what still waits in its
/// ring at that moment would be lost without being counted.
const QUIET: Duration = Duration::from_millis(150);

/// A running capture of one interface into one file.
#[derive(Debug)]
pub struct Recorder {
    tcpdump: Background,
    file: PathBuf,
}

/// A finished capture.
#[derive(Clone, Debug)]
pub struct Recording {
    pub file: PathBuf,
    pub packets: u64,
}

impl Recorder {
    /// Starts to record and returns when tcpdump is listening.
    pub fn start(namespace: &Namespace, interface: &str, file: &Path) -> Result<Self> {
        let path =
            file.to_str().with_context(|| format!("{} is not valid UTF-8", file.display()))?;
        // Immediate mode has a slot for each packet: 64 MiB are some 30,000 full-size packets.
        let fixed = ["-n", "-U", "--immediate-mode", "-s", "0", "-B", "65536", "-Z", "root"];
        let tcpdump =
            namespace.spawn("tcpdump", fixed.into_iter().chain(["-i", interface, "-w", path]))?;
        tcpdump.wait_for_line("listening on", START)?;
        Ok(Self { tcpdump, file: file.to_owned() })
    }

    /// Waits for the traffic to be on disk, stops, and fails when a packet was lost.
    pub fn stop(mut self) -> Result<Recording> {
        self.wait_until_quiet();
        self.tcpdump.interrupt()?;
        self.tcpdump.wait(STOP)?;
        let closing = self.tcpdump.output();
        let captured = closing_count(&closing, "captured")?;
        let received = closing_count(&closing, "received by filter")?;
        let dropped = closing_count(&closing, "dropped by kernel")?;
        ensure!(
            dropped == 0 && captured == received,
            "tcpdump lost packets: {captured} captured, {received} received, {dropped} dropped by the kernel; run fewer recordings at a time"
        );
        Ok(Recording { file: self.file.clone(), packets: captured })
    }

    fn wait_until_quiet(&self) {
        let size = || fs::metadata(&self.file).map(|file| file.len()).unwrap_or(0);
        let mut before = size();
        // Traffic that never stops is cut off: the counters then tell what was missed.
        poll_until(STOP, || {
            std::thread::sleep(QUIET);
            let now = size();
            let quiet = now == before;
            before = now;
            quiet.then_some(())
        })
        .ok();
    }
}

fn closing_count(output: &str, what: &str) -> Result<u64> {
    let line = output.lines().find(|line| line.contains(what));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).with_context(|| {
        format!("tcpdump did not say how many packets were {what}; it wrote: {output}")
    })
}
