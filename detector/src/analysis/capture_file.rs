//! A capture that is read: how far, and whether somebody has cancelled it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;

/// Shared by the one who reads and those who look on.
#[derive(Debug, Default)]
pub(super) struct Reading {
    read_bytes: AtomicU64,
    total_bytes: AtomicU64,
    cancelled: AtomicBool,
}

impl Reading {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        let total = self.total_bytes.load(Ordering::Relaxed).max(1);
        (self.read_bytes.load(Ordering::Relaxed) as f64 / total as f64).min(1.0)
    }

    /// Counts what has been read or written of `total` bytes.
    pub(super) fn note(&self, read_bytes: u64, total_bytes: u64) {
        self.read_bytes.store(read_bytes, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
    }
}

/// Ends early, as if the capture ended there, once it is cancelled.
#[derive(Debug)]
pub(super) struct CaptureFile {
    file: File,
    read_bytes: u64,
    total_bytes: u64,
    reading: Arc<Reading>,
}

impl CaptureFile {
    pub(super) fn open(path: &Path, reading: Arc<Reading>) -> anyhow::Result<Self> {
        let open = || -> io::Result<Self> {
            let file = File::open(path)?;
            let total_bytes = file.metadata()?.len();
            reading.note(0, total_bytes);
            Ok(Self { file, read_bytes: 0, total_bytes, reading })
        };
        open().with_context(|| format!("failed to open {}", path.display()))
    }
}

impl Read for CaptureFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reading.is_cancelled() {
            return Ok(0);
        }
        let read = self.file.read(buffer)?;
        self.read_bytes += read as u64;
        self.reading.note(self.read_bytes, self.total_bytes);
        Ok(read)
    }
}
