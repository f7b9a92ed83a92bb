//! A log that another program writes to, read as it grows.
//!
//! It is read on where it was replaced (logrotate's `create`) or cut back to nothing (`copytruncate`),
//! after what the old one still had. A log that is gone is waited for.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often is looked.
const PACE: Duration = Duration::from_millis(200);

/// Reads end with [`ErrorKind::WouldBlock`] where nothing has come for a while, and end for good once
/// `stop` is set.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: File,
    read_bytes: u64,
    last: u8,
    /// Seen once: what the old file still has is read before the new one.
    replaced: bool,
    stop: Arc<AtomicBool>,
}

impl Follow {
    pub fn open(path: &Path, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file: pipe it in and name `-`"));
        }
        Ok(Self { path: path.to_owned(), file, read_bytes: 0, last: b'\n', replaced: false, stop })
    }

    /// Whether another file has its name, or it is shorter than what was read.
    fn is_replaced(&self) -> io::Result<bool> {
        let now = match self.path.metadata() {
            Ok(now) => now,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let name = |file: &Metadata| (file.dev(), file.ino());
        Ok(name(&now) != name(&self.file.metadata()?) || now.len() < self.read_bytes)
    }

    fn reopen(&mut self) -> io::Result<()> {
        match File::open(&self.path) {
            Ok(file) => self.file = file,
            // Gone again: the old one has nothing more, and the next look finds the next.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        (self.read_bytes, self.last, self.replaced) = (0, b'\n', false);
        Ok(())
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if let Some(last) = buffer[..read].last() {
                self.read_bytes += read as u64;
                self.last = *last;
                return Ok(read);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            if self.replaced {
                // A last line without an end is not continued by the first of another file.
                if self.last != b'\n'
                    && let Some(first) = buffer.first_mut()
                {
                    (*first, self.last) = (b'\n', b'\n');
                    return Ok(1);
                }
                self.reopen()?;
                continue;
            }
            if self.is_replaced()? {
                self.replaced = true;
                continue;
            }
            std::thread::sleep(PACE);
            return Err(ErrorKind::WouldBlock.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    /// What has come by now.
    fn so_far(follow: &mut Follow) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4];
        loop {
            match follow.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => text.extend_from_slice(&buffer[..read]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    break;
                }
            }
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_log_is_read_on_through_rotations() {
        let folder = std::env::temp_dir().join(format!("detector-follow-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("conn.log");
        fs::write(&path, "one\ntw").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut follow = Follow::open(&path, Arc::clone(&stop)).unwrap();
        assert_eq!(so_far(&mut follow), "one\ntw");
        let mut writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(b"o\nthr").unwrap();
        assert_eq!(so_far(&mut follow), "o\nthr");
        // Renamed, and written to a little longer.
        fs::rename(&path, folder.join("conn.log.1")).unwrap();
        assert_eq!(so_far(&mut follow), "");
        writer.write_all(b"ee").unwrap();
        fs::write(&path, "four\n").unwrap();
        assert_eq!(so_far(&mut follow), "ee\nfour\n");
        // Copied and cut back.
        fs::write(&path, "5\n").unwrap();
        assert_eq!(so_far(&mut follow), "5\n");
        stop.store(true, Ordering::Relaxed);
        fs::write(&path, "5\n6\n").unwrap();
        assert_eq!(so_far(&mut follow), "6\n");
        fs::remove_dir_all(&folder).unwrap();
        assert!(Follow::open(&folder, stop).is_err());
    }
}
