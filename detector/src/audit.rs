//! The log of every change of policy: who, what, why, for how long, and what it had done at its
//! end.
//!
//! One JSON object a line, appended with one write and synced, so that a crash tears at most the
//! line that was being written. A log that cannot be written costs records, which are counted and
//! reported, and never stops the agent.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::response::{ChangeKind, Mode, Target};

/// The log's name in the state directory.
pub const FILE: &str = "audit.jsonl";

/// The longest line that is a record: what is longer is damage.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// One change. What does not apply is left out of the line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// RFC 3339, in UTC and of fixed width, so that times compare as text.
    pub time: String,
    /// `agent`, `uid 0 (root)`, `api …`.
    pub who: String,
    pub action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The alert's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What was done: a closed list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Placed,
    Extended,
    /// Let go because of an exception or a confirmation that was withheld.
    Released,
    Expired,
    /// Does nothing until it is confirmed or returns.
    Suspended,
    Replaced,
    Flushed,
    Allowed,
    Disallowed,
    Mode,
    Confirmed,
    Reverted,
    Adopted,
    BudgetRaised,
    BudgetEnded,
    Refused,
    Started,
    Stopped,
    Detached,
    /// A token of the API was made or revoked.
    Token,
    /// A browser was logged in.
    Login,
    /// A model was added or chosen.
    Model,
    /// A person said how far they are with an alert, or what it was.
    Alert,
    /// The configuration was read again.
    Reloaded,
    /// A process went past the programs, or took one of them away.
    Bypassed,
    /// Written by another version.
    #[default]
    #[serde(other)]
    Other,
}

impl Action {
    /// The action of this name as it is in the log.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name);
        Self::deserialize(name).unwrap_or_default()
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Extended => "extended",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
            Self::Replaced => "replaced",
            Self::Flushed => "flushed",
            Self::Allowed => "allowed",
            Self::Disallowed => "disallowed",
            Self::Mode => "mode",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Adopted => "adopted",
            Self::BudgetRaised => "budget raised",
            Self::BudgetEnded => "budget ended",
            Self::Refused => "refused",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Detached => "detached",
            Self::Token => "token",
            Self::Login => "login",
            Self::Model => "model",
            Self::Alert => "alert",
            Self::Reloaded => "reloaded",
            Self::Bypassed => "bypassed",
            Self::Other => "other",
        }
    }
}

impl From<ChangeKind> for Action {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Placed => Self::Placed,
            ChangeKind::Extended => Self::Extended,
            ChangeKind::Released => Self::Released,
            ChangeKind::Expired => Self::Expired,
            ChangeKind::Suspended => Self::Suspended,
            ChangeKind::Replaced => Self::Replaced,
            ChangeKind::Flushed => Self::Flushed,
            ChangeKind::Allowed => Self::Allowed,
            ChangeKind::Disallowed => Self::Disallowed,
            ChangeKind::Mode => Self::Mode,
            ChangeKind::Confirmed => Self::Confirmed,
            ChangeKind::Reverted => Self::Reverted,
            ChangeKind::Adopted => Self::Adopted,
            ChangeKind::BudgetRaised => Self::BudgetRaised,
            ChangeKind::Refused => Self::Refused,
            ChangeKind::Started => Self::Started,
            ChangeKind::Stopped => Self::Stopped,
            ChangeKind::Reloaded => Self::Reloaded,
            ChangeKind::Bypassed => Self::Bypassed,
        }
    }
}

/// The agent's end of the log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: io::Result<File>,
    /// A failure was said.
    complained: bool,
}

impl AuditLog {
    /// Opens the log in `dir`, which is made where it is not there. A failure is kept and reported:
    /// the records are then counted as failed.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        let path = dir.join(FILE);
        let file = open(dir, &path);
        if let Err(error) = &file {
            tracing::warn!(
                "failed to open the audit log {}, so no change is logged: {error}",
                path.display()
            );
        }
        Self { path, file, complained: false }
    }

    /// Appends one record and waits until it is on disk. The first failure is said in the log, too.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let written = self.write(record);
        if let Err(error) = &written
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::warn!(
                "failed to write a change to the audit log {}, and later ones may fail, too: \
                 {error}",
                self.path.display()
            );
        }
        written
    }

    /// The same for whoever can do nothing about a failure but say it.
    pub fn record(&mut self, record: &Record) {
        drop(self.append(record));
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let file = self.file.as_ref().map_err(|error| io::Error::from(error.kind()))?;
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let written = (&*file).write(&line)?;
        if written != line.len() {
            // A full disk took a part: the line ends here, so that the next one is whole.
            (&*file).write_all(b"\n")?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.sync_data()
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let mut file =
        OpenOptions::new().append(true).create(true).read(true).mode(0o600).open(path)?;
    end_last_line(&mut file)?;
    Ok(file)
}

/// A line that a crash has torn gets an end, so that it does not take the next one with it.
fn end_last_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// What the log has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub records: Vec<Record>,
    /// Lines that are no records.
    pub damaged: u64,
}

/// Reads the latest `limit` records that are not before `since`, a time as records have it.
pub fn read(dir: &Path, since: Option<&str>, limit: Option<usize>) -> anyhow::Result<History> {
    let path = dir.join(FILE);
    let open = || -> io::Result<History> { select(File::open(&path)?, since, limit) };
    open().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!(
            "there is no audit log at {}: `detector run` writes one at its first change",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "no permission to read the audit log {}: run this as root",
                path.display()
            )
        }
        _ => anyhow::Error::new(error).context(format!("failed to read {}", path.display())),
    })
}

/// Records of a part of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub history: History,
    /// Where the next part begins, in bytes.
    pub end: u64,
    /// There is no other line yet.
    pub is_last: bool,
}

/// Reads whole lines of the log at `path` from the byte `start` on, `most` at most.
pub fn read_part(path: &Path, start: u64, most: usize) -> io::Result<Part> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::new(file);
    let mut part = Part { end: start, ..Part::default() };
    let mut line = Vec::new();
    for _ in 0..most {
        let read = next_line(&mut reader, &mut line)?;
        if !read.ended {
            return Ok(Part { is_last: true, ..part });
        }
        part.end += read.bytes;
        match parse(&line) {
            Ok(record) => part.history.records.push(record),
            Err(_) => part.history.damaged += u64::from(!line.is_empty()),
        }
    }
    Ok(part)
}

fn select(file: File, since: Option<&str>, limit: Option<usize>) -> io::Result<History> {
    let most = limit.unwrap_or(usize::MAX);
    let mut reader = BufReader::new(file);
    let mut kept = VecDeque::new();
    let mut damaged = 0;
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line)?.bytes != 0 {
        if line.is_empty() {
            continue;
        }
        let Ok(record) = parse(&line) else {
            damaged += 1;
            continue;
        };
        if since.is_some_and(|since| record.time.as_str() < since) {
            continue;
        }
        kept.push_back(record);
        if kept.len() > most {
            kept.pop_front();
        }
    }
    Ok(History { records: kept.into(), damaged })
}

fn parse(line: &[u8]) -> anyhow::Result<Record> {
    let record: Record = serde_json::from_slice(line)?;
    anyhow::ensure!(!record.time.is_empty() && !record.who.is_empty(), "no record");
    Ok(record)
}

/// A line that was read.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// With its end; 0: there was none.
    bytes: u64,
    /// Else it may be written to yet.
    ended: bool,
}

/// Reads one line without its end; of an overlong one only so much is kept as shows that it is no
/// record.
fn next_line(reader: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut part = Vec::new();
    let mut read = Line::default();
    loop {
        part.clear();
        let bytes = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut part)?;
        if bytes == 0 {
            return Ok(read);
        }
        read.bytes += bytes as u64;
        let ended = part.last() == Some(&b'\n');
        if ended {
            part.pop();
        }
        if line.len() as u64 <= MAX_LINE_BYTES {
            line.extend_from_slice(&part);
        }
        if ended {
            return Ok(Line { ended, ..read });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("detector-{name}-{}", std::process::id()));
        let _leftover = fs::remove_dir_all(&dir);
        dir
    }

    fn placed(second: u32) -> Record {
        Record {
            time: format!("2027-01-31T00:00:{second:02}.000000Z"),
            who: "uid 0 (root)".into(),
            action: Action::Placed,
            target: Some("pair 10.0.0.7 192.0.2.1".parse().unwrap()),
            number: Some(second),
            why: Some("leak".into()),
            ttl_secs: Some(600),
            ..Record::default()
        }
    }

    #[test]
    fn records_are_appended_and_read_back() {
        let dir = scratch("audit");
        for round in [0, 2] {
            let mut log = AuditLog::open(&dir);
            log.append(&placed(round)).unwrap();
            log.append(&placed(round + 1)).unwrap();
        }
        let text = fs::read_to_string(dir.join(FILE)).unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            concat!(
                r#"{"time":"2027-01-31T00:00:00.000000Z","who":"uid 0 (root)","action":"placed","#,
                r#""target":"pair 10.0.0.7 192.0.2.1","number":0,"why":"leak","ttl_secs":600}"#
            )
        );
        let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let numbers = |since, limit| -> Vec<u32> {
            let history = read(&dir, since, limit).unwrap();
            history.records.iter().filter_map(|record| record.number).collect()
        };
        assert_eq!(numbers(None, None), [0, 1, 2, 3]);
        assert_eq!(numbers(Some("2027-01-31T00:00:01.500000Z"), None), [2, 3]);
        assert_eq!(numbers(None, Some(1)), [3]);
        assert_eq!(numbers(None, Some(0)), [0; 0]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn damaged_lines_are_counted_and_cost_no_others() {
        let dir = scratch("damaged-audit");
        AuditLog::open(&dir).record(&placed(1));
        let torn = format!("{{}}\n\n{}\n\u{0}\u{fffd}\n{{\"time\":\"20", "x".repeat(200_000));
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + &torn).unwrap();
        AuditLog::open(&dir).record(&placed(2));
        let later = r#"{"time":"2028","who":"api","action":"renamed","size":4}"#;
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + later).unwrap();
        let History { records, damaged } = read(&dir, None, None).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(
            (&records[0], &records[1], records[2].action),
            (&placed(1), &placed(2), Action::Other)
        );
        assert_eq!(damaged, 4);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_is_counted() {
        let dir = scratch("no-audit");
        fs::write(&dir, "a file in the way").unwrap();
        let mut log = AuditLog::open(&dir);
        log.append(&placed(1)).unwrap_err();
        log.append(&placed(2)).unwrap_err();
        fs::remove_file(&dir).unwrap();
        let error = format!("{:#}", read(&dir, None, None).unwrap_err());
        assert!(error.starts_with("there is no audit log at"), "{error}");
    }

    #[test]
    fn a_full_disk_costs_records_and_nothing_else() {
        let file = OpenOptions::new().append(true).open("/dev/full");
        let mut log = AuditLog { path: "/dev/full".into(), file, complained: false };
        let error = log.append(&placed(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
