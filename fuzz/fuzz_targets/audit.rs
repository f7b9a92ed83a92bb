//! Arbitrary bytes as the audit log: every line is a record or damage, whether the log is read at once or
//! followed in parts, and every record is written and read back the same.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use detector::audit::{self, Record};
use libfuzzer_sys::fuzz_target;

/// A folder of this process; the verb gives it one that it removes.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("detector-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the log");
    folder
});

/// Lines read at once: so few that most logs take several parts.
const TOGETHER: usize = 2;

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.join(audit::FILE);
    fs::write(&path, data).expect("the log is written");
    let whole = audit::read(&FOLDER, None, None).expect("any file can be read");
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(whole.records.len() as u64 + whole.damaged, lines as u64);
    for record in &whole.records {
        let line = serde_json::to_vec(record).expect("what was read can be written");
        assert!(!line.contains(&b'\n'));
        let again: Record = serde_json::from_slice(&line).expect("what was written can be read");
        assert_eq!(&again, record);
    }
    let (records, damaged, end) = followed(&path);
    assert!(end <= data.len() as u64);
    // A line without its end may be written to yet: it is the only one that is left out.
    let unended = data.last().is_some_and(|byte| *byte != b'\n');
    assert_eq!(end < data.len() as u64, unended);
    let left_out = u64::from(unended);
    assert_eq!(records.len() as u64 + damaged + left_out, lines as u64);
    assert_eq!(records[..], whole.records[..records.len()]);
    let limit = audit::read(&FOLDER, None, Some(1)).expect("any file can be read");
    assert_eq!(limit.records.last(), whole.records.last());
});

fn followed(path: &Path) -> (Vec<Record>, u64, u64) {
    let (mut records, mut damaged, mut start) = (Vec::new(), 0, 0);
    loop {
        let part = audit::read_part(path, start, TOGETHER).expect("any file can be read");
        records.extend(part.history.records);
        damaged += part.history.damaged;
        start = part.end;
        if part.is_last {
            return (records, damaged, start);
        }
    }
}
